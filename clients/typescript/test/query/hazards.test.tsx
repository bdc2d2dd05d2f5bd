// @vitest-environment happy-dom
/** What goes wrong between a push and a cache, one by one, over the real connection to a model of the server. */
import { dehydrate, hydrate, MutationObserver, QueryClient, QueryObserver } from '@tanstack/query-core'
import { QueryClientProvider, useMutation, useQuery, useSuspenseQuery } from '@tanstack/react-query'
import { act, cleanup, render, screen } from '@testing-library/react'
import { encode } from '@msgpack/msgpack'
import { StrictMode, Suspense } from 'react'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type AnyApp, createClient, type OutboxEntry, type OutboxStore, type Transport, type TransportHandlers } from '../../src/core/index.js'
import { createQueryBridge } from '../../src/query/index.js'
import { ModelServer } from '../support/model-server.js'

let server: ModelServer
const open: { close(): void }[] = []
const rejections: unknown[] = []
const rejected = (error: unknown) => void rejections.push(error)
const TASKS = { collection: 'tasks' }

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 })
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  server = new ModelServer()
  server.write('record.create', { ...TASKS, id: 'a', data: { title: 'one' } })
  process.on('unhandledRejection', rejected)
})
afterEach(async () => {
  cleanup()
  open.splice(0).forEach((one) => one.close())
  await vi.advanceTimersByTimeAsync(10_000)
  vi.useRealTimers()
  vi.restoreAllMocks()
  await new Promise((done) => setTimeout(done, 0))
  process.off('unhandledRejection', rejected)
  expect(rejections.splice(0)).toEqual([])
})

const pass = (ms = 20) => act(() => vi.advanceTimersByTimeAsync(ms))

function page(options: { transport?: Transport; outbox?: OutboxStore } = {}) {
  const client = createClient<AnyApp>({ url: 'model:', transport: server.transport(), auth: () => 'ada', outbox: 'memory', ...options })
  const queries = new QueryClient()
  const bridge = createQueryBridge<AnyApp>(client, queries)
  open.push(bridge, client, { close: () => queries.clear() })
  const q = bridge.q
  return { client, queries, bridge, q }
}
function mount(queries: QueryClient, options: any) {
  const observer = new QueryObserver<any>(queries, options)
  const told: string[] = []
  const stop = observer.subscribe((result) => told.push(titles(result.data)))
  return { stop, told, result: () => observer.getCurrentResult() as any, titles: () => titles(observer.getCurrentResult().data) }
}
const titles = (data: any): string => data?.items.map((row: any) => row.data.title).join() ?? ''
const rename = (title: string, id = 'a') => server.write('record.update', { ...TASKS, id, data: { title } })

test('a refetch that lands after a newer push does not overwrite it', async () => {
  const { queries, q } = page()
  const list = mount(queries, q.record.list.queryOptions(TASKS))
  await pass()
  const refetched = queries.refetchQueries()
  rename('two')
  await pass(100)
  await refetched
  expect(list.told.slice(list.told.indexOf('two')).every((told) => told === 'two')).toBe(true)
  expect(list.titles()).toBe('two')
})

test('a duplicate is dropped, and after a gap it is subscribed to again from what is known', async () => {
  // A server of which every frame is ours.
  const sent: any[][] = []
  let handlers!: TransportHandlers
  const say = (...frames: unknown[]) => frames.forEach((frame) => handlers.message(encode(frame)))
  const transport: Transport = {
    open(given) {
      handlers = given
      setTimeout(() => given.opened(), 0)
      return { send: (bytes) => void import('@msgpack/msgpack').then(({ decodeMulti }) => sent.push(...([...decodeMulti(bytes)] as any[][]))), close() {} }
    },
  }
  const { queries, q } = page({ transport })
  const list = mount(queries, q.record.list.queryOptions(TASKS))
  await pass()
  say([2, { connection_id: 'c', server: { name: 's', version: '1', build: '' }, now_at: 0, epoch: 'e', limits: { message_bytes: 1e6, row_bytes: 1e5, requests: 9, subscriptions: 9, credit_bytes: 1e6 }, heartbeat_ms: 1e6, features: [], reconnect: { base_ms: 1, max_ms: 1 } }])
  await pass()
  const row = (title: string, revision: number) => ({ id: 'a', revision, created_at: 0, updated_at: 0, collection: 'tasks', data: { title }, created_by: '' })
  say([11, 1, { revision: 5, snapshot: true }], [13, 1, 5, { items: [row('five', 5)] }])
  await pass()
  const six = [12, 1, 6, 1, [{ put: row('six', 6), before: null }]]
  say(six, six, [12, 1, 6, 2, [{ put: row('stale', 5), before: null }]])
  await pass()
  expect(list.titles()).toBe('six')
  say([12, 1, 9, 2, [{ put: row('nine', 9), before: null }]])
  await pass()
  expect(list.titles()).toBe('six')
  expect(sent.filter(([kind]) => kind === 10).map(([, sub, , options]) => [sub, options.from])).toEqual([[1, undefined], [2, 6]])
  say([11, 2, { revision: 6, snapshot: false }], [12, 2, 9, 3, [{ put: row('nine', 9), before: null }]])
  await pass()
  expect(list.titles()).toBe('nine')
})

