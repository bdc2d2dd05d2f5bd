/**
 * A workspace in memory that speaks the protocol's frames: the model that random tests compare with. It is written from PROTOCOL.md alone and shares
 * nothing with what it tests but the codec. Frames of a connection arrive in order; whether a reply or the change that it made goes first is chance.
 */
import { decodeMulti, encode } from '@msgpack/msgpack'
import type { Link, Transport, TransportHandlers } from '../../src/core/transport.js'

export interface ModelRow {
  id: string
  revision: number
  created_at: number
  updated_at: number
  collection: string
  data: Record<string, unknown>
  created_by: string
}
type Json = Record<string, any>
interface Page {
  items: ModelRow[]
  next?: string
  total?: number
}
interface Sub {
  op: string
  input: Json
  /** The revision of the last frame, and the output that the client has by it; `undefined`: it is about to get a snapshot. */
  position: number
  output: any
  waits: boolean
}
interface Fault {
  fault: Json
}

export interface ModelOptions {
  /** From 0 up to 1. */
  random?: () => number
  /** The longest that a frame travels, that a request is worked on, and that changes are gathered, in milliseconds. */
  travel_ms?: number
  work_ms?: number
  gather_ms?: number
  /** Transactions after which a resume needs a snapshot. */
  history?: number
  /** Whether to send a snapshot now and then where changes would do. */
  fickle?: boolean
  /** Rows at most in an answer, as where a message would become too large. */
  rows_most?: number
}

const refusal = (code: string, message: string, more: Json = {}): Fault => ({
  fault: { code, message, retry: code === 'conflict' ? 'refetch' : code === 'unavailable' ? 'same_key' : 'never', ...more },
})

export class ModelServer {
  revision = 0
  epoch = 'one'
  rows = new Map<string, ModelRow>()
  connections = new Set<Connection>()
  /** Whether connections are taken. */
  up = true
  /** Nothing arrives on the connections that there are, and nobody is told: a link that is half open. */
  frozen = new Set<Connection>()
  /** How many of each were carried out, for tests that count. */
  counts = { opened: 0, hello: 0, subscribe: 0, unsubscribe: 0, snapshot: 0, request: new Map<string, number>() }
  /** Refuses what it names: tests set it. */
  refuse: (op: string, input: Json) => Json | undefined = () => undefined
  readonly options: Required<ModelOptions>
  private log: { revision: number; id: string; before: ModelRow | undefined }[] = []
  private replies = new Map<string, { op: string; input: string; output: unknown; as_of: number }>()
  private made = 0

  constructor(options: ModelOptions = {}) {
    this.options = { random: () => 0, travel_ms: 0, work_ms: 0, gather_ms: 0, history: 1000, fickle: false, rows_most: 500, ...options }
  }

  /** How a client of this user reaches it. */
  transport(user = 'ada'): Transport {
    return { open: (handlers) => new Connection(this, user, handlers) }
  }

  /** Ends every connection, or those of a user. What had arrived is still carried out. */
  drop(user?: string): void {
    for (const connection of [...this.connections]) if (!user || connection.user === user) connection.end(1006)
  }

  freeze(): void {
    this.connections.forEach((connection) => this.frozen.add(connection))
  }

  /** Another database under the same address, with these rows. */
  restore(rows: ModelRow[], revision: number): void {
    this.epoch += '+'
    ;[this.revision, this.log, this.replies] = [revision, [], new Map()]
    this.rows = new Map(rows.map((row) => [row.id, row]))
    this.drop()
  }

  soon(most: number, what: () => void): void {
    setTimeout(what, Math.floor(this.options.random() * (most + 1)))
  }

