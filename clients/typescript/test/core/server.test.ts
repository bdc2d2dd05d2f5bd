/** The client against the real server. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Client, createClient, CrewlineError, emptyRun, foldRun, type LiveQuery, type RecordRow, type RunEvent, uuidv7 } from '../../src/core/index.js'
import { PASSWORD, register } from '../support/people.js'
import { nodeTransport, type Server, startProxy, startServer } from '../support/server.js'
import { reached, when } from '../support/wait.js'

let server: Server
const clients: Client[] = []

beforeAll(async () => {
  server = await startServer(['heartbeat_ms=400', 'simulated_tokens_per_s=400'])
})
afterAll(() => server.stop())
afterEach(() => {
  for (const client of clients.splice(0)) client.close()
})

function client(url = server.url): Client {
  const made = createClient({ url, transport: nodeTransport(url), outbox: 'memory', reconnect: { base_ms: 20, max_ms: 200 } })
  clients.push(made)
  return made
}

async function registered(url = server.url): Promise<Client> {
  const made = client(url)
  await register(made)
  return made
}

const failure = (promise: Promise<unknown>): Promise<CrewlineError> => promise.then(() => expect.fail('it went well'), (error: CrewlineError) => error)

test('calls are answered, and faults are typed', async () => {
  const ada = await registered()
  const session = await ada.call('session.create', { title: 'Here' })
  expect(await ada.call('session.get', { id: session.id })).toEqual(session)
  const { as_of } = await ada.ask('session.list', {})
  expect(as_of).toBeGreaterThanOrEqual(session.revision)
  const absent = await failure(ada.call('session.get', { id: uuidv7() }))
  expect([absent.code, absent.retry]).toEqual(['not_found', 'never'])
  const invalid = await failure(ada.call('session.create', { title: 1 as unknown as string }))
  expect([invalid.code, invalid.fault?.fields?.[0]?.path]).toEqual(['invalid', 'title'])
  const stale = await failure(ada.call('session.update', { id: session.id, revision: 0, title: 'There' }))
  expect([stale.code, stale.fault?.reason, (stale.fault?.current as { id: string }).id]).toEqual(['conflict', 'revision', session.id])
})

test('nobody gets in with a wrong password, and a stranger is told to sign in', async () => {
  const stranger = client()
  expect((await failure(stranger.call('auth.login', { email: 'nobody@example.com', password: PASSWORD }))).code).toBe('unauthenticated')
  expect((await failure(stranger.call('run.list', {}))).code).toBe('unauthenticated')
})

test('a token that is refused stops the client and says why', async () => {
  const asked: string[] = []
  const refused = createClient({ url: server.url, transport: nodeTransport(server.url), auth: async ({ reason }) => (asked.push(reason), 'nonsense') })
  clients.push(refused)
  expect((await failure(refused.call('run.list', {}))).code).toBe('unauthenticated')
  expect(asked).toEqual(['initial', 'rejected'])
  const state = refused.connection.get()
  expect(state.status === 'stopped' && state.why).toBe('signed_out')
})

test('a call that may not wait fails where no server answers, and others wait for one', async () => {
  const away = client('http://127.0.0.1:9')
  const waits = away.call('run.list', {})
  await when(away.connection, ({ status }) => status === 'waiting')
  const state = away.connection.get()
  expect(state.status === 'waiting' && state.error.code).toBe('unreachable')
  expect((await failure(away.call('run.list', {}, { wait: false }))).code).toBe('unreachable')
  away.close()
  expect((await failure(waits)).code).toBe('disconnected')
  expect(() => createClient({ url: 'nonsense://x' })).toThrow(CrewlineError)
})

test('an aborted call ends at once', async () => {
  const ada = await registered()
  const stop = new AbortController()
  const call = failure(ada.call('run.list', {}, { signal: stop.signal }))
  stop.abort()
  expect((await call).code).toBe('aborted')
  expect(await ada.call('run.list', {})).toEqual({ items: [] })
})

test('twenty lost connections around one create make one row', async () => {
  const proxy = await startProxy(server.url)
  const ada = await registered(proxy.url)
  const made: unknown[] = []
  const before = proxy.made
  for (let turn = 0; turn < 20; turn++) {
    // Before the server has it, and once it is done.
    proxy.cutAt(turn % 2 === 0 ? 'request' : 'answer')
    made.push(await ada.call('session.create', { title: `Turn ${turn}` }))
  }
  const { items } = await ada.call('session.list', { limit: 100 })
  expect(items.map(({ title }) => title)).toEqual(Array.from({ length: 20 }, (_, turn) => `Turn ${turn}`))
  expect(items).toEqual(made)
  expect(proxy.made - before).toBeGreaterThanOrEqual(20)
  expect(ada.outbox.get()).toEqual([])
  await proxy.close()
})

test('a link that is half open is found and left', async () => {
  const proxy = await startProxy(server.url)
  const ada = await registered(proxy.url)
  proxy.freeze(true)
  const call = ada.call('session.create', { title: 'Through' })
  await when(ada.connection, ({ status }) => status !== 'open')
  proxy.freeze(false)
  expect((await call).title).toBe('Through')
  await proxy.close()
})

test('a live list stays true through writes, lost connections and a crash, and asks for the difference only', async () => {
  const proxy = await startProxy(server.url)
  const [ada, ben] = [await registered(proxy.url), client()]
  const { email } = (await ada.call('auth.me', {})) as { email: string }
  await ben.call('auth.login', { email, password: PASSWORD })
  const query = ada.live('session.list', { sort: [{ field: 'title' }], limit: 10, count: true })
  expect(ada.live('session.list', { limit: 10, count: true, sort: [{ field: 'title' }] })).toBe(query)
  const release = query.retain()
  expect(await query.current()).toEqual({ items: [], total: 0 })
  const rows: { id: string }[] = []
  for (let turn = 0; turn < 15; turn++) {
    rows.push(await ben.call('session.create', { title: String.fromCharCode(97 + ((turn * 7) % 15)) }))
    if (turn % 4 === 1) proxy.cut()
    if (turn % 5 === 4) await ben.call('session.delete', { id: rows[turn - 2]!.id })
    if (turn === 9) {
      await server.kill()
      await server.start()
    }
  }
  const fresh = (): Promise<unknown> => ben.call('session.list', { sort: [{ field: 'title' }], limit: 10, count: true })
  const want = await fresh()
  await when(query, ({ output }) => JSON.stringify(output) === JSON.stringify(want))
  expect(query.get()).toMatchObject({ status: 'live', error: null })
  release()
  await proxy.close()
})

test('records stay true through writes, lost connections and a crash', async () => {
  const proxy = await startProxy(server.url)
  const [ada, ben] = [await registered(proxy.url), client()]
  const { email } = (await ada.call('auth.me', {})) as { email: string }
  await ben.call('auth.login', { email, password: PASSWORD })
  // Rows move within it, into it and out of it.
  const input = { collection: 'pages', filter: { field: 'title', lt: 'n' }, sort: [{ field: 'title', descending: true }], limit: 5, count: true }
  const query = ada.live('record.list', input)
  const release = query.retain()
  await query.current()
  const { items } = await ben.call('record.list', { collection: 'pages' })
  expect(items.length).toBeGreaterThan(1)
  for (let turn = 0; turn < 24; turn++) {
    await ben.call('record.update', { collection: 'pages', id: items[turn % items.length]!.id, data: { title: String.fromCharCode(97 + ((turn * 17) % 26)) } })
    if (turn % 5 === 2) proxy.cut()
    if (turn === 12) {
      await server.kill()
      await server.start()
    }
  }
  const want = await ben.call('record.list', input)
  await when(query, ({ output }) => JSON.stringify(output) === JSON.stringify(want))
  release()
  await proxy.close()
})

test('whoever signs in after another reads nothing of theirs', async () => {
  const shared = await registered()
  const { principal } = shared.connection.get() as { principal: { id: string } }
  expect(principal.id).toBeTruthy()
  await shared.call('session.create', { title: 'Of the first' })
  const query = shared.live('session.list', {})
  const release = query.retain()
  expect((await query.current()).items).toHaveLength(1)
  await shared.call('auth.logout', {})
  await when(shared.connection, ({ status }) => status === 'stopped')
  release()
  shared.connect()
  await register(shared, 'Ben')
  expect(query.get().output).toBeUndefined()
  await shared.call('session.create', { title: 'Of the second' })
  expect((await query.current()).items.map(({ title }) => title)).toEqual(['Of the second'])
})

test('rows that did not change stay the same objects', async () => {
  const ada = await registered()
  const query = ada.live('record.list', { collection: 'pages' }) as LiveQuery<{ items: RecordRow[] }>
  const release = query.retain()
  const before = await query.current()
  const [first] = before.items
  await ada.call('record.update', { collection: 'pages', id: first!.id, data: { words: 7 } })
  await when(query, ({ output }) => output !== before)
  const after = query.get().output!
  expect(after.items[0]).not.toBe(first)
  expect(after.items[0]!.data.words).toBe(7)
  after.items.slice(1).forEach((row, place) => expect(row).toBe(before.items[place + 1]))
  release()
})

test('what may not be followed ends with its fault, and what is deleted says so', async () => {
  const ada = await registered()
  const wrong = ada.live('session.list', { filter: { field: 'nonsense', eq: 1 } })
  expect((await failure(wrong.current())).code).toBe('invalid')
  const session = await ada.call('session.create', { title: 'Here' })
  const query = ada.live('session.get', { id: session.id })
  const release = query.retain()
  await query.current()
  await ada.call('session.delete', { id: session.id })
  await when(query, ({ status }) => status === 'ended')
  expect(query.get().error?.code).toBe('not_found')
  release()
})

test('a run is followed to its end through lost connections and a crash, each event once', async () => {
  const proxy = await startProxy(server.url)
  const ada = await registered(proxy.url)
  const run = await ada.call('run.start', { crew: 'review', inputs: { page: '<h1>One</h1><p>Two three four.</p>', name: 'one.html' } })
  const seen: RunEvent[] = []
  let state = emptyRun(run.id)
  const stream = ada.followRun(run.id, { credit: 4_096 })
  let frames = 0
  for await (const frame of stream.frames()) {
    seen.push(...frame.events)
    state = foldRun(state, frame)
    if (++frames % 40 === 10) proxy.cut()
    if (frames === 30) {
      await server.kill()
      await server.start()
    }
  }
  expect(seen.at(-1)).toMatchObject({ type: 'run.finished', status: 'succeeded' })
  const again: RunEvent[] = []
  for await (const event of ada.followRun(run.id)) again.push(event)
  let afresh = emptyRun(run.id)
  for await (const frame of ada.followRun(run.id).frames()) afresh = foldRun(afresh, frame)
  expect(afresh.status).toBe('succeeded')
  expect(state).toEqual(afresh)
  const text = (events: RunEvent[]): string => events.map((event) => (event.type === 'text.delta' ? event.text : '')).join('')
  const shape = (events: RunEvent[]): unknown => events.filter(({ type }) => type !== 'text.delta' && type !== 'progress.reported')
  expect(text(seen)).toBe(text(again))
  expect(shape(seen)).toEqual(shape(again))
  const gone = ada.followRun(uuidv7())
  expect((await failure(gone[Symbol.asyncIterator]().next())).code).toBe('not_found')
  await proxy.close()
})

test('who is present is told to the others, and not to oneself', async () => {
  const ada = await registered()
  const { email } = (await ada.call('auth.me', {})) as { email: string }
  const other = client()
  await other.call('auth.login', { email, password: PASSWORD })
  const session = await ada.call('session.create', { title: 'Here' })
  const [here, there] = [ada.presence(session.id), other.presence(session.id)]
  here.update({ typing: true })
  await when(there, ([first]) => first?.state.typing === true)
  expect(there.get()).toHaveLength(1)
  await when(here, ({ length }) => length === 1)
  there.close()
  await when(here, ({ length }) => length === 0)
  here.close()
})

test('who gives tokens may be away for a while, and is asked again', async () => {
  const ada = await registered()
  const { access_token } = await ada.call('auth.login', { email: ((await ada.call('auth.me', {})) as { email: string }).email, password: PASSWORD })
  let asked = 0
  const patient = createClient({
    url: server.url,
    transport: nodeTransport(server.url),
    outbox: 'memory',
    reconnect: { base_ms: 5, max_ms: 20 },
    auth: async () => {
      if (++asked < 4) throw new TypeError('fetch failed')
      return access_token
    },
  })
  clients.push(patient)
  expect(await patient.call('session.list', {})).toEqual({ items: [] })
  expect(asked).toBe(4)
})

test('who signed in on the client stays signed in, though the token ended while there was no connection', async () => {
  const brief = await startServer(['access_token_ms=1000', 'heartbeat_ms=400', 'sign_in_rate=600'])
  const proxy = await startProxy(brief.url)
  try {
    const ada = client(proxy.url)
    const { access_expires_at } = await ada.call('auth.register', { email: 'ada@example.com', password: PASSWORD, name: 'Ada' })
    await brief.kill()
    await when(ada.connection, ({ status }) => status === 'waiting')
    // A token's end is in whole seconds.
    await reached(access_expires_at + 1_000)
    await brief.start()
    expect(await ada.call('auth.me', {})).toMatchObject({ name: 'Ada' })
    expect(ada.connection.get().status).toBe('open')
  } finally {
    await proxy.close()
    await brief.stop()
  }
})
