/** A run as AG-UI events: https://docs.ag-ui.com/concepts/events. */
import type { AGUIEvent } from '@ag-ui/core'
import type { Client } from '../core/types.js'
import type { RunEvent } from '../protocol.js'

/** How a run is told as AG-UI events: all of it may be left out. */
export interface AgUiOptions {
  /** The thread that the run belongs to; absent: its session is not known, and the run's id stands for it. */
  threadId?: string
  /** The name of the run there; absent: Crewline's id. */
  runId?: string
  signal?: AbortSignal
}

/**
 * Follows a run to its end as AG-UI events. Tasks are steps, texts are messages, thoughts are reasoning, tool calls have their result at once;
 * progress, usage, approvals and steering are `CUSTOM` events called as Crewline calls them. A text that an attempt left unfinished is ended
 * before the next attempt begins.
 */
export async function* agUiEvents(client: Client, run: string, options: AgUiOptions = {}): AsyncGenerator<AGUIEvent, void, undefined> {
  const { threadId = run, runId = run, signal } = options
  const open = new Map<string, 'answer' | 'thought'>()
  const steps: string[] = []
  const names = new Map<string, string>()
  const ids = { threadId, runId }
  yield made({ type: 'RUN_STARTED', ...ids })
  for await (const event of client.followRun(run, signal ? { signal } : {})) {
    if (event.type === 'run.started' && event.attempt > 1) {
      for (const [part, role] of open) yield* ended(part, role, event.at)
      open.clear()
    }
    if (event.type === 'run.finished') {
      for (const [part, role] of open) yield* ended(part, role, event.at)
      for (const stepName of steps.splice(0).reverse()) yield made({ type: 'STEP_FINISHED', stepName, timestamp: event.at })
    }
    yield* eventsOf(event)
  }

  function* eventsOf(event: RunEvent): Generator<AGUIEvent> {
    const timestamp = event.at
    switch (event.type) {
      case 'task.started':
        names.set(event.task, event.name)
        steps.push(event.name)
        return yield made({ type: 'STEP_STARTED', stepName: event.name, timestamp })
      case 'task.finished':
      case 'task.failed': {
        const stepName = names.get(event.task)
        if (stepName === undefined || !steps.includes(stepName)) return
        steps.splice(steps.indexOf(stepName), 1)
        return yield made({ type: 'STEP_FINISHED', stepName, timestamp })
      }
      case 'text.started':
        open.set(event.part, event.role)
        if (event.role === 'thought') {
          yield made({ type: 'REASONING_START', messageId: event.part, timestamp })
          return yield made({ type: 'REASONING_MESSAGE_START', messageId: event.part, role: 'reasoning', timestamp })
        }
        return yield made({ type: 'TEXT_MESSAGE_START', messageId: event.part, role: 'assistant', name: event.agent, timestamp })
      case 'text.delta': {
        const type = open.get(event.part) === 'thought' ? 'REASONING_MESSAGE_CONTENT' : 'TEXT_MESSAGE_CONTENT'
        if (event.text && open.has(event.part)) yield made({ type, messageId: event.part, delta: event.text, timestamp })
        return
      }
      case 'text.finished': {
        const role = open.get(event.part)
        open.delete(event.part)
        if (role) yield* ended(event.part, role, timestamp)
        return
      }
      case 'tool.started':
        yield made({ type: 'TOOL_CALL_START', toolCallId: event.call, toolCallName: event.tool, timestamp })
        yield made({ type: 'TOOL_CALL_ARGS', toolCallId: event.call, delta: JSON.stringify(event.input ?? {}), timestamp })
        return yield made({ type: 'TOOL_CALL_END', toolCallId: event.call, timestamp })
      case 'tool.finished':
      case 'tool.failed': {
        const content = event.type === 'tool.failed' ? event.fault.message : typeof event.output === 'string' ? event.output : JSON.stringify(event.output)
        return yield made({ type: 'TOOL_CALL_RESULT', messageId: `${event.call}-result`, toolCallId: event.call, content, role: 'tool', timestamp })
      }
      case 'run.finished':
        if (event.status === 'succeeded') return yield made({ type: 'RUN_FINISHED', ...ids, result: event.output, timestamp })
        return yield made({
          type: 'RUN_ERROR',
          message: event.fault?.message ?? 'the run was cancelled',
          code: event.fault?.code ?? 'cancelled',
          timestamp,
        })
      case 'run.started':
      case 'artifact.created':
        return
      default: {
        const { type, at: _, ...value } = event
        return yield made({ type: 'CUSTOM', name: type, value, timestamp })
      }
    }
  }

  function* ended(messageId: string, role: 'answer' | 'thought', timestamp: number): Generator<AGUIEvent> {
    if (role === 'answer') return yield made({ type: 'TEXT_MESSAGE_END', messageId, timestamp })
    yield made({ type: 'REASONING_MESSAGE_END', messageId, timestamp })
    yield made({ type: 'REASONING_END', messageId, timestamp })
  }
}

/** AG-UI's types name events by an enum; on the wire it is these words. */
function made(event: { type: string; [field: string]: unknown }): AGUIEvent {
  return event as unknown as AGUIEvent
}
