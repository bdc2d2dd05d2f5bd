/** Mutations without an answer yet: they outlive a lost connection and a reload, and go out in order, one at a time for a row. */
import type { Connection } from './connection.js'
import { CrewlineError } from './error.js'
import { cell } from './readable.js'
import type { Answer, CallOptions, Outbox, OutboxEntry, OutboxStore } from './types.js'
import { reads } from './calls.js'
import { uuidv7 } from './uuid.js'

/** The server keeps keys for a day: after that, sending again could do it again. */
const KEY_LIFE_MS = 24 * 60 * 60 * 1000

type Ask = (op: string, input: unknown, options?: CallOptions) => Promise<Answer<unknown>>

/** Faults of the way, not of the call: what nobody waits for is kept, and sent when there is a way again. */
const passing = new Set<string>(['disconnected', 'unreachable', 'unavailable', 'unauthenticated', 'malformed', 'unsupported_client'])

/**
 * Puts calls that are worth keeping through the outbox, and others past it. `memory` remembers whose calls those of a page are that has not
 * reached the server yet.
 */
export function createOutbox(connection: Connection, store: OutboxStore | null, memory: Memory, send: Ask): { outbox: Outbox; ask: Ask } {
  const list = cell<readonly OutboxEntry[]>([])
  /** What is told: one's own alone, for others may have used this page. */
  const shown = cell<readonly OutboxEntry[]>([])
  /** Who waits for an entry's answer, by its key. */
  const waiting = new Map<string, ((answer: Promise<Answer<unknown>>) => void)[]>()
  const underWay = new Set<string>()
  /** By row: the last call on it, which the next waits for. */
  const rows = new Map<string, Promise<unknown>>()
  let owner = memory.get()

  const show = (): void => shown.set(list.get().filter((entry) => entry.owner === undefined || entry.owner === owner))
  list.subscribe(show)

  function tell(key: string, answer: () => Promise<Answer<unknown>>): void {
    for (const take of waiting.get(key) ?? []) take(answer())
    waiting.delete(key)
  }

  function put(entry: OutboxEntry): void {
    const known = list.get().some((other) => other.key === entry.key)
    list.set(known ? list.get().map((other) => (other.key === entry.key ? entry : other)) : [...list.get(), entry])
    quietly(store?.save(entry))
  }

  function remove(key: string): void {
    if (list.get().some((entry) => entry.key === key)) list.set(list.get().filter((entry) => entry.key !== key))
    quietly(store?.remove(key))
  }

  function make(entry: OutboxEntry, options?: CallOptions): Promise<Answer<unknown>> {
    const row = rowOf(entry.input)
    const before = row === undefined ? undefined : rows.get(row)
    underWay.add(entry.key)
    const made = (before ? before.catch(() => {}) : Promise.resolve()).then(() => {
      if (!list.get().some((other) => other.key === entry.key)) throw discarded(entry)
      return send(entry.op, entry.input, { ...options, key: entry.key })
    })
    const settled: Promise<Answer<unknown>> = made.then(
      (answer) => {
        underWay.delete(entry.key)
        remove(entry.key)
        tell(entry.key, () => settled)
        return answer
      },
      (error: CrewlineError) => {
        underWay.delete(entry.key)
        // What was rejected to its caller must not happen later: they may have made it anew.
        if (options || !passing.has(error.code)) {
          remove(entry.key)
          tell(entry.key, () => settled)
        }
        throw error
      },
    )
    if (row !== undefined) {
      rows.set(row, settled)
      const forget = (): void => void (rows.get(row) === settled && rows.delete(row))
      settled.then(forget, forget)
    }
    return settled
  }

  /** Nobody waits for its answer any more: what the server refuses is shown here. */
  function resend(entry: OutboxEntry): void {
    if (Date.now() - entry.at >= KEY_LIFE_MS) {
      const error = new CrewlineError('key_expired', `\`${entry.op}\` waited for more than a day: whether it happened is not known any more. Look, and send it anew`)
      tell(entry.key, () => Promise.reject(error))
      return put({ ...entry, status: 'refused', error })
    }
    make(entry).catch((error: CrewlineError) => {
      if (!passing.has(error.code) && error.code !== 'aborted') put({ ...entry, status: 'refused', error })
    })
  }

  async function load(): Promise<void> {
    if (!store) return
    // A store that can't be read keeps nothing: the page works without.
    const stored = await store.load().catch(() => [])
    const known = new Set(list.get().map((entry) => entry.key))
    const older = stored.filter((entry) => !known.has(entry.key)).sort((a, b) => a.at - b.at || (a.key < b.key ? -1 : 1))
    if (older.length > 0) list.set([...older, ...list.get()])
  }

  const ready = load()
  connection.onOpen((mine) => {
    owner = mine
    memory.set(owner)
    show()
    for (const entry of list.get()) if (entry.owner === undefined) put({ ...entry, owner })
    void ready.then(() => {
      for (const entry of list.get()) {
        if (entry.owner === mine && entry.status === 'waiting' && !underWay.has(entry.key)) resend(entry)
      }
    })
  })

  return {
    ask(op, input, options = {}) {
      if (reads(op) || /^(auth\.|invitation\.accept$)/.test(op) || options.wait === false) return send(op, input, options)
      const entry: OutboxEntry = { key: options.key ?? uuidv7(), op, input, at: Date.now(), status: 'waiting', error: null, ...(owner !== undefined && { owner }) }
      put(entry)
      return make(entry, options)
    },
    outbox: {
      get: shown.get,
      subscribe: shown.subscribe,
      answer(key) {
        if (!list.get().some((entry) => entry.key === key && entry.status === 'waiting')) return Promise.reject(new CrewlineError('not_found', 'nothing waits in the outbox under this key: it was answered, refused or discarded'))
        return new Promise((resolve) => waiting.set(key, [...(waiting.get(key) ?? []), resolve]))
      },
      retry(key, input) {
        const entry = list.get().find((other) => other.key === key && other.status === 'refused')
        if (!entry) return
        remove(key)
        const again: OutboxEntry = { ...entry, key: uuidv7(), at: Date.now(), status: 'waiting', error: null, input: input ?? entry.input }
        put(again)
        resend(again)
      },
      discard(key) {
        const entry = list.get().find((other) => other.key === key)
        remove(key)
        if (entry) tell(key, () => Promise.reject(discarded(entry)))
      },
    },
  }
}

