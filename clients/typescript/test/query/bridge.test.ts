import { MutationObserver, onlineManager, QueryClient, QueryObserver, type QueryObserverOptions } from '@tanstack/query-core'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type AnyApp, CrewlineError } from '../../src/core/index.js'
import { createQueryBridge, onCurrent, type QueryBridge } from '../../src/query/index.js'
import { Hand, rest, task } from './hand.js'

let hand: Hand
let queries: QueryClient
let bridge: QueryBridge<AnyApp>
let q: any
const list = { collection: 'tasks' }

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

/** Mounts a query, and keeps what it was told. */
function mount(options: any) {
  const observer = new QueryObserver(queries, options as QueryObserverOptions)
  const told: any[] = []
  const stop = observer.subscribe((result) => told.push(result.data))
  return { told, stop, observer, result: () => observer.getCurrentResult() as any, data: () => observer.getCurrentResult().data as any }
}
const mutate = (options: any, input: unknown) => new MutationObserver<any, any, any>(queries, options).mutate(input)
const titles = (data: any) => data?.items.map((row: any) => row.data.title)
const page = (...items: unknown[]) => ({ items })

describe('a live list', () => {
  test('shows the snapshot, then what is pushed', async () => {
    const one = mount(q.record.list.queryOptions(list))
    expect(one.result().status).toBe('pending')
    hand.live('record.list', list).say(page(task('a', 1, { title: 'one' })), 1)
    await rest()
    expect(titles(one.data())).toEqual(['one'])
    hand.live('record.list', list).say(page(task('a', 2, { title: 'two' })), 2)
    expect(titles(one.data())).toEqual(['two'])
  })

  test('a refetch that lands after a newer push does not overwrite it', async () => {
    const one = mount(q.record.list.queryOptions(list))
    const live = hand.live('record.list', list)
    live.say(page(task('a', 1, { title: 'old' })), 1)
    await rest()
    live.lose()
    const refetched = one.observer.refetch()
    // The fetch is answered with the old rows, and a push comes before its promise is heard.
    live.say(page(task('a', 1, { title: 'old' })), 1)
    live.say(page(task('a', 2, { title: 'new' })), 2)
    await refetched
    await rest()
    expect(titles(one.data())).toEqual(['new'])
    expect(one.told.slice(one.told.findIndex((data) => titles(data)?.[0] === 'new')).every((data) => titles(data)[0] === 'new')).toBe(true)
  })

  test('what others write into the cache is undone at once', async () => {
    const options = q.record.list.queryOptions(list)
    const one = mount(options)
    hand.live('record.list', list).say(page(task('a', 1, { title: 'so' })), 1)
    await rest()
    queries.setQueryData(options.queryKey, page(task('a', 0, { title: 'stale' })))
    expect(titles(one.data())).toEqual(['so'])
  })

  test('the last observer leaves: it is let go of, and coming back shows what was known until it is up to date', async () => {
    const one = mount(q.record.list.queryOptions(list))
    const live = hand.live('record.list', list)
    live.say(page(task('a', 1, { title: 'one' })), 1)
    await rest()
    one.stop()
    expect(live.retained).toBe(0)
    const two = mount(q.record.list.queryOptions(list))
    expect(titles(two.data())).toEqual(['one'])
    expect(live.retained).toBe(1)
    expect(two.result().isFetching).toBe(false)
    live.say(page(task('a', 2, { title: 'two' })), 2)
    expect(titles(two.data())).toEqual(['two'])
  })

  test('StrictMode mounts twice and opens once: the signal is never read', async () => {
    const options = q.record.list.queryOptions(list)
    const one = mount(options)
    one.stop()
    const two = mount(options)
    const live = hand.live('record.list', list)
    live.say(page(task('a', 1)), 1)
    await rest()
    expect(two.result().status).toBe('success')
    expect(live.opened).toBe(1)
    const context = { get signal(): never { throw new Error('read') }, client: queries, queryKey: options.queryKey, meta: undefined }
    await expect(options.queryFn(context)).resolves.toEqual(page(task('a', 1)))
  })

  test('a reconnect fetches nothing', async () => {
    const one = mount(q.record.list.queryOptions(list))
    const live = hand.live('record.list', list)
    live.say(page(task('a', 1)), 1)
    await rest()
    const fetched = vi.fn()
    queries.getQueryCache().subscribe((event) => event.type === 'updated' && event.action.type === 'fetch' && fetched())
    for (let time = 0; time < 5; time++) {
      live.lose()
      queries.getQueryCache().onOnline()
      queries.getQueryCache().onFocus()
      live.say(page(task('a', 1)), 1)
      await rest()
    }
    expect(fetched).not.toHaveBeenCalled()
    expect(hand.asked).toEqual([])
    expect(one.result().status).toBe('success')
  })

  test('a fault that ends it is the query’s error, and a refetch begins anew', async () => {
    const one = mount(q.record.list.queryOptions(list))
    const live = hand.live('record.list', list)
    live.say(page(task('a', 1, { title: 'one' })), 1)
    await rest()
    live.end(new CrewlineError('forbidden', 'not for you'))
    await rest()
    expect(one.result()).toMatchObject({ status: 'error', error: { code: 'forbidden' } })
    expect(titles(one.data())).toEqual(['one'])
    const refetched = one.observer.refetch()
    expect(live.state.status).toBe('stale')
    live.say(page(task('a', 5, { title: 'again' })), 5)
    await refetched
    expect(one.result()).toMatchObject({ status: 'success', error: null })
    expect(titles(one.data())).toEqual(['again'])
  })

  test('a refused one is the error of its first fetch', async () => {
    const one = mount(q.record.list.queryOptions(list))
    hand.live('record.list', list).end(new CrewlineError('invalid', 'no such field'))
    await rest()
    expect(one.result()).toMatchObject({ status: 'error', error: { code: 'invalid' } })
  })

  test('a disabled query is not followed, and one that is enabled later is', async () => {
    const options = q.record.list.queryOptions(list, { enabled: false })
    const one = mount(options)
    const live = hand.live('record.list', list)
    expect(live.opened).toBe(0)
    one.observer.setOptions({ ...options, enabled: true })
    expect(live.retained).toBe(2)
    live.say(page(task('a', 1)), 1)
    await rest()
    expect(live.retained).toBe(1)
    one.observer.setOptions({ ...options, enabled: false })
    expect(live.retained).toBe(0)
  })

  test('loaders fetch without observing', async () => {
    const live = hand.live('record.list', list)
    const loaded = queries.ensureQueryData(q.record.list.queryOptions(list))
    await rest()
    live.say(page(task('a', 1, { title: 'one' })), 1)
    expect(titles(await loaded)).toEqual(['one'])
    expect(live.retained).toBe(0)
  })

  test('select and its sharing', async () => {
    const one = mount(q.record.list.queryOptions(list, { select: (data: any) => data.items }))
    const live = hand.live('record.list', list)
    const [a, b, c] = [task('a', 1), task('b', 2), task('c', 3)]
    live.say(page(b, c), 3)
    await rest()
    expect(one.data()).toEqual([b, c])
    live.say(page(a, b, c), 4)
    expect(one.data()).toEqual([a, b, c])
    // Rows that moved are the objects that they were.
    expect(one.data()[1]).toBe(b)
  })

  test('select may make what can’t be compared', async () => {
    const one = mount(q.record.list.queryOptions(list, { select: (data: any) => new Set(titles(data)) }))
    const live = hand.live('record.list', list)
    live.say(page(task('a', 1, { title: 'one' })), 1)
    await rest()
    live.say(page(task('a', 2, { title: 'two' })), 2)
    expect([...one.data()]).toEqual(['two'])
  })

  test('a dehydrated value is shown, then brought up to date', async () => {
    const options = q.record.list.queryOptions(list)
    queries.setQueryData(options.queryKey, page(task('a', 1, { title: 'kept' })))
    const one = mount(options)
    expect(titles(one.data())).toEqual(['kept'])
    hand.live('record.list', list).say(page(task('a', 3, { title: 'now' })), 3)
    expect(titles(one.data())).toEqual(['now'])
  })

  test('live: false is a plain read under a key of its own', async () => {
    const one = mount(q.record.list.queryOptions(list, { live: false }))
    await rest()
    hand.next().answer(page(task('a', 1, { title: 'read' })), 1)
    await rest()
    expect(titles(one.data())).toEqual(['read'])
    expect(hand.live('record.list', list).opened).toBe(0)
  })

  test('whether there is a network is not TanStack’s affair: it is asked, and mutated, offline too', async () => {
    onlineManager.setOnline(false)
    try {
      const one = mount(q.record.list.queryOptions(list))
      expect(one.result().fetchStatus).toBe('fetching')
      hand.live('record.list', list).say(page(task('a', 1, { title: 'old' })), 1)
      await rest()
      void mutate(q.record.update.mutationOptions(), { collection: 'tasks', id: 'a', data: { title: 'mine' } })
      await rest()
      expect(titles(one.data())).toEqual(['mine'])
      expect(hand.asked).toHaveLength(1)
    } finally {
      onlineManager.setOnline(true)
    }
  })

  test('another database: older revisions are taken, and what was read is read again', async () => {
    const [one, two] = [mount(q.record.list.queryOptions(list)), mount(q.record.list.queryOptions(list, { live: false, staleTime: Infinity }))]
    const live = hand.live('record.list', list)
    live.say(page(task('a', 90, { title: 'new' })), 90)
    await rest()
    hand.next().answer(page(task('a', 90, { title: 'new' })), 90)
    await rest()
    const done = mutate(q.record.update.mutationOptions(), { collection: 'tasks', id: 'a', data: { title: 'mine' } })
    await rest()
    hand.next().answer(task('a', 91, { title: 'mine' }), 91)
    await done
    live.forget()
    live.say(page(task('a', 4, { title: 'restored' })), 5)
    await rest()
    expect(titles(one.data())).toEqual(['restored'])
    hand.next().answer(page(task('a', 4, { title: 'restored' })), 5)
    await rest()
    expect(titles(two.data())).toEqual(['restored'])
  })

  test('a plain read takes over rows that are newer elsewhere, and never older ones', async () => {
    const plain = mount(q.record.list.queryOptions(list, { live: false }))
    await rest()
    hand.next().answer(page(task('a', 5, { title: 'five' })), 5)
    const [early, late] = [{ ...list, limit: 1 }, { ...list, limit: 2 }]
    mount(q.record.list.queryOptions(late))
    mount(q.record.list.queryOptions(early))
    hand.live('record.list', late).say(page(task('a', 7, { title: 'seven' })), 7)
    hand.live('record.list', early).say(page(task('a', 3, { title: 'three' })), 3)
    await rest()
    expect(titles(plain.data())).toEqual(['seven'])
  })

  test('what is written into a plain read stays, and layers lie over it', async () => {
    const options = q.record.list.queryOptions(list, { live: false })
    const plain = mount(options)
    await rest()
    hand.next().answer(page(task('a', 5, { title: 'read' })), 5)
    await rest()
    queries.setQueryData(options.queryKey, page(task('a', 5, { title: 'written' }), task('b', 5, { title: 'b' })))
    expect(titles(plain.data())).toEqual(['written', 'b'])
    void mutate(q.record.update.mutationOptions(), { collection: 'tasks', id: 'a', data: { title: 'mine' } })
    await rest()
    expect(titles(plain.data())).toEqual(['mine', 'b'])
  })

  test('a query that is removed while it is fetched leaves nothing behind', async () => {
    const fetched = queries.fetchQuery(q.record.list.queryOptions(list)).catch(() => {})
    await rest()
    queries.removeQueries()
    const live = hand.live('record.list', list)
    live.say(page(task('a', 1)), 1)
    await fetched
    await rest()
    expect([live.retained, live.watched]).toEqual([0, false])
  })

  test('what is not live on the server is read', async () => {
    const one = mount(q.auth.me.queryOptions({}))
    await rest()
    hand.next().answer({ id: 'u', name: 'Ada' }, 1)
    await rest()
    expect(one.data()).toEqual({ id: 'u', name: 'Ada' })
  })
})

