/** TanStack DB over Crewline: a collection's records as a collection there, kept true by a live query. */
import type { CollectionConfig, SyncConfig } from '@tanstack/db'
import type { AnyApp, AppShape, Client, ClientOf, InputOf, LiveQuery, NameOf } from '../core/types.js'
import type { Page, RecordRow } from '../protocol.js'
import { uuidv7 } from '../core/uuid.js'

/** Which records the collection holds. */
export interface RecordCollection<A extends AppShape = AnyApp, C extends NameOf<A, 'record.list'> = NameOf<A, 'record.list'>> {
  /** Crewline's collection. */
  collection: C
  filter?: InputOf<A, 'record.list', C>['filter']
  sort?: InputOf<A, 'record.list', C>['sort']
  /** Rows at most: 500, unless told otherwise; more than those are not followed. */
  limit?: number
}

/** A record as a row: its own fields, beside those that every record has. */
export type DbRow<Data> = Data & { id: string; revision?: number; created_at?: number; updated_at?: number; created_by?: string }

const ROW = ['id', 'revision', 'created_at', 'updated_at', 'created_by']

/**
 * Options for `createCollection`: rows come and go as the live query says, and what is inserted, changed or deleted there is written with
 * `record.create`, `record.update` and `record.delete`. An optimistic change is let go when the query has reached the revision of its answer,
 * so that nothing flickers; one that is refused is rolled back by TanStack DB, with the fault. A query that ends, because a right was taken away,
 * puts the collection in error.
 */
export function crewlineCollectionOptions<A extends AppShape = AnyApp, C extends NameOf<A, 'record.list'> = NameOf<A, 'record.list'>>(
  of: ClientOf<A>,
  { collection, filter, sort, limit = 500 }: RecordCollection<A, C>,
): CollectionConfig<DbRow<A['collections'][C & keyof A['collections']]>, string> {
  type Row = DbRow<A['collections'][C & keyof A['collections']]>
  const client = of as unknown as Client
  const input = { collection, limit, ...(filter && { filter }), ...(sort && { sort }) }
  const query = client.live('record.list', input as never) as LiveQuery<Page<RecordRow>>

  const sync: SyncConfig<Row, string>['sync'] = ({ begin, write, commit, markReady, markError }) => {
    let known = new Map<string, RecordRow>()
    let ready = false
    const take = (): void => {
      const { output, status, error } = query.get()
      if (status === 'ended') return markError(error)
      if (!output || (!ready && status !== 'live')) return
      const rows = new Map(output.items.map((row) => [row.id, row]))
      begin()
      for (const id of known.keys()) if (!rows.has(id)) write({ type: 'delete', key: id })
      for (const [id, row] of rows) {
        if (known.get(id) !== row) write({ type: known.has(id) ? 'update' : 'insert', value: flat(row) as Row })
      }
      commit()
      known = rows
      if (!ready) markReady()
      ready = true
    }
    const release = query.retain()
    const stop = query.subscribe(take)
    take()
    return () => {
      stop()
      release()
    }
  }

  /** Waits until the query knows what a write did. */
  function reached(revision: number | null): Promise<void> {
    return new Promise((resolve) => {
      let stop = (): void => {}
      const look = (): void => {
        const { status, revision: now } = query.get()
        // Who does not follow any more waits for nothing.
        if (revision !== null && (status === 'live' || status === 'stale') && now < revision) return
        stop()
        resolve()
      }
      stop = query.subscribe(look)
      look()
    })
  }

  const ask = (op: 'record.create' | 'record.update' | 'record.delete', what: object) => client.ask(op, { collection, ...what } as never)

  const all = async (writes: Promise<{ as_of: number | null }>[]): Promise<void> => {
    for (const { as_of } of await Promise.all(writes)) await reached(as_of)
  }

  return {
    id: `crewline:${JSON.stringify(input)}`,
    getKey: ({ id }: { id: string }) => id,
    sync: { sync, rowUpdateMode: 'full' },
    onInsert: ({ transaction }) =>
      all(transaction.mutations.map(({ modified }) => ask('record.create', { id: (modified as { id?: string }).id ?? uuidv7(), data: own(modified) }))),
    onUpdate: ({ transaction }) =>
      all(transaction.mutations.map(({ key, changes }) => ask('record.update', { id: String(key), data: own(changes) }))),
    onDelete: ({ transaction }) => all(transaction.mutations.map(({ key }) => ask('record.delete', { id: String(key) }))),
  }
}

const flat = ({ id, revision, created_at, updated_at, created_by, data }: RecordRow) => ({ ...data, id, revision, created_at, updated_at, created_by })

/** What of a row is the record's data. What was taken away is removed. */
function own(row: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).filter(([field]) => !ROW.includes(field)).map(([field, value]) => [field, value ?? null]))
}
