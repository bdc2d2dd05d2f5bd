import { afterEach, expect, test, vi } from 'vitest'
import { type Client, createClient, type RunEvent } from '../../src/core/index.js'
import { createScriptedServer, record, type Script } from '../../src/testing/index.js'
import { when } from '../support/wait.js'

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

/** What is followed is followed once a call after it is answered: they go over one connection. */
const followed = (client: Client): Promise<unknown> => client.call('auth.me', {})
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
  const ids = (): string[] => query.get().output!.items.map(({ id }) => id)
  await when(query, () => ids().length === 2)
  expect(ids()).toEqual(['b', 'a'])
  server.drop()
  server.push('session.list', [{ remove: 'a' }])
  await when(query, () => ids().length === 1)
  expect(ids()).toEqual(['b'])
  server.push('session.list', [{ put: { id: 'c' }, before: null }])
  await when(query, () => ids().length === 2)
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
  await when(presence, ({ length }) => length > 0)
  expect(presence.get()).toEqual([{ ...ben, state: { typing: true } }])
  server.close(4202, { code: 'forbidden', message: 'the account is disabled' })
  await when(client.connection, ({ status }) => status === 'stopped')
  expect(client.connection.get()).toMatchObject({ status: 'stopped', why: 'refused', error: { message: 'the account is disabled' } })
})

test('a script may be made by a function, which holds the server', async () => {
  const server = createScriptedServer((own) => ({ runs: { r: { steps: [], open: true } }, calls: { 'run.list': { output: { items: [], connections: own.connections } } } }))
  const client = createClient({ url: 'ws://test', transport: server.transport, auth: () => 'token', outbox: 'memory' })
  clients.push(client)
  expect(await client.call('run.list', {})).toEqual({ items: [], connections: 0 })
})

test('a step may lose the connection, or close it, and what comes is told once', async () => {
  const { server, client } = scripted({ runs: { r: { steps: [{ events: [words('a')] }, { delay_ms: 5, drop: true }, { delay_ms: 5, drop: 4004, events: [words('b')] }, { delay_ms: 20, events: [words('c')] }] } } })
  const seen: RunEvent[] = []
  for await (const event of client.followRun('r')) seen.push(event)
  expect(seen).toEqual([words('a'), words('b'), words('c')])
  expect(server.connections).toBeGreaterThan(1)
})

test('a run is told as far as it is asked for', async () => {
  const { client } = scripted({ runs: { r: { steps: [{ events: [{ type: 'text.finished', at, part: 'p' }, words('a')] }] } } })
  const seen: RunEvent[] = []
  const stream = client.followRun('r', { only: ['text.delta'] })
  for await (const event of stream) seen.push(event)
  expect(seen).toEqual([words('a')])
  expect(stream.offset).toBe(2)
})

test('who comes into a session, changes and leaves is told, also to who comes later', async () => {
  const ben = { connection_id: 'c', principal: { kind: 'user', id: 'u', name: 'Ben' } }
  const { server, client } = scripted({})
  const presence = client.presence('s')
  await followed(client)
  server.present('s', { ...ben, state: { typing: true } })
  await when(presence, ({ length }) => length > 0)
  expect(presence.get()).toEqual([{ ...ben, state: { typing: true } }])
  server.drop()
  await when(presence, ({ length }) => length === 0)
  await when(presence, ({ length }) => length > 0)
  expect(presence.get()).toEqual([{ ...ben, state: { typing: true } }])
  server.present('s', { ...ben, state: null })
  await when(presence, ({ length }) => length === 0)
  expect(presence.get()).toEqual([])
})

test('what is followed ends with the fault that the test says', async () => {
  const { server, client } = scripted({ queries: [{ op: 'session.list', output: { items: [] } }], runs: { r: { steps: [], open: true } } })
  const query = client.live('session.list', {})
  query.retain()
  await query.current()
  const next = client.followRun('r')[Symbol.asyncIterator]().next()
  await followed(client)
  server.end('session.list', { code: 'forbidden', message: 'no more' })
  server.end('r', { code: 'not_found', message: 'gone' })
  await expect(next).rejects.toMatchObject({ code: 'not_found' })
  expect(query.get()).toMatchObject({ status: 'ended', error: { message: 'no more' } })
})

test('nobody is signed in where the script says so', async () => {
  const { client } = scripted({ principal: null })
  await expect(client.call('auth.me', {})).rejects.toMatchObject({ code: 'unauthenticated', retry: 'sign_in' })
})

test('a session that was recorded is said again, without its tokens', async () => {
  const script: Script = {
    calls: { 'auth.login': { output: { access_token: 'secret', refresh_token: 'secret', user: 'u' } }, 'session.create': [{ drop: true }, { output: { id: 'one' } }, { fault: { code: 'forbidden' } }] },
    queries: [{ op: 'session.list', output: { items: [{ id: 'a' }] }, steps: [{ delay_ms: 5, changes: [{ put: { id: 'b' }, before: null }] }] }],
    runs: { r: { steps: [{ events: [words('a')] }, { delay_ms: 5, events: [words('b')] }] } },
    presence: { s: [{ connection_id: 'c', principal: { kind: 'user', id: 'u', name: 'Ben' } }] },
  }
  async function live(client: Client): Promise<unknown[]> {
    const query = client.live('session.list', {})
    query.retain()
    const presence = client.presence('s')
    const seen: unknown[] = [await query.current()]
    seen.push(Object.keys(await client.call('auth.login', { email: 'a', password: 'b' })))
    seen.push(await client.call('session.create', { title: 'A' }), await client.call('session.create', { title: 'B' }).catch((error) => error.code))
    for await (const event of client.followRun('r')) seen.push(event)
    await when(query, ({ output }) => output?.items.length === 2)
    await when(presence, ({ length }) => length > 0)
    return [...seen, query.get().output, presence.get()]
  }
  const recording = record(createScriptedServer(script).transport)
  const first = createClient({ url: 'ws://test', transport: recording.transport, auth: () => 'token', outbox: 'memory' })
  clients.push(first)
  const lived = await live(first)
  const text = JSON.stringify(recording.script())
  expect(text).not.toContain('secret')
  expect(await live(scripted(JSON.parse(text)).client)).toEqual(lived)
})

test('a call to which the script has no answers is refused, and says what to add', async () => {
  const { client } = scripted({ calls: { 'run.list': [] } })
  await expect(client.call('run.list', {})).rejects.toMatchObject({ code: 'unknown_operation', message: expect.stringContaining('`calls`') })
})

test('what is pushed before anybody follows is told to who follows later', async () => {
  const { server, client } = scripted({ queries: [{ op: 'session.list', output: { items: [{ id: 'a' }] } }] })
  server.push('session.list', [{ put: { id: 'b' }, before: null }])
  const sessions = client.live('session.list', {})
  sessions.retain()
  await followed(client)
  expect(sessions.get().output?.items.map(({ id }) => id)).toEqual(['a', 'b'])
})

test('what the script does not know is an error where it is said, not silence', () => {
  const { server } = scripted({ queries: [{ op: 'session.list', output: { items: [] } }], runs: { r: { steps: [], open: true } } })
  expect(() => server.push('sesion.list', [])).toThrow('`sesion.list`')
  expect(() => server.append('s', [])).toThrow('`s`')
  expect(() => server.complete('s')).toThrow('`s`')
  expect(() => server.end('sesion.list', { code: 'forbidden' })).toThrow('`sesion.list`')
  server.end('session.list', { code: 'forbidden' })
})
