/** Calls: each a promise of its answer, over lost connections and refusals that pass. */
import type { Fault, SignedIn } from '../protocol.js'
import type { Connection, Request } from './connection.js'
import { CrewlineError } from './error.js'
import type { Answer, CallOptions } from './types.js'
import { uuidv7 } from './uuid.js'

/** How often a call that the server can't answer now is made again by itself, and how long that may take. */
const TRIES = 6
const PATIENCE_MS = 60_000

/** Whether an operation only reads: no key is needed, and it is nothing to keep. */
export function reads(op: string): boolean {
  return /\.(get|list|aggregate|me|events|status|info|read|devices|export|stats|connections)$/.test(op)
}

/** Makes calls; one whose refusal passes is made again by itself. */
export function createCalls(connection: Connection) {
  return function ask(op: string, input: unknown, options: CallOptions = {}): Promise<Answer<unknown>> {
    const { signal, timeout_ms, trace, key = reads(op) ? undefined : uuidv7(), wait = true } = options
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(aborted(op, signal))
      const begun = Date.now()
      let tries = 0
      let timer: ReturnType<typeof setTimeout> | undefined
      const end = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
      }
      const request: Request = {
        op,
        input,
        options: { ...(key && { key }), ...(timeout_ms !== undefined && { timeout_ms }), ...(trace && { trace }) },
        waits: wait,
        answered(output, as_of) {
          end()
          resolve({ output, as_of })
        },
        refused(error) {
          const ms = error.fault && wait ? pause(error.fault, tries++) : undefined
          if (ms !== undefined && Date.now() + ms - begun < PATIENCE_MS) {
            timer = setTimeout(() => connection.send(request), ms)
            return
          }
          fail(error)
        },
      }
      const fail = (error: CrewlineError): void => {
        end()
        reject(error)
      }
      const abort = (): void => {
        connection.cancel(request)
        fail(aborted(op, signal!))
      }
      signal?.addEventListener('abort', abort)
      connection.send(request)
    })
  }
}

/** How long to wait before it is made again; `undefined`: it is not. */
function pause(fault: Fault, tries: number): number | undefined {
  if (tries >= TRIES) return undefined
  const backoff = Math.random() * 500 * 2 ** tries
  if (fault.retry === 'after') return (fault.retry_after_ms ?? 0) + backoff
  // What failed for a reason of its own would fail again: `internal`, `timeout`.
  return fault.code === 'unavailable' ? backoff : undefined
}

function aborted(op: string, signal: AbortSignal): CrewlineError {
  return new CrewlineError('aborted', `\`${op}\` was aborted before its answer came`, undefined, { cause: signal.reason })
}

/** The tokens in an answer of `auth.login` and its like. */
export function tokensIn(op: string, output: unknown): SignedIn | null {
  return /^auth\.(login|register|refresh)$/.test(op) ? (output as SignedIn) : null
}
