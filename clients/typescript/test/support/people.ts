/** Who signs in on a test's server. */
import type { Client } from '../../src/core/index.js'

export const PASSWORD = 'a long enough password'
let people = 0

/** Signs somebody new in on this client. */
export async function register(client: Client, name = 'Ada'): Promise<{ email: string; access_token: string }> {
  const email = `${name.toLowerCase()}${++people}@example.com`
  const { access_token } = await client.call('auth.register', { email, password: PASSWORD, name })
  return { email, access_token }
}
