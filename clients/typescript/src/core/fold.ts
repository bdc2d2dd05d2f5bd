/** A run as its events tell it: a pure function of them, so that live, caught up and replayed are the same. */
import type { Approval, Artifact, Fault, RunEvent, RunStatus, Usage } from '../protocol.js'
import type { RunFrame } from './types.js'

/** A text that an agent writes, as far as it has come. */
export interface RunText {
  readonly id: string
  readonly task: string
  readonly agent: string
  readonly role: 'answer' | 'thought'
  /** Whether nothing more comes. */
  readonly finished: boolean
  readonly text: string
}

/** A call of a tool. */
export interface RunCall {
  readonly id: string
  readonly task: string
  readonly agent: string
  readonly tool: string
  readonly input: unknown
  readonly status: 'running' | 'finished' | 'failed'
  readonly output?: unknown
  readonly fault?: Fault
}

/** A task of the crew, with what was said and called in it. Times are milliseconds since the epoch. */
export interface RunTask {
  readonly id: string
  readonly name: string
  readonly agent: string
  /** The task under which it was delegated. */
  readonly parent?: string
  readonly status: 'running' | 'finished' | 'failed'
  readonly output?: string
  readonly fault?: Fault
  readonly started_at: number
  readonly finished_at?: number
  /** Texts and calls in the order in which they began. */
  readonly items: readonly { readonly kind: 'text' | 'call'; readonly id: string }[]
}

/** What a person said to the run while it went. */
export interface RunSteer {
  readonly id: string
  readonly text: string
  readonly by: string
  /** In which task it reached an agent; absent: not yet. */
  readonly task?: string
}

/** A run as far as its stream tells it. Maps are by id; times are milliseconds since the epoch. */
export interface RunState {
  readonly id: string
  /** The last offset that it is made of. */
  readonly offset: number
  readonly status: RunStatus
  readonly waiting_for?: string
  readonly attempt: number
  readonly crew?: string
  readonly inputs?: Record<string, unknown>
  readonly tasks: readonly RunTask[]
  readonly texts: Readonly<Record<string, RunText>>
  readonly calls: Readonly<Record<string, RunCall>>
  readonly approvals: Readonly<Record<string, Approval>>
  readonly steers: readonly RunSteer[]
  readonly artifacts: readonly Artifact[]
  readonly logs: readonly Extract<RunEvent, { type: 'log.written' }>[]
  readonly progress: { readonly fraction: number; readonly message: string }
  readonly usage: Usage
  /** The same by agent and model. */
  readonly usage_by: readonly (Usage & { readonly agent: string; readonly model: string })[]
  readonly output?: string
  readonly fault?: Fault
  readonly started_at?: number
  readonly finished_at?: number
}

const NOTHING: Usage = { input_tokens: 0, output_tokens: 0, cost_microusd: 0 }

/** A run of which nothing is known yet. */
export function emptyRun(id: string): RunState {
  return {
    id, offset: 0, status: 'queued', attempt: 0, tasks: [], texts: {}, calls: {}, approvals: {}, steers: [], artifacts: [], logs: [],
    progress: { fraction: 0, message: '' }, usage: NOTHING, usage_by: [],
  }
}

/** The run after a frame; the same object where the frame is not new. What the frame does not touch stays the same object. */
export function foldRun(state: RunState, frame: RunFrame): RunState {
  if (frame.offset <= state.offset) return state
  const draft: Draft = { run: { ...state, offset: frame.offset }, copied: new Set() }
  for (const event of frame.events) fold(draft, event)
  return draft.run
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }
interface Draft {
  run: Writable<RunState>
  /** Maps and lists that are this frame's own already. */
  copied: Set<string>
}

function own<K extends 'texts' | 'calls' | 'approvals'>({ run, copied }: Draft, key: K): Record<string, RunState[K][string]> {
  if (!copied.has(key)) {
    copied.add(key)
    run[key] = { ...run[key] }
  }
  return run[key] as Record<string, RunState[K][string]>
}

function task(draft: Draft, id: string, change: (task: RunTask) => RunTask): void {
  draft.run.tasks = draft.run.tasks.map((known) => (known.id === id ? change(known) : known))
}

function begun(draft: Draft, id: string, kind: 'text' | 'call', part: string): void {
  task(draft, id, (known) => ({ ...known, items: [...known.items, { kind, id: part }] }))
}