test('infinite lists: what is followed grows its limit to 500, and older pages are plain reads by their cursor', async () => {
  for (let at = 0; at < 600; at++) server.write('record.create', { ...TASKS, id: `b${String(at).padStart(3, '0')}`, data: { title: 'b' } })
  const { queries, q } = page()
  const options = q.record.list.infiniteQueryOptions({ ...TASKS, limit: 200 })
  const { InfiniteQueryObserver } = await import('@tanstack/query-core')
  const observer = new InfiniteQueryObserver<any>(queries, options as any)
  open.unshift({ close: observer.subscribe(() => {}) })
  await pass()
  for (let turn = 0; turn < 2; turn++) {
    void observer.fetchNextPage()
    await pass(100)
  }
  const { pages, pageParams } = observer.getCurrentResult().data as any
  expect(pages.flatMap((page: any) => page.items.map((row: any) => row.id))).toEqual(server.read('record.list', { ...TASKS, limit: 500 }).items.map((row: any) => row.id).concat(server.read('record.list', { ...TASKS, limit: 200, cursor: server.read('record.list', { ...TASKS, limit: 400 }).next }).items.slice(100).map((row: any) => row.id)))
  expect(pageParams.map((param: unknown) => typeof param)).toEqual(['number', 'number', 'string'])
  expect(server.counts.request.get('record.list')).toBe(1)
  server.write('record.delete', { ...TASKS, id: 'b000' })
  await pass()
  expect((observer.getCurrentResult().data as any).pages.flatMap((page: any) => page.items.map((row: any) => row.id))).not.toContain('b000')
})

test.each([['reply', { work_ms: 0, gather_ms: 50 }], ['push', { work_ms: 50, gather_ms: 0 }]])('reply and push in either order, the %s first: an optimistic value stays until both are there', async (_, options) => {
  server = new ModelServer({ random: () => 0.99, ...options })
  server.write('record.create', { ...TASKS, id: 'a', data: { title: 'one' } })
  const { queries, q, bridge } = page()
  const list = mount(queries, q.record.list.queryOptions(TASKS))
  await pass(200)
  void new MutationObserver(queries, q.record.update.mutationOptions()).mutate({ ...TASKS, id: 'a', data: { title: 'mine' } })
  await pass(10_000)
  expect(list.told.slice(list.told.indexOf('mine')).every((told) => told === 'mine')).toBe(true)
  expect(bridge.layers()).toBe(0)
})

test('a reconnect asks for the difference, and fetches nothing again', async () => {
  const { queries, q } = page()
  const lists = [TASKS, { ...TASKS, limit: 7 }, { ...TASKS, limit: 8 }].map((input) => mount(queries, q.record.list.queryOptions(input)))
  await pass()
  let fetches = 0
  queries.getQueryCache().subscribe((event) => event.type === 'updated' && event.action.type === 'fetch' && fetches++)
  for (const title of ['two', 'three', 'four']) {
    server.drop()
    rename(title)
    await pass(1000)
    expect(lists.map((list) => list.titles())).toEqual([title, title, title])
  }
  expect(fetches).toBe(0)
  expect(server.counts).toMatchObject({ hello: 4, snapshot: 3, subscribe: 12 })
  expect(server.counts.request.size).toBe(0)
})

