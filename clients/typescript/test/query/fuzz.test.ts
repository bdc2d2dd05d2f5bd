/**
 * Random sessions of two people: queries come and go, rows move in and out of filters, lists grow, mutations are refused and sent again, connections
 * break, replies and pushes overtake each other. After quiet every cached query is what the server reads, and no layer is left.
 * `CREWLINE_SEED=n` repeats one; `CREWLINE_SEEDS=n` runs so many.
 */
import { InfiniteQueryObserver, MutationObserver, QueryClient, QueryObserver } from '@tanstack/query-core'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createClient } from '../../src/core/index.js'
import { createQueryBridge, flattenPages } from '../../src/query/index.js'
import { ModelServer } from '../support/model-server.js'

const ONE = process.env.CREWLINE_SEED
const SEEDS = ONE ? [Number(ONE)] : Array.from({ length: Number(process.env.CREWLINE_SEEDS ?? (process.env.CI ? 500 : 20)) }, (_, at) => at + 1)

beforeEach(() => void vi.useFakeTimers({ now: 1_700_000_000_000 }))
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const failures: unknown[] = []
process.on('unhandledRejection', (error) => failures.push(error))

function chance(seed: number) {
  let state = seed * 2654435761
  const next = () => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (most: number) => Math.floor(next() * most)
  return { next, below, of: <T>(choices: readonly T[]): T => choices[below(choices.length)]!, is: (part: number) => next() < part }
}

const STATES = ['open', 'busy', 'done']
const TASKS = { collection: 'tasks' }
const QUERIES = [
  TASKS,
  { ...TASKS, filter: { field: 'state', eq: 'open' } },
  { ...TASKS, filter: { not: { field: 'state', eq: 'open' } }, sort: [{ field: 'rank', descending: true }], count: true },
  { ...TASKS, sort: [{ field: 'rank' }], limit: 4 },
  { ...TASKS, filter: { any: [{ field: 'state', in: ['busy', 'done'] }, { field: 'rank', gt: 6 }] }, limit: 6 },
  { collection: 'notes' },
]

interface Expected {
  id: string
  field: string
  value: unknown
  /** Whether it makes the row. */
  made?: boolean
}

/** One person's program. */
function person(name: string, server: ModelServer, { next, below, of, is }: ReturnType<typeof chance>) {
  const client = createClient({ url: 'model:', transport: server.transport(name), auth: () => name, outbox: 'memory' })
  const queries = new QueryClient()
  const bridge = createQueryBridge(client, queries, { rows: of([6, 500]) })
  const q = bridge.q as any
  const mounted = new Map<string, { stop(): void; observer: any; options: any; check(): void }>()
  /** What must be seen of a row until its mutation is answered: the value, by mutation. */
  const pending = new Set<Expected>()
  const deleted = new Set<string>()
  const flickers: { text: string; at: number; one?: Expected }[] = []

  const look = (observer: any, rows: (data: any) => any[], whole: boolean) => {
    const data = observer.getCurrentResult().data
    if (!data) return
    for (const one of pending) {
      // A later mutation of the same field is above it, and what is deleted is not changed.
      if (deleted.has(one.id) || [...pending].some((other) => other !== one && other.id === one.id && other.field === one.field)) continue
      const row = rows(data).find((row) => row.id === one.id)
      // What it made is there already, and somebody may have changed it since.
      if (!row && one.made && whole) flickers.push({ text: `${one.id} is not there`, at: Date.now(), one })
      if (row && !(one.made && row.revision) && row.data[one.field] !== one.value) flickers.push({ text: `${one.id}.${one.field} is ${row.data[one.field]}, not ${one.value}`, at: Date.now(), one })
    }
    const ids = rows(data).map((row) => row.id)
    if (new Set(ids).size !== ids.length) flickers.push({ text: `a row is there twice: ${ids}`, at: Date.now() })
  }
  const mount = (kind: string, input: any) => {
    const key = JSON.stringify([kind, input])
    if (mounted.has(key)) return
    const options = kind === 'pages' ? q.record.list.infiniteQueryOptions(input) : kind === 'plain' ? q.record.list.queryOptions(input, { live: false, staleTime: 1e9 }) : q.record[kind].queryOptions(input)
    const observer: any = kind === 'pages' ? new InfiniteQueryObserver(queries, options) : new QueryObserver(queries, options)
    const check = () => look(observer, kind === 'pages' ? flattenPages : kind === 'get' ? (row) => [row] : (page) => page.items ?? [], kind === 'list' && input === TASKS)
    const stop = observer.subscribe(check)
    mounted.set(key, { stop, observer, options, check })
  }
  const unmount = (key: string) => {
    mounted.get(key)?.stop()
    mounted.delete(key)
  }
  const mutate = (op: string, input: any, expected?: Expected) => {
    const { mutationFn, ...options } = q.record[op].mutationOptions()
    const judged = async (input: any) => {
      // From here on it is to be seen, until it is answered.
      if (expected) pending.add(expected)
      try {
        return await mutationFn(input)
      } finally {
        // It was answered in this very moment: refused, or somebody has changed it since.
        for (let at = flickers.length - 1; at >= 0; at--) if (flickers[at]!.one === expected && flickers[at]!.at === Date.now()) flickers.splice(at, 1)
        if (expected) pending.delete(expected)
      }
    }
    new MutationObserver<any, any, any>(queries, { ...options, mutationFn: judged }).mutate(input).catch(() => {})
  }

  const ids = () => [...server.rows.values()].filter((row) => row.collection === 'tasks').map((row) => row.id)
  const steps: [number, () => void][] = [
    [6, () => mount('list', of(QUERIES))],
    [3, () => mount('pages', { ...of(QUERIES.slice(0, 3)), limit: 3 })],
    [2, () => ids().length && mount('get', { ...TASKS, id: of(ids()) })],
    [2, () => mount('aggregate', { ...TASKS, measures: [{ name: 'n', count: true }] })],
    [1, () => mount('plain', of(QUERIES))],
    [5, () => mounted.size && unmount(of([...mounted.keys()]))],
    [4, () => {
      const paged = [...mounted.values()].filter(({ observer }) => observer.fetchNextPage)
      if (paged.length) void of(paged).observer.fetchNextPage()
    }],
    [2, () => mounted.size && void of([...mounted.values()]).observer.refetch()],
    [1, () => void queries.invalidateQueries({ queryKey: q.record.list.queryKey() })],
    [10, () => {
      const id = ids().length && of(ids())
      if (!id) return
      const [field, value] = of<[string, unknown]>([['title', `${name}-${below(1e6)}`], ['rank', below(10)], ['state', of(STATES)]])
      const fail = is(0.15)
      mutate('update', { ...TASKS, id, data: { [field]: value, ...(fail && { refused: true }) }, ...(is(0.2) && { revision: server.rows.get(id)!.revision }) }, { id, field, value })
    }],
    [5, () => {
      const value = `${name}-${below(1e6)}`
      const id = `row-${value}`
      mutate('create', { ...TASKS, id, data: { title: value, rank: below(10), state: of(STATES), ...(is(0.15) && { refused: true }) } }, { id, field: 'title', value, made: true })
    }],
    [3, () => {
      const id = ids().length && of(ids())
      if (!id) return
      deleted.add(id)
      mutate('delete', { ...TASKS, id })
    }],
    [1, () => server.drop(name)],
  ]
  const weight = steps.reduce((sum, [part]) => sum + part, 0)
  return {
    client, queries, bridge, mounted, flickers,
    step() {
      let at = next() * weight
      const [, what] = steps.find(([part]) => (at -= part) < 0)!
      what()
      mounted.forEach(({ check }) => check())
    },
    close() {
      mounted.forEach(({ stop }) => stop())
      bridge.close()
      client.close()
      queries.clear()
    },
  }
}

