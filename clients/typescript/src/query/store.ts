/**
 * What each cached query shows, as the one truth of it: what the server said, and the layers of mutations that are under way. A query's data is
 * always made from here, so that nothing which arrives late puts something older in its place.
 */
import { hashKey, notifyManager, type Query, type QueryClient, type QueryKey } from '@tanstack/query-core'
import type { Client, LiveQuery, OpName } from '../core/types.js'
import { alike, kept, shared } from './alike.js'
import type { Row } from './match.js'
import { layer, named, told, type Asked, type Overlay, type Rows } from './overlay.js'

/** Rows of a page that is read by a cursor, at most. */
const READ_MOST = 200
/** How long it takes at most until a row that was written is in the lists that take it in. */
const PATIENCE_MS = 5000
/** Which reads can be followed. */
const LIVE = /^(?!auth|system|audit|workspace\.list)\w+\.(get|list|aggregate)$/

/** Where a page begins: a number of rows in what is followed, else the cursor of a read. */
export type PageParam = number | string
/** One row, or a list's, or some other output. */
export type Output = Rows & Row
type Paged = { pages: Rows[]; pageParams: PageParam[] }

/** One cached query. */
export interface Store extends Asked {
  key: QueryKey
  hash: string
  op: OpName
  paged: boolean
  /** Rows of a page. */
  size: number
  /** What is followed, how many rows of it, and its last output that was looked at; absent for a plain read. */
  source?: LiveQuery<Output>
  limit: number
  seen?: Output | undefined
  revision: number
  /** The revision at which what is followed last became another. */
  changed: number
  unsubscribe?(): void
  /** Lets go of what is followed; there while somebody looks. */
  release?: (() => void) | undefined
  /** What was read, by its page, and the revision at which it was true. */
  reads: Map<PageParam, [Output, number]>
  params: PageParam[]
  value?: unknown
}

/** Whether a read with this input can be followed. */
export const canFollow = (op: string, input: object) => LIVE.test(op) && !('cursor' in input)

export type Stores = ReturnType<typeof createStores>