test('the last observer leaves: it lingers, is unsubscribed from, and whoever comes back asks for the difference', async () => {
  const { queries, q } = page()
  const list = mount(queries, q.record.list.queryOptions(TASKS))
  await pass()
  list.stop()
  await pass(1000)
  expect(server.counts.unsubscribe).toBe(0)
  await pass(10_000)
  expect(server.counts.unsubscribe).toBe(1)
  rename('two')
  const again = mount(queries, q.record.list.queryOptions(TASKS))
  expect(again.titles()).toBe('one')
  await pass()
  expect(again.titles()).toBe('two')
  expect(server.counts).toMatchObject({ subscribe: 2, snapshot: 1 })
})

function Tasks() {
  const { data } = useQuery(given.q.record.list.queryOptions(TASKS))
  const update = useMutation(given.q.record.update.mutationOptions())
  return <button onClick={() => update.mutate({ ...TASKS, id: 'a', data: { title: 'mine' } })}>{data?.items.map((row) => String(row.data.title)).join()}</button>
}
let given: ReturnType<typeof page>

test('StrictMode subscribes once', async () => {
  given = page()
  render(<StrictMode><QueryClientProvider client={given.queries}><Tasks /><Tasks /></QueryClientProvider></StrictMode>)
  await pass(10)
  expect(screen.getAllByRole('button').map((button) => button.textContent)).toEqual(['one', 'one'])
  expect(server.counts).toMatchObject({ opened: 1, subscribe: 1, unsubscribe: 0 })
  act(() => screen.getAllByRole('button')[0]!.click())
  await pass(10)
  expect(screen.getAllByRole('button').map((button) => button.textContent)).toEqual(['mine', 'mine'])
  expect(server.counts.request.get('record.update')).toBe(1)
})

test('suspense and loaders', async () => {
  given = page()
  function Waits() {
    return <p>{useSuspenseQuery(given.q.record.get.queryOptions({ ...TASKS, id: 'a' }, { select: (row) => String(row.data.title) })).data}</p>
  }
  render(<QueryClientProvider client={given.queries}><Suspense fallback="…"><Waits /></Suspense></QueryClientProvider>)
  await pass(10)
  expect(document.body.textContent).toBe('one')
  rename('two')
  await pass(10)
  expect(document.body.textContent).toBe('two')
  const loaded = given.queries.ensureQueryData(given.q.record.list.queryOptions({ ...TASKS, limit: 3 }))
  await pass(10)
  expect(titles(await loaded)).toBe('two')
})

test('a dehydrated value is shown, then brought up to date', async () => {
  const before = page()
  mount(before.queries, before.q.record.list.queryOptions(TASKS))
  await pass()
  const kept = JSON.parse(JSON.stringify(dehydrate(before.queries)))
  rename('two')
  server.up = false
  server.drop()
  const after = page()
  hydrate(after.queries, kept)
  const list = mount(after.queries, after.q.record.list.queryOptions(TASKS))
  expect(list.titles()).toBe('one')
  await pass(1000)
  expect(list.titles()).toBe('one')
  server.up = true
  await pass(10_000)
  expect(list.titles()).toBe('two')
})

test('a half-open link is found by the heartbeat, and what was missed comes', async () => {
  const { queries, q, client } = page()
  const list = mount(queries, q.record.list.queryOptions(TASKS))
  await pass(60_000)
  expect(server.counts.opened).toBe(1)
  server.freeze()
  rename('two')
  await pass(1000)
  expect([list.titles(), client.connection.get().status]).toEqual(['one', 'open'])
  await pass(60_000)
  expect(list.titles()).toBe('two')
  expect(server.counts).toMatchObject({ opened: 2, snapshot: 1 })
})

test('a subscription that is refused in the background is tried again until it is not', async () => {
  const { queries, q } = page()
  const list = mount(queries, q.record.list.queryOptions(TASKS))
  await pass()
  server.refuse = () => ({ code: 'unavailable', message: 'the database is away', retry: 'same_key' })
  server.drop()
  await pass(60_000)
  expect(list.titles()).toBe('one')
  rename('two')
  server.refuse = () => undefined
  await pass(60_000)
  expect(list.result()).toMatchObject({ status: 'success', error: null })
  expect(list.titles()).toBe('two')
})

