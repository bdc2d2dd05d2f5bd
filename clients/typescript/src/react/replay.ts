/** A run played again: the same fold over the same events, at the pace at which they happened. */
import { useMemo } from 'react'
import { emptyRun, foldRun, type RunState } from '../core/fold.js'
import { cell } from '../core/readable.js'
import { CrewlineError } from '../core/error.js'
import type { RunEvent } from '../protocol.js'
import { useCrewline } from './context.js'
import { follow, type Followed } from './run.js'
import { paint, sharing, useShared, type Shared } from './share.js'

/** What happened long after the last event is played so soon after it, in milliseconds: nobody watches a night pass. */
const PAUSE_MS = 2000
/** A state is kept every so many events, so that going back need not begin at the beginning. */
const EVERY = 250

/** Where a replay stands. */
export interface ReplayState extends Followed {
  /** The run as it was then. */
  readonly run: RunState
  /** The last offset that is shown, and the last that there is so far. */
  readonly offset: number
  readonly head: number
  /** How far it has been played, and how long it takes at speed 1, in milliseconds; long pauses are cut short. */
  readonly time: number
  readonly duration: number
  readonly playing: boolean
  readonly speed: number
}

/** What a person does to a replay. */
export interface ReplayActions {
  /** From where it stands; from the beginning where it has come to the end. */
  play(): void
  pause(): void
  /** How much faster than it happened, not below 0; 1 where nothing was said. */
  setSpeed(speed: number): void
  /** Shows the run as it was after this offset. */
  seek(offset: number): void
}

const replays = sharing((client, id): Shared<ReplayState> & ReplayActions => {
  const log: { offset: number; time: number; event: RunEvent }[] = []
  const kept: RunState[] = [emptyRun(id)]
  const unread: ReplayState = { run: kept[0]!, offset: 0, head: 0, time: 0, duration: 0, playing: false, speed: 1, complete: false, error: null }
  const state = cell(unread)
  let close: (() => void) | undefined
  /** How many events are shown, and when that was last counted. */
  let shown = 0
  let counted = 0

  /** The run after so many events. */
  function after(count: number): RunState {
    const known = Math.floor(count / EVERY)
    while (kept.length <= known) kept.push(folded(kept.at(-1)!, (kept.length - 1) * EVERY, kept.length * EVERY))
    return folded(kept[known]!, known * EVERY, count)
  }

  function folded(from: RunState, start: number, end: number): RunState {
    if (start === end) return from
    const { offset } = log[end - 1]!
    return foldRun(from, { offset, span: offset - from.offset, events: log.slice(start, end).map(({ event }) => event) })
  }

  function show(count: number, time: number, change: Partial<ReplayState> = {}): void {
    // Going on costs what has come since.
    const run = count === shown ? state.get().run : count > shown && count - shown < EVERY ? folded(state.get().run, shown, count) : after(count)
    shown = count
    state.set({ ...state.get(), run, offset: log[count - 1]?.offset ?? 0, time, ...change })
  }

  function tick(): void {
    const { playing, speed, time, duration, complete } = state.get()
    if (!playing) return
    const now = Date.now()
    const reached = Math.min(duration, time + (now - counted) * speed)
    counted = now
    let count = shown
    while (count < log.length && log[count]!.time <= reached) count++
    show(count, reached, { playing: !complete || reached < duration })
    paint(tick)
  }

  return {
    ...state,
    start() {
      close?.()
      // Who signs in now may be another, who sees nothing of what the last one saw.
      if (close) state.set({ ...unread, speed: state.get().speed })
      log.length = shown = 0
      kept.length = 1
      close = follow(client, id, (frames, followed) => {
        for (const { offset, span, events } of frames) {
          events.forEach((event, place) => {
            const last = log.at(-1)
            const time = last ? last.time + Math.min(PAUSE_MS, Math.max(0, event.at - last.event.at)) : 0
            // Fewer events than the frame spans: the last of them reaches its end.
            log.push({ offset: place === events.length - 1 ? offset : offset - span + place + 1, time, event })
          })
        }
        const last = log.at(-1)
        state.set({ ...state.get(), head: last?.offset ?? 0, duration: last?.time ?? 0, ...followed })
      })
    },
    close() {
      close?.()
      state.set({ ...state.get(), playing: false })
    },
    play() {
      const { playing, complete } = state.get()
      if (playing) return
      if (complete && shown === log.length) show(0, 0)
      counted = Date.now()
      state.set({ ...state.get(), playing: true })
      paint(tick)
    },
    pause: () => state.set({ ...state.get(), playing: false }),
    setSpeed(speed) {
      if (!(speed >= 0 && speed < Infinity)) throw new CrewlineError('invalid', `a replay can’t be played at speed ${speed}: give a number that is not below 0`)
      tick()
      state.set({ ...state.get(), speed })
    },
    seek(offset) {
      let count = 0
      while (count < log.length && log[count]!.offset <= offset) count++
      counted = Date.now()
      show(count, log[count - 1]?.time ?? 0)
    },
  }
})

/** Plays a run: all components that ask for the same run see the same replay. It stands at the beginning until it is played or sought. */
export function useReplay(runId: string): ReplayState & ReplayActions {
  const client = useCrewline()
  const state = useShared(replays, runId, (replay) => replay.get())
  return useMemo(() => {
    const { play, pause, setSpeed, seek } = replays(client, runId).shared
    return { ...state, play, pause, setSpeed, seek }
  }, [client, runId, state])
}
