/** What can't be sent is refused alone: nothing beside it is touched. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createClient, CrewlineError, type Client } from '../../src/core/index.js'
import { KINDS } from '../../src/protocol.js'
import { heard, passes, peersOfClient, type Peers, welcome } from '../support/peers.js'

let client: Client
let peers: Peers

beforeEach(() => {
  vi.useFakeTimers()
  peers = peersOfClient()
  client = createClient({ url: 'ws://server/ws', transport: peers.transport, outbox: 'memory', auth: () => 't' })
})
afterEach(() => {
  client.close()
  vi.useRealTimers()
})

async function connected(): Promise<void> {
  client.connect()
  await passes()
  peers.last.say(welcome())
  await passes()
}

/** The connection is lost, and another is welcomed. */
async function again(): Promise<void> {
  peers.last.cut()
  await passes(60_000)
  peers.last.say(welcome())
  await passes()
}

function cycle(): object {
  const self: Record<string, unknown> = {}
  self.self = self
  return self
}
const create = (data: object) => client.call('record.create', { collection: 'c', data: data as Record<string, unknown> })
const refusalOf = async (call: Promise<unknown>): Promise<CrewlineError> => call.then(() => expect.unreachable(), (error) => error)
const bad: [string, () => object][] = [['a function', () => ({ name: () => 1 })], ['a BigInt', () => ({ name: 10n })], ['what holds itself', cycle]]

describe.each(bad)('%s', (_, made) => {
  test('in an input is refused as `invalid`, which says the operation, and calls after the next reconnect are made', async () => {
    await connected()
    const error = await refusalOf(create(made()))
    expect(error).toBeInstanceOf(CrewlineError)
    expect(error).toMatchObject({ code: 'invalid', retry: 'never', message: expect.stringContaining('`record.create`') })
    expect(client.outbox.get()).toEqual([])
    await again()
    const call = client.call('run.list', {})
    await passes()
    expect(heard(peers.last, KINDS.request).map(([, , op]) => op)).toEqual(['run.list'])
    peers.last.say([KINDS.reply, heard(peers.last, KINDS.request)[0]![1], { items: [] }])
    expect(await call).toEqual({ items: [] })
  })

  test('in a call that waits for a connection leaves those that wait beside it', async () => {
    const refused = refusalOf(create(made()))
    const beside = client.call('run.list', {})
    await connected()
    expect(await refused).toMatchObject({ code: 'invalid' })
    peers.last.say([KINDS.reply, heard(peers.last, KINDS.request)[0]![1], { items: [] }])
    expect(await beside).toEqual({ items: [] })
  })

  test('as one’s state ends the presence alone, with the reason', async () => {
    await connected()
    const presence = client.presence('s')
    await passes()
    peers.last.say([KINDS.subscribed, 1, {}])
    presence.update(made() as Record<string, unknown>)
    await passes(100)
    expect(presence.error).toMatchObject({ code: 'invalid' })
    expect(client.connection.get().status).toBe('open')
  })
})

test('an input of a live query that can’t be sent is refused as `invalid`, and what is followed beside it is followed', async () => {
  const refused = client.live('run.list', { limit: (() => 1) as unknown as number })
  refused.retain()
  client.live('session.list', {}).retain()
  await connected()
  expect(refused.get()).toMatchObject({ status: 'ended', error: { code: 'invalid', message: expect.stringContaining('`run.list`') } })
  expect(heard(peers.last, KINDS.subscribe)).toHaveLength(1)
  expect(() => client.live('run.list', { limit: 1n as unknown as number })).toThrow(CrewlineError)
})

test('what is larger than a message may be is refused as `too_large`, and the connection stays', async () => {
  await connected()
  const beside = client.call('run.list', {})
  const error = await refusalOf(create({ name: 'x'.repeat(2 << 20) }))
  expect(error).toMatchObject({ code: 'too_large', retry: 'never', message: expect.stringContaining('`record.create`') })
  expect([client.outbox.get(), client.connection.get().status, peers.all.length]).toEqual([[], 'open', 1])
  peers.last.say([KINDS.reply, heard(peers.last, KINDS.request)[0]![1], { items: [] }])
  expect(await beside).toEqual({ items: [] })
})
