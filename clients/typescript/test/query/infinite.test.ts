import { InfiniteQueryObserver, MutationObserver, QueryClient } from '@tanstack/query-core'
import type { AnyApp } from '../../src/core/index.js'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createQueryBridge, flattenPages, type QueryBridge } from '../../src/query/index.js'
import { Hand, rest, task } from './hand.js'

let hand: Hand
let queries: QueryClient
let bridge: QueryBridge<AnyApp>
let q: any
const input = { collection: 'tasks', limit: 200 }
/** Rows by their place. */
const rows = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => task(name(from + at), 1))
const name = (at: number) => `r${String(at).padStart(4, '0')}`
const live = (limit: number) => hand.live('record.list', { ...input, limit })

beforeEach(() => {
  hand = new Hand()
  queries = new QueryClient()
  bridge = createQueryBridge<AnyApp>(hand.client, queries)
  q = bridge.q
})
afterEach(() => {
  bridge.close()
  queries.clear()
})

function mount(options: any) {
  const observer = new InfiniteQueryObserver(queries, options)
  const stop = observer.subscribe(() => {})
  return { observer, stop, result: () => observer.getCurrentResult() as any, ids: () => flattenPages<any>(observer.getCurrentResult().data as any).map((row) => row.id) }
}

/** A list of 600 rows: 400 are followed, 100 are read beyond. */
async function grown() {
  const one = mount(q.record.list.infiniteQueryOptions(input))
  live(200).say({ items: rows(0, 200), next: 'c200' }, 1)
  await rest()
  void one.observer.fetchNextPage()
  await rest()
  live(400).say({ items: rows(0, 400), next: 'c400' }, 1)
  await rest()
  void one.observer.fetchNextPage()
  await rest()
  const asked = hand.next()
  expect(asked.input).toEqual({ ...input, limit: 200, cursor: 'c400' })
  asked.answer({ items: rows(400, 500) }, 1)
  await rest()
  return one
}

test('the live part grows while it fits, and pages beyond it are read by their cursor', async () => {
  const one = await grown()
  expect(live(200).retained).toBe(0)
  expect(live(400).retained).toBe(1)
  expect(one.result().data.pages.map((page: any) => page.items.length)).toEqual([200, 200, 100])
  expect(one.result().hasNextPage).toBe(false)
  expect(one.ids()).toEqual(rows(0, 500).map((row) => row.id))
})

test('a row that is pushed out of the live part comes into the first page beyond, and one that comes back is shown once', async () => {
  const one = await grown()
  const first = task('a', 2)
  live(400).say({ items: [first, ...rows(0, 399)], next: 'c399' }, 2)
  expect(one.ids()).toEqual(['a', ...rows(0, 500).map((row) => row.id)])
  live(400).say({ items: [...rows(0, 400)], next: 'c400' }, 3)
  expect(one.ids()).toEqual(rows(0, 500).map((row) => row.id))
  // One of the live rows goes, and one that was read beyond takes the last place.
  live(400).say({ items: [...rows(1, 401)], next: 'c401' }, 4)
  expect(one.ids()).toEqual(rows(1, 500).map((row) => row.id))
})

test('rows beyond the live part are those of the newest that is known', async () => {
  const one = await grown()
  const other = { collection: 'tasks', filter: { field: 'title', eq: 'x' } }
  const release = queries.fetchQuery(q.record.list.queryOptions(other))
  await rest()
  hand.live('record.list', other).say({ items: [task(name(450), 9, { title: 'x' })] }, 9)
  await release
  const row = one.result().data.pages[2].items.find((row: any) => row.id === name(450))
  expect(row).toMatchObject({ revision: 9, data: { title: 'x' } })
})

test('when nothing lies beyond the live part any more, the pages beyond are gone', async () => {
  const one = await grown()
  live(400).say({ items: rows(0, 390) }, 2)
  expect(one.ids()).toHaveLength(390)
  expect(one.result().hasNextPage).toBe(false)
  live(400).say({ items: rows(0, 400), next: 'c400' }, 3)
  expect(one.result().hasNextPage).toBe(true)
})

test('what is shown never goes back while the live part grows', async () => {
  const one = mount(q.record.list.infiniteQueryOptions(input))
  live(200).say({ items: rows(0, 200), next: 'c200' }, 1)
  await rest()
  void one.observer.fetchNextPage()
  await rest()
  live(200).say({ items: [task(name(0), 5), ...rows(1, 200)], next: 'c200' }, 5)
  live(400).say({ items: rows(0, 400), next: 'c400' }, 1)
  await rest()
  expect(one.result().data.pages[0].items[0].revision).toBe(5)
  live(400).say({ items: [task(name(0), 5), ...rows(1, 400)], next: 'c400' }, 5)
  await new Promise((done) => setTimeout(done, 120))
  expect(one.result().data.pages[0].items[0].revision).toBe(5)
  expect(one.ids()).toHaveLength(400)
})