/** Keeps the queries of `cache` whose keys begin with `prefix`; of lists in pages `most` rows are followed. */
export function createStores(client: Client, queries: QueryClient, prefix: string, most: number) {
  const cache = queries.getQueryCache()
  const stores = new Map<string, Store>()
  /** Outputs and pages that come from a fetch, and the revision at which they were true. */
  const fetched = new WeakMap<object, number>()
  /** Answered ones first, in the order of their revisions. */
  let overlays: Overlay[] = []
  const used = new Set<Overlay>()
  /** What the server said last of each row, by noun and id. */
  const newest = new Map<string, Row>()
  let writing = false

  // What a query shows.

  const itemsOf = (store: Store, output: Output | undefined): readonly Row[] =>
    !output ? [] : store.verb === 'get' ? [output] : (output.items ?? [])

  /** An output under those layers that are not in it yet. */
  function laid(store: Store, output: Output, revision: number, over: readonly Overlay[], inserts = true): Output {
    if (!over.length || store.verb === 'aggregate') return output
    const rows = { ...output, items: itemsOf(store, output) }
    const after = layer(store, rows, over, revision, newest, inserts, used)
    return after === rows ? output : ((store.verb === 'get' ? after.items[0] : after) as Output)
  }

  function live(store: Store): Output | undefined {
    return store.seen && laid(store, store.seen, store.revision, overlays)
  }

  function compose(store: Store): unknown {
    // What was read takes over rows that are newer elsewhere.
    for (const read of store.reads.values()) {
      const items = itemsOf(store, read[0]).map((row) => {
        const other = newest.get(named(store.noun, row.id))
        return other && other.revision > row.revision ? other : row
      })
      read[0] = store.verb === 'get' ? (items[0] as Output) : kept(read[0], read[0].items ? { ...read[0], items } : read[0])
    }
    const followed = live(store)
    const read = (param: PageParam): Output | undefined => {
      const found = store.reads.get(param)
      const pending = overlays.filter((one) => one.until === Infinity)
      return found && laid(store, ...found, pending, !followed)
    }
    if (!store.paged) return followed === store.seen ? (followed ?? read(0)) : kept(store.value, followed)
    if (!followed && !store.reads.size) return undefined
    const { pages: before, pageParams } = (store.value ?? { pages: [] }) as Partial<Paged> & { pages: Rows[] }
    const count = followed ? store.params.filter((param) => typeof param === 'number').length : 0
    const seen = new Set<string>()
    const pages = store.params.map((param, index) => {
      const page = index < count ? slice(store, followed!, index, index + 1 === count) : read(param)
      // A row is shown once, where it comes first: what is followed is newer than what was read.
      return kept(before[index], { ...page, items: (page?.items ?? []).filter((row) => !seen.has(row.id) && seen.add(row.id)) })
    })
    return alike(store.value, { pages: alike(before, pages), pageParams: alike(pageParams, store.params) })
  }

  /** A page of what is followed. `next` of one that is not the last says only that there is more. */
  function slice({ size }: Store, { items, next, total }: Output, index: number, last: boolean): Rows {
    const end = (index + 1) * size
    const more = next ?? (!last && items.length > end ? '' : undefined)
    return { items: items.slice(index * size, last ? undefined : end), ...(more !== undefined && { next: more }), ...(total !== undefined && { total }) }
  }

  function publish(store: Store): void {
    // What has ended says so, and keeps what it showed last.
    if (store.source?.get().status === 'ended') return
    const value = compose(store)
    const query = cache.get(store.hash)
    if (value === undefined || value === store.value) return
    store.value = value
    // While it is fetched for the first time the fetch will tell.
    if (query && query.state.data !== value && (query.state.data !== undefined || query.state.fetchStatus === 'idle')) write(store)
  }

  function write(store: Store): void {
    writing = true
    try {
      queries.setQueryData(store.key, store.value)
    } finally {
      writing = false
    }
  }

  /** Gathers what is known of rows. */
  function gather(): void {
    newest.clear()
    for (const store of stores.values()) {
      for (const output of [store.seen, ...[...store.reads.values()].map(([read]) => read)]) {
        for (const row of itemsOf(store, output)) {
          const key = named(store.noun, row.id)
          if (!(row.revision < newest.get(key)?.revision!)) newest.set(key, row)
        }
      }
    }
  }

  /** Shows everywhere what has become of the layers, and lets those go that nothing needs any more. */
  function publishAll(): void {
    gather()
    used.clear()
    notifyManager.batch(() => stores.forEach(publish))
    overlays = overlays.filter((one) => !one.old || used.has(one))
  }

  // What the server says.

  function changed(store: Store): void {
    const { output, revision, status } = store.source!.get()
    const before = store.seen
    if (revision >= 0) {
      if (revision < store.revision) forget()
      store.revision = revision
    }
    if (output !== before) {
      store.seen = output
      if (before) store.changed = revision
      if (output) {
        if (store.paged) join(store, before?.items, output)
        store.reads = new Map([...store.reads].filter(([param]) => typeof param === 'string'))
      }
    }
    // Most often it is nobody else's affair.
    if (overlays.length || [...stores.values()].some((other) => other.reads.size)) publishAll()
    else publish(store)
    // It is tried once more, and what it ends with then is the query's error.
    const query = cache.get(store.hash)
    if (status === 'ended' && store.release && query?.state.fetchStatus === 'idle') query.fetch().catch(noop)
  }

  /** Keeps the first page that was read next to what is followed: rows that were pushed out of this come into that. */
  function join(store: Store, before: readonly Row[] | undefined, after: Output): void {
    const read = store.reads.get(store.params.find((param) => typeof param === 'string') ?? NaN)
    before ??= store.params.flatMap((param) => (typeof param === 'number' ? (store.reads.get(param)?.[0].items ?? []) : []))
    if (!read || !before.length) return
    const stays = new Set(after.items.map((row) => row.id))
    let kept = before.length - 1
    while (kept >= 0 && !stays.has(before[kept]!.id)) kept--
    if (after.next === undefined || kept < 0) {
      // There is nothing beyond, or nobody knows what lies between.
      store.params = store.params.filter((param) => typeof param === 'number')
    } else if (before[kept]!.id === after.items.at(-1)!.id && kept + 1 < before.length) {
      const out = before.slice(kept + 1)
      const ids = new Set(out.map((row) => row.id))
      read[0] = { ...read[0], items: [...out, ...read[0].items.filter((row) => !ids.has(row.id))] }
    }
  }

  /** The database is another: what was answered before counts for nothing, and what was read is read again. */
  function forget(): void {
    overlays = overlays.filter((one) => one.until === Infinity)
    void queries.invalidateQueries({ predicate: (query) => !!stores.get(query.queryHash)?.reads.size })
    for (const store of stores.values()) store.reads.clear()
  }

  // Who looks.

  /** The store of a query's key: `[prefix, noun, verb, input, how?]`. */
  function open(key: QueryKey): Store {
    const hash = hashKey(key)
    const found = stores.get(hash)
    if (found) return found
    const [, noun, verb, input, how] = key as [string, string, string, Asked['input'], string?]
    const size = Math.min((input.limit as number | undefined) ?? 50, most)
    const paged = !!how?.startsWith('pages')
    const op = `${noun}.${verb}` as OpName
    const store: Store = { key, hash, op, noun, verb, input, paged, size, limit: -1, revision: -1, changed: -1, reads: new Map(), params: [0] }
    stores.set(hash, store)
    adopt(store, cache.get(hash)?.state.data)
    if (!how?.endsWith('plain') && canFollow(op, input)) attach(store, paged ? Math.max(1, store.params.filter((param) => typeof param === 'number').length) * size : 0)
    return store
  }

  /** Takes what is cached for what was read: it came from another page or program. */
  function adopt(store: Store, data: unknown): void {
    if (data === undefined) return
    const { pages, pageParams } = (store.paged ? data : { pages: [data], pageParams: [0] }) as Paged
    store.params = pageParams
    store.reads = new Map(pages.map((page, index) => [pageParams[index]!, [page as Output, -1]]))
    store.value = data
  }

  const sourceOf = ({ op, input, paged }: Store, limit: number) =>
    client.live(op as 'record.list', (paged ? { ...input, limit } : input) as never) as unknown as LiveQuery<Output>

  function attach(store: Store, limit: number, source = sourceOf(store, limit)): void {
    store.unsubscribe?.()
    const { release } = store
    Object.assign(store, { source, limit, revision: -1, unsubscribe: source.subscribe(() => changed(store)), release: release && source.retain() })
    release?.()
    changed(store)
  }

  function drop(store: Store): void {
    stores.delete(store.hash)
    store.unsubscribe?.()
    store.release?.()
    store.release = undefined
    publishAll()
  }

  /** Follows while somebody looks. */
  function look(query: Query): void {
    const active = query.isActive()
    const store = active ? open(query.queryKey) : stores.get(query.queryHash)
    if (!store?.source || active === !!store.release) return
    store.release = active ? store.source.retain() : store.release!() as undefined
  }

  // Fetches.

  async function fetch(key: QueryKey, param: PageParam = 0): Promise<unknown> {
    const store = open(key)
    try {
      if (!store.source || typeof param === 'string') return await read(store, param)
      await reach(store, store.paged ? param + store.size : 0)
      const output = live(store)!
      return mark(store.paged ? slice(store, output, param / store.size, false) : output, -1)
    } finally {
      // It was removed meanwhile.
      if (!cache.get(store.hash)) drop(store)
    }
  }

  /** Waits until what is followed is up to date, and has as many rows. */
  async function reach(store: Store, limit: number): Promise<void> {
    const grows = limit > store.limit
    const source = grows ? sourceOf(store, limit) : store.source!
    // What has ended is begun anew.
    const release = source.retain()
    try {
      await source.current()
      if (!grows || stores.get(store.hash) !== store) return
      // Changes of two that are followed may come in either order: what is shown never goes back.
      for (let tries = 0; tries < 20 && source.get().revision < store.changed; tries++) await new Promise((done) => setTimeout(done, 50))
      if (limit > store.limit) attach(store, limit, source)
    } finally {
      release()
    }
  }

  /** Where the page after this one begins. */
  function after(key: QueryKey, { items, next }: Rows, param: PageParam): PageParam | undefined {
    const store = stores.get(hashKey(key))
    if (typeof param === 'string' || !store?.source || next === undefined) return next || undefined
    const end = param + store.size
    // A list that is too large for a message has fewer rows than were asked for.
    const short = items.length < store.size && (store.seen?.items.length ?? 0) < store.limit
    return short || end + store.size > most ? next || undefined : end
  }

  async function read(store: Store, param: PageParam): Promise<unknown> {
    const { input, size, paged } = store
    const asked = typeof param === 'string' ? { ...input, limit: Math.min(size, READ_MOST), cursor: param } : paged ? { ...input, limit: size } : input
    const { output, as_of } = await client.ask(store.op, asked as never)
    return mark(output, as_of ?? Infinity)
  }

  /** A copy that is known to come from a fetch: what it says may be old by the time it arrives. */
  function mark(output: object, revision: number): object {
    const copy = { ...output }
    fetched.set(copy, revision)
    return copy
  }

  /** `structuralSharing` of a query: what a fetch brings is taken in, and what is shown is what the store says by now. Else (what `select` makes) it is shared as usual. */
  function share(hash: string, before: unknown, value: unknown): unknown {
    const store = stores.get(hash)
    const { pages = [value], pageParams = [0] } = (store?.paged && value ? value : {}) as Partial<Paged>
    if (!store || value === store.value) return value
    if (!pages.some((page) => fetched.has(page as object))) return shared(before, value)
    const followed = store.seen
    const answered = overlays.filter((one) => one.until < Infinity)
    const { reads } = store
    store.reads = new Map()
    store.params = pageParams.filter((param, index) => {
      if (followed && typeof param === 'number') return true
      const page = pages[index] as Output
      const revision = fetched.get(page)
      const found = revision === undefined ? reads.get(param) : ([laid(store, page, revision, answered, !store.source), revision] as [Output, number])
      if (found) store.reads.set(param, found)
      return found
    })
    gather()
    return (store.value = compose(store) ?? value)
  }

  // Layers.

  function add(overlay: Overlay): void {
    overlays.push(overlay)
    publishAll()
  }

  /** The server refused it: what it did was never so. */
  function reject(overlay: Overlay): void {
    overlays = overlays.filter((one) => one !== overlay)
    publishAll()
  }

  /** The server did it: its layer falls, query by query, when what is followed has come as far. */
  function settle(overlay: Overlay, noun: string, output: unknown, as_of: number | null): void {
    const rows = told(output)
    for (const row of rows) {
      const key = named(noun, row.id)
      overlay.said.set(key, row)
      if (!overlay.changes.has(key)) overlay.changes.set(key, { apply: (there) => there && row, where: () => false })
    }
    overlay.until = as_of ?? Math.max(0, ...rows.map((row) => row.revision))
    overlays.sort((a, b) => (a.until === b.until ? 0 : a.until - b.until))
    for (const store of stores.values()) {
      // Nothing tells what was read: it is brought up to date once and for all.
      for (const one of store.reads.values()) one[0] = laid(store, ...one, [overlay], !store.source)
    }
    publishAll()
    setTimeout(() => {
      overlay.old = true
      publishAll()
    }, PATIENCE_MS)
  }

  // The cache says who looks, and what others put into it.

  const stop = cache.subscribe((event) => {
    const { query, type } = event
    if (writing || query.queryKey[0] !== prefix || query.queryKey.length < 4) return
    if (type === 'removed') {
      const store = stores.get(query.queryHash)
      if (store) drop(store)
      return
    }
    look(query)
    const store = stores.get(query.queryHash)
    const { data } = query.state
    if (type !== 'updated' || !store || data === undefined || data === store.value) return
    if (store.seen) write(store)
    else adopt(store, data)
  })
  // Whoever signs in again follows again what the end of the last sign-in ended.
  const stopped = client.connection.subscribe(() => {
    if (client.connection.get().status !== 'open') return
    for (const store of stores.values()) {
      const { status, error } = store.source?.get() ?? {}
      if (store.release && status === 'ended' && error!.retry !== 'never') cache.get(store.hash)?.fetch().catch(noop)
    }
  })
  for (const query of cache.getAll()) if (query.queryKey[0] === prefix && query.queryKey.length > 3) look(query)

  return {
    fetch,
    share,
    after,
    add,
    reject,
    settle,
    /** Answers how many layers there are. */
    layers: () => overlays.length,
    close(): void {
      stop()
      stopped()
      for (const store of [...stores.values()]) drop(store)
    },
  }
}

const noop = () => {}
