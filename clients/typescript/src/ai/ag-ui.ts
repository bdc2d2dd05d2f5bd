/** A run as AG-UI events: https://docs.ag-ui.com/concepts/events. */
import type { AGUIEvent } from '@ag-ui/core'
import type { AnyApp, AppShape, Client, ClientOf } from '../core/types.js'
import type { RunEvent } from '../protocol.js'
import { passed, placeBefore, type Role, UNANSWERED } from './place.js'

/** How a run is told as AG-UI events: all of it may be left out. */
export interface AgUiOptions {
  /** The thread that the run belongs to; absent: its session is not known, and the run's id stands for it. */
  threadId?: string
  /** The name of the run there; absent: Crewline's id. */
  runId?: string
  signal?: AbortSignal
}

/**
 * Follows a run to its end as AG-UI events, as `@ag-ui/core` has them from 0.0.45 on. Tasks are steps, texts are messages, thoughts are reasoning,
 * tool calls have their whole input at once; progress, usage, approvals and steering are `CUSTOM` events called as Crewline calls them. AG-UI knows
 * a step by its name: the second of two tasks of one name at a time has a number behind it. What an attempt left unfinished is ended before the next
 * begins. Throws a `CrewlineError` where the run can't be followed.
 */
export async function* agUiEvents<A extends AppShape = AnyApp>(client: ClientOf<A>, run: string, options: AgUiOptions = {}): AsyncGenerator<AGUIEvent, void, undefined> {
  const { threadId = run, runId = run, signal } = options
  const place = placeBefore(run)
  const ids = { threadId, runId }
  yield { type: 'RUN_STARTED', ...ids } as AGUIEvent
  for await (const event of (client as unknown as Client).followRun(run, signal ? { signal } : {})) {
    const role = 'part' in event ? place.texts[event.part] : undefined
    const step = 'task' in event ? place.tasks[event.task!] : undefined
    const left = passed(place, event)
    const told = [
      ...Object.entries(left?.texts ?? {}).flatMap(([part, of]) => ended(part, of)),
      ...Object.keys(left?.calls ?? {}).map((call) => result(call, UNANSWERED)),
      ...Object.values(left?.tasks ?? {}).map((stepName) => ({ type: 'STEP_FINISHED', stepName })),
      ...eventsOf(event, role, step),
    ]
    // AG-UI's types name events by an enum; on the wire it is these words.
    for (const one of told) yield { ...one, timestamp: event.at } as unknown as AGUIEvent
  }

  function eventsOf(event: RunEvent, role: Role | undefined, step: string | undefined): Told[] {
    switch (event.type) {
      case 'task.started':
        return [{ type: 'STEP_STARTED', stepName: place.tasks[event.task] }]
      case 'task.finished':
      case 'task.failed':
        return step === undefined ? [] : [{ type: 'STEP_FINISHED', stepName: step }]
      case 'text.started': {
        const { part: messageId, agent: name } = event
        return event.role === 'thought'
          ? [{ type: 'REASONING_START', messageId }, { type: 'REASONING_MESSAGE_START', messageId, role: 'reasoning' }]
          : [{ type: 'TEXT_MESSAGE_START', messageId, role: 'assistant', name }]
      }
      case 'text.delta':
        return event.text && role ? [{ type: `${messageOf(role)}_CONTENT`, messageId: event.part, delta: event.text }] : []
      case 'text.finished':
        return role ? ended(event.part, role) : []
      case 'tool.started': {
        const { call: toolCallId, tool: toolCallName, input } = event
        return [
          { type: 'TOOL_CALL_START', toolCallId, toolCallName },
          { type: 'TOOL_CALL_ARGS', toolCallId, delta: JSON.stringify(input ?? {}) },
          { type: 'TOOL_CALL_END', toolCallId },
        ]
      }
      case 'tool.finished':
        return [result(event.call, typeof event.output === 'string' ? event.output : (JSON.stringify(event.output) ?? ''))]
      case 'tool.failed':
        return [result(event.call, event.fault.message)]
      case 'run.finished': {
        const { status, output, fault } = event
        return status === 'succeeded'
          ? [{ type: 'RUN_FINISHED', ...ids, result: output }]
          : [{ type: 'RUN_ERROR', message: fault?.message ?? 'the run was cancelled', code: fault?.code ?? 'cancelled' }]
      }
      case 'run.started':
      case 'artifact.created':
        return []
      default: {
        const { type, at: _, ...value } = event
        return [{ type: 'CUSTOM', name: type, value }]
      }
    }
  }
}

type Told = { type: string; [field: string]: unknown }

const messageOf = (role: Role): string => (role === 'thought' ? 'REASONING_MESSAGE' : 'TEXT_MESSAGE')

const ended = (messageId: string, role: Role): Told[] => [
  { type: `${messageOf(role)}_END`, messageId },
  ...(role === 'thought' ? [{ type: 'REASONING_END', messageId }] : []),
]

const result = (toolCallId: string, content: string): Told => ({ type: 'TOOL_CALL_RESULT', messageId: `${toolCallId}-result`, toolCallId, content, role: 'tool' })
