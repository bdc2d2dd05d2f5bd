/** When a lost connection is made anew, on a transport of which the test says what it does. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createClient, type Auth, type Client } from '../../src/core/index.js'
import { heard, passes, peersOfClient, type Peers, signedInAs, welcome } from '../support/peers.js'

const BASE_MS = 100
const MAX_MS = 1_000
let client: Client
let peers: Peers
let auth: ReturnType<typeof vi.fn<Auth>>

beforeEach(() => {
  vi.useFakeTimers()
  vi.spyOn(Math, 'random')
  peers = peersOfClient()
  auth = vi.fn<Auth>(() => 't')
  client = createClient({ url: 'ws://server/ws', transport: peers.transport, outbox: 'memory', auth: (ask) => auth(ask) })
})
afterEach(() => {
  client.close()
  vi.restoreAllMocks()
  vi.useRealTimers()
})

const status = () => client.connection.get().status
const reasons = () => auth.mock.calls.map(([{ reason }]) => reason)

async function connected(who: string | null = 'a'): Promise<void> {
  client.connect()
  await passes()
  peers.last.say(welcome(who, { base_ms: BASE_MS, max_ms: MAX_MS }))
}

/** Cuts the connection, and tells how long it is before another is tried for, where chance says `part`. */
async function waited(part: number, code = 1006): Promise<number> {
  vi.mocked(Math.random).mockReturnValue(part)
  const before = Date.now()
  peers.last.cut(code)
  const state = client.connection.get()
  if (state.status !== 'waiting') throw new Error(`it is ${state.status}`)
  const made = peers.all.length
  const ms = state.retry_at - before
  if (ms >= 1) {
    await passes(ms - 1)
    expect(peers.all).toHaveLength(made)
  }
  await passes(1)
  expect(peers.all).toHaveLength(made + 1)
  return ms
}

describe('the waits', () => {
  test.each([0, 0.25, 0.5, 1])('are %d of a bound that doubles from the base to the maximum', async (part) => {
    await connected()
    const waits: number[] = []
    for (let turn = 0; turn < 8; turn++) waits.push(await waited(part))
    expect(waits).toEqual([100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000].map((bound) => part * bound))
  })

  test('are as the server’s welcome says, or as the client’s options do', async () => {
    client.close()
    client = createClient({ url: 'ws://server/ws', transport: peers.transport, outbox: 'memory', auth: () => 't', reconnect: { base_ms: 7, max_ms: 10 } })
    await connected()
    expect([await waited(1), await waited(1), await waited(1)]).toEqual([7, 10, 10])
  })

  test('begin from the base where nobody has said anything, as where no server was ever reached', async () => {
    client.connect()
    await passes()
    expect([await waited(1), await waited(1)]).toEqual([500, 1_000])
  })

  test('begin anew after a connection that lasted, not after one that was lost as soon as it was welcomed', async () => {
    await connected()
    expect([await waited(1), await waited(1)]).toEqual([100, 200])
    peers.last.say(welcome('a', { base_ms: BASE_MS, max_ms: MAX_MS }))
    await passes(9_000)
    expect(await waited(1)).toBe(400)
    peers.last.say(welcome('a', { base_ms: BASE_MS, max_ms: MAX_MS }))
    await passes(10_000)
    expect([await waited(1), await waited(1)]).toEqual([100, 200])
  })

  test.each([[0.25, 250], [1, MAX_MS]])('go up to the maximum at once where there are too many connections: %d of it', async (part, ms) => {
    await connected()
    expect(await waited(part, 4006)).toBe(ms)
  })

  test('hold up a call that may wait, and fail one that may not', async () => {
    await connected()
    vi.mocked(Math.random).mockReturnValue(1)
    const [waits, fails] = [client.call('run.list', {}), client.call('run.list', {}, { wait: false })]
    await passes()
    peers.last.cut()
    await expect(fails).rejects.toMatchObject({ code: 'disconnected' })
    await expect(client.call('run.list', {}, { wait: false })).rejects.toMatchObject({ code: 'disconnected' })
    await passes(BASE_MS)
    const early = expect(client.call('run.list', {}, { wait: false })).rejects.toMatchObject({ code: 'disconnected' })
    peers.last.cut()
    await early
    await passes(2 * BASE_MS)
    peers.last.say(welcome())
    await passes()
    expect(heard(peers.last, 3)).toHaveLength(1)
    peers.last.say([4, 1, { items: [] }])
    expect(await waits).toEqual({ items: [] })
  })
})

