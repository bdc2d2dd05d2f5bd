import { afterEach, expect, test, vi } from 'vitest'
import { type Client, createClient, type RunEvent } from '../../src/core/index.js'
import { createScriptedServer, type Script } from '../../src/testing/index.js'

const clients: Client[] = []
afterEach(() => {
  for (const client of clients.splice(0)) client.close()
  vi.useRealTimers()
})

function scripted(script: Script) {
  const server = createScriptedServer(script)
  const client = createClient({ url: 'ws://test', transport: server.transport, auth: () => 'token', outbox: 'memory' })
  clients.push(client)
  return { server, client }
}

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 30))
const at = 1
const words = (text: string): RunEvent => ({ type: 'text.delta', at, part: 'p', text })

test('calls get what the script says, one after another, and what it does not say is named', async () => {
  const { server, client } = scripted({
    calls: { 'session.create': [{ output: { id: 'one' } }, { fault: { code: 'forbidden' } }], 'run.list': { output: { items: [] } } },
  })
  expect(await client.call('session.create', { title: 'A' })).toEqual({ id: 'one' })
  await expect(client.call('session.create', { title: 'B' })).rejects.toMatchObject({ code: 'forbidden' })
  await expect(client.call('session.create', { title: 'C' })).rejects.toMatchObject({ code: 'forbidden' })
  expect(await client.call('run.list', {})).toEqual({ items: [] })
  await expect(client.call('session.list', {})).rejects.toThrow('the script has no answer to `session.list`')
  expect(server.received.map(({ op, input }) => [op, input])).toEqual([
    ['session.create', { title: 'A' }], ['session.create', { title: 'B' }], ['session.create', { title: 'C' }], ['run.list', {}], ['session.list', {}],
  ])
})

test('a call whose connection is lost comes again, with its key', async () => {
  const { server, client } = scripted({ calls: { 'session.create': [{ drop: true }, { output: { id: 'one' } }] } })
  expect(await client.call('session.create', { title: 'A' })).toEqual({ id: 'one' })
  expect(server.connections).toBe(2)
  expect(server.received[0]!.key).toBeDefined()
  expect(server.received[0]).toEqual(server.received[1])
})

test('a live query is what the script says, with its changes, also over a lost connection', async () => {
  const { server, client } = scripted({ queries: [{ op: 'session.list', output: { items: [{ id: 'a', title: 'A' }] }, steps: [{ changes: [{ put: { id: 'b', title: 'B' }, before: 'a' }] }] }] })
  const query = client.live('session.list', {})
  const release = query.retain()
  expect(await query.current()).toEqual({ items: [{ id: 'a', title: 'A' }] })
  await settle()
  const ids = (): string[] => query.get().output!.items.map(({ id }) => id)
  expect(ids()).toEqual(['b', 'a'])
  server.drop()
  server.push('session.list', [{ remove: 'a' }])
  await settle()
  expect(ids()).toEqual(['b'])
  server.push('session.list', [{ put: { id: 'c' }, before: null }])
  await settle()
  expect([ids(), server.connections]).toEqual([['b', 'c'], 2])
  release()
})

test('a run is told at its pace, and goes on after a lost connection', async () => {
  vi.useFakeTimers()
  const { server, client } = scripted({ runs: { r: { steps: [{ events: [words('a')] }, { delay_ms: 1_000, events: [words('b')] }, { delay_ms: 60_000, events: [words('c')] }] } } })
  const seen: RunEvent[] = []
  const done = (async () => {
    for await (const event of client.followRun('r')) seen.push(event)
  })()
  await vi.advanceTimersByTimeAsync(1_500)
  expect(seen).toEqual([words('a'), words('b')])
  server.drop()
  await vi.advanceTimersByTimeAsync(60_000)
  await done
  expect(seen).toEqual([words('a'), words('b'), words('c')])
  await expect(client.followRun('other')[Symbol.asyncIterator]().next()).rejects.toThrow('the script has no run `other`')
})

test('who is present, and a close that stops the client, are told', async () => {
  const ben = { connection_id: 'c', principal: { kind: 'user', id: 'u', name: 'Ben' } }
  const { server, client } = scripted({ presence: { s: [{ ...ben, state: { typing: true } }] } })
  const presence = client.presence('s')
  await settle()
  expect(presence.get()).toEqual([{ ...ben, state: { typing: true } }])
  server.close(4202, { code: 'forbidden', message: 'the account is disabled' })
  await settle()
  expect(client.connection.get()).toMatchObject({ status: 'stopped', why: 'refused', error: { message: 'the account is disabled' } })
})
