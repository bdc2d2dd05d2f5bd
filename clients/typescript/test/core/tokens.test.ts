/** Tokens, against the real server. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createClient, createTokens, CrewlineError } from '../../src/core/index.js'
import { PASSWORD } from '../support/people.js'
import { nodeTransport, type Server, startServer } from '../support/server.js'
import { reached } from '../support/wait.js'

let server: Server
const EMAIL = 'ada@example.com'

beforeAll(async () => {
  server = await startServer(['access_token_ms=1500', 'sign_in_rate=600'])
  const stranger = createClient({ url: server.url, transport: nodeTransport(server.url), outbox: 'memory' })
  await stranger.call('auth.register', { email: EMAIL, password: PASSWORD, name: 'Ada' })
  stranger.close()
})
afterAll(() => server.stop())

function memory() {
  const kept = new Map<string, string>()
  return { kept, getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value), removeItem: (key: string) => void kept.delete(key) }
}
const endOf = ({ kept }: ReturnType<typeof memory>): number => JSON.parse([...kept.values()][0]!).expires_at

test('who signs in stays signed in beyond an access token, and over a reload', async () => {
  const storage = memory()
  const tokens = createTokens({ url: server.url, storage })
  expect([tokens.signedIn, await tokens.auth({ reason: 'initial' })]).toEqual([false, null])
  await tokens.signIn(EMAIL, PASSWORD)
  const first = await tokens.auth({ reason: 'expiring' })
  expect(first).toBeTypeOf('string')
  // The same page again.
  const again = createTokens({ url: server.url, storage })
  expect(again.signedIn).toBe(true)
  let asked = 0
  const client = createClient({ url: server.url, transport: nodeTransport(server.url), auth: (ask) => (asked++, again.auth(ask)), outbox: 'memory' })
  expect(await client.call('auth.me', {})).toMatchObject({ email: EMAIL })
  // The end is told in whole seconds.
  await reached(endOf(storage) + 1_000)
  expect(await client.call('auth.me', {})).toMatchObject({ email: EMAIL })
  expect(client.connection.get().status).toBe('open')
  // It lives for less time than the server tells of its end ahead.
  expect(asked).toBeLessThan(10)
  client.close()
})

test('who asked as a stranger first is signed in on the same client once there are tokens', async () => {
  const tokens = createTokens({ url: server.url, storage: null })
  const client = createClient({ url: server.url, transport: nodeTransport(server.url), auth: tokens.auth, outbox: 'memory' })
  await expect(client.call('auth.register', { email: EMAIL, password: 'another long password', name: 'Ada' })).rejects.toMatchObject({ code: 'conflict' })
  expect(client.connection.get()).toMatchObject({ status: 'open', principal: null })
  await tokens.signIn(EMAIL, PASSWORD)
  client.connect()
  expect(await Promise.all([client.live('run.list', {}).current(), client.call('auth.me', {})])).toMatchObject([{ items: [] }, { email: EMAIL }])
  const { since } = client.connection.get() as { since: number }
  client.connect()
  expect(client.connection.get()).toMatchObject({ status: 'open', principal: { email: EMAIL }, since })
  client.close()
})

test('many who need a new token at once get the same, by one renewal', async () => {
  const tokens = createTokens({ url: server.url, storage: null })
  await tokens.signIn(EMAIL, PASSWORD)
  const all = await Promise.all(Array.from({ length: 5 }, () => tokens.auth({ reason: 'rejected' })))
  expect(new Set(all).size).toBe(1)
  tokens.signOut()
  expect(await tokens.auth({ reason: 'rejected' })).toBeNull()
})

test('a wrong password, tokens that are no good, and a server that is away are told apart', async () => {
  const storage = memory()
  const tokens = createTokens({ url: server.url, storage })
  await expect(tokens.signIn(EMAIL, 'another long password')).rejects.toMatchObject({ code: 'unauthenticated' })
  tokens.keep({ access_token: 'x', refresh_token: 'y', access_expires_at: 0 })
  expect(await tokens.auth({ reason: 'initial' })).toBeNull()
  expect(storage.kept.size).toBe(0)
  const away = createTokens({ url: 'http://127.0.0.1:9', storage: null })
  await expect(away.signIn(EMAIL, PASSWORD)).rejects.toThrow(CrewlineError)
  await expect(away.signIn(EMAIL, PASSWORD)).rejects.toMatchObject({ code: 'unreachable' })
})