  /** What a read answers now, or as it was at a revision that is remembered. */
  read(op: string, input: Json, revision = this.revision): any {
    const rows = new Map(this.rows)
    for (const entry of [...this.log].reverse()) {
      if (entry.revision <= revision) break
      if (entry.before) rows.set(entry.id, entry.before)
      else rows.delete(entry.id)
    }
    const own = [...rows.values()].filter((row) => row.collection === input.collection)
    if (op === 'record.get') return own.find((row) => row.id === input.id) ?? refusal('not_found', 'no such record')
    const matching = own.filter((row) => holds(input.filter, row))
    if (op === 'record.aggregate') return { rows: matching.length || !input.groups ? [{ groups: [], ...Object.fromEntries(input.measures.map((measure: Json) => [measure.name, matching.length])) }] : [] }
    if (op !== 'record.list') return refusal('unknown_operation', op)
    const most = input.cursor === undefined ? 500 : 200
    const limit = input.limit ?? 50
    if (limit < 1 || limit > most) return refusal('invalid', 'limit', { fields: [{ path: 'limit', code: 'range', message: `1 to ${most}` }] })
    const sort = [...(input.sort ?? []), { field: 'id' }]
    const after = input.cursor === undefined ? undefined : (JSON.parse(input.cursor) as unknown[])
    const key = (row: ModelRow) => sort.map((by: Json) => valueOf(row, by.field))
    const sorted = matching.sort((a, b) => order(sort, key(a), key(b))).filter((row) => !after || order(sort, after, key(row)) < 0)
    const items = sorted.slice(0, Math.min(limit, this.options.rows_most))
    const page: Page = { items }
    if (items.length < sorted.length) page.next = JSON.stringify(key(items.at(-1)!))
    if (input.count) page.total = matching.length
    return page
  }

  /** Carries a mutation out. */
  write(op: string, input: Json, user = 'server'): { output: unknown; as_of: number } | Fault {
    if (op === 'record.batch') {
      const results: unknown[] = []
      for (const element of input.operations as Json[]) {
        const [verb, one] = Object.entries(element)[0] as [string, Json]
        const result = this.write(`record.${verb}`, one, user)
        if ('fault' in result) return result
        results.push(result.output)
      }
      return { output: { results }, as_of: this.revision }
    }
    const row = this.rows.get(input.id)
    if (op === 'record.create') {
      if (row) return refusal('conflict', 'there is one with this id', { reason: 'taken' })
      const id = input.id ?? `made-${++this.made}`
      return this.commit({ id, collection: input.collection, data: input.data, created_by: user, created_at: Date.now(), updated_at: 0, revision: 0 }, id)
    }
    if (op !== 'record.update' && op !== 'record.delete') return refusal('unknown_operation', op)
    if (!row || row.collection !== input.collection) return refusal('not_found', 'no such record')
    if (input.revision !== undefined && input.revision !== row.revision) return refusal('conflict', 'it was changed', { reason: 'revision', current: row })
    if (op === 'record.delete') return this.commit(undefined, input.id)
    const data = Object.fromEntries(Object.entries({ ...row.data, ...input.data }).filter(([, value]) => value !== null))
    return this.commit({ ...row, data }, row.id)
  }

  private commit(row: ModelRow | undefined, id: string): { output: unknown; as_of: number } {
    this.revision++
    this.log.push({ revision: this.revision, id, before: this.rows.get(id) })
    if (this.log.length > this.options.history) this.log.shift()
    const made = row && { ...row, revision: this.revision, updated_at: Date.now() }
    if (made) this.rows.set(id, made)
    else this.rows.delete(id)
    for (const connection of this.connections) connection.touched()
    return { output: made ?? {}, as_of: this.revision }
  }

  /** A request's answer. */
  answer(op: string, input: Json, key: string | undefined, user: string): { output: unknown; as_of: number } | Fault {
    this.counts.request.set(op, (this.counts.request.get(op) ?? 0) + 1)
    const refused = this.refuse(op, input)
    if (/\.(get|list|aggregate)$/.test(op)) {
      const output = refused ? { fault: refused } : this.read(op, input)
      return output.fault ? output : { output, as_of: this.revision }
    }
    if (!key) return refusal('key_required', op)
    const kept = this.replies.get(key)
    if (kept) return kept.op === op && kept.input === JSON.stringify(input) ? kept : refusal('key_reused', op)
    if (refused) return { fault: refused }
    const done = this.write(op, input, user)
    if (!('fault' in done)) this.replies.set(key, { op, input: JSON.stringify(input), ...done })
    return done
  }

