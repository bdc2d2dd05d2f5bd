/** The one connection of a client: opened when there is something to say, kept alive, and made anew until that is of no use. */
import { KINDS, type Ended, type Fault, type Goaway, type Hello, type Notice, type Principal, type SignedIn, type Welcome } from '../protocol.js'
import type { Channel, Subscription } from './channel.js'
import { CrewlineError, type ErrorCode } from './error.js'
import { type Followed, leave, subscribe, tell, unsubscribe } from './follows.js'
import { cell } from './readable.js'
import { createSocket, later, say, type Socket } from './socket.js'
import type { Transport } from './transport.js'
import type { Auth, AuthReason, ConnectionState, Readable } from './types.js'
import { onWake } from './wakes.js'
import { type Frame, read } from './wire.js'

/** How long a server may take to be reached and to say welcome. */
const WELCOME_MS = 15_000
/** How long a client that wakes gives the other side to answer. */
const PROBE_MS = 3_000
/** A connection that was open for so long has begun well: the next loss is a new one. */
const STEADY_MS = 10_000

export interface ConnectionOptions {
  transport: Transport
  auth: Auth
  workspace?: string
  client: { name: string; version: string }
  /** Bounds of the waits between tries; absent: as the server says. */
  base_ms?: number | undefined
  max_ms?: number | undefined
}

/** A request that waits for its answer. It is sent when there is a connection, and again after a lost one. */
export interface Request {
  op: string
  input: unknown
  options: { key?: string; timeout_ms?: number; trace?: string }
  /** Whether it may wait for a connection, and be sent again on the next. */
  waits: boolean
  answered(output: unknown, as_of: number | null): void
  refused(error: CrewlineError): void
}

export interface Connection extends Channel {
  readonly state: Readable<ConnectionState>
  connect(): void
  send(request: Request): void
  /** Takes a request back: the server is asked to stop. */
  cancel(request: Request): void
  /**
   * Called after each `welcome` to somebody, before anything that waits is sent, and after each sign-in. `owner`: who it is, and where; `another`:
   * not the same as before.
   */
  onOpen(listener: (owner: string, another: boolean) => void): void
  close(): void
}

