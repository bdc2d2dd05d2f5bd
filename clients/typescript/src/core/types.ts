/** What a client offers, as users of it see it. How it is done stands in the files beside this one. */
import type { Fault, FaultCode, Operations, Principal, Retry, RunEvent } from '../protocol.js'
import type { AnyApp, AppShape, Asked, FilterOf, InputOf, LiveOpName, NameOf, OpName, OutputOf, Row, RowOf } from './app.js'
import type { CrewlineError } from './error.js'
import type { Transport } from './transport.js'

export type { AnyApp, AppShape, Asked, FilterOf, InputOf, LiveOpName, NameOf, OpName, OutputOf, Row, RowOf }

/** Something that has a value now and says when it has another: React's `useSyncExternalStore` takes it as it is. */
export interface Readable<T> {
  /** The value now: the same object as long as nothing has changed. */
  get(): T
  /** Calls `listener` after each change, until what this returns is called. */
  subscribe(listener: () => void): () => void
}

/** Why a token is asked for: at the first connection, because the one in use ends soon, or because the server refused the last one. */
export type AuthReason = 'initial' | 'expiring' | 'rejected'

/** Gives an access token or API key; `null`: nobody is signed in. `null` after `rejected` ends the connection: `signed_out`; after an error it is asked again, later each time. */
export type Auth = (ask: { reason: AuthReason }) => string | null | Promise<string | null>

/** What a client is made of; only `url` is needed. */
export interface ClientOptions {
  /** `ws://…/ws` or `wss://…/ws`; `http(s)` is taken as well, and a path is added where there is none. In a browser relative to the page. */
  url: string | URL
  /** Absent: nobody is signed in until `auth.login` or `auth.register` is called; a reconnect then goes on with the token that it gave. */
  auth?: Auth
  /** The workspace to act in; absent: the latest of the principal. */
  workspace?: string
  /** What the server's logs call this program. */
  client?: { name: string; version: string }
  /** Where mutations wait that have no answer yet. Absent: IndexedDB where there is one, else memory. */
  outbox?: OutboxStore | 'memory'
  /** How several tabs share a connection: `sharedTabs()` of `@crewline/client/worker`. Absent: a socket each. */
  tabs?: TabSharing
  /** How bytes travel: for tests, and for programs without a global `WebSocket`. */
  transport?: Transport
  /** Bounds of the waits before a reconnect, in milliseconds: full jitter is drawn below one that doubles. Absent: as the server says. */
  reconnect?: { base_ms?: number; max_ms?: number }
}

/** Makes the transport of a tab that shares its connection with others; `own` is a socket of this tab's. */
export type TabSharing = (socket: { own: Transport; url: string; workspace: string | undefined }) => Transport

/** Where a connection stands. */
export type ConnectionState =
  /** There is nothing to say: no socket. */
  | { status: 'idle' }
  | { status: 'connecting'; attempt: number }
  | { status: 'open'; principal: Principal | null; server: { name: string; version: string }; since: number }
  /** Lost, and tried again at `retry_at` (milliseconds since the epoch). */
  | { status: 'waiting'; attempt: number; retry_at: number; error: CrewlineError }
  /** Not tried again by itself: `client.connect()` does. `signed_out`: a new sign-in is needed. */
  | { status: 'stopped'; why: 'signed_out' | 'closed' | 'refused'; error: CrewlineError | null }

/** How a call is made: all of it may be left out. */
export interface CallOptions {
  /** Ends the wait, and asks the server to stop. */
  signal?: AbortSignal
  /** How long the server may take, in milliseconds. */
  timeout_ms?: number
  /** The key of a mutation that is sent again: a UUIDv7. Absent: a new one. */
  key?: string
  /** A W3C traceparent. */
  trace?: string
  /** `false`: fails as soon as there is no connection, rather than waiting for one. */
  wait?: boolean
}

/** An answer, and the workspace's revision at which it is true. */
export interface Answer<T> {
  output: T
  as_of: number | null
}

/** A read that stays true. The same operation and input are one object in a client. */
export interface LiveQuery<T = unknown> extends Readable<LiveState<T>> {
  readonly op: string
  readonly input: unknown
  /** Follows until what this returns is called; a while after the last has let go it is unsubscribed from, and what is known is kept. */
  retain(): () => void
  /** The output, once it is up to date: at once where it is. It does not retain. Rejects with the fault that ended it. */
  current(): Promise<T>
  /** Forgets everything: the next who retains it begins anew. */
  forget(): void
}

/** What is known of a live query now. */
export interface LiveState<T> {
  /** What the server said, brought up to date; a new object at each change, with rows kept as they were where they did not change. */
  output: T | undefined
  /** The workspace's revision at which it is true; -1: none yet. */
  revision: number
  /** `idle`: nobody follows it. `stale`: followed, and not known to be up to date (opening, or the connection is lost). `ended`: see `error`. */
  status: 'idle' | 'stale' | 'live' | 'ended'
  error: CrewlineError | null
}

