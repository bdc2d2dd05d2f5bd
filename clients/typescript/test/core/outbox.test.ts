/** What becomes of mutations that have no answer yet. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createClient, type Auth, type Client, type OutboxEntry, type OutboxStore } from '../../src/core/index.js'
import { KINDS } from '../../src/protocol.js'
import { heard, passes, peersOfClient, type Peers, signedInAs, welcome } from '../support/peers.js'

let peers: Peers
let kept: Map<string, OutboxEntry>
const clients: Client[] = []
const store: OutboxStore = {
  load: async () => [...kept.values()],
  save: async (entry) => void kept.set(entry.key, entry),
  remove: async (key) => void kept.delete(key),
}

beforeEach(() => {
  vi.useFakeTimers()
  peers = peersOfClient()
  kept = new Map()
})
afterEach(() => {
  for (const client of clients.splice(0)) client.close()
  vi.useRealTimers()
})

function page(auth: Auth = () => 't'): Client {
  const client = createClient({ url: 'ws://server/ws', transport: peers.transport, outbox: store, auth })
  clients.push(client)
  return client
}
const create = (client: Client) => client.call('record.create', { collection: 'c', data: { name: 'once' } })
const sent = () => peers.all.flatMap((peer) => heard(peer, KINDS.request)).map(([, , op]) => op)

test('what was rejected to its caller because nobody was signed in is not sent when somebody is', async () => {
  const client = page(() => null)
  const call = create(client)
  const refused = expect(call).rejects.toMatchObject({ code: 'unauthenticated' })
  await passes()
  peers.last.say(welcome(null))
  await passes()
  peers.last.say([KINDS.fault, 1, { code: 'unauthenticated', message: 'sign in', retry: 'sign_in' }])
  await refused
  expect([client.outbox.get(), kept.size]).toEqual([[], 0])
  const login = client.call('auth.login', { email: 'a@example.com', password: 'a long enough password' })
  await passes()
  peers.last.say([KINDS.reply, 2, signedInAs('a')])
  await login
  await passes(60_000)
  expect(sent()).toEqual(['record.create', 'auth.login'])
})

test('what was rejected to its caller because the client was closed or signed out is not sent by the next page', async () => {
  const [closed, signedOut] = [page(), page()]
  const calls = [create(closed), create(signedOut)].map((call) => call.catch(({ code }) => code))
  await passes()
  expect(kept.size).toBe(2)
  closed.close()
  peers.last.cut(4201)
  expect(await Promise.all(calls)).toEqual(['disconnected', 'unauthenticated'])
  expect(kept.size).toBe(0)
})

test('what nobody was told of is sent by the next page, and waits again where nobody is signed in', async () => {
  void create(page()).catch(() => {})
  await passes()
  const left = new Map(kept)
  expect(left.size).toBe(1)
  clients.pop()!.close()
  kept = left
  const next = page()
  next.connect()
  await passes()
  peers.last.say(welcome())
  await passes()
  expect(sent()).toEqual(['record.create'])
  peers.last.say([KINDS.fault, 0, { code: 'unauthenticated', message: 'sign in', retry: 'sign_in' }])
  peers.last.cut(4201)
  await passes()
  expect(next.outbox.get()).toMatchObject([{ op: 'record.create', status: 'waiting' }])
  expect(kept.size).toBe(1)
})
