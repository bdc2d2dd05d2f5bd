/** What a scripted server says: plain data, so that it can stand in a JSON file beside a test. */
import type { Fault, LiveChange, RunEvent } from '../protocol.js'

/** An answer to a call. */
export type ScriptedAnswer =
  | { output: unknown; as_of?: number; delay_ms?: number }
  | { fault: Partial<Fault> & Pick<Fault, 'code'>; delay_ms?: number }
  /** No answer: the connection is lost instead, or closed with this code. */
  | { drop: true | number; delay_ms?: number }

/** A step of what is followed; `drop` loses the connection, or closes it with this code, before anything else is said. */
export type ScriptedStep<T> = { delay_ms?: number; drop?: true | number } & T

/** Somebody in a session; a state of `null` is that they leave. */
export interface ScriptedMember {
  connection_id: string
  principal: { kind: string; id: string; name: string }
  state?: Record<string, unknown> | null
}

/** All that a scripted server says: whatever is left out, it answers with a fault that says what to add. */
export interface Script {
  /** Who is signed in by whatever token comes; absent: somebody called Test. `null`: nobody. */
  principal?: Record<string, unknown> | null
  /** Answers by operation: one for all calls, or one after another, the last of them for ever. */
  calls?: Record<string, ScriptedAnswer | ScriptedAnswer[]>
  /** Runs by id: their events, in order; a step without `events` only waits, or drops. The run is complete at the end unless `open` says that it goes on. */
  runs?: Record<string, { steps: ScriptedStep<{ events?: RunEvent[] }>[]; open?: boolean }>
  /** Live queries: the first whose operation, and input where it is given, is what is followed. Its output comes first, changes after it. */
  queries?: { op: string; input?: unknown; output: unknown; steps?: ScriptedStep<{ changes?: LiveChange[] }>[] }[]
  /** Who is present in a session, by its id. */
  presence?: Record<string, ScriptedMember[]>
}