export function createConnection(options: ConnectionOptions): Connection {
  const { transport, client, workspace } = options
  const state = cell<ConnectionState>({ status: 'idle' })
  const waiting = new Set<Request>()
  const follows = new Set<Followed>()
  const openListeners = new Set<Parameters<Connection['onOpen']>[0]>()
  const sockets = new Set<Socket>()
  let current: Socket | null = null
  /** What takes the place of one that the server leaves, once it is welcomed. */
  let next: Socket | null = null
  let welcome: Welcome | null = null
  /** Who was signed in last, and where; empty: nobody yet. */
  let owner = ''
  let reason: AuthReason = 'initial'
  let attempt = 0
  let rejected = 0
  let lastClose: Hello['last_close']
  let timer: ReturnType<typeof setTimeout> | undefined
  let reconnect = pace()
  let ended = false

  // -- Opening

  function connect(): void {
    if (ended || current || state.get().status === 'connecting') return
    clearTimeout(timer)
    // Whoever signs in anew has a token that nobody has refused.
    if (state.get().status === 'stopped') {
      rejected = 0
      reason = 'initial'
    }
    open(null)
  }

  /** Opens a socket; `old` is the one that it takes the place of. */
  function open(old: Socket | null): void {
    if (!old) state.set({ status: 'connecting', attempt })
    const asked = reason
    Promise.resolve()
      .then(() => options.auth({ reason: asked }))
      .then(
        (token) => {
          if (ended || current !== old || (!old && state.get().status !== 'connecting')) return
          if (token === null && asked === 'rejected') return stop('signed_out', new CrewlineError('unauthenticated', 'the server refused the token, and `auth` gave no other: sign in again'))
          dial(token, old)
        },
        (cause: unknown) => {
          if (old) return succeed(old)
          if (ended || current) return
          // Whoever gives tokens may be away too: that is no reason to sign anybody out.
          reason = asked
          wait(delay(), cause instanceof CrewlineError ? cause : new CrewlineError('unreachable', `\`auth\` gave no token: ${String(cause)}`, undefined, { cause }))
        },
      )
  }

  /** An old connection goes on as long as it may; another is tried for until then. */
  function succeed(old: Socket): void {
    later(old, delay(attempt++), () => open(old))
  }

  function dial(token: string | null, old: Socket | null): void {
    const socket = createSocket()
    if (old) next = socket
    else current = socket
    sockets.add(socket)
    const hello: Hello = { client }
    if (token !== null) hello.access_token = token
    if (workspace !== undefined) hello.workspace_id = workspace
    if (lastClose) hello.last_close = lastClose
    socket.link = transport.open({
      opened: () => say(socket, [KINDS.hello, hello]),
      message(bytes) {
        socket.heard = Date.now()
        // What was given up may still speak.
        const sound = read(bytes, (frame, size) => socket.link && hear(socket, frame, size))
        if (!sound) lose(socket, 1006, new CrewlineError('malformed', 'the server sent what this client can’t read: is one of them much older than the other?'))
      },
      closed(code, _reason, failed) {
        const fault = socket.fault
        lose(socket, code, failed
          ? unreachable()
          : fault ? CrewlineError.of(fault) : new CrewlineError(faultOf(code), `the connection was lost (${code})`))
      },
    })
    later(socket, WELCOME_MS, () => socket.welcomed || lose(socket, 1006, unreachable()))
  }

  // -- Hearing

  function hear(socket: Socket, frame: Frame, size: number): void {
    const [kind, a, b, c, d] = frame as [number, any, any, any, any]
    switch (kind) {
      case KINDS.welcome:
        return welcomed(socket, a as Welcome)
      case KINDS.reply: {
        const request = taken(socket, a)
        if (socket === current && request?.op.startsWith('auth.') && (b as SignedIn).principal) signedIn((b as SignedIn).principal)
        return request?.answered(b, c?.as_of ?? null)
      }
      case KINDS.fault: {
        if (a === 0) {
          socket.fault = b as Fault
          return
        }
        return taken(socket, a)?.refused(CrewlineError.of(b as Fault))
      }
      case KINDS.ping:
        return say(socket, [KINDS.pong, a])
      case KINDS.notice:
        return noticed(socket, a as Notice)
      case KINDS.goaway:
        return goaway(socket, a as Goaway)
      case KINDS.pong:
        return
      default: {
        const followed = socket.subs.get(a as number)
        // The connection's credit holds nobody up: each subscription's own does.
        if (kind === KINDS.events || kind === KINDS.snapshot) say(socket, [KINDS.credit, 0, size])
        if (!followed) return
        if (kind === KINDS.ended) {
          leave(followed)
          const { why, fault } = c as Ended
          // What was open once is opened again, however long that takes.
          if (why === 'server' || ((followed.begun || socket.leaving) && /after|same_key/.test(fault?.retry ?? ''))) {
            const ms = followed.tries++ && delay(followed.tries)
            later(socket, Math.max(ms, fault?.retry_after_ms ?? 0), () => begin(followed))
            return followed.subscriber.lost?.()
          }
          follows.delete(followed)
          followed.subscriber.ended(b, c as Ended)
        } else tell(followed, kind, b, c, d, size)
      }
    }
  }

  function taken(socket: Socket, id: number): Request | undefined {
    const request = socket.asked.get(id)
    socket.asked.delete(id)
    retire(socket)
    return request
  }

  /** Leaves one in whose place another is, when nothing is under way on it. */
  function retire(socket: Socket): void {
    if (socket !== current && socket.asked.size === 0) socket.link?.close(1000)
  }

  function welcomed(socket: Socket, body: Welcome): void {
    const old = current!
    welcome = body
    socket.welcomed = true
    socket.since = Date.now()
    socket.most = body.limits.message_bytes
    rejected = 0
    reason = 'initial'
    reconnect = pace(body)
    current = socket
    next = null
    signedIn(body.principal ?? null)
    resume()
    for (const followed of [...follows]) {
      leave(followed)
      begin(followed)
    }
    retire(old)
    watch(socket)
  }

  function signedIn(principal: Principal | null): void {
    become(principal)
    if (!principal) return
    const before = owner
    owner = `${principal.id}/${principal.workspace.id}`
    for (const listener of openListeners) listener(owner, !!before && before !== owner)
  }

  function become(principal: Principal | null): void {
    const { name, version } = welcome!.server
    state.set({ status: 'open', principal, server: { name, version }, since: current!.since })
  }

  function noticed(socket: Socket, notice: Notice): void {
    if (notice.type === 'principal_changed') return become(notice.principal)
    renew(socket, notice.expires_at)
  }

  function renew(socket: Socket, expires_at: number): void {
    // Halfway to its end: one that lives for less than it is told ahead would be renewed without end.
    later(socket, Math.min(expires_at - Date.now(), 60_000) / 2, async () => {
      try {
        const access_token = await options.auth({ reason: 'expiring' })
        const ignore = (): void => {}
        if (access_token !== null && socket === current) send({ op: 'auth.authenticate', input: { access_token }, options: {}, waits: false, answered: ignore, refused: ignore })
      } catch {
        // Who gives tokens is asked again while there is time. After that the token's end closes the connection, and a new one is asked for.
        if (expires_at - Date.now() > 1_000) renew(socket, expires_at)
      }
    })
  }

  function goaway(socket: Socket, body: Goaway): void {
    if (socket !== current || socket.leaving) return
    socket.leaving = true
    later(socket, Math.random() * body.reconnect_within_ms, () => open(socket))
    later(socket, body.drain_ms, () => socket.link?.close(1000))
  }

  // -- Losing

  function lose(socket: Socket, code: number, error: CrewlineError): void {
    const { link } = socket
    if (!link) return
    socket.link = null
    sockets.delete(socket)
    socket.timers.forEach(clearTimeout)
    for (const request of socket.asked.values()) {
      if (request.waits) waiting.add(request)
      else request.refused(error)
    }
    socket.asked.clear()
    for (const followed of [...socket.subs.values()]) {
      leave(followed)
      followed.subscriber.lost?.()
    }
    link.close(1000)
    if (socket === next) {
      next = null
      return succeed(current!)
    }
    if (socket !== current) return resume()
    current = null
    lastClose = { code, at: Date.now() }
    const steady = socket.welcomed && Date.now() - socket.since >= STEADY_MS
    if (steady) attempt = 0
    const then = after(code)
    if (next && then !== 'stop') {
      current = next
      next = null
      return state.set({ status: 'connecting', attempt })
    }
    switch (then) {
      case 'stop':
        return stop(code === 4201 ? 'signed_out' : 'refused', error)
      case 'sign_in':
        // Nobody has signed in, and nobody has said anything.
        if (code === 4102 && !needed()) return void state.set({ status: 'idle' })
        reason = 'rejected'
        if (++rejected > 1) return stop('signed_out', error)
        return wait(0, error)
      case 'back_off':
        return wait(delay(30), error)
      default:
        if (code === 1000 && !needed()) return void state.set({ status: 'idle' })
        return wait(delay(), error)
    }
  }

  function pace(body?: Welcome): Welcome['reconnect'] {
    return { base_ms: options.base_ms ?? body?.reconnect.base_ms ?? 500, max_ms: options.max_ms ?? body?.reconnect.max_ms ?? 30_000 }
  }

  function needed(): boolean {
    return waiting.size > 0 || follows.size > 0
  }

  /** Full jitter over a bound that doubles with every try. */
  function delay(tries = attempt): number {
    return Math.random() * Math.min(reconnect.max_ms, reconnect.base_ms * 2 ** Math.min(tries, 30))
  }

  function wait(ms: number, error: CrewlineError): void {
    attempt++
    state.set({ status: 'waiting', attempt, retry_at: Date.now() + ms, error })
    for (const request of [...waiting]) {
      if (!request.waits) drop(request, error)
    }
    clearTimeout(timer)
    timer = setTimeout(() => open(null), ms)
  }

  function stop(why: 'signed_out' | 'closed' | 'refused', error: CrewlineError | null): void {
    clearTimeout(timer)
    current = next = null
    state.set({ status: 'stopped', why, error })
    const told = error ?? closed()
    for (const socket of sockets) lose(socket, 1000, told)
    for (const request of [...waiting]) drop(request, told)
    for (const followed of [...follows]) {
      follows.delete(followed)
      leave(followed)
      followed.subscriber.failed(told)
    }
  }

  function drop(request: Request, error: CrewlineError): void {
    waiting.delete(request)
    request.refused(error)
  }

  // -- Staying alive

  function watch(socket: Socket): void {
    const beat = welcome!.heartbeat_ms
    const check = (): void => {
      if (!socket.link) return
      const silent = Date.now() - socket.heard
      if (silent >= 2 * beat) return lose(socket, 4003, new CrewlineError('disconnected', 'nothing was heard from the server for two heartbeats'))
      later(socket, 2 * beat - silent, check)
    }
    later(socket, 2 * beat, check)
  }

  /** After a sleep the socket may be dead without anybody having said so. */
  function woke(): void {
    const socket = current
    if (state.get().status === 'waiting') {
      clearTimeout(timer)
      return open(null)
    }
    if (!socket?.welcomed) return
    const asked = Date.now()
    say(socket, [KINDS.ping, asked])
    later(socket, PROBE_MS, () => {
      if (socket.heard < asked) lose(socket, 4003, new CrewlineError('disconnected', 'the connection did not survive a pause'))
    })
  }

  const sleep = onWake(woke)

  // -- Saying

  function ask(socket: Socket, request: Request): void {
    waiting.delete(request)
    const { op, input, options } = request
    const id = ++socket.id
    try {
      say(socket, [KINDS.request, id, op, input, options], `the input of \`${op}\``)
      socket.asked.set(id, request)
    } catch (error) {
      request.refused(error as CrewlineError)
    }
  }

  /** The socket on which something new may be begun. */
  function ready(): Socket | null {
    return current?.welcomed && !current.leaving ? current : null
  }

  /** Sends what waits. */
  function resume(): void {
    const socket = ready()
    if (socket) for (const request of [...waiting]) ask(socket, request)
  }

  function send(request: Request): void {
    const now = state.get()
    // Who signs in makes a new beginning.
    if (now.status === 'stopped' && (ended || !request.op.startsWith('auth.'))) return request.refused(now.error ?? closed())
    const socket = ready()
    if (socket) return ask(socket, request)
    if (!request.waits && (now.status === 'waiting' || now.status === 'stopped')) return request.refused(now.error ?? closed())
    waiting.add(request)
    if (now.status !== 'waiting') connect()
  }

  function cancel(request: Request): void {
    waiting.delete(request)
    for (const socket of sockets) {
      for (const [id, asked] of socket.asked) {
        if (asked === request) {
          say(socket, [KINDS.cancel, id])
          taken(socket, id)
        }
      }
    }
  }

  // -- Following

  function begin(followed: Followed): void {
    const socket = ready()
    if (socket && follows.has(followed) && !followed.socket) orEnd(followed, () => subscribe(socket, followed))
  }

  /** Says something for what is followed; where that can't be sent, it alone ends. */
  function orEnd(followed: Followed, tell: () => void): void {
    try {
      tell()
    } catch (error) {
      follows.delete(followed)
      unsubscribe(followed)
      followed.subscriber.failed(error as CrewlineError)
    }
  }

  return {
    state,
    get epoch() {
      return `${welcome?.epoch} ${owner}`
    },
    connect() {
      const now = state.get()
      // There may be a token by now.
      if (now.status === 'open' && !now.principal) lose(current!, 1000, new CrewlineError('disconnected', 'the connection is made anew'))
      connect()
    },
    send,
    cancel,
    onOpen: (listener) => void openListeners.add(listener),
    subscribe(target, subscriber): Subscription {
      const followed: Followed = { target, subscriber, socket: null, sub: 0, begun: false, tries: 0 }
      follows.add(followed)
      queueMicrotask(() => {
        if (!follows.has(followed) || followed.socket) return
        const now = state.get()
        if (now.status === 'stopped') {
          follows.delete(followed)
          return subscriber.failed(now.error ?? closed())
        }
        begin(followed)
        if (now.status !== 'waiting') connect()
      })
      return {
        credit(bytes) {
          if (followed.socket && bytes > 0) say(followed.socket, [KINDS.credit, followed.sub, bytes])
        },
        again() {
          if (!followed.socket) return
          unsubscribe(followed)
          begin(followed)
        },
        state(value) {
          const { socket, sub } = followed
          if (socket) orEnd(followed, () => say(socket, [KINDS.presence, sub, value], 'the state'))
        },
        close() {
          if (follows.delete(followed)) unsubscribe(followed)
        },
      }
    },
    close() {
      if (ended) return
      ended = true
      sleep()
      stop('closed', null)
    },
  }
}

/** What a client does after a close. */
export function after(code: number): string {
  if (code === 4006) return 'back_off'
  return code >= 4100 && code < 4200 ? 'sign_in' : code >= 4200 && code < 4300 ? 'stop' : 'reconnect'
}

/** What a close says where no fault came before it. */
export function faultOf(code: number): ErrorCode {
  if (after(code) === 'sign_in') return 'unauthenticated'
  const told: Record<number, ErrorCode> = { 1: 'unavailable', 2: 'internal', 201: 'unauthenticated', 202: 'forbidden', 203: 'protocol_error', 204: 'unsupported_client', 205: 'not_found', 206: 'too_large' }
  return told[code - 4000] ?? 'disconnected'
}

function unreachable(): CrewlineError {
  return new CrewlineError('unreachable', 'no Crewline server answers at this address, or it refuses this page’s origin or this client’s version: look at the address, and at `origins` in the server’s settings')
}

function closed(): CrewlineError {
  return new CrewlineError('disconnected', 'the client was closed')
}
