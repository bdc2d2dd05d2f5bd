/** The bridge against the real server. */
import { InfiniteQueryObserver, MutationObserver, QueryClient, QueryObserver } from '@tanstack/query-core'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type AnyApp, createClient, uuidv7, type Client } from '../../src/core/index.js'
import { createQueryBridge, flattenPages, onCurrent, type QueryBridge } from '../../src/query/index.js'
import { PASSWORD, register } from '../support/people.js'
import { nodeTransport, startProxy, startServer, type Server } from '../support/server.js'
import { until, when } from '../support/wait.js'

let server: Server
const open: { close(): void }[] = []
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server.stop())
afterEach(() => open.splice(0).forEach((one) => one.close()))

/** One browser of a person: a client, a cache and the bridge between them. */
function browser(url: string) {
  const client: Client = createClient({ url, transport: nodeTransport(url), outbox: 'memory', reconnect: { base_ms: 20, max_ms: 200 } })
  const queries = new QueryClient()
  const bridge: QueryBridge<AnyApp> = createQueryBridge(client, queries, { rows: 8 })
  open.push(bridge, client, { close: () => queries.clear() })
  const q = bridge.q as any
  return {
    client, queries, bridge, q,
    mount(options: any) {
      const observer: any = options.initialPageParam === undefined ? new QueryObserver(queries, options) : new InfiniteQueryObserver(queries, options)
      const told: any[] = []
      open.unshift({ close: observer.subscribe((result: any) => told.push(result.data)) })
      const data = (): any => observer.getCurrentResult().data
      return { observer, told, result: () => observer.getCurrentResult(), data, get: data, subscribe: (listener: () => void) => observer.subscribe(listener) as () => void }
    },
    mutate: (options: any, input: unknown): Promise<any> => new MutationObserver<any, any, any>(queries, options).mutate(input),
  }
}

/** Two browsers of one new person. */
async function pair(url = server.url) {
  const [one, two] = [browser(url), browser(server.url)]
  const { email } = await register(one.client)
  await two.client.call('auth.login', { email, password: PASSWORD })
  for (const { id } of (await two.client.call('record.list', { collection: 'campaigns' })).items) await two.client.call('record.delete', { collection: 'campaigns', id })
  return [one, two] as const
}
const campaign = (name: string, status = 'draft') => ({ collection: 'campaigns', data: { name, topic: 'Gardens', status } })
const names = (data: any) => data?.items.map((row: any) => row.data.name)

test('a list, and an update that is shown at once, here and there', async () => {
  const [one, two] = await pair()
  const input = { collection: 'campaigns', sort: [{ field: 'name' }], count: true }
  const [here, there] = [one.mount(one.q.record.list.queryOptions(input)), two.mount(two.q.record.list.queryOptions(input))]
  await Promise.all([here, there].map((list) => when(list, Boolean)))
  const made = two.mutate(two.q.record.create.mutationOptions(), campaign('Beta'))
  await when(there, (page) => names(page)?.join() === 'Beta')
  const row = await made
  await when(here, (page) => names(page)?.join() === 'Beta')
  const done = one.mutate(one.q.record.update.mutationOptions(), { collection: 'campaigns', id: row.id, data: { name: 'Alpha' } })
  await when(here, (page) => names(page)?.join() === 'Alpha')
  expect((await done).data.name).toBe('Alpha')
  await when(there, (page) => names(page)?.join() === 'Alpha')
  // It never went back.
  const first = here.told.findIndex((data) => names(data)?.[0] === 'Alpha')
  expect(here.told.slice(first).map((data) => names(data)[0])).toEqual(here.told.slice(first).map(() => 'Alpha'))
  const fresh = await two.client.call('record.list', input as never)
  await when(here, (page) => JSON.stringify(page) === JSON.stringify(fresh))
  expect(there.data()).toEqual(fresh)
})

test('lists by a filter: what changes state leaves the one and comes into the other, before the server has said so', async () => {
  const [one] = await pair()
  const by = (status: string) => ({ collection: 'campaigns', filter: { field: 'status', eq: status } })
  const [draft, active] = [one.mount(one.q.record.list.queryOptions(by('draft'))), one.mount(one.q.record.list.queryOptions(by('active')))]
  await Promise.all([draft, active].map((list) => when(list, Boolean)))
  const row = await one.mutate(one.q.record.create.mutationOptions(), campaign('One'))
  await when(draft, ({ items }) => items[0]?.revision === row.revision)
  const counted: string[] = []
  const watch = () => counted.push(`${draft.data().items.length} ${active.data().items.length}`)
  open.push({ close: one.queries.getQueryCache().subscribe(watch) })
  const done = one.mutate(one.q.record.update.mutationOptions(), { collection: 'campaigns', id: row.id, data: { status: 'active' } })
  await done
  expect(counted).toContain('0 1')
  await when(active, ({ items }) => items[0]?.revision > row.revision)
  expect(draft.data().items).toEqual([])
  const gone = one.mutate(one.q.record.update.mutationOptions(), { collection: 'campaigns', id: row.id, data: { status: 'draft' } })
  await expect(gone).rejects.toMatchObject({ name: 'CrewlineError' })
  expect([names(draft.data()), names(active.data())]).toEqual([[], ['One']])
})