  remembers(revision: number): boolean {
    return revision <= this.revision && revision >= (this.log[0] ? this.log[0].revision - 1 : this.revision)
  }
}

const HEARTBEAT_MS = 25_000

/** One socket: what the server has at its end. */
class Connection implements Link {
  private subs = new Map<number, Sub>()
  private open = false
  private ended = false
  /** When the last message arrives, each way. */
  private sent = 0
  private received = 0
  private pings: ReturnType<typeof setInterval> | undefined

  constructor(
    private readonly server: ModelServer,
    readonly user: string,
    private readonly handlers: TransportHandlers,
  ) {
    server.soon(server.options.travel_ms, () => {
      if (this.ended) return
      if (!server.up) return this.end(1006)
      this.open = true
      server.counts.opened++
      server.connections.add(this)
      handlers.opened()
    })
  }

  /** From the client. */
  send(bytes: Uint8Array): void {
    if (this.ended) return
    const frames = [...decodeMulti(bytes)] as unknown[][]
    const at = Math.max(this.received, Date.now() + Math.floor(this.server.options.random() * (this.server.options.travel_ms + 1)))
    this.received = at
    // What was sent before the connection broke may have arrived or not.
    setTimeout(() => !this.server.frozen.has(this) && (!this.ended || this.server.options.random() < 0.5) && frames.forEach((frame) => this.take(frame)), at - Date.now())
  }

  close(code = 1000): void {
    this.end(code)
  }

  end(code: number): void {
    if (this.ended) return
    this.ended = true
    this.server.connections.delete(this)
    clearInterval(this.pings)
    const { open } = this
    setTimeout(() => this.handlers.closed(code, '', !open), 0)
  }

  /** To the client: in order, after a while. */
  private tell(frame: unknown[]): void {
    const at = Math.max(this.sent, Date.now() + Math.floor(this.server.options.random() * (this.server.options.travel_ms + 1)))
    this.sent = at
    const bytes = encode(frame, { ignoreUndefined: true })
    setTimeout(() => !this.ended && !this.server.frozen.has(this) && this.handlers.message(bytes), at - Date.now())
  }

  private take([kind, ...rest]: unknown[]): void {
    const { server } = this
    const { options } = server
    if (kind === 1) {
      server.counts.hello++
      this.pings = setInterval(() => this.tell([30, 0]), HEARTBEAT_MS)
      this.tell([2, {
        connection_id: `${this.user}-${server.counts.hello}`, server: { name: 'model', version: '1', build: '' }, now_at: Date.now(), epoch: server.epoch,
        principal: { kind: 'user', id: this.user, name: this.user, workspace: { id: 'w', name: 'W' }, role: 'member' },
        limits: { message_bytes: 1 << 20, row_bytes: 1 << 18, requests: 1000, subscriptions: 1000, credit_bytes: 1 << 20 },
        heartbeat_ms: HEARTBEAT_MS, features: [], reconnect: { base_ms: 20, max_ms: 200 },
      }])
    } else if (kind === 3) {
      const [id, op, input, asked] = rest as [number, string, Json, Json | undefined]
      server.soon(options.work_ms, () => {
        // What has arrived is carried out, whether or not anybody hears the answer.
        const answer = server.answer(op, input, asked?.key, this.user)
        server.soon(options.work_ms, () => this.tell('fault' in answer ? [5, id, answer.fault] : [4, id, answer.output, { as_of: answer.as_of }]))
      })
    } else if (kind === 10) {
      const [id, target, asked] = rest as [number, { query: { op: string; input: Json } }, Json | undefined]
      if (!target.query) return
      server.counts.subscribe++
      server.soon(options.work_ms, () => this.begin(id, target.query.op, target.query.input, asked?.from))
    } else if (kind === 16) {
      server.counts.unsubscribe++
      this.subs.delete(rest[0] as number)
      this.gone.add(rest[0] as number)
    } else if (kind === 30) {
      this.tell([31, rest[0]])
    }
  }
  private gone = new Set<number>()

