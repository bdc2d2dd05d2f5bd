/** How a token is renewed on the connection that there is, on a transport of which the test says what it does. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createClient, createTokens, type Auth, type Client, type LiveQuery } from '../../src/core/index.js'
import { type Frame, heard, passes, type Peer, peersOfClient, type Peers, signedInAs, welcome } from '../support/peers.js'

let client: Client
let peers: Peers
let auth: ReturnType<typeof vi.fn<Auth>>

beforeEach(() => {
  vi.useFakeTimers()
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  peers = peersOfClient()
  auth = vi.fn<Auth>(({ reason }) => reason)
  client = createClient({ url: 'ws://server/ws', transport: peers.transport, outbox: 'memory', auth: (ask) => auth(ask) })
})
afterEach(() => {
  client.close()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
  vi.useRealTimers()
})

const LEFT_MS = 60_000
const expiring = (): Frame => [32, { type: 'token_expiring', expires_at: Date.now() + LEFT_MS }]
const reasons = () => auth.mock.calls.map(([{ reason }]) => reason)
const requests = (peer: Peer): unknown[] => heard(peer, 3).map(([, , op, input]) => [op, input])

/** A connection with a list that is true, which is told that its token is about to end. */
async function told(): Promise<LiveQuery> {
  const query = client.live('run.list', {}) as LiveQuery
  query.retain()
  await passes()
  peers.last.say(welcome())
  await passes()
  peers.last.say([11, 1, { revision: 10, snapshot: true }], [13, 1, 10, { items: [] }])
  peers.last.say(expiring())
  return query
}

describe('a token that is about to end', () => {
  test('is renewed on the same socket before its end, and nothing is interrupted', async () => {
    const query = await told()
    const states: string[] = []
    client.connection.subscribe(() => states.push(client.connection.get().status))
    query.subscribe(() => states.push(query.get().status))
    const under = client.call('session.list', {})
    await passes(LEFT_MS / 2)
    expect(reasons()).toEqual(['initial', 'expiring'])
    expect(requests(peers.last)).toEqual([['session.list', {}], ['auth.authenticate', { access_token: 'expiring' }]])
    peers.last.say([4, 2, { principal: signedInAs('a').principal, access_expires_at: 0 }], [4, 1, { items: [] }])
    expect(await under).toEqual({ items: [] })
    await passes(2 * LEFT_MS)
    // One renewal to one notice, on the one socket.
    expect([reasons().length, peers.all.length, peers.last.left]).toEqual([2, 1, false])
    expect(new Set(states)).toEqual(new Set(['open']))
    peers.last.say(expiring())
    await passes(LEFT_MS / 2)
    expect(reasons()).toEqual(['initial', 'expiring', 'expiring'])
  })

  test('is asked for again, sooner each time, where nobody can give one, and renewed once somebody can', async () => {
    const query = await told()
    auth.mockRejectedValueOnce(new Error('away')).mockImplementationOnce(() => { throw new Error('away') })
    await passes(30_000)
    expect(reasons()).toHaveLength(2)
    await passes(15_000)
    expect([reasons().length, requests(peers.last)]).toEqual([3, []])
    await passes(7_500)
    expect(requests(peers.last)).toEqual([['auth.authenticate', { access_token: 'expiring' }]])
    await passes(LEFT_MS)
    expect([reasons().length, peers.all.length, query.get().status]).toEqual([4, 1, 'live'])
  })

  test('ends the connection where nobody gives one in time, and a new one is asked for then', async () => {
    const query = await told()
    auth.mockImplementation(({ reason }) => (reason === 'expiring' ? Promise.reject(new Error('away')) : reason))
    await passes(LEFT_MS)
    const asked = reasons().length
    // Not without end: it is over within the last second.
    expect(asked).toBeLessThan(10)
    await passes(30_000)
    expect(reasons()).toHaveLength(asked)
    peers.last.cut(4100)
    await passes()
    expect(reasons().at(-1)).toBe('rejected')
    expect(heard(peers.last, 1)).toMatchObject([[1, { access_token: 'rejected', last_close: { code: 4100 } }]])
    peers.last.say(welcome())
    await passes()
    expect(heard(peers.last, 10).map(([, , , options]) => options)).toEqual([{ from: 10 }])
    expect([peers.all.length, query.get().output]).toEqual([2, { items: [] }])
  })

  test('that comes after the connection has ended is of no use there, nor said on the next', async () => {
    await told()
    let give: (token: string) => void = () => {}
    auth.mockImplementation(({ reason }) => (reason === 'expiring' ? new Promise((resolve) => (give = resolve)) : reason))
    await passes(LEFT_MS + 30_000)
    expect([reasons(), requests(peers.last)]).toEqual([['initial', 'expiring'], []])
    peers.last.cut(4100)
    await passes()
    peers.last.say(welcome())
    give('late')
    await passes()
    expect(peers.all.map(requests)).toEqual([[], []])
    expect(client.connection.get().status).toBe('open')
  })

  test('that comes within the time after its end is still said', async () => {
    await told()
    let give: (token: string) => void = () => {}
    auth.mockImplementation(() => new Promise((resolve) => (give = resolve)))
    await passes(LEFT_MS + 10_000)
    give('late')
    await passes()
    expect(requests(peers.last)).toEqual([['auth.authenticate', { access_token: 'late' }]])
  })

  test('is not renewed where nobody is signed in any more, nor where the server refuses, and no rejection goes astray', async () => {
    await told()
    auth.mockReturnValueOnce(null)
    await passes(LEFT_MS)
    expect(requests(peers.last)).toEqual([])
    peers.last.say(expiring())
    await passes(LEFT_MS / 2)
    peers.last.say([5, 1, { code: 'unauthenticated', message: 'ended', retry: 'sign_in' }])
    await passes(LEFT_MS)
    expect([client.connection.get().status, reasons().length]).toEqual(['open', 3])
  })
})

