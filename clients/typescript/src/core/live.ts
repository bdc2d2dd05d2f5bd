/** Reads that stay true: each a small store of what the server said, brought up to date by what it says changed. */
import type { LiveChange, SubscribedQuery } from '../protocol.js'
import type { Channel, Subscription } from './channel.js'
import { type CrewlineError, endedBy, unsendable } from './error.js'
import { cell } from './readable.js'
import type { LiveQuery, LiveState } from './types.js'

/** How long a query is followed after the last has let go: who moves to another page and back finds it true. */
const LINGER_MS = 5_000
/** Queries that nobody follows and that are kept: beyond, the one that was let go longest ago is forgotten. */
const KEPT = 200

type Row = { id: string } & Record<string, unknown>
interface List {
  items: Row[]
  next?: string
  total?: number
}

/** The live queries of a client: one for each operation and input. */
export function createLives(channel: Channel, lingerMs = LINGER_MS) {
  const known = new Map<string, LiveQuery>()
  /** Those that nobody follows, in the order in which they were let go. */
  const idle = new Map<string, LiveQuery>()

  function make(key: string, op: string, input: unknown): LiveQuery {
    const query = createLive(channel, op, input, lingerMs, use)
    function use(used: boolean): void {
      idle.delete(key)
      if (!known.has(key)) known.set(key, query)
      if (!used) idle.set(key, query)
      for (const [oldest, other] of idle) {
        if (idle.size <= KEPT) return
        idle.delete(oldest)
        known.delete(oldest)
        other.forget()
      }
    }
    use(false)
    return query
  }

  return {
    live(op: string, input: unknown): LiveQuery {
      const key = `${op} ${canonical(input)}`
      return known.get(key) ?? make(key, op, input)
    },
    /** Forgets all that was read: somebody else reads now. */
    forget: () => known.forEach((query) => query.forget()),
  }
}

/** The same text for the same value, in whatever order its keys were written; what is absent is left out. */
export function canonical(value: unknown): string {
  try {
    return JSON.stringify(value, (_, entry: unknown) =>
      entry && typeof entry === 'object' && !Array.isArray(entry)
        ? Object.fromEntries(Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1)))
        : entry,
    ) ?? 'null'
  } catch (cause) {
    throw unsendable('the input', cause)
  }
}

function createLive(channel: Channel, op: string, input: unknown, lingerMs: number, told: (used: boolean) => void): LiveQuery {
  const { get, set, subscribe } = cell<LiveState<unknown>>({ output: undefined, revision: -1, status: 'idle', error: null })
  let subscription: Subscription | null = null
  let holders = 0
  let linger: ReturnType<typeof setTimeout> | undefined
  let snapshotComes = false
  /** Where the revision is one. */
  let epoch: string

  function become(change: Partial<LiveState<unknown>>): void {
    set({ ...get(), ...change })
  }

  const stale = (): void => become({ status: 'stale', error: null })

  function open(): void {
    if (subscription) return
    stale()
    subscription = channel.subscribe({ query: { op, input: input as Record<string, unknown> } }, {
      options() {
        const { revision } = get()
        return revision >= 0 && epoch === channel.epoch ? { from: revision } : {}
      },
      subscribed(body) {
        const { snapshot, revision } = body as SubscribedQuery
        snapshotComes = snapshot
        if (!snapshot && revision === get().revision) become({ status: 'live' })
      },
      snapshot(offset, value, bytes) {
        snapshotComes = false
        epoch = channel.epoch
        become({ output: shared(get().output, value), revision: offset, status: 'live' })
        subscription?.credit(bytes)
      },
      events(offset, span, changes, bytes) {
        const { revision, output } = get()
        subscription?.credit(bytes)
        if (snapshotComes || offset <= revision) return
        if (offset - span !== revision) {
          stale()
          return subscription?.again()
        }
        become({ output: applied(output, changes as LiveChange[]), revision: offset, status: 'live' })
      },
      ended: (_, body) => end(endedBy(`what \`${op}\` followed`, body)),
      lost: stale,
      failed: end,
    })
  }

  function end(error: CrewlineError): void {
    subscription = null
    become({ status: 'ended', error })
  }

  function leave(): void {
    subscription?.close()
    subscription = null
    if (get().status !== 'ended') become({ status: 'idle' })
    told(false)
  }

  function retain(): () => void {
    holders++
    clearTimeout(linger)
    told(true)
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
    get,
    subscribe,
    retain,
    current() {
      return new Promise((resolve, reject) => {
        const settled = (): boolean => {
          const { status, output, error } = get()
          if (status === 'live') resolve(output)
          if (status === 'ended') reject(error)
          return status === 'live' || status === 'ended'
        }
        // What has ended is begun anew where nobody follows it any more.
        if ((holders > 0 || subscription) && settled()) return
        const release = retain()
        const stop = subscribe(() => {
          if (!settled()) return
          stop()
          release()
        })
      })
    },
    forget() {
      become({ output: undefined, revision: -1, status: subscription ? 'stale' : 'idle', error: null })
      subscription?.again()
    },
  }
}

/** An output after changes; rows that did not change stay the objects that they are. */
function applied(output: unknown, changes: readonly LiveChange[]): unknown {
  let list = output as List
  let items: Row[] | undefined
  for (const change of changes) {
    if ('value' in change) list = shared(list, change.value) as List
    else if ('put' in change) {
      items ??= [...list.items]
      const row = change.put as Row
      const at = items.findIndex(({ id }) => id === row.id)
      const [old] = at < 0 ? [] : items.splice(at, 1)
      const before = items.findIndex(({ id }) => id === change.before)
      items.splice(before < 0 ? items.length : before, 0, shared(old, row) as Row)
    } else if ('remove' in change) {
      items ??= [...list.items]
      const at = items.findIndex(({ id }) => id === change.remove)
      if (at >= 0) items.splice(at, 1)
    } else if ('next' in change) {
      list = { ...list, next: change.next! }
      if (change.next === null) delete list.next
    } else if ('total' in change) list = { ...list, total: change.total }
  }
  return items ? { ...list, items } : list
}

/** `next`, made of the parts of `old` that are equal: what did not change is the same object. */
export function shared(old: unknown, next: unknown): unknown {
  const list = Array.isArray(next)
  if (old === next || !old || !next || typeof old !== 'object' || typeof next !== 'object' || Array.isArray(old) !== list) return next
  const [before, after] = [old, next] as Record<string, unknown>[] as [Record<string, unknown>, Record<string, Row>]
  // Rows are found again by their ids, wherever they stand now.
  const byId = list && new Map((old as (Row | null)[]).map((row) => [row?.id, row]))
  const made = (list ? [] : {}) as Record<string, unknown>
  const keys = Object.keys(next)
  let same = keys.length === Object.keys(old).length
  for (const key of keys) {
    const id = byId && after[key]?.id
    made[key] = shared(byId && id !== undefined ? byId.get(id as string) : before[key], after[key])
    same &&= key in before && made[key] === before[key]
  }
  return same ? old : made
}