test('a row that is pushed out again and again is in the page beyond once, and changes there as everywhere', async () => {
  const one = await grown()
  for (let revision = 2; revision < 8; revision++) {
    const more = revision % 2 === 0
    live(400).say(more ? { items: [task('a', 2), ...rows(0, 399)], next: 'c399' } : { items: rows(0, 400), next: 'c400' }, revision)
  }
  live(400).say({ items: [task('a', 8), ...rows(0, 399)], next: 'c399' }, 8)
  void new MutationObserver<any, any, any>(queries, q.record.update.mutationOptions()).mutate({ collection: 'tasks', id: name(399), data: { title: 'mine' } })
  await rest()
  expect(one.ids()).toEqual(['a', ...rows(0, 500).map((row) => row.id)])
  expect(one.result().data.pages[2].items[0]).toMatchObject({ id: name(399), data: { title: 'mine' } })
  void new MutationObserver<any, any, any>(queries, q.record.delete.mutationOptions()).mutate({ collection: 'tasks', id: name(399) })
  await rest()
  expect(one.ids()).not.toContain(name(399))
})

test('what does not change stays the same object', async () => {
  const one = await grown()
  const before = one.result().data
  void new MutationObserver<any, any, any>(queries, q.session.update.mutationOptions()).mutate({ id: 's', title: 'x' })
  await rest()
  expect(one.result().data).toBe(before)
  live(400).say({ items: [task(name(0), 2), ...before.pages[0].items.slice(1), ...before.pages[1].items], next: 'c400' }, 2)
  expect(one.result().data.pages[0]).not.toBe(before.pages[0])
  expect(one.result().data.pages[1]).toBe(before.pages[1])
  expect(one.result().data.pages[2]).toBe(before.pages[2])
})

test('a list that is removed while its pages are fetched again leaves nothing behind', async () => {
  const one = await grown()
  live(400).lose()
  void one.observer.refetch()
  await rest()
  one.stop()
  queries.removeQueries()
  live(400).say({ items: rows(0, 400), next: 'c400' }, 2)
  await rest()
  hand.next().answer({ items: rows(400, 500) }, 2)
  await rest()
  expect([...hand.lives.values()].map((each) => [each.retained, each.watched])).toEqual([...hand.lives.values()].map(() => [0, false]))
})

test('a list that is too large for a message goes on by its cursor', async () => {
  const one = mount(q.record.list.infiniteQueryOptions(input))
  live(200).say({ items: rows(0, 120), next: 'c120' }, 1)
  await rest()
  void one.observer.fetchNextPage()
  await rest()
  hand.next().answer({ items: rows(120, 240), next: 'c240' }, 1)
  await rest()
  expect(one.ids()).toEqual(rows(0, 240).map((row) => row.id))
  expect(hand.live('record.list', { ...input, limit: 400 }).opened).toBe(0)
})

test('a row that was made goes from the live part and does not come back from a page beyond', async () => {
  const one = await grown()
  const done = new MutationObserver<any, any, any>(queries, q.record.create.mutationOptions()).mutate({ collection: 'tasks', id: 'a', data: {} })
  await rest()
  expect(one.ids()[0]).toBe('a')
  hand.next().answer(task('a', 2), 2)
  await done
  live(400).say({ items: [task('a', 2), ...rows(0, 399)], next: 'c399' }, 2)
  expect(one.ids()[0]).toBe('a')
  live(400).say({ items: rows(0, 400), next: 'c400' }, 3)
  expect(one.ids()).toEqual(rows(0, 500).map((row) => row.id))
})

test('a refetch reads the pages beyond again, and follows what it followed', async () => {
  const one = await grown()
  void one.observer.refetch()
  await rest()
  hand.next().answer({ items: rows(401, 520) }, 4)
  await rest()
  expect(one.ids()).toEqual([...rows(0, 400), ...rows(401, 520)].map((row) => row.id))
  expect(live(400).opened).toBe(1)
})

test('live: false reads every page by its cursor', async () => {
  const one = mount(q.record.list.infiniteQueryOptions({ collection: 'tasks', limit: 2 }, { live: false }))
  await rest()
  expect(hand.asked[0]!.input).toEqual({ collection: 'tasks', limit: 2 })
  hand.next().answer({ items: rows(0, 2), next: 'c2' }, 1)
  await rest()
  void one.observer.fetchNextPage()
  await rest()
  expect(hand.asked[0]!.input).toEqual({ collection: 'tasks', limit: 2, cursor: 'c2' })
  hand.next().answer({ items: rows(2, 3) }, 1)
  await rest()
  expect(one.ids()).toEqual(rows(0, 3).map((row) => row.id))
  expect(one.result().hasNextPage).toBe(false)
})

test('select and flattenPages give rows', async () => {
  const one = mount(q.record.list.infiniteQueryOptions(input, { select: flattenPages }))
  live(200).say({ items: rows(0, 3) }, 1)
  await rest()
  expect(one.result().data.map((row: any) => row.id)).toEqual(rows(0, 3).map((row) => row.id))
})

test('dehydrated pages are shown, then brought up to date where they are followed', async () => {
  const options = q.record.list.infiniteQueryOptions(input)
  queries.setQueryData(options.queryKey, {
    pages: [{ items: rows(0, 200), next: '' }, { items: rows(200, 400), next: 'c400' }, { items: rows(400, 450) }],
    pageParams: [0, 200, 'c400'],
  })
  const one = mount(options)
  expect(one.ids()).toHaveLength(450)
  live(400).say({ items: [task('a', 2), ...rows(0, 399)], next: 'c399' }, 2)
  expect(one.ids()).toEqual(['a', ...rows(0, 450).map((row) => row.id)])
})