/** How a run is followed: all of it may be left out. */
export interface FollowOptions {
  /** The last offset that was applied; absent: 0, from the start. */
  from?: number
  /** Only events of these types. */
  only?: readonly RunEvent['type'][]
  /** Bytes that the server may send ahead of what was consumed; absent: 256 KiB. */
  credit?: number
  signal?: AbortSignal
}

/** What takes effect at once: store `offset` together with what is made of the events, and every event takes effect exactly once. */
export interface RunFrame {
  /** The last offset that this reaches. */
  offset: number
  /** How many offsets it spans. */
  span: number
  events: readonly RunEvent[]
}

/**
 * A run's stream. It survives reconnects; it ends when the run has finished and all was read; it throws a `CrewlineError` where it can't go on:
 * `conflict` where the server was restored and has less of the run than was read.
 */
export interface RunStream extends AsyncIterable<RunEvent> {
  /** The last offset whose event, with all before it, was consumed. */
  readonly offset: number
  /** Frame by frame: credit is given back when the next is asked for. Use this or the events, once. */
  frames(): AsyncIterable<RunFrame>
  close(): void
}

/** Somebody in a session: one entry a connection, so that a person with two tabs is there twice. */
export interface PresentMember {
  connection_id: string
  principal: { kind: string; id: string; name: string }
  state: Record<string, unknown>
}

/** Who else is in a session, as long as one is there oneself. */
export interface Presence extends Readable<readonly PresentMember[]> {
  /** Why one is not there any more, such as `too_large` for a state; `null`: one is, or will be when there is a connection. */
  readonly error: CrewlineError | null
  /** Sets one's own state: at most 1 KiB. What changes fast is sent at most every 50 ms. */
  update(state: Record<string, unknown>): void
  close(): void
}

/** A mutation that has no answer yet, or that the server refused when nobody waited for its answer any more. */
export interface OutboxEntry {
  key: string
  op: string
  input: unknown
  /** Milliseconds since the epoch. */
  at: number
  status: 'waiting' | 'refused'
  /** Why it was refused. */
  error: CrewlineError | null
  /** Whose it is: `principal id/workspace id`; absent while nobody has signed in. */
  owner?: string
}

/** The mutations that have no answer yet, oldest first: they survive a lost connection, and a reload where there is IndexedDB. */
export interface Outbox extends Readable<readonly OutboxEntry[]> {
  /** Sends a refused one again, under a new key, with another input where one is given. */
  retry(key: string, input?: unknown): void
  /** Gives one up. One that was sent may have happened. */
  discard(key: string): void
  /** The answer of one that waits, whoever made it, also before the page was loaded again. Rejects when it is refused or discarded. */
  answer(key: string): Promise<Answer<unknown>>
}

/** Keeps entries beyond a reload. */
export interface OutboxStore {
  load(): Promise<OutboxEntry[]>
  save(entry: OutboxEntry): Promise<void>
  remove(key: string): Promise<void>
}

/** A client of an app, as those take it who find out the app from it. */
export type ClientOf<A extends AppShape> = Pick<Client, 'connection' | 'outbox'> & { readonly app?: A }

/** A client of one server, acting in one workspace. */
export interface Client<in out A extends AppShape = AnyApp> {
  /** What it is a client of: a type, never a value. */
  readonly app?: A
  /** Where the connection stands. */
  readonly connection: Readable<ConnectionState>
  /** Mutations that have no answer yet. */
  readonly outbox: Outbox
  /** Opens the socket: now, again after `stopped`, and anew where nobody is signed in on it. Whatever is called opens it too, where there is none. */
  connect(): void
  /** Carries an operation out. `C` is the collection or crew that the input names. */
  call<Op extends OpName, C extends NameOf<A, Op> = NameOf<A, Op>>(op: Op, input: Asked<A, Op, C>, options?: CallOptions): Promise<OutputOf<A, Op, C>>
  /** The same with the revision of the answer. */
  ask<Op extends OpName, C extends NameOf<A, Op> = NameOf<A, Op>>(op: Op, input: Asked<A, Op, C>, options?: CallOptions): Promise<Answer<OutputOf<A, Op, C>>>
  /** A read that stays true, once it is retained: the same object for the same operation and input. */
  live<Op extends LiveOpName, C extends NameOf<A, Op> = NameOf<A, Op>>(op: Op, input: Asked<A, Op, C>): LiveQuery<OutputOf<A, Op, C>>
  /** A run's events, from its start or from `options.from`, to its end. */
  followRun(id: string, options?: FollowOptions): RunStream
  /** Is in a session until it is closed, and tells who else is. */
  presence(session_id: string): Presence
  /** Ends it: the socket is closed, and whatever waits is rejected with `disconnected`. */
  close(): void
}

export type { Fault, FaultCode, Operations, Principal, Retry, RunEvent }