async function session(seed: number): Promise<void> {
  const random = chance(seed)
  const { below, of, is } = random
  // What the client leaves to chance comes from the seed too.
  vi.spyOn(Math, 'random').mockImplementation(random.next)
  const server = new ModelServer({ random: random.next, travel_ms: below(30), work_ms: below(30), gather_ms: below(60), history: 5 + below(30), fickle: is(0.5) })
  server.refuse = (_op, input) => (input.data?.refused ? { code: 'invalid', message: 'refused', retry: 'never' } : undefined)
  for (let at = 0; at < 12; at++) server.write('record.create', { ...TASKS, id: `r${10 + at}`, data: { title: `t${at}`, rank: below(10), state: of(STATES) } })
  const people = [person('ada', server, random), person('bob', server, random)]
  for (let step = 0; step < 80; step++) {
    of(people).step()
    if (is(0.1)) server.write('record.update', { ...TASKS, id: of([...server.rows.keys()].length ? [...server.rows.keys()] : ['none']), data: { title: `s${step}`, state: of(STATES) } })
    await vi.advanceTimersByTimeAsync(below(40))
    if (is(0.03)) {
      server.up = false
      server.drop()
      setTimeout(() => (server.up = true), below(200))
    }
  }
  server.up = true
  // What is read plainly is read again, as a person would; all else has come by itself.
  await vi.advanceTimersByTimeAsync(4000)
  const plain = ({ queryKey, state }: { queryKey: readonly unknown[]; state: { data: any } }) =>
    queryKey[4] === 'plain' || state.data?.pageParams?.some((param: unknown) => typeof param === 'string')
  for (const { queries } of people) void queries.refetchQueries({ predicate: plain })
  for (const { queries } of people) queries.removeQueries({ type: 'inactive' })
  await vi.advanceTimersByTimeAsync(8000)
  for (const { queries, mounted, flickers, bridge } of people) {
    expect(flickers.map(({ text }) => text)).toEqual([])
    for (const [key, { observer }] of mounted) {
      const [kind, input] = JSON.parse(key) as [string, any]
      const { data, status, error } = observer.getCurrentResult()
      const op = kind === 'get' || kind === 'aggregate' ? `record.${kind}` : 'record.list'
      const read = server.read(op, kind === 'pages' ? { ...input, limit: 500 } : input)
      if (read.fault) expect([status, error?.code]).toEqual(['error', 'not_found'])
      else if (kind === 'pages') expect(flattenPages(data)).toEqual(read.items.slice(0, flattenPages(data as any).length))
      else expect(data).toEqual(read)
    }
    for (const query of queries.getQueryCache().getAll()) expect(query.state.fetchStatus).toBe('idle')
    expect(bridge.layers()).toBe(0)
  }
  expect(failures).toEqual([])
  for (const one of people) one.close()
  await vi.advanceTimersByTimeAsync(10_000)
}

test.each(SEEDS)('seed %i', async (seed) => {
  try {
    await session(seed)
  } catch (error) {
    ;(error as Error).message = `CREWLINE_SEED=${seed}: ${(error as Error).message}`
    throw error
  }
})