test('a conflict says the row as it is, and what was wanted can be done to it', async () => {
  const [one, two] = await pair()
  const list = one.mount(one.q.record.list.queryOptions({ collection: 'campaigns' }))
  await when(list, Boolean)
  const row = await one.mutate(one.q.record.create.mutationOptions(), campaign('Mine'))
  await two.client.call('record.update', { collection: 'campaigns', id: row.id, data: { name: 'Theirs' } })
  const input = { collection: 'campaigns', id: row.id, revision: row.revision, data: { goal: 'Peace' } }
  const options = one.q.record.update.mutationOptions()
  const error = await one.mutate(options, input).catch((error: unknown) => error)
  expect(error).toMatchObject({ code: 'conflict', fault: { reason: 'revision', current: { data: { name: 'Theirs' } } } })
  const done = await one.mutate(options, onCurrent(error, input))
  expect(done.data).toMatchObject({ name: 'Theirs', goal: 'Peace' })
  await when(list, ({ items }) => items[0]?.revision === done.revision)
})

test('a list in pages grows what it follows, and reads what lies beyond', async () => {
  const [one, two] = await pair()
  const input = { collection: 'campaigns', sort: [{ field: 'name' }], limit: 4 }
  const name = (at: number) => `n${String(at).padStart(2, '0')}`
  for (let at = 10; at < 25; at++) await two.client.call('record.create', campaign(name(at)))
  const list = one.mount(one.q.record.list.infiniteQueryOptions(input))
  const shown = () => (list.data() ? flattenPages<any>(list.data()).map((row) => row.data.name) : [])
  await when(list, () => shown().length === 4)
  for (const rows of [8, 12, 15]) {
    expect(list.result().hasNextPage).toBe(true)
    await list.observer.fetchNextPage()
    expect(shown()).toEqual(Array.from({ length: rows }, (_, at) => name(10 + at)))
  }
  expect(list.result().hasNextPage).toBe(false)
  await two.client.call('record.create', campaign(name(1)))
  await when(list, () => shown().length === 16)
  expect(shown()).toEqual([name(1), ...Array.from({ length: 15 }, (_, at) => name(10 + at))])
  await list.observer.refetch()
  expect(shown()).toEqual([name(1), ...Array.from({ length: 15 }, (_, at) => name(10 + at))])
})

test('over connections that break, everything comes to what the server reads, and nothing is fetched again', async () => {
  const proxy = await startProxy(server.url)
  const [one, two] = await pair(proxy.url)
  const inputs = [{ collection: 'campaigns' }, { collection: 'campaigns', filter: { field: 'status', eq: 'active' }, sort: [{ field: 'name', descending: true }] }]
  const lists = inputs.map((input) => one.mount(one.q.record.list.queryOptions(input)))
  await Promise.all(lists.map((list) => when(list, Boolean)))
  let fetches = 0
  open.push({ close: one.queries.getQueryCache().subscribe((event) => event.type === 'updated' && event.action.type === 'fetch' && fetches++) })
  const ids: string[] = []
  const work: Promise<unknown>[] = []
  let made: Promise<unknown> | undefined
  for (let turn = 0; turn < 30; turn++) {
    const id = uuidv7()
    ids.push(id)
    const before = made
    made = one.mutate(one.q.record.create.mutationOptions(), { ...campaign(`c${turn}`, turn % 2 ? 'active' : 'draft'), id })
    work.push(made)
    if (turn % 3 === 2) work.push(two.client.call('record.update', { collection: 'campaigns', id: ids[turn - 2]!, data: { goal: `g${turn}` } }).catch(() => {}))
    if (turn % 5 === 4) work.push(one.mutate(one.q.record.delete.mutationOptions(), { collection: 'campaigns', id: ids[turn - 1] }))
    if (turn % 4 === 3) proxy.cut()
    // One is always under way while the connection breaks.
    await before
  }
  await Promise.all(work)
  for (const [at, input] of inputs.entries()) {
    const fresh = await two.client.call('record.list', input as never)
    await when(lists[at]!, (page) => JSON.stringify(page) === JSON.stringify(fresh))
  }
  expect(fetches).toBe(0)
  await until(() => one.bridge.layers() === 0)
  await proxy.close()
})
