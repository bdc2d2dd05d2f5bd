import { decode } from '@msgpack/msgpack'
import { KINDS, type Fault, type LiveChange, type RunEvent } from '../protocol.js'
import { canonical } from '../core/live.js'
import { eachFrame } from '../core/frames.js'
import type { Transport, TransportHandlers } from '../core/transport.js'
import { type Frame, write } from '../core/wire.js'
import type { Script, ScriptedAnswer, ScriptedMember } from './script.js'

/** A call as it came. */
export interface Received {
  op: string
  input: unknown
  key?: string
}

/** A server that a test holds in its hand. */
export interface ScriptedServer {
  /** For `createClient({ url, transport: server.transport })`: no network is used. */
  readonly transport: Transport
  /** Every call so far, those that came again included. */
  readonly received: readonly Received[]
  /** Connections made so far. */
  readonly connections: number
  /** Changes to whoever follows this operation, and to who follows it later: one more revision. Throws where the script has no such query. */
  push(op: string, changes: LiveChange[]): void
  /** Events to whoever follows this run, and to who follows it later. Throws where the script has no such run. */
  append(run: string, events: RunEvent[]): void
  /** A run ends: nothing comes after what there is. */
  complete(run: string): void
  /** Ends what is followed, an operation or a run, for this reason: it is not followed again by itself. Throws where the script has neither. */
  end(followed: string, fault: Partial<Fault> & Pick<Fault, 'code'>): void
  /** Somebody comes into a session, changes their state, or leaves: `null`. */
  present(session_id: string, member: ScriptedMember): void
  /** The connection is lost. */
  drop(): void
  /** The server closes the connection with this code; a fault before it says why. */
  close(code: number, fault?: Partial<Fault> & Pick<Fault, 'code'>): void
  /** Changes the script for what comes from now on. */
  script(change: Partial<Script>): void
}

const PRINCIPAL = {
  kind: 'user', id: '018bcfe5-6800-7707-8707-070707070707', name: 'Test', email: 'test@example.com', role: 'owner',
  workspace: { id: '018bcfe5-6800-7707-8707-070707070708', name: 'Tests' },
}
const LIMITS = { message_bytes: 1 << 20, row_bytes: 1 << 18, requests: 256, subscriptions: 256, credit_bytes: 1 << 20 }

/** A query that is followed: what it was at first, and its changes since, a revision each. */
interface Query {
  op: string
  output: unknown
  log: LiveChange[][]
  from: number
}

/** A run's log. */
interface Log {
  events: RunEvent[]
  complete: boolean
}

/**
 * A server for tests that does what a script says, in memory, over the same frames as a real one. The script is data, which may stand in a JSON file,
 * or is made by a function of the server. Timers are the environment's own: fake ones work. Credit is not counted, and texts are not merged.
 */
