import { decode } from '@msgpack/msgpack'
import { eachFrame } from '../core/frames.js'
import { canonical } from '../core/live.js'
import type { Transport } from '../core/transport.js'
import { KINDS, type Fault, type LiveChange, type RunEvent } from '../protocol.js'
import type { Script, ScriptedAnswer, ScriptedStep } from './script.js'

/** A session with a real server, as it is recorded. */
export interface Recording {
  /** For `createClient`: what is said goes to the server and back as ever. */
  readonly transport: Transport
  /** What the server has said so far, as a script that says it again: write it to a file as JSON. It holds all outputs but tokens: mind people's data, and API keys. */
  script(): Script
}

/** What a subscription is to. */
interface Followed {
  run?: string
  op?: string
  input?: unknown
  presence?: string
}

type Said = { op: string; input?: unknown; output: unknown; steps: ScriptedStep<{ changes: LiveChange[] }>[]; at: number }
type Told = { steps: ScriptedStep<{ events: RunEvent[] }>[]; open: boolean; at: number; offset: number }

/**
 * Records what is said over a transport. Calls are kept by operation, in the order in which they were asked; runs and live queries with their pace. What is
 * heard again after a lost connection is kept once. Connections that were lost are not recorded.
 */
export function record(transport: Transport): Recording {
  let principal: Record<string, unknown> | null = null
  const answers: { op: string; answer?: ScriptedAnswer }[] = []
  const runs = new Map<string, Told>()
  const queries = new Map<string, Said>()
  const presence = new Map<string, Map<string, { connection_id: string; principal: { kind: string; id: string; name: string }; state: Record<string, unknown> }>>()

  /** Milliseconds since this was last called for the same. */
  function waited(of: { at: number }): { delay_ms?: number } {
    const now = Date.now()
    const delay_ms = now - of.at
    of.at = now
    return delay_ms > 0 ? { delay_ms } : {}
  }

  return {
    transport: {
      open(handlers) {
        const asked = new Map<number, { op: string; answer?: ScriptedAnswer }>()
        const followed = new Map<number, Followed>()

        function sent([kind, id, what, , options]: any[]): void {
          if (kind === KINDS.request) {
            const call = { op: what }
            asked.set(id, call)
            answers.push(call)
          } else if (kind === KINDS.subscribe) {
            const { run, query, presence: session } = what
            followed.set(id, { run, op: query?.op, input: query?.input, presence: session?.session_id })
            if (run && !runs.has(run)) runs.set(run, { steps: [], open: true, at: Date.now(), offset: options?.from ?? 0 })
          }
        }

        function heard([kind, id, third, fourth, fifth]: any[]): void {
          const follows = followed.get(id)
          const key = follows?.op && `${follows.op} ${canonical(follows.input)}`
          if (kind === KINDS.welcome) principal = id.principal ?? principal
          else if (kind === KINDS.reply || kind === KINDS.fault) {
            const call = asked.get(id)
            if (call) call.answer = kind === KINDS.reply ? { output: withoutTokens(third) } : { fault: third as Fault }
          } else if (kind === KINDS.snapshot && key) {
            const known = queries.get(key)
            // Read anew: what changed in between is not known.
            if (known) known.steps.push({ ...waited(known), changes: [{ value: fourth }] })
            else queries.set(key, { op: follows!.op!, input: follows!.input, output: fourth, steps: [], at: Date.now() })
          } else if (kind === KINDS.events && follows?.run) {
            const run = runs.get(follows.run)!
            if (third <= run.offset) return
            run.offset = third
            run.steps.push({ ...waited(run), events: fifth })
          } else if (kind === KINDS.events && key) {
            const query = queries.get(key)
            query?.steps.push({ ...waited(query), changes: fifth })
          } else if (kind === KINDS.ended && follows?.run && fourth?.why === 'complete') runs.get(follows.run)!.open = false
          else if (kind === KINDS.presence && follows?.presence) {
            const members = presence.get(follows.presence) ?? new Map()
            presence.set(follows.presence, members)
            if (fourth === null) members.delete(third.connection_id)
            else members.set(third.connection_id, { ...third, state: fourth })
          }
        }

        const link = transport.open({
          opened: () => handlers.opened(),
          closed: (...how) => handlers.closed(...how),
          message(bytes) {
            each(bytes, heard)
            handlers.message(bytes)
          },
        })
        return {
          send(bytes) {
            each(bytes, sent)
            link.send(bytes)
          },
          close: (code) => link.close(code),
        }
      },
    },
    script() {
      const calls: Record<string, ScriptedAnswer[]> = {}
      for (const { op, answer } of answers) if (answer) (calls[op] ??= []).push(answer)
      return structuredClone({
        principal,
        calls,
        runs: Object.fromEntries([...runs].map(([id, { steps, open }]) => [id, { steps, ...(open && { open }) }])),
        queries: [...queries.values()].map(({ at: _, ...query }) => query),
        presence: Object.fromEntries([...presence].map(([session, members]) => [session, [...members.values()]])),
      })
    },
  }
}

function withoutTokens(output: unknown): unknown {
  if (!output || typeof output !== 'object' || Array.isArray(output)) return output
  return Object.fromEntries(Object.entries(output).map(([field, value]) => [field, field.endsWith('_token') ? 'recorded' : value]))
}

function each(bytes: Uint8Array, take: (frame: any[]) => void): void {
  eachFrame(bytes, (frame) => take(decode(frame) as any[]))
}