  private begin(id: number, op: string, input: Json, from: number | undefined): void {
    const { server } = this
    if (this.gone.has(id) || this.ended) return
    const output = server.refuse(op, input) ? { fault: server.refuse(op, input) } : server.read(op, input)
    if (output.fault) return this.tell([14, id, 0, { why: 'refused', fault: output.fault }])
    const resumes = from !== undefined && server.remembers(from) && !(server.options.fickle && server.options.random() < 0.2)
    const then = resumes ? server.read(op, input, from) : undefined
    const sub: Sub = { op, input, position: from ?? 0, output: then?.fault ? undefined : then, waits: false }
    this.subs.set(id, sub)
    this.tell([11, id, { revision: sub.output ? from : server.revision, snapshot: !sub.output }])
    this.evaluate(id)
  }

  /** Something was committed. */
  touched(): void {
    for (const [id, sub] of this.subs) {
      if (sub.waits) continue
      sub.waits = true
      this.server.soon(this.server.options.gather_ms, () => this.evaluate(id))
    }
  }

  private evaluate(id: number): void {
    const sub = this.subs.get(id)
    const { server } = this
    if (!sub || this.ended) return
    sub.waits = false
    const output = server.read(sub.op, sub.input)
    if (output.fault) {
      this.subs.delete(id)
      return this.tell([14, id, sub.position, { why: 'deleted' }])
    }
    if (!sub.output) {
      // A snapshot is read when it is sent.
      server.counts.snapshot++
      this.tell([13, id, server.revision, output])
    } else {
      const changes = difference(sub.output, output)
      if (!changes.length) return
      this.tell([12, id, server.revision, server.revision - sub.position, changes])
    }
    ;[sub.output, sub.position] = [output, server.revision]
  }
}

/** The changes that lead from one output to another. */
function difference(before: any, after: any): Json[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return []
  if (!after.items) return [{ value: after }]
  const rows: ModelRow[] = [...before.items]
  const changes: Json[] = []
  for (const row of before.items as ModelRow[]) {
    if (after.items.some((other: ModelRow) => other.id === row.id)) continue
    changes.push({ remove: row.id })
    rows.splice(rows.indexOf(row), 1)
  }
  for (let place = after.items.length - 1; place >= 0; place--) {
    const [row, next] = [after.items[place] as ModelRow, after.items[place + 1] as ModelRow | undefined]
    const at = rows.findIndex((other) => other.id === row.id)
    if (at >= 0 && rows[at]!.revision === row.revision && rows[at + 1]?.id === next?.id) continue
    if (at >= 0) rows.splice(at, 1)
    rows.splice(next ? rows.findIndex((other) => other.id === next.id) : rows.length, 0, row)
    changes.push({ put: row, before: next?.id ?? null })
  }
  if (before.next !== after.next) changes.push({ next: after.next ?? null })
  if (before.total !== after.total) changes.push({ total: after.total })
  return changes
}

const OWN = new Set(['id', 'revision', 'created_at', 'updated_at', 'created_by'])
const valueOf = (row: ModelRow, field: string): any => (OWN.has(field) ? (row as unknown as Json)[field] : row.data[field]) ?? null

function holds(filter: any, row: ModelRow): boolean {
  if (!filter) return true
  if (filter.all) return filter.all.every((one: any) => holds(one, row))
  if (filter.any) return filter.any.some((one: any) => holds(one, row))
  if (filter.not) return !holds(filter.not, row)
  const value = valueOf(row, filter.field)
  if ('eq' in filter) return value === filter.eq
  if ('ne' in filter) return value !== filter.ne
  if (value === null) return false
  if ('in' in filter) return filter.in.includes(value)
  if ('contains' in filter) return value.includes(filter.contains)
  if ('lt' in filter) return value < filter.lt
  if ('lte' in filter) return value <= filter.lte
  if ('gt' in filter) return value > filter.gt
  return value >= filter.gte
}

function order(sort: Json[], a: any[], b: any[]): number {
  for (let at = 0; at < sort.length; at++) {
    if (a[at] === b[at]) continue
    if (a[at] === null || b[at] === null) return a[at] === null ? 1 : -1
    return a[at] < b[at] === !sort[at]!.descending ? -1 : 1
  }
  return 0
}
