/** Reads that stay true: each a small store of what the server said, brought up to date by what it says changed. */
import type { Ended, LiveChange, SubscribedQuery } from '../protocol.js'
import type { Channel, Subscription } from './channel.js'
import { CrewlineError } from './error.js'
import { cell } from './readable.js'
import type { LiveQuery, LiveState } from './types.js'

/** How long a query is followed after the last has let go: who moves to another page and back finds it true. */
const LINGER_MS = 5_000
/** Queries that nobody follows and whose outputs are kept. */
const KEPT = 200

type Row = { id: string } & Record<string, unknown>
interface List {
  items: Row[]
  next?: string
  total?: number
}

export function createLives(channel: Channel, lingerMs = LINGER_MS) {
  /** In the order in which they were last let go. */
  const known = new Map<string, LiveQuery>()

  function live(op: string, input: unknown): LiveQuery {
    const key = `${op} ${canonical(input)}`
    const found = known.get(key) ?? createLive(channel, op, input, lingerMs, {
      used: () => void known.set(key, query),
      idle() {
        known.delete(key)
        known.set(key, query)
        for (const [oldest, other] of known) {
          if (known.size <= KEPT) break
          if (other.get().status === 'idle') known.delete(oldest)
        }
      },
    })
    const query = found
    known.set(key, query)
    return query
  }
  return { live }
}

/** The same text for the same value, in whatever order its keys were written; what is absent is left out. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, entry: unknown) =>
    entry && typeof entry === 'object' && !Array.isArray(entry)
      ? Object.fromEntries(Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1)))
      : entry,
  ) ?? 'null'
}

function createLive(channel: Channel, op: string, input: unknown, lingerMs: number, told: { used(): void; idle(): void }): LiveQuery {
  const state = cell<LiveState<unknown>>({ output: undefined, revision: -1, status: 'idle', error: null })
  const waiting = new Set<{ resolve(output: unknown): void; reject(error: CrewlineError): void }>()
  let subscription: Subscription | null = null
  let holders = 0
  let linger: ReturnType<typeof setTimeout> | undefined
  let snapshotComes = false

  function become(change: Partial<LiveState<unknown>>): void {
    state.set({ ...state.get(), ...change })
    const { status, output, error } = state.get()
    if (status === 'live') for (const who of take(waiting)) who.resolve(output)
    else if (status === 'ended') for (const who of take(waiting)) who.reject(error!)
  }

  function open(): void {
    if (subscription) return
    become({ status: 'stale', error: null })
    subscription = channel.subscribe({ query: { op, input: input as Record<string, unknown> } }, {
      options() {
        const { revision } = state.get()
        return revision >= 0 ? { from: revision } : {}
      },
      subscribed(body) {
        const { snapshot, revision } = body as SubscribedQuery
        snapshotComes = snapshot
        // What changed since comes in frames up to this revision.
        if (!snapshot && revision === state.get().revision) become({ status: 'live' })
      },
      snapshot(offset, value, bytes) {
        snapshotComes = false
        become({ output: shared(state.get().output, value), revision: offset, status: 'live', error: null })
        subscription?.credit(bytes)
      },
      events(offset, span, changes, bytes) {
        const { revision, output } = state.get()
        subscription?.credit(bytes)
        if (snapshotComes || offset <= revision) return
        if (offset - span !== revision) {
          become({ status: 'stale' })
          return subscription?.again()
        }
        become({ output: applied(output, changes as LiveChange[]), revision: offset, status: 'live' })
      },
      ended(_, { why, fault }) {
        subscription = null
        if (why === 'server' && holders > 0) return open()
        if (why === 'server') return become({ status: 'idle' })
        become({ status: 'ended', error: endedBy(op, why, fault) })
      },
      lost: () => become({ status: 'stale' }),
      forget: () => become({ revision: -1 }),
      failed(error) {
        subscription = null
        become({ status: 'ended', error })
      },
    })
  }

  function leave(): void {
    subscription?.close()
    subscription = null
    if (state.get().status !== 'ended') become({ status: 'idle' })
    told.idle()
  }

  function retain(): () => void {
    holders++
    clearTimeout(linger)
    told.used()
    open()
    let held = true
    return () => {
      if (!held) return
      held = false
      if (--holders === 0) linger = setTimeout(leave, lingerMs)
    }
  }

  return {
    op,
    input,
    get: state.get,
    subscribe: state.subscribe,
    retain,
    current() {
      const { status, output, error } = state.get()
      if (status === 'live') return Promise.resolve(output)
      if (status === 'ended' && holders > 0) return Promise.reject(error)
      const release = retain()
      const settled = new Promise((resolve, reject) => waiting.add({ resolve, reject }))
      settled.then(release, release)
      return settled
    },
    forget() {
      state.set({ ...state.get(), output: undefined, revision: -1 })
      subscription?.again()
    },
  }
}

function take<T>(set: Set<T>): T[] {
  const all = [...set]
  set.clear()
  return all
}

function endedBy(op: string, why: Ended['why'], fault: Ended['fault']): CrewlineError {
  if (fault) return CrewlineError.of(fault)
  return why === 'deleted'
    ? new CrewlineError('not_found', `what \`${op}\` followed was deleted`)
    : new CrewlineError('forbidden', `\`${op}\` may not be followed any more: a right was taken away`)
}

/** An output after changes; rows that did not change stay the objects that they are. */
function applied(output: unknown, changes: readonly LiveChange[]): unknown {
  let list = output as List
  let items: Row[] | undefined
  for (const change of changes) {
    if ('value' in change) return shared(output, change.value)
    if ('put' in change) {
      items ??= [...list.items]
      const row = change.put as Row
      const at = items.findIndex(({ id }) => id === row.id)
      const [old] = at < 0 ? [] : items.splice(at, 1)
      const before = change.before === null ? -1 : items.findIndex(({ id }) => id === change.before)
      items.splice(before < 0 ? items.length : before, 0, shared(old, row) as Row)
    } else if ('remove' in change) {
      items ??= [...list.items]
      const at = items.findIndex(({ id }) => id === change.remove)
      if (at >= 0) items.splice(at, 1)
    } else if ('next' in change) {
      const { next: _, ...rest } = list
      list = change.next === null ? rest : { ...rest, next: change.next }
    } else if ('total' in change) list = { ...list, total: change.total }
  }
  return items ? { ...list, items } : list
}

/** `next`, made of the parts of `old` that are equal: what did not change is the same object. */
export function shared(old: unknown, next: unknown): unknown {
  if (Object.is(old, next) || !old || !next || typeof old !== 'object' || typeof next !== 'object') return next
  if (Array.isArray(old) !== Array.isArray(next)) return next
  if (Array.isArray(next)) {
    const rows = old as unknown[]
    // Rows are found again by their ids, wherever they stand now.
    const byId = new Map(rows.map((row) => [(row as Row | null)?.id, row]))
    const made = next.map((entry: unknown, place) => shared((entry as Row | null)?.id === undefined ? rows[place] : byId.get((entry as Row).id), entry))
    return made.length === rows.length && made.every((entry, place) => entry === rows[place]) ? old : made
  }
  const before = old as Record<string, unknown>
  const keys = Object.keys(next)
  const made = Object.fromEntries(keys.map((key) => [key, shared(before[key], (next as Record<string, unknown>)[key])]))
  const same = keys.length === Object.keys(before).length && keys.every((key) => key in before && made[key] === before[key])
  return same ? old : made
}