function fold(draft: Draft, event: RunEvent): void {
  const { run } = draft
  switch (event.type) {
    case 'run.started':
      if (event.attempt > 1) voidUnfinished(draft)
      run.status = 'running'
      run.attempt = event.attempt
      run.crew = event.crew
      run.inputs = event.inputs
      run.started_at ??= event.at
      delete run.waiting_for
      return
    case 'run.waiting':
      run.status = 'waiting'
      run.waiting_for = event.for
      return
    case 'run.resumed':
      run.status = 'running'
      delete run.waiting_for
      return
    case 'run.finished':
      run.status = event.status
      run.usage = event.usage
      run.finished_at = event.at
      if (event.output !== undefined) run.output = event.output
      if (event.fault) run.fault = event.fault
      if (event.status === 'succeeded') run.progress = { ...run.progress, fraction: 1 }
      delete run.waiting_for
      return
    case 'task.started': {
      const { task: id, name, agent, parent, at } = event
      run.tasks = [...run.tasks, { id, name, agent, ...(parent !== undefined && { parent }), status: 'running', started_at: at, items: [] }]
      return
    }
    case 'task.finished':
      return task(draft, event.task, (known) => ({ ...known, status: 'finished', output: event.output, finished_at: event.at }))
    case 'task.failed':
      return task(draft, event.task, (known) => ({ ...known, status: 'failed', fault: event.fault, finished_at: event.at }))
    case 'text.started': {
      const { part, task: id, agent, role } = event
      own(draft, 'texts')[part] = { id: part, task: id, agent, role, finished: false, text: '' }
      return begun(draft, id, 'text', part)
    }
    case 'text.delta': {
      const known = run.texts[event.part]
      // Engines join strings when they are read: adding costs only what is added.
      if (known) own(draft, 'texts')[event.part] = { ...known, text: known.text + event.text }
      return
    }
    case 'text.finished': {
      const known = run.texts[event.part]
      if (known) own(draft, 'texts')[event.part] = { ...known, finished: true }
      return
    }
    case 'tool.started': {
      const { call, task: id, agent, tool, input } = event
      own(draft, 'calls')[call] = { id: call, task: id, agent, tool, input, status: 'running' }
      return begun(draft, id, 'call', call)
    }
    case 'tool.finished':
    case 'tool.failed': {
      const known = run.calls[event.call]
      if (!known) return
      own(draft, 'calls')[event.call] =
        event.type === 'tool.finished' ? { ...known, status: 'finished', output: event.output } : { ...known, status: 'failed', fault: event.fault }
      return
    }
    case 'approval.requested':
    case 'approval.answered':
      own(draft, 'approvals')[event.approval.id] = event.approval
      return
    case 'steer.received':
      run.steers = [...run.steers, { id: event.steer_id, text: event.text, by: event.by }]
      return
    case 'steer.applied':
      run.steers = run.steers.map((steer) => (steer.id === event.steer_id ? { ...steer, task: event.task } : steer))
      return
    case 'progress.reported':
      run.progress = { fraction: event.fraction, message: event.message }
      return
    case 'usage.recorded': {
      const { agent, model } = event
      run.usage = sum(run.usage, event)
      const known = run.usage_by.find((usage) => usage.agent === agent && usage.model === model)
      const next = { agent, model, ...sum(known ?? NOTHING, event) }
      run.usage_by = known ? run.usage_by.map((usage) => (usage === known ? next : usage)) : [...run.usage_by, next]
      return
    }
    case 'artifact.created':
      run.artifacts = [...run.artifacts, event.artifact]
      return
    case 'log.written':
      run.logs = [...run.logs, event]
  }
}

/** What an attempt left unfinished is made again by the next, under ids of its own. */
function voidUnfinished(draft: Draft): void {
  const { run } = draft
  const open = { text: new Set<string>(), call: new Set<string>() }
  for (const { id, finished } of Object.values(run.texts)) {
    if (finished) continue
    open.text.add(id)
    delete own(draft, 'texts')[id]
  }
  for (const { id, status } of Object.values(run.calls)) {
    if (status !== 'running') continue
    open.call.add(id)
    delete own(draft, 'calls')[id]
  }
  run.tasks = run.tasks.map((known) => {
    const items = known.items.filter(({ kind, id }) => !open[kind].has(id))
    return items.length < known.items.length ? { ...known, items } : known
  })
}

function sum(a: Usage, b: Usage): Usage {
  return {
    input_tokens: a.input_tokens + b.input_tokens,
    output_tokens: a.output_tokens + b.output_tokens,
    cost_microusd: a.cost_microusd + b.cost_microusd,
  }
}