export function createScriptedServer(script: Script | ((server: ScriptedServer) => Script) = {}): ScriptedServer {
  const said: Script = {}
  const received: Received[] = []
  const logs = new Map<string, Log>()
  const queries = new Map<string, Query>()
  const turns = new Map<string, number>()
  const connections = new Set<Connection>()
  let made = 0
  let revision = 1
  /** All changes since the queries were scripted, a revision each: who follows later is told them too. */
  let pushed: { name: string; changes: LiveChange[] }[] = []

  interface Connection {
    subs: Map<number, { run?: string; query?: string; session?: string; only?: string[]; at: number }>
    say(...frames: Frame[]): void
    end(code: number): void
  }

  /** Steps are played once, from when they are first asked for. */
  function play<T extends { delay_ms?: number; drop?: true | number }>(steps: readonly T[], take: (step: T) => void): void {
    const [step, ...rest] = steps
    if (!step) return
    const next = (): void => {
      if (step.drop) lose(step.drop)
      take(step)
      play(rest, take)
    }
    if (step.delay_ms) setTimeout(next, step.delay_ms)
    else next()
  }

  const lose = (how: true | number): void => connections.forEach((connection) => connection.end(how === true ? 1006 : how))

  function log(run: string): Log | undefined {
    const known = logs.get(run)
    const scripted = said.runs?.[run]
    if (known || !scripted) return known
    const begun: Log = { events: [], complete: false }
    logs.set(run, begun)
    play([...scripted.steps, ...(scripted.open ? [] : [{ end: true }])] as ({ delay_ms?: number; events?: RunEvent[]; end?: true })[], (step) => {
      if (step.end) complete(run)
      else append(run, step.events ?? [])
    })
    return begun
  }

  function append(run: string, events: RunEvent[]): void {
    const known = log(run)
    if (!known) throw absent('run', run, 'runs')
    known.events.push(...events)
    tell(run)
  }

  function complete(run: string): void {
    const known = log(run)
    if (!known) throw absent('run', run, 'runs')
    known.complete = true
    tell(run)
  }

  /** Brings those who follow a run up to its end. */
  function tell(run: string): void {
    const known = logs.get(run)!
    for (const connection of connections) {
      for (const [sub, followed] of connection.subs) {
        if (followed.run !== run) continue
        const head = known.events.length
        if (head > followed.at) connection.say([KINDS.events, sub, head, head - followed.at, wanted(known.events.slice(followed.at), followed.only)])
        followed.at = head
        if (!known.complete) continue
        connection.say([KINDS.ended, sub, head, { why: 'complete' }])
        connection.subs.delete(sub)
      }
    }
  }

  const asked = (name: string): boolean =>
    !!said.queries?.some(({ op }) => op === name) || [...queries].some(([key, { op }]) => key === name || op === name)

  function push(name: string, changes: LiveChange[]): void {
    if (!asked(name)) throw absent('query', name, 'queries')
    revision++
    pushed.push({ name, changes })
    for (const [key, query] of queries) {
      const touched = query.op === name || key === name
      query.log.push(touched ? changes : [])
      for (const connection of connections) {
        for (const [sub, followed] of connection.subs) {
          if (followed.query !== key) continue
          if (touched) {
            connection.say([KINDS.events, sub, revision, revision - followed.at, changes])
            followed.at = revision
          }
        }
      }
    }
  }

  function answer(op: string): ScriptedAnswer {
    const answers = said.calls?.[op]
    if (answers === undefined || (Array.isArray(answers) && answers.length === 0)) {
      if (op === 'auth.me') return said.principal === null ? { fault: { code: 'unauthenticated', retry: 'sign_in' } } : { output: said.principal ?? PRINCIPAL }
      return { fault: { code: 'unknown_operation', message: `the script has no answer to \`${op}\`: add it under \`calls\`` } }
    }
    if (!Array.isArray(answers)) return answers
    const turn = turns.get(op) ?? 0
    turns.set(op, turn + 1)
    return answers[Math.min(turn, answers.length - 1)]!
  }

  function called(connection: Connection, id: number, op: string): void {
    const given = answer(op)
    const give = (): void => {
      if ('drop' in given) lose(given.drop)
      else if ('fault' in given) connection.say([KINDS.fault, id, whole(given.fault)])
      else connection.say([KINDS.reply, id, given.output, { as_of: given.as_of ?? revision }])
    }
    if (given.delay_ms) setTimeout(give, given.delay_ms)
    else give()
  }

  function subscribe(connection: Connection, sub: number, target: Record<string, any>, from: number | undefined): void {
    const refuse = (code: Fault['code'], message: string): void =>
      connection.say([KINDS.ended, sub, 0, { why: 'refused', fault: whole({ code, message }) }])
    if (target.presence) {
      const session: string = target.presence.session_id
      connection.subs.set(sub, { session, at: 0 })
      connection.say([KINDS.subscribed, sub, {}])
      for (const { state = {}, ...member } of said.presence?.[session] ?? []) connection.say([KINDS.presence, sub, member, state])
      return
    }
    if (target.run) {
      const known = log(target.run)
      if (!known) return refuse('not_found', `the script has no run \`${target.run}\`: add it under \`runs\``)
      connection.subs.set(sub, { run: target.run, only: target.only, at: from ?? 0 })
      connection.say([KINDS.subscribed, sub, { from: from ?? 0, head: known.events.length, complete: known.complete }])
      return tell(target.run)
    }
    const { op, input } = target.query
    const key = `${op} ${canonical(input)}`
    let query = queries.get(key)
    if (!query) {
      const scripted = said.queries?.find((one) => one.op === op && (one.input === undefined || canonical(one.input) === canonical(input)))
      if (!scripted) return refuse('unknown_operation', `the script has no query \`${op}\`: add it under \`queries\``)
      const log = pushed.map(({ name, changes }) => (name === op ? changes : []))
      query = { op, output: scripted.output, log, from: revision - log.length }
      queries.set(key, query)
      play(scripted.steps ?? [], (step) => step.changes && setTimeout(() => push(key, step.changes!)))
    }
    connection.subs.set(sub, { query: key, at: revision })
    if (from !== undefined && from >= query.from && from <= revision) {
      connection.say([KINDS.subscribed, sub, { revision, snapshot: false }])
      const changes = query.log.slice(from - query.from).flat()
      if (revision > from) connection.say([KINDS.events, sub, revision, revision - from, changes])
      return
    }
    connection.say([KINDS.subscribed, sub, { revision, snapshot: true }], [KINDS.snapshot, sub, query.from, query.output])
    if (revision > query.from) connection.say([KINDS.events, sub, revision, revision - query.from, query.log.flat()])
  }

  function hear(connection: Connection, frame: any[]): void {
    const [kind, a, b, c, d] = frame
    if (kind === KINDS.hello) {
      const principal = said.principal === undefined ? PRINCIPAL : said.principal
      connection.say([KINDS.welcome, {
        connection_id: `connection-${made}`, server: { name: 'scripted', version: '1', build: 'test' }, now_at: Date.now(), epoch: 'scripted',
        ...(principal && { principal }), limits: LIMITS, heartbeat_ms: 3_600_000, features: [], reconnect: { base_ms: 1, max_ms: 10 },
      }])
    } else if (kind === KINDS.request) {
      received.push({ op: b, input: c, ...(d?.key && { key: d.key }) })
      called(connection, a, b)
    } else if (kind === KINDS.subscribe) subscribe(connection, a, b, c?.from)
    else if (kind === KINDS.unsubscribe) connection.subs.delete(a)
    else if (kind === KINDS.ping) connection.say([KINDS.pong, a])
  }

  function open(handlers: TransportHandlers) {
    made++
    let closed = false
    const connection: Connection = {
      subs: new Map(),
      say(...frames) {
        // What is said arrives later, as over a network.
        queueMicrotask(() => {
          if (!closed) for (const frame of frames) handlers.message(write(frame))
        })
      },
      end(code) {
        queueMicrotask(() => {
          if (closed) return
          closed = true
          connections.delete(connection)
          handlers.closed(code, '', false)
        })
      },
    }
    queueMicrotask(() => {
      if (closed) return
      connections.add(connection)
      handlers.opened()
    })
    return {
      send: (bytes: Uint8Array) => eachFrame(bytes, (frame) => hear(connection, decode(frame) as any[])),
      close: () => connection.end(1000),
    }
  }

  const server: ScriptedServer = {
    transport: { open },
    received,
    get connections() {
      return made
    },
    push,
    append,
    complete,
    end(name, fault) {
      if (!asked(name) && !log(name)) throw absent('query or run', name, 'queries` or `runs')
      for (const connection of connections) {
        for (const [sub, { run, query }] of connection.subs) {
          if (run !== name && query !== name && queries.get(query ?? '')?.op !== name) continue
          connection.subs.delete(sub)
          connection.say([KINDS.ended, sub, 0, { why: 'forbidden', fault: whole(fault) }])
        }
      }
    },
    present(session, { state = {}, ...member }) {
      const others = (said.presence?.[session] ?? []).filter(({ connection_id }) => connection_id !== member.connection_id)
      said.presence = { ...said.presence, [session]: state === null ? others : [...others, { ...member, state }] }
      for (const connection of connections) {
        for (const [sub, followed] of connection.subs) if (followed.session === session) connection.say([KINDS.presence, sub, member, state])
      }
    },
    drop: () => lose(true),
    close(code, fault) {
      if (fault) for (const connection of connections) connection.say([KINDS.fault, 0, whole(fault)])
      lose(code)
    },
    script(change) {
      if (change.queries) pushed = []
      Object.assign(said, change)
    },
  }
  server.script(typeof script === 'function' ? script(server) : script)
  return server
}

const absent = (what: string, name: string, where: string): Error => new Error(`the script has no ${what} \`${name}\`: add it under \`${where}\`, or look how it is spelt`)

/** A frame spans what is not asked for too. */
const wanted = (events: RunEvent[], only: string[] | undefined): RunEvent[] => (only ? events.filter(({ type }) => only.includes(type)) : events)

function whole(fault: Partial<Fault> & Pick<Fault, 'code'>): Fault {
  return { message: `the script says \`${fault.code}\``, retry: 'never', ...fault }
}