describe('an optimistic layer', () => {
  const update = { collection: 'tasks', id: 'a', data: { title: 'mine' } }

  test.each(['reply first', 'push first'])('falls when the query has come as far as the reply: %s', async (order) => {
    const one = mount(q.record.list.queryOptions(list))
    const live = hand.live('record.list', list)
    live.say(page(task('a', 1, { title: 'old' })), 1)
    await rest()
    const done = mutate(q.record.update.mutationOptions(), update)
    await rest()
    expect(titles(one.data())).toEqual(['mine'])
    // Another's change comes between.
    live.say(page(task('a', 2, { title: 'theirs', note: 1 })), 2)
    expect(titles(one.data())).toEqual(['mine'])
    const server = task('a', 3, { title: 'mine', note: 1 })
    if (order === 'push first') live.say(page(server), 3)
    hand.next().answer(server, 3)
    await done
    expect(one.data()).toEqual(page(server))
    if (order === 'reply first') live.say(page(server), 3)
    live.say(page(task('a', 4, { title: 'later' })), 4)
    expect(titles(one.data())).toEqual(['later'])
    const first = one.told.findIndex((data) => titles(data)?.[0] === 'mine')
    expect(one.told.slice(first, -1).every((data) => titles(data)[0] === 'mine')).toBe(true)
  })

  test('one that is refused leaves what the server said, never an older snapshot', async () => {
    const one = mount(q.record.list.queryOptions(list))
    const live = hand.live('record.list', list)
    live.say(page(task('a', 1, { title: 'old' })), 1)
    await rest()
    const done = mutate(q.record.update.mutationOptions(), update)
    await rest()
    live.say(page(task('a', 2, { title: 'theirs' })), 2)
    hand.next().refuse({ code: 'forbidden' })
    await expect(done).rejects.toMatchObject({ code: 'forbidden' })
    expect(titles(one.data())).toEqual(['theirs'])
  })

  test('several stack, and each goes by itself', async () => {
    const one = mount(q.record.list.queryOptions(list))
    const live = hand.live('record.list', list)
    live.say(page(task('a', 1, { title: 'old', size: 1 })), 1)
    await rest()
    const first = mutate(q.record.update.mutationOptions(), { ...update, data: { title: 'first' } })
    const second = mutate(q.record.update.mutationOptions(), { ...update, data: { size: 2 } })
    await rest()
    expect(one.data().items[0].data).toEqual({ title: 'first', size: 2 })
    const [a, b] = [hand.next(), hand.next()]
    b.answer(task('a', 2, { title: 'old', size: 2 }), 2)
    await second
    expect(one.data().items[0].data).toEqual({ title: 'first', size: 2 })
    a.refuse({ code: 'invalid' })
    await first.catch(() => {})
    expect(one.data().items[0].data).toEqual({ title: 'old', size: 2 })
    live.say(page(task('a', 2, { title: 'old', size: 2 })), 2)
    expect(one.data().items[0].data).toEqual({ title: 'old', size: 2 })
  })

  test('is over every list and row that holds it, and moves it by filter and sort', async () => {
    const open = { collection: 'tasks', filter: { field: 'state', eq: 'open' }, sort: [{ field: 'rank' }] }
    const done = { collection: 'tasks', filter: { field: 'state', eq: 'done' }, sort: [{ field: 'rank' }] }
    const [opened, finished, row] = [mount(q.record.list.queryOptions(open)), mount(q.record.list.queryOptions(done)), mount(q.record.get.queryOptions({ collection: 'tasks', id: 'b' }))]
    const b = task('b', 2, { state: 'open', rank: 2 })
    hand.live('record.list', open).say({ items: [task('a', 1, { state: 'open', rank: 1 }), b], total: 2 }, 2)
    hand.live('record.list', done).say({ items: [task('c', 1, { state: 'done', rank: 1 }), task('d', 1, { state: 'done', rank: 3 })], total: 2 }, 2)
    hand.live('record.get', { collection: 'tasks', id: 'b' }).say(b, 2)
    await rest()
    const changed = mutate(q.record.update.mutationOptions(), { collection: 'tasks', id: 'b', data: { state: 'done' } })
    await rest()
    expect(opened.data()).toMatchObject({ items: [{ id: 'a' }], total: 1 })
    expect(finished.data()).toMatchObject({ items: [{ id: 'c' }, { id: 'b' }, { id: 'd' }], total: 3 })
    expect(row.data().data.state).toBe('done')
    hand.next().refuse({ code: 'forbidden' })
    await changed.catch(() => {})
    expect(opened.data()).toMatchObject({ items: [{ id: 'a' }, { id: 'b' }], total: 2 })
    expect(finished.data()).toMatchObject({ items: [{ id: 'c' }, { id: 'd' }], total: 2 })
  })

  test('create and delete', async () => {
    const one = mount(q.record.list.queryOptions(list))
    const live = hand.live('record.list', list)
    live.say(page(task('a', 1, { title: 'old' })), 1)
    await rest()
    const created = mutate(q.record.create.mutationOptions(), { collection: 'tasks', data: { title: 'new' } })
    await rest()
    expect(titles(one.data())).toEqual(['new', 'old'])
    const { input, answer, key } = hand.next()
    expect(input.id).toMatch(/^[0-9a-f-]{36}$/)
    expect(key).toMatch(/^[0-9a-f-]{36}$/)
    answer(task(input.id, 2, { title: 'new' }), 2)
    await created
    live.say(page(task('a', 1, { title: 'old' }), task(input.id, 2, { title: 'new' })), 2)
    const gone = mutate(q.record.delete.mutationOptions(), { collection: 'tasks', id: 'a' })
    await rest()
    expect(titles(one.data())).toEqual(['new'])
    hand.next().answer({}, 3)
    await gone
    expect(titles(one.data())).toEqual(['new'])
    live.say(page(task(input.id, 2, { title: 'new' })), 3)
    expect(titles(one.data())).toEqual(['new'])
  })

  test('what sorts as before stays where the server put it', async () => {
    const one = mount(q.record.list.queryOptions(list))
    // The server may order what is told apart by more than this side knows.
    hand.live('record.list', list).say(page(task('c', 1, { title: 'c' }), task('a', 1, { title: 'old' }), task('b', 1, { title: 'b' })), 1)
    await rest()
    void mutate(q.record.update.mutationOptions(), update)
    await rest()
    expect(titles(one.data())).toEqual(['c', 'mine', 'b'])
  })

  test('a row that is being deleted is shown by itself as it was last', async () => {
    const input = { collection: 'tasks', id: 'a' }
    void mutate(q.record.update.mutationOptions(), update)
    void mutate(q.record.delete.mutationOptions(), input)
    await rest()
    const one = mount(q.record.get.queryOptions(input))
    hand.live('record.get', input).say(task('a', 1, { title: 'old' }), 1)
    await rest()
    expect(one.data().data.title).toBe('mine')
  })

  test('an answer is shown before its rows come, also where nothing was optimistic', async () => {
    const one = mount(q.record.list.queryOptions(list))
    const live = hand.live('record.list', list)
    live.say(page(task('a', 1, { title: 'old' })), 1)
    await rest()
    const done = mutate(q.record.update.mutationOptions({ optimistic: false }), update)
    await rest()
    expect(titles(one.data())).toEqual(['old'])
    hand.next().answer(task('a', 2, { title: 'mine' }), 2)
    await done
    expect(titles(one.data())).toEqual(['mine'])
    const made = mutate(q.record.create.mutationOptions({ optimistic: false }), { collection: 'tasks', id: 'b', data: {} })
    await rest()
    hand.next().answer(task('b', 3), 3)
    await made
    expect(one.data().items).toHaveLength(1)
  })

  test('is laid over a query that is mounted while it is under way', async () => {
    void mutate(q.record.update.mutationOptions(), update)
    await rest()
    const one = mount(q.record.list.queryOptions(list))
    hand.live('record.list', list).say(page(task('a', 1, { title: 'old' })), 1)
    await rest()
    expect(titles(one.data())).toEqual(['mine'])
  })

  test('is over plain reads, and stays in them when it has been answered', async () => {
    const one = mount(q.record.list.queryOptions(list, { live: false }))
    await rest()
    hand.next().answer(page(task('a', 1, { title: 'old' }), task('b', 1, { title: 'b' })), 1)
    await rest()
    const done = mutate(q.record.update.mutationOptions(), update)
    await rest()
    expect(titles(one.data())).toEqual(['mine', 'b'])
    hand.next().answer(task('a', 2, { title: 'mine' }), 2)
    await done
    expect(titles(one.data())).toEqual(['mine', 'b'])
    const gone = mutate(q.record.delete.mutationOptions(), { collection: 'tasks', id: 'b' })
    await rest()
    hand.next().answer({}, 3)
    await gone
    expect(titles(one.data())).toEqual(['mine'])
  })

  test('a read that began before the answer, and comes after it, is not older than the answer', async () => {
    const one = mount(q.record.list.queryOptions(list, { live: false }))
    await rest()
    const read = hand.next()
    const done = mutate(q.record.update.mutationOptions(), update)
    await rest()
    hand.next().answer(task('a', 2, { title: 'mine' }), 2)
    await done
    read.answer(page(task('a', 1, { title: 'old' })), 1)
    await rest()
    expect(titles(one.data())).toEqual(['mine'])
  })

  test('a new row is at its place by the list’s sort, and not past the end of one that goes on', async () => {
    const sorted = { collection: 'tasks', sort: [{ field: 'rank', descending: true }] }
    const [whole, part, filtered] = [mount(q.record.list.queryOptions(sorted)), mount(q.record.list.queryOptions({ ...sorted, limit: 2 })), mount(q.record.list.queryOptions({ ...sorted, filter: { field: 'rank', gt: 3 } }))]
    const [a, b] = [task('a', 1, { rank: 5 }), task('b', 1, { rank: 3 })]
    hand.live('record.list', sorted).say(page(a, b), 1)
    hand.live('record.list', { ...sorted, limit: 2 }).say({ items: [a, b], next: 'more' }, 1)
    hand.live('record.list', { ...sorted, filter: { field: 'rank', gt: 3 } }).say(page(a), 1)
    await rest()
    void mutate(q.record.create.mutationOptions(), { collection: 'tasks', id: 'c', data: { rank: 4 } })
    void mutate(q.record.create.mutationOptions(), { collection: 'tasks', id: 'd', data: { rank: 1 } })
    await rest()
    const ids = (one: any) => one.data().items.map((row: any) => row.id)
    expect([ids(whole), ids(part), ids(filtered)]).toEqual([['a', 'c', 'b', 'd'], ['a', 'c', 'b'], ['a', 'c']])
  })

  test('a list that turns out not to take a new row in drops it a while after the answer', async () => {
    const one = mount(q.record.list.queryOptions(list))
    hand.live('record.list', list).say(page(task('b', 1, { title: 'b' })), 1)
    await rest()
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    try {
      const done = mutate(q.record.create.mutationOptions(), { collection: 'tasks', id: 'a', data: { title: 'a' } })
      await vi.advanceTimersByTimeAsync(1)
      hand.next().answer(task('a', 2, { title: 'a' }), 2)
      await done
      await vi.advanceTimersByTimeAsync(1000)
      expect(titles(one.data())).toEqual(['a', 'b'])
      await vi.advanceTimersByTimeAsync(5000)
      expect(titles(one.data())).toEqual(['b'])
      expect(bridge.layers()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  test('an update that changes nothing on the server leaves no layer', async () => {
    mount(q.record.list.queryOptions(list))
    hand.live('record.list', list).say(page(task('a', 1, { title: 'mine' })), 1)
    await rest()
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    try {
      const done = mutate(q.record.update.mutationOptions(), update)
      await vi.advanceTimersByTimeAsync(1)
      hand.next().answer(task('a', 1, { title: 'mine' }), 8)
      await done
      await vi.advanceTimersByTimeAsync(6000)
      expect(bridge.layers()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  test('optimistic: what a mutation says itself, or nothing', async () => {
    const one = mount(q.session.list.queryOptions({}))
    hand.live('session.list', {}).say(page({ id: 's', revision: 1, title: 'S' }), 1)
    await rest()
    void mutate(q.session.archive.mutationOptions({ optimistic: (cache: any, input: any) => cache.patch({ id: input.id, archived_at: 5 }) }), { id: 's' })
    await rest()
    expect(one.data().items[0]).toEqual({ id: 's', revision: 1, title: 'S', archived_at: 5 })
    void mutate(q.session.update.mutationOptions({ optimistic: false }), { id: 's', title: 'T' })
    await rest()
    expect(one.data().items[0].title).toBe('S')
  })

  test('a conflict says the row as it is now, and the input can be tried on it', async () => {
    const done = mutate(q.record.update.mutationOptions(), { ...update, revision: 1 })
    await rest()
    hand.next().refuse({ code: 'conflict', reason: 'revision', current: task('a', 7, { title: 'theirs' }) })
    const error = await done.catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'conflict', fault: { current: { revision: 7 } } })
    expect(onCurrent(error, { ...update, revision: 1 })).toEqual({ ...update, revision: 7 })
    expect(onCurrent(new CrewlineError('forbidden', 'no'), update)).toBeUndefined()
    expect(onCurrent<any, any>(error, update, (current, input) => ({ ...input, data: { title: `${current.data.title} and ${input.data.title}` } }))).toMatchObject({ revision: 7, data: { title: 'theirs and mine' } })
  })

  test('a try that may have happened is made again under its key', async () => {
    const input = { collection: 'tasks', data: { title: 'new' } }
    const first = mutate(q.record.create.mutationOptions(), input)
    await rest()
    const one = hand.next()
    one.refuse({ code: 'timeout', retry: 'same_key' })
    await first.catch(() => {})
    void mutate(q.record.create.mutationOptions(), input)
    await rest()
    expect(hand.next()).toMatchObject({ key: one.key, input: one.input })
    void mutate(q.record.create.mutationOptions(), input)
    await rest()
    expect(hand.next().key).not.toBe(one.key)
  })
})
