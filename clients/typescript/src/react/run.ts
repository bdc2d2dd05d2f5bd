/** A run as it goes: one stream for all hooks that look at it. */
import { useMemo } from 'react'
import type { CrewlineError } from '../core/error.js'
import { emptyRun, foldRun, type RunState } from '../core/fold.js'
import { cell } from '../core/readable.js'
import type { Client, RunFrame } from '../core/types.js'
import type { Approval, ApprovalAnswered, CancelMode, Run } from '../protocol.js'
import { useCrewline } from './context.js'
import { paint, sharing, useShared, type Shared } from './share.js'

/** Where the following of a stream stands. */
export interface Followed {
  /** Whether the run has finished and all of it is here. */
  readonly complete: boolean
  /** Why it can't be followed any further. */
  readonly error: CrewlineError | null
}

/** What a person does to a run. */
export interface RunActions {
  /** Asks the run to end: `graceful` where it is absent. */
  cancel(mode?: CancelMode): Promise<Run>
  /** Says something to its agents. */
  steer(text: string): Promise<Run>
  /** Answers one of `approvals`. The first answer wins: a later one is a `conflict` whose `current` says who was first. */
  answer(approval: Pick<Approval, 'id' | 'revision'>, answer: ApprovalAnswered): Promise<Approval>
}

/** Follows a run, and hands on what has come, once a frame, until what it returns is called. */
export function follow(client: Client, id: string, take: (frames: RunFrame[], followed: Followed) => void): () => void {
  let frames: RunFrame[] = []
  let followed: Followed = { complete: false, error: null }
  let closed = false
  const tell = () => {
    const come = frames
    frames = []
    if (!closed) take(come, followed)
  }
  const stream = client.followRun(id)
  const read = async () => {
    for await (const frame of stream.frames()) {
      frames.push(frame)
      paint(tell)
    }
    followed = { complete: true, error: null }
  }
  read()
    .catch((error: CrewlineError) => {
      followed = { complete: false, error }
    })
    .then(() => paint(tell))
  return () => {
    closed = true
    stream.close()
  }
}

const runs = sharing((client, id): Shared<RunState & Followed> => {
  const state = cell<RunState & Followed>({ ...emptyRun(id), complete: false, error: null })
  let close: (() => void) | undefined
  return {
    ...state,
    start() {
      close?.()
      let run = emptyRun(id)
      close = follow(client, id, (frames, followed) => {
        // All that came since the last paint is folded at once.
        const last = frames.at(-1)
        if (last) run = foldRun(run, { offset: last.offset, span: last.offset - run.offset, events: frames.flatMap(({ events }) => events) })
        state.set({ ...run, ...followed })
      })
    },
    close: () => close?.(),
  }
})

/**
 * A run as its stream tells it: `status`, `tasks`, `texts`, `calls`, `approvals`, `usage`, …, and what a person does to it. It is followed while
 * a component uses it, and the component renders at most once a frame. A component that shows one text alone takes `useRunText`.
 */
export function useRun(runId: string): RunState & Followed & RunActions {
  const client = useCrewline()
  const state = useShared(runs, runId, (run) => run.get())
  return useMemo(() => {
    const call = client.call as (op: string, input: unknown) => Promise<never>
    return {
      ...state,
      cancel: (mode) => call('run.cancel', { id: runId, mode }),
      steer: (text) => call('run.steer', { id: runId, text }),
      answer: ({ id, revision }, answer) => call('approval.answer', { id, revision, ...answer }),
    }
  }, [client, runId, state])
}

/** The text of one part of a run, as far as it has come; empty while there is none. The component renders for this part only. */
export function useRunText(runId: string, part: string): string {
  return useShared(runs, runId, (run) => run.get().texts[part]?.text ?? '')
}