describe('a token', () => {
  test('that is refused is asked for anew at once, and a second refusal stops the client', async () => {
    client.connect()
    await passes()
    expect(await waited(1, 4100)).toBe(0)
    expect(reasons()).toEqual(['initial', 'rejected'])
    peers.last.say([5, 0, { code: 'unauthenticated', message: 'this key was revoked', retry: 'sign_in' }])
    peers.last.cut(4101)
    expect(client.connection.get()).toMatchObject({ status: 'stopped', why: 'signed_out', error: { code: 'unauthenticated', message: 'this key was revoked' } })
    await passes(60_000)
    expect(peers.all).toHaveLength(2)
  })

  test('that nobody can give just now is asked for again, for the same reason, and backs off', async () => {
    vi.mocked(Math.random).mockReturnValue(1)
    await connected()
    auth.mockRejectedValueOnce(new Error('away')).mockRejectedValueOnce(new Error('away'))
    peers.last.cut(4100)
    await passes()
    expect(client.connection.get()).toMatchObject({ status: 'waiting', error: { code: 'unreachable' } })
    await passes(10_000)
    expect(reasons()).toEqual(['initial', 'rejected', 'rejected', 'rejected'])
    expect([peers.all.length, status()]).toEqual([2, 'connecting'])
  })

  test('is asked for as at first by whoever signs in after the client has stopped', async () => {
    await connected()
    auth.mockReturnValue(null)
    peers.last.cut(4100)
    await passes()
    expect(client.connection.get()).toMatchObject({ status: 'stopped', why: 'signed_out', error: { code: 'unauthenticated' } })
    await expect(client.call('run.list', {})).rejects.toMatchObject({ code: 'unauthenticated' })
    const login = client.call('auth.login', { email: 'a@example.com', password: 'a long enough password' })
    await passes()
    peers.last.say(welcome(null))
    await passes()
    peers.last.say([4, 1, signedInAs('a')])
    await login
    expect(reasons()).toEqual(['initial', 'rejected', 'initial'])
    expect(client.connection.get()).toMatchObject({ status: 'open', principal: { id: 'a' } })
  })
})

test.each([[4201, 'signed_out'], [4202, 'refused'], [4203, 'refused'], [4205, 'refused']])('after %d the client has stopped, and all that waits is told', async (code, why) => {
  await connected()
  const query = client.live('run.list', {})
  query.retain()
  const call = client.call('run.list', {})
  const told = expect(call).rejects.toMatchObject({ code: 'forbidden' })
  await passes()
  peers.last.say([5, 0, { code: 'forbidden', message: 'no more', retry: 'never' }])
  peers.last.cut(code)
  await told
  expect(client.connection.get()).toMatchObject({ status: 'stopped', why, error: { message: 'no more' } })
  expect(query.get()).toMatchObject({ status: 'ended', error: { code: 'forbidden' } })
  await passes(600_000)
  expect(peers.all).toHaveLength(1)
})

test.each([[4201, 'unauthenticated', 'sign_in'], [4202, 'forbidden', 'never'], [4204, 'unsupported_client', 'never']])('after %d without a fault the error says what the close does', async (code, told, retry) => {
  await connected()
  peers.last.cut(code)
  expect(client.connection.get()).toMatchObject({ status: 'stopped', error: { code: told, retry } })
})

test('a server that is none of Crewline’s is tried again, and the error says so', async () => {
  await connected()
  peers.last.say([99, 'what' as unknown as number], 'no frame' as never)
  expect(client.connection.get()).toMatchObject({ status: 'waiting', error: { code: 'malformed', retry: 'reconnect' } })
})
