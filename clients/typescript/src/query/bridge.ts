/** Crewline's operations as plain options of TanStack Query. There is no table of them: `q.<noun>.<verb>` becomes the name of one. */
import { hashKey, type InfiniteData, type QueryClient, type QueryKey } from '@tanstack/query-core'
import { CrewlineError } from '../core/error.js'
import type { Answer, AnyApp, AppShape, Client, ClientOf, OpName } from '../core/types.js'
import { uuidv7 } from '../core/uuid.js'
import type { Page, RecordRow } from '../protocol.js'
import { overlay, type OptimisticCache, type Rows } from './overlay.js'
import { canFollow, createStores, type PageParam } from './store.js'
import type { BridgeOptions, QueryBridge } from './types.js'

type Input = { id?: string; [field: string]: unknown }
type Optimistic = false | ((cache: OptimisticCache, input: Input) => void)
type Extras = { live?: boolean; optimistic?: Optimistic; [option: string]: unknown }

/**
 * Makes the bridge between a client and a `QueryClient`: make one, beside them. What `q` gives are plain options, so that loaders, prefetching,
 * suspense, `select`, persisters and the devtools work with them.
 *
 * A query of the bridge is followed while somebody observes it, and its data is the server's: `setQueryData` on it is undone at once. Show what
 * is not so yet with `optimistic`.
 */
export function createQueryBridge<A extends AppShape = AnyApp>(client: ClientOf<A>, queries: QueryClient, options: BridgeOptions = {}): QueryBridge<A> {
  const { prefix = 'crewline', rows = 500 } = options
  const any = client as unknown as Client
  const stores = createStores(any, queries, prefix, rows)
  /** Inputs whose last try may have happened, with what was sent: it is sent again as it was. */
  const unsure = new WeakMap<object, { sent: Input; key: string }>()

  const waits = (key: string) => client.outbox.get().some((entry) => entry.key === key && entry.status === 'waiting')

  /** Shows what a mutation does until it is answered. */
  async function show(op: string, input: Input, optimistic: Optimistic, answer: Promise<Answer<unknown>>): Promise<unknown> {
    const noun = op.split('.')[0]!
    const layer = overlay(noun, (cache) => optimistic && optimistic(cache, input))
    stores.add(layer)
    try {
      const { output, as_of } = await answer
      stores.settle(layer, noun, output, as_of)
      return output
    } catch (error) {
      stores.reject(layer)
      throw error
    }
  }

  async function mutate(op: OpName, input: Input, optimistic: Optimistic): Promise<unknown> {
    const again = unsure.get(input) ?? { sent: op.endsWith('.create') ? { id: uuidv7(), ...input } : input, key: uuidv7() }
    unsure.delete(input)
    const { sent, key } = again
    const answer = any.ask(op, sent as never, { key })
    // What the outbox keeps is going to happen, though nobody waits for it any more.
    const shown = show(op, sent, optimistic, answer.catch((error) => (waits(key) ? any.outbox.answer(key) : Promise.reject(error))))
    shown.catch(() => {})
    try {
      await answer
    } catch (error) {
      if (error instanceof CrewlineError && error.retry === 'same_key') unsure.set(input, again)
      if (waits(key)) throw error
    }
    return shown
  }

  function usual(op: string): Optimistic {
    if (op.endsWith('.update')) return (cache, input) => cache.patch(input as { id: string })
    if (op === 'record.delete') return (cache, input) => cache.remove(input.id!)
    if (op !== 'record.create') return false
    return (cache, input) => {
      const connection = client.connection.get()
      const created_by = (connection.status === 'open' && connection.principal?.id) || ''
      cache.insert({ created_by, ...(input as { id: string; created_by?: string }) })
    }
  }

  function offer(noun: string, verb: string) {
    const op = `${noun}.${verb}` as OpName
    const mutationKey = [prefix, noun, verb]
    const options = (pages: string) => (input: Input, { live = true, ...rest }: Extras = {}) => {
      const follows = live && canFollow(op, input)
      const how = pages + (follows ? '' : 'plain')
      const queryKey = [...mutationKey, input, ...(how ? [how] : [])]
      return {
        queryKey,
        queryKeyHashFn: hashKey,
        queryFn: ({ pageParam }: { pageParam?: PageParam }) => stores.fetch(queryKey, pageParam),
        structuralSharing: (before: unknown, value: unknown) => stores.share(hashKey(queryKey), before, value),
        // Whether there is a connection is the client's affair.
        networkMode: 'always',
        // What is followed is tried until it can be; a plain read gives up.
        retry: (count: number, error: Partial<CrewlineError>) => (follows || count < 3) && /same_key|after/.test(error.retry!),
        // What is followed is never stale, and a reconnect asks for the difference.
        ...(follows && { staleTime: Infinity, refetchOnReconnect: false, refetchOnWindowFocus: false }),
        ...(pages && {
          initialPageParam: 0,
          getNextPageParam: (last: Rows, _pages: unknown, param: PageParam) => stores.after(queryKey, last, param),
        }),
        ...rest,
      }
    }
    return {
      queryKey: (...input: Input[]): QueryKey => [...mutationKey, ...input],
      queryOptions: options(''),
      infiniteQueryOptions: options('pages'),
      mutationKey: (): QueryKey => mutationKey,
      mutationOptions: ({ optimistic = usual(op), ...rest }: Extras = {}) => ({
        mutationKey,
        mutationFn: (input: Input) => mutate(op, input, optimistic),
        networkMode: 'always',
        ...rest,
      }),
    }
  }

  // What waited when the program last ended is shown again.
  const began = Date.now()
  const taken = new Set<string>()
  const take = () => {
    for (const { key, op, input, at } of client.outbox.get()) {
      if (at >= began || !waits(key) || taken.has(key)) continue
      taken.add(key)
      show(op, input as Input, usual(op), any.outbox.answer(key)).catch(() => {})
    }
  }
  const stop = client.outbox.subscribe(take)
  take()

  const named = (make: (name: string) => unknown) =>
    new Proxy({}, { get: (_, name) => (typeof name === 'string' ? make(name) : undefined) }) as unknown
  return {
    q: named((noun) => named((verb) => offer(noun, verb))) as QueryBridge<A>['q'],
    layers: stores.layers,
    close() {
      stop()
      stores.close()
    },
  }
}

/** All rows of an infinite query's data, in order: also as its `select`. */
export const flattenPages = <Row>(data: InfiniteData<Page<Row>, unknown>): Row[] => data.pages.flatMap((page) => page.items)

/**
 * After a `conflict`: the input that does the same to the row as it is now, or what `merge` makes of that row. `undefined` where the error is
 * another, or the server did not say the row.
 */
export function onCurrent<I extends object, Row extends { revision: number } = RecordRow>(
  error: unknown,
  input: I,
  merge?: (current: Row, input: I) => I,
): I | undefined {
  const { code, current } = (error instanceof CrewlineError && error.fault) || ({} as { code?: string; current?: unknown })
  if (code !== 'conflict' || !current) return undefined
  const row = current as Row
  return { ...(merge ? merge(row, input) : input), revision: row.revision }
}
