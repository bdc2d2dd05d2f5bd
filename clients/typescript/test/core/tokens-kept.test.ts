/** Tokens as they are kept and asked for, without a server. */
import { afterEach, expect, test, vi } from 'vitest'
import { createTokens } from '../../src/core/index.js'

afterEach(() => vi.unstubAllGlobals())

test.each(['{not json', '5', 'null', '{}', ''])('what is no token where one is kept is as none: %s', async (text) => {
  const tokens = createTokens({ url: 'http://server', storage: { getItem: () => text, setItem() {}, removeItem() {} } })
  expect([tokens.signedIn, await tokens.auth({ reason: 'initial' })]).toEqual([false, null])
})

test.each([['wss://server/ws?x=1', 'https://server/token?x=1'], ['http://server', 'http://server/token'], ['ws://server/crewline/ws', 'http://server/crewline/token']])('%s has its tokens at %s', async (url, endpoint) => {
  const fetch = vi.fn(async () => Response.json({ access_token: 't' }))
  vi.stubGlobal('fetch', fetch)
  await createTokens({ url, storage: null }).signIn('a@example.com', 'a long enough password')
  expect(fetch).toHaveBeenCalledWith(endpoint, expect.anything())
})