/** A value that outlives the page. */
export interface Memory {
  get(): string | undefined
  set(value: string): void
}

/** What a mutation is about: calls on one row go out one after another. */
function rowOf(input: unknown): string | undefined {
  const id = (input as { id?: unknown } | null)?.id
  return typeof id === 'string' ? id : undefined
}

function discarded(entry: OutboxEntry): CrewlineError {
  return new CrewlineError('aborted', `\`${entry.op}\` was discarded before it was sent`)
}

function quietly(done: Promise<unknown> | undefined): void {
  done?.catch(() => {})
}

/** Entries in IndexedDB, one database for a server's address; `null` where there is none. */
export function indexedDbStore(name: string): OutboxStore | null {
  if (!globalThis.indexedDB) return null
  let opened: Promise<IDBDatabase> | undefined
  const database = (): Promise<IDBDatabase> =>
    (opened ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(`crewline:${name}`, 1)
      request.onupgradeneeded = () => request.result.createObjectStore('outbox', { keyPath: 'key' })
      request.onsuccess = () => resolve(request.result)
      request.onerror = () => reject(request.error)
    }))
  const run = async <T>(mode: IDBTransactionMode, use: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> => {
    const store = (await database()).transaction('outbox', mode).objectStore('outbox')
    return new Promise((resolve, reject) => {
      const request = use(store)
      request.onsuccess = () => resolve(request.result)
      request.onerror = () => reject(request.error)
    })
  }
  return {
    async load() {
      const entries = await run('readonly', (store) => store.getAll() as IDBRequest<OutboxEntry[]>)
      return entries.map((entry) => ({ ...entry, error: entry.error && new CrewlineError(entry.error.code, entry.error.message, entry.error.fault) }))
    },
    save: ({ error, ...entry }) =>
      run('readwrite', (store) => store.put({ ...entry, error: error && { code: error.code, message: error.message, fault: error.fault } })).then(() => {}),
    remove: (key) => run('readwrite', (store) => store.delete(key)).then(() => {}),
  }
}
