/** A run's events as they come, each once, over every lost connection. What is taken is what lets the server send more. */
import type { RunEvent } from '../protocol.js'
import type { Channel } from './channel.js'
import { CrewlineError, endedBy } from './error.js'
import type { FollowOptions, RunFrame, RunStream } from './types.js'

/** Bytes that may wait here unread. */
const CREDIT_BYTES = 256 * 1024

/** Follows a run; see `Client.followRun`. */
export function createRunStream(channel: Channel, run: string, options: FollowOptions = {}): RunStream {
  const { from = 0, only, credit = CREDIT_BYTES, signal } = options
  let waiting: { frame: RunFrame; bytes: number }[] = []
  /** What was handed out, and is consumed when the next is asked for. */
  let taken: (typeof waiting)[number] | undefined
  /** The last offset that was taken off the wire; `offset` follows as it is consumed. */
  let heard = from
  let offset = from
  let unread = 0
  let owed = 0
  let epoch: string | undefined
  let restored = false
  let end: CrewlineError | 'complete' | null = null
  let wake: (() => void) | null = null

  const subscription = channel.subscribe({ run, ...(only && { only: [...only] }) }, {
    options() {
      if (epoch !== undefined && epoch !== channel.epoch) {
        // What waits is of the old log. What was handed out can't be taken back: the new one is gone on with after it.
        waiting = []
        heard = taken?.frame.offset ?? offset
        unread = taken?.bytes ?? 0
        restored = true
      }
      epoch = channel.epoch
      // What waits here unread is held against the window, and what is owed is part of it again.
      owed = 0
      return { from: heard, credit: Math.max(0, credit - unread) }
    },
    events(reached, span, events, bytes) {
      if (end || reached <= heard) return subscription.credit(bytes)
      if (reached - span !== heard) return subscription.again()
      heard = reached
      unread += bytes
      waiting.push({ frame: { offset: reached, span, events: events as RunEvent[] }, bytes })
      wake?.()
    },
    ended(_, body) {
      if (body.why === 'complete') return finish('complete')
      const message = `run ${run} was restored: follow it again, from the start`
      finish(restored && body.fault?.code === 'invalid' ? CrewlineError.of({ code: 'conflict', message, retry: 'refetch' }) : endedBy(`run ${run}`, body))
    },
    failed: finish,
  })

  function finish(why: CrewlineError | 'complete'): void {
    end ??= why
    wake?.()
  }

  function close(): void {
    subscription.close()
    waiting = []
    signal?.removeEventListener('abort', close)
    finish('complete')
  }
  if (signal?.aborted) close()
  else signal?.addEventListener('abort', close)

  async function* read<T>(of: (frame: RunFrame) => Iterable<T>): AsyncGenerator<T, void, undefined> {
    try {
      for (;;) {
        taken = waiting.shift()
        if (taken) {
          const { frame, bytes } = taken
          yield* of(frame)
          taken = undefined
          offset = frame.offset
          unread -= bytes
          owed += bytes
          // Credit costs a frame: while more waits it is given in halves of the window.
          if (owed < credit / 2 && waiting.length > 0) continue
          subscription.credit(owed)
          owed = 0
        } else if (end === 'complete') return
        else if (end) throw end
        else await new Promise<void>((resolve) => (wake = resolve))
      }
    } finally {
      close()
    }
  }

  function reading<T>(of: (frame: RunFrame) => Iterable<T>): AsyncGenerator<T, void, undefined> {
    const events = read(of)
    const done = events.return.bind(events)
    // A generator hears of it only when it has come to a `yield`: closing wakes one that waits.
    events.return = () => {
      close()
      return done()
    }
    return events
  }

  return {
    get offset() {
      return offset
    },
    frames: () => reading((frame) => [frame]),
    close,
    [Symbol.asyncIterator]: () => reading(({ events }) => events),
  }
}
