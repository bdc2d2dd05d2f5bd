/** What the connection does with subscriptions, on a transport of which the test says what it does. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createClient, type Client, type LiveQuery } from '../../src/core/index.js'
import { type Frame, heard, passes, peersOfClient, type Peers, signedInAs, welcome } from '../support/peers.js'

const page = (...ids: string[]) => ({ items: ids.map((id) => ({ id })) })
const refused = (retry: string, more = {}): Frame => [14, 0, 0, { why: 'refused', fault: { code: 'unavailable', message: 'not now', retry, ...more } }]

let client: Client
let peers: Peers
const subscribes = () => peers.all.flatMap((peer) => heard(peer, 10))
/** What the server says to the subscription that was made last. */
const answer = (...frames: Frame[]): void => peers.last.say(...frames.map(([kind, _, ...rest]): Frame => [kind, subscribes().at(-1)![1], ...rest]))

beforeEach(() => {
  vi.useFakeTimers()
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  peers = peersOfClient()
  client = createClient({ url: 'ws://server/ws', transport: peers.transport, outbox: 'memory', auth: () => null })
})
afterEach(() => {
  client.close()
  vi.restoreAllMocks()
  vi.useRealTimers()
})

/** A list that is followed by `who`, and true at revision 10. */
async function followed(who: string | null = 'a'): Promise<LiveQuery> {
  const query = client.live('run.list', {}) as LiveQuery
  query.retain()
  await passes()
  peers.last.say(welcome(who))
  await passes()
  answer([11, 0, { revision: 10, snapshot: true }], [13, 0, 10, page('x')])
  return query
}

test('what the server ends to begin anew is opened again, and later each time that nothing came of it', async () => {
  const query = await followed()
  answer([14, 0, 10, { why: 'server' }])
  expect(query.get()).toMatchObject({ status: 'stale', output: page('x'), error: null })
  await passes()
  expect(subscribes().map(([, , , options]) => options)).toEqual([{}, { from: 10 }])
  answer([14, 0, 10, { why: 'server' }])
  await passes(199)
  expect(subscribes()).toHaveLength(2)
  await passes(1)
  expect(subscribes()).toHaveLength(3)
  // Something comes of it: the next end is the first again.
  answer([11, 0, { revision: 10, snapshot: false }], [12, 0, 11, 1, []], [14, 0, 11, { why: 'server' }])
  await passes()
  expect(subscribes().at(-1)![3]).toEqual({ from: 11 })
})

test('what was open is opened again where that can’t be just now, not before the server says', async () => {
  const query = await followed()
  peers.last.cut()
  await passes(1_000)
  peers.last.say(welcome('a'))
  await passes()
  answer(refused('same_key', { retry_after_ms: 700 }))
  await passes(699)
  expect([query.get().status, subscribes().length]).toEqual(['stale', 2])
  await passes(1)
  answer([11, 0, { revision: 10, snapshot: false }])
  expect(query.get()).toMatchObject({ status: 'live', revision: 10 })
})

test('what was never open, or is refused for good, ends', async () => {
  const query = client.live('run.list', {})
  const current = query.current()
  current.catch(() => {})
  await passes()
  peers.last.say(welcome('a'))
  await passes()
  answer(refused('after'))
  await expect(current).rejects.toMatchObject({ code: 'unavailable' })
  const open = await followed2()
  answer(refused('never'))
  await passes(60_000)
  expect([open.get().status, subscribes().length]).toEqual(['ended', 2])
})

/** Another list on the connection that there is. */
async function followed2(): Promise<LiveQuery> {
  const query = client.live('session.list', {}) as LiveQuery
  query.retain()
  await passes()
  answer([11, 0, { revision: 10, snapshot: true }], [13, 0, 10, page('x')])
  return query
}

test('what is closed while it waits to be opened again stays closed', async () => {
  await followed()
  const stream = client.followRun('r')
  await passes()
  answer([14, 0, 0, { why: 'server' }])
  stream.close()
  await passes(60_000)
  expect(subscribes()).toHaveLength(2)
})

test('who signs in on the connection is known, and reads nothing of who was there before', async () => {
  const query = await followed('a')
  peers.last.cut()
  await passes(1_000)
  peers.last.say(welcome(null))
  // Nobody is signed in: whoever was there may come back.
  expect(query.get().output).toEqual(page('x'))
  const login = client.call('auth.login', { email: 'b@example.com', password: 'a long enough password' })
  await passes()
  const [, id] = peers.last.said.find(([kind]) => kind === 3)!
  peers.last.say([4, id, signedInAs('b')])
  expect(client.connection.get()).toMatchObject({ status: 'open', principal: { id: 'b' } })
  expect(query.get()).toMatchObject({ output: undefined, revision: -1 })
  await login
  expect(subscribes().at(-1)![3]).toEqual({})
})

test('who comes back goes on from where they were', async () => {
  const query = await followed('a')
  peers.last.cut()
  await passes(1_000)
  peers.last.say(welcome('a'))
  await passes()
  expect(query.get().output).toEqual(page('x'))
  expect(subscribes().at(-1)![3]).toEqual({ from: 10 })
})