test('a fault that stays is the query’s error, and a refetch after it has gone recovers', async () => {
  const { queries, q } = page()
  const list = mount(queries, q.record.list.queryOptions(TASKS))
  await pass()
  server.refuse = () => ({ code: 'forbidden', message: 'not for you', retry: 'never' })
  server.drop()
  await pass(1000)
  expect(list.result()).toMatchObject({ status: 'error', error: { code: 'forbidden', name: 'CrewlineError' } })
  expect(list.titles()).toBe('one')
  server.refuse = () => undefined
  void queries.refetchQueries()
  await pass(100)
  expect(list.result()).toMatchObject({ status: 'success', error: null })
})

test('who is signed out sees it as an error, and whoever signs in again goes on; what was refused to its caller leaves no layer', async () => {
  const { queries, q, client, bridge } = page()
  const list = mount(queries, q.record.list.queryOptions(TASKS))
  await pass()
  server.options.work_ms = 100
  vi.mocked(Math.random).mockReturnValue(0.99)
  const done = new MutationObserver(queries, q.record.update.mutationOptions()).mutate({ ...TASKS, id: 'a', data: { title: 'mine' } }).catch((error: unknown) => error)
  await pass(0)
  server.connections.forEach((connection) => connection.end(4201))
  await pass()
  expect(await done).toMatchObject({ name: 'CrewlineError' })
  expect(client.connection.get().status).toBe('stopped')
  expect(list.result()).toMatchObject({ status: 'error' })
  expect([bridge.layers(), client.outbox.get()]).toEqual([0, []])
  client.connect()
  await pass(2000)
  expect(list.result()).toMatchObject({ status: 'success', error: null })
  expect(list.titles()).toBe('mine')
  await pass(10_000)
  expect([server.read('record.list', TASKS).items[0].data.title, bridge.layers()]).toEqual(['mine', 0])
})

/** Entries that outlive a page. */
function drawer(kept = new Map<string, OutboxEntry>()): OutboxStore & { copy(): OutboxStore } {
  return {
    load: async () => [...kept.values()],
    save: async (entry) => void kept.set(entry.key, entry),
    remove: async (key) => void kept.delete(key),
    copy: () => drawer(new Map(kept)),
  }
}

test('offline: what is changed is shown, also after the page was loaded again, until the server has answered it', async () => {
  const outbox = drawer()
  const before = page({ outbox })
  const list = mount(before.queries, before.q.record.list.queryOptions(TASKS))
  await pass(10)
  server.up = false
  server.drop()
  new MutationObserver(before.queries, before.q.record.update.mutationOptions()).mutate({ ...TASKS, id: 'a', data: { title: 'mine' } }).catch(() => {})
  new MutationObserver(before.queries, before.q.record.create.mutationOptions()).mutate({ ...TASKS, id: 'b', data: { title: 'new' } }).catch(() => {})
  await pass(1000)
  expect(list.titles()).toBe('mine,new')
  const kept = JSON.parse(JSON.stringify(dehydrate(before.queries)))
  kept.queries[0].state.data.items = [{ ...kept.queries[0].state.data.items[0], data: { title: 'one' } }]
  // The page is gone, and had no time to say so.
  const left = outbox.copy()
  before.bridge.close()
  before.client.close()

  const after = page({ outbox: left })
  await pass()
  // Whether the bridge is made before what waited is loaded, or after.
  const late = createQueryBridge<AnyApp>(after.client, after.queries, { prefix: 'late' })
  open.unshift(late)
  expect(late.layers()).toBe(2)
  hydrate(after.queries, kept)
  const again = mount(after.queries, after.q.record.list.queryOptions(TASKS))
  await pass(1000)
  expect(again.titles()).toBe('mine,new')
  server.up = true
  await pass(20_000)
  expect(again.titles()).toBe('mine,new')
  expect(after.bridge.layers()).toBe(0)
  expect(after.client.outbox.get()).toEqual([])
  expect(server.read('record.list', TASKS).items.map((row: any) => row.data.title)).toEqual(['mine', 'new'])
})
