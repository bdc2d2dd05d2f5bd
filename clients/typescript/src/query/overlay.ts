/** Optimistic layers: what mutations that have no answer yet will do to rows, laid over what the server said. Nothing here changes a row in place. */
import type { Filter, Sort } from '../protocol.js'
import { compare, matches, type Row } from './match.js'

/** A read, as far as layers must know it. */
export interface Asked {
  noun: string
  verb: string
  input: { id?: string; filter?: Filter; sort?: Sort[]; [field: string]: unknown }
}

/** Rows of one read. */
export interface Rows {
  items: readonly Row[]
  next?: string
  total?: number
}

/** What becomes of one row. */
interface Change {
  apply(row: Row | undefined): Row | undefined
  /** Says for itself which lists it comes into. */
  where?: Where | undefined
}

type Where = (list: Asked['input']) => boolean

/** What one mutation does. */
export interface Overlay {
  /** By noun and id. */
  changes: Map<string, Change>
  /** The revision of the reply; `Infinity` while there is none. */
  until: number
  /** The rows that the reply told, by noun and id. */
  said: Map<string, Row>
  /** Whether the reply came so long ago that a list would have taken the row in by now. */
  old: boolean
}

/** What may be changed of a row of the kind that a mutation answers. */
export type Patch<Output> = { id: string } & (Output extends { data: infer Data; collection: string }
  ? { data?: { [Field in keyof Data]?: Data[Field] | null } }
  : Output extends { id: string }
    ? { [Field in keyof Output]?: Output[Field] | null }
    : { [field: string]: unknown })

/** What `optimistic` is handed: each of these changes what cached queries show until the server has answered and its rows have come. */
export interface OptimisticCache<Output = unknown> {
  /**
   * Merges fields into the row with this `id`, wherever it is cached: a record's `data` key by key, other nouns' fields. `null` takes a field
   * away. `id`, `revision` and `collection` stay. A list whose `filter` no longer takes the row in drops it, and one whose filter now does gains it.
   */
  patch(change: Patch<Output>): void
  /** The same of another noun's row. */
  patch<Change extends { id: string }>(change: Change, noun: string): void
  /** Puts a row into each cached list whose parent and `filter` take it in, or which `where` says, at its place by `sort`. */
  insert<New extends { id: string }>(row: New, where?: (list: Asked['input']) => boolean, noun?: string): void
  /** Takes the row with this `id` out of every cached list. */
  remove(id: string, noun?: string): void
}

/** Under which changes of a row are kept. */
export const named = (noun: string, id: string) => `${noun} ${id}`

/** A layer of what `say` says; `noun` is the mutation's own. */
export function overlay(noun: string, say: (cache: OptimisticCache) => void): Overlay {
  const changes: Overlay['changes'] = new Map()
  const add = (of: string, id: string, apply: Change['apply'], where?: Where) => {
    const key = named(of, id)
    const earlier = changes.get(key)
    changes.set(key, earlier ? { ...earlier, apply: (row) => apply(earlier.apply(row)) } : { apply, where })
  }
  say({
    patch: (change: { id: string }, of = noun) => add(of, change.id, (row) => row && merge(row, change as Row)),
    insert: (row, where, of = noun) => {
      const at = Date.now()
      add(of, row.id, (there) => there ?? { revision: 0, created_at: at, updated_at: at, ...row }, where)
    },
    remove: (id, of = noun) => add(of, id, () => undefined),
  })
  return { changes, until: Infinity, said: new Map(), old: false }
}

function merge(row: Row, { id: _id, revision: _revision, collection: _collection, ...fields }: Row): Row {
  const merged = (into: unknown, from: object) => {
    const fields = { ...(into as object) } as Record<string, unknown>
    for (const [key, value] of Object.entries(from)) {
      if (value === null) delete fields[key]
      else if (value !== undefined) fields[key] = value
    }
    return fields
  }
  // Only records have `data` and a collection; it is merged by its keys.
  return merged(row, row.collection ? { ...fields, data: merged(row.data, fields.data ?? {}) } : fields) as Row
}

/** Every row that an output tells. */
export function told(output: unknown): Row[] {
  const { id, revision, results } = (output ?? {}) as Partial<Row> & { results?: unknown[] }
  return id && revision ? [output as Row] : (results ?? []).flatMap(told)
}

/**
 * What overlays make of a row of a read that is true at `revision`; `own`: the read has it. Those that were answered come first, in the order of
 * their replies, for what is still under way will be done to what they made. `shown`: as it was before it went, if it goes.
 */
function fold(key: string, row: Row | undefined, overlays: readonly Overlay[], revision: number, own: boolean) {
  const over = overlays.filter((one) => one.changes.has(key) && revision < one.until && (own || !one.old))
  let shown = row
  for (const { changes, said, until } of over) {
    const told = said.get(key)
    if (!row || row.revision < (told?.revision ?? until)) row = told ?? changes.get(key)!.apply(row)
    shown = row ?? shown
  }
  return { row, over, shown }
}

/**
 * Lays overlays over rows that are true at `revision`. `newest` has the rows of all queries; rows are put in only where it `inserts`. `used` gathers
 * the overlays that did something.
 */
export function layer(
  { noun, verb, input }: Asked,
  rows: Rows,
  overlays: readonly Overlay[],
  revision: number,
  newest: ReadonlyMap<string, Row>,
  inserts: boolean,
  used: Set<Overlay>,
): Rows {
  let { items, total = 0 } = rows
  for (const key of new Set(overlays.flatMap(({ changes }) => [...changes.keys()]))) {
    const [of, id] = key.split(' ')
    if (of !== noun) continue
    const own = items.find((row) => row.id === id)
    const { row, over, shown } = fold(key, own ?? newest.get(key), overlays, revision, !!own)
    if (!over.length || row === own) continue
    const where = over.map((one) => one.changes.get(key)!.where).find(Boolean)
    const belongs = (one: Row | undefined) => !!one && (where ? where(input) : isIn(input, one))
    const others = items.filter((other) => other !== own)
    let at = row ? others.findIndex((other) => compare(input.sort, row, other) < 0) : -1
    if (own && verb === 'get') {
      // A row that is being deleted is shown by itself until it is gone.
      items = [shown!]
    } else if (own && !(row && (belongs(row) || !belongs(own)))) {
      items = others
      total--
    } else {
      if (!own) {
        // Past the end of a list that goes on it is not to be seen.
        if (!inserts || !belongs(row) || (at < 0 && rows.next !== undefined)) continue
        total++
      } else if (compare(input.sort, own, row!) === 0) {
        // What sorts as before stays where the server put it.
        at = items.indexOf(own)
      }
      if (at < 0) at = others.length
      items = [...others.slice(0, at), row!, ...others.slice(at)]
    }
    over.forEach((one) => used.add(one))
  }
  return items === rows.items ? rows : { ...rows, items, ...(rows.total !== undefined && { total }) }
}

/** Whether a list takes a row in, as far as this side can tell: by its parent and its filter. */
const isIn = (input: Asked['input'], row: Row) =>
  matches(input.filter, row) &&
  Object.entries(input).every(([field, value]) => /^(filter|sort|limit|count|cursor)$/.test(field) || row[field] === value)
