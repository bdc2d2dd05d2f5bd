/** What becomes of a connection that the server leaves, on a transport of which the test says what it does. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createClient, type Auth, type Client, type ConnectionState, type LiveQuery } from '../../src/core/index.js'
import { type Frame, heard, passes, type Peer, peersOfClient, type Peers, welcome } from '../support/peers.js'

const WITHIN_MS = 2_000
const DRAIN_MS = 10_000
const goaway: Frame = [33, { why: 'upgrade', reconnect_within_ms: WITHIN_MS, drain_ms: DRAIN_MS }]
let client: Client
let peers: Peers
let auth: ReturnType<typeof vi.fn<Auth>>
let states: ConnectionState['status'][]

beforeEach(() => {
  vi.useFakeTimers()
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  peers = peersOfClient()
  auth = vi.fn<Auth>(() => 't')
  client = createClient({ url: 'ws://server/ws', transport: peers.transport, outbox: 'memory', auth: (ask) => auth(ask) })
})
afterEach(() => {
  client.close()
  vi.restoreAllMocks()
  vi.useRealTimers()
})

/** A connection with a list that is true at revision 10; what becomes of it is noted. */
async function connected(): Promise<{ old: Peer; query: LiveQuery }> {
  const query = client.live('run.list', {}) as LiveQuery
  query.retain()
  await passes()
  peers.last.say(welcome())
  await passes()
  peers.last.say([11, 1, { revision: 10, snapshot: true }], [13, 1, 10, { items: [] }])
  states = []
  client.connection.subscribe(() => states.push(client.connection.get().status))
  return { old: peers.last, query }
}

describe('it is handed over', () => {
  test.each([[0, 0], [0.25, 500], [0.999, 1_998]])('at a moment of the window that chance says: %d', async (part, ms) => {
    const { old } = await connected()
    vi.mocked(Math.random).mockReturnValue(part)
    old.say(goaway)
    if (ms) await passes(ms - 1)
    expect(peers.all).toHaveLength(1)
    await passes(1)
    expect(peers.all).toHaveLength(2)
  })

  test('without a gap: the old one is followed until the new one is welcomed, which goes on from there', async () => {
    const { old, query } = await connected()
    old.say(goaway)
    await passes(WITHIN_MS / 2)
    expect(heard(peers.last, 1)).toHaveLength(1)
    old.say([12, 1, 11, 1, [{ put: { id: 'x' }, before: null }]])
    expect(query.get()).toMatchObject({ status: 'live', revision: 11 })
    expect([old.left, states]).toEqual([false, []])
    peers.last.say(welcome())
    await passes()
    expect(heard(peers.last, 10).map(([, , , options]) => options)).toEqual([{ from: 11 }])
    // What the old one still says is not taken twice.
    old.say([12, 1, 12, 1, [{ put: { id: 'old' }, before: null }]])
    peers.last.say([11, 1, { revision: 11, snapshot: false }], [12, 1, 12, 1, [{ put: { id: 'y' }, before: null }]])
    expect(query.get()).toMatchObject({ status: 'live', revision: 12, output: { items: [{ id: 'x' }, { id: 'y' }] } })
    expect([old.left, new Set(states)]).toEqual([true, new Set(['open'])])
    old.cut(1000)
    await passes(60_000)
    expect([peers.all.length, client.connection.get().status]).toEqual([2, 'open'])
  })

  test('calls under way are answered on the old one, which is left then; new ones wait for the new one', async () => {
    const { old } = await connected()
    const under = client.call('session.create', { title: 'Under way' })
    await passes()
    old.say(goaway)
    const after = client.call('session.create', { title: 'After' })
    await passes(WITHIN_MS / 2)
    peers.last.say(welcome())
    await passes()
    expect([heard(old, 3).length, heard(peers.last, 3).map(([, , , input]) => input)]).toEqual([1, [{ title: 'After' }]])
    expect(old.left).toBe(false)
    old.say([4, 1, { id: 'one' }])
    expect([await under, old.left]).toEqual([{ id: 'one' }, true])
    peers.last.say([4, 1, { id: 'two' }])
    expect(await after).toEqual({ id: 'two' })
  })

  test('a call that the old one never answers is sent again on the new one, with its key, when the old one is gone', async () => {
    const { old } = await connected()
    const call = client.call('session.create', { title: 'Under way' })
    await passes()
    old.say(goaway)
    await passes(WITHIN_MS / 2)
    peers.last.say(welcome())
    await passes()
    expect(heard(peers.last, 3)).toEqual([])
    await passes(DRAIN_MS)
    expect(old.left).toBe(true)
    old.cut(4001)
    await passes()
    expect(heard(peers.last, 3)).toEqual(heard(old, 3))
    peers.last.say([4, 1, { id: 'one' }])
    expect(await call).toEqual({ id: 'one' })
  })

  test('a call on the old one that is aborted is taken back there, and holds it up no longer', async () => {
    const { old } = await connected()
    const stop = new AbortController()
    const call = client.call('run.list', {}, { signal: stop.signal })
    await passes()
    old.say(goaway)
    await passes(WITHIN_MS / 2)
    peers.last.say(welcome())
    await passes()
    stop.abort()
    await expect(call).rejects.toMatchObject({ code: 'aborted' })
    expect(old.left).toBe(true)
    old.cut(4001)
    await passes()
    expect(heard(peers.last, 3)).toEqual([])
  })

  test('what is newly followed waits for the new one, and so does what the old one refuses as it leaves', async () => {
    const { old } = await connected()
    const before = client.live('session.list', {}) as LiveQuery
    before.retain()
    await passes()
    old.say(goaway)
    old.say([14, 2, 0, { why: 'refused', fault: { code: 'unavailable', message: 'leaving', retry: 'same_key' } }])
    const after = client.live('approval.list', {}) as LiveQuery
    after.retain()
    await passes(WITHIN_MS / 2 - 1)
    expect(heard(old, 10)).toHaveLength(2)
    expect([before.get().status, after.get().status]).toEqual(['stale', 'stale'])
    await passes(1)
    peers.last.say(welcome())
    await passes()
    expect(heard(peers.last, 10).map(([, , target]) => (target as { query: { op: string } }).query.op)).toEqual(['run.list', 'session.list', 'approval.list'])
  })
})