describe('kept tokens', () => {
  const HOUR_MS = 3_600_000
  const answers = (...responses: (() => Response)[]) => {
    const fetched = vi.fn(async (_url: string, _init: RequestInit) => responses[Math.min(fetched.mock.calls.length, responses.length) - 1]!())
    vi.stubGlobal('fetch', fetched)
    return fetched
  }
  const fresh = () => Response.json({ access_token: 'fresh', refresh_token: 'next', expires_in: 3600 })
  const kept = () => {
    const tokens = createTokens({ url: 'ws://server/ws', storage: null })
    tokens.keep({ access_token: 'first', refresh_token: 'r', access_expires_at: Date.now() + HOUR_MS })
    return tokens
  }

  test('are given as they are until five seconds before their end, and renewed by the refresh token then', async () => {
    const fetched = answers(fresh)
    const tokens = kept()
    await passes(HOUR_MS - 5_001)
    expect([await tokens.auth({ reason: 'initial' }), fetched.mock.calls.length]).toEqual(['first', 0])
    await passes(1)
    expect(await tokens.auth({ reason: 'initial' })).toBe('fresh')
    const [[url, { body, credentials }]] = fetched.mock.calls as unknown as [[string, RequestInit]]
    expect([url, String(body), credentials]).toEqual(['http://server/token', 'grant_type=refresh_token&refresh_token=r', 'include'])
    expect([await tokens.auth({ reason: 'initial' }), fetched.mock.calls.length]).toEqual(['fresh', 1])
  })

  test('are kept where the server can’t answer or is away, and forgotten only where it refuses them', async () => {
    answers(() => new Response('', { status: 503 }), () => new Response('', { status: 429 }), () => { throw new TypeError('network') }, () => new Response('', { status: 400 }))
    const tokens = kept()
    for (const code of ['unavailable', 'rate_limited', 'unreachable']) {
      await expect(tokens.auth({ reason: 'expiring' })).rejects.toMatchObject({ code })
      expect(tokens.signedIn).toBe(true)
    }
    expect([await tokens.auth({ reason: 'expiring' }), tokens.signedIn]).toEqual([null, false])
  })

  test('are renewed over a connection’s life, through a server that is away for a while', async () => {
    const tokens = kept()
    auth.mockImplementation(tokens.auth)
    const fetched = answers(() => new Response('', { status: 503 }), fresh)
    await told()
    expect(heard(peers.last, 1)).toMatchObject([[1, { access_token: 'first' }]])
    await passes(LEFT_MS)
    expect(fetched).toHaveBeenCalledTimes(2)
    expect(requests(peers.last)).toEqual([['auth.authenticate', { access_token: 'fresh' }]])
    expect([peers.all.length, client.connection.get().status]).toEqual([1, 'open'])
  })
})