describe('a handover that fails', () => {
  test.each([
    ['the new one is refused', () => peers.last.cut(4001)],
    ['the new one is silent', () => passes(15_000)],
  ])('because %s is tried again while the old one lasts, and nothing is interrupted', async (_, fail) => {
    const { old, query } = await connected()
    old.say([33, { why: 'upgrade', reconnect_within_ms: WITHIN_MS, drain_ms: 60_000 }])
    await passes(WITHIN_MS / 2)
    await fail()
    expect(peers.all.length).toBe(2)
    await passes(1_000)
    expect([peers.all.length, states, query.get().status]).toEqual([3, [], 'live'])
    peers.last.say(welcome())
    expect([old.left, client.connection.get().status]).toEqual([true, 'open'])
  })

  test('because nobody gives a token is tried again too', async () => {
    const { old } = await connected()
    auth.mockRejectedValueOnce(new Error('away'))
    old.say(goaway)
    await passes(WITHIN_MS / 2)
    expect([peers.all.length, auth.mock.calls.length]).toEqual([1, 2])
    await passes(1_000)
    expect([peers.all.length, auth.mock.calls.length, states]).toEqual([2, 3, []])
  })

  test('because the old one is lost before goes on with the new one alone', async () => {
    const { old, query } = await connected()
    old.say(goaway)
    await passes(WITHIN_MS / 2)
    old.cut()
    expect([client.connection.get().status, query.get().status]).toEqual(['connecting', 'stale'])
    await passes(500)
    expect(peers.all).toHaveLength(2)
    peers.last.say(welcome())
    await passes()
    expect([client.connection.get().status, heard(peers.last, 10).length]).toEqual(['open', 1])
    await passes(60_000)
    expect([client.connection.get().status, peers.all.length]).toEqual(['open', 2])
  })

  test('because the old one is lost before its moment is not made any more: it is lost as any other', async () => {
    const { old } = await connected()
    old.say(goaway)
    old.cut()
    await passes(500)
    peers.last.say(welcome())
    await passes(60_000)
    expect([client.connection.get().status, peers.all.length, auth.mock.calls.length]).toEqual(['open', 2, 2])
  })

  test('because both are lost begins anew, and a call that may not wait is not carried from one to another', async () => {
    const { old } = await connected()
    const told = expect(client.call('session.create', { title: 'Now' }, { wait: false })).rejects.toMatchObject({ code: 'disconnected' })
    await passes()
    old.say(goaway)
    await passes(WITHIN_MS / 2)
    old.cut()
    await told
    peers.last.cut()
    expect(client.connection.get().status).toBe('waiting')
    await passes(1_000)
    peers.last.say(welcome())
    await passes()
    expect([peers.all.length, heard(peers.last, 3), heard(peers.last, 10).length]).toEqual([3, [], 1])
  })

  test('because nobody gives a token until the old one is gone asks for none on its behalf any more', async () => {
    const { old } = await connected()
    let refuse = (): void => {}
    auth.mockImplementation(() => new Promise((_, reject) => (refuse = () => reject(new Error('away')))))
    old.say(goaway)
    await passes(WITHIN_MS / 2)
    client.close()
    refuse()
    await passes(60_000)
    expect(auth).toHaveBeenCalledTimes(2)
  })

  test('because the client is closed meanwhile leaves nothing open', async () => {
    const { old } = await connected()
    const call = client.call('run.list', {})
    const told = expect(call).rejects.toMatchObject({ code: 'disconnected' })
    await passes()
    old.say(goaway)
    await passes(WITHIN_MS / 2)
    client.close()
    await told
    peers.last.say(welcome())
    expect(peers.all.map(({ left }) => left)).toEqual([true, true])
    expect(client.connection.get().status).toBe('stopped')
  })

  test('because the client is closed when the old one has an answer to give leaves nothing open either', async () => {
    const { old } = await connected()
    const told = expect(client.call('run.list', {})).rejects.toMatchObject({ code: 'disconnected' })
    await passes()
    old.say(goaway)
    await passes(WITHIN_MS / 2)
    peers.last.say(welcome())
    expect(old.left).toBe(false)
    client.close()
    await told
    expect(peers.all.map(({ left }) => left)).toEqual([true, true])
  })
})
