/** A run's events as they come, each once, over every lost connection. What is taken is what lets the server send more. */
import type { Ended, RunEvent } from '../protocol.js'
import type { Channel } from './channel.js'
import { CrewlineError } from './error.js'
import type { FollowOptions, RunFrame, RunStream } from './types.js'

/** Bytes that may wait here unread. */
const CREDIT_BYTES = 256 * 1024

export function createRunStream(channel: Channel, run: string, options: FollowOptions = {}): RunStream {
  const { from = 0, only, credit = CREDIT_BYTES, signal } = options
  const waiting: { frame: RunFrame; bytes: number }[] = []
  /** The last offset that was taken off the wire; `offset` follows as it is consumed. */
  let heard = from
  let offset = from
  let unread = 0
  let owed = 0
  let end: CrewlineError | 'complete' | null = null
  let wake: (() => void) | null = null

  const subscription = channel.subscribe({ run, ...(only && { only: [...only] }) }, {
    // What waits here unread is held against the window.
    options: () => ({ from: heard, credit: Math.max(0, credit - unread) }),
    events(reached, span, events, bytes) {
      if (end || reached <= heard) return subscription.credit(bytes)
      if (reached - span !== heard) return subscription.again()
      heard = reached
      unread += bytes
      waiting.push({ frame: { offset: reached, span, events: events as RunEvent[] }, bytes })
      wake?.()
    },
    ended(_, body) {
      finish(body.why === 'complete' ? 'complete' : endedBy(run, body))
    },
    lost() {
      // The next subscription's credit says it.
      owed = 0
    },
    failed: finish,
  })

  function finish(why: CrewlineError | 'complete'): void {
    end ??= why
    wake?.()
  }

  function close(): void {
    subscription.close()
    waiting.length = 0
    signal?.removeEventListener('abort', close)
    finish('complete')
  }
  if (signal?.aborted) close()
  else signal?.addEventListener('abort', close)

  /** Gives back what was consumed, in halves of the window: credit costs a frame. */
  function consumed({ frame, bytes }: { frame: RunFrame; bytes: number }): void {
    offset = frame.offset
    unread -= bytes
    owed += bytes
    if (owed < credit / 2 && waiting.length > 0) return
    subscription.credit(owed)
    owed = 0
  }

  async function* frames(): AsyncGenerator<RunFrame, void, undefined> {
    try {
      for (;;) {
        const next = waiting.shift()
        if (next) {
          yield next.frame
          consumed(next)
          continue
        }
        if (end === 'complete') return
        if (end) throw end
        await new Promise<void>((resolve) => (wake = resolve))
        wake = null
      }
    } finally {
      close()
    }
  }

  return {
    get offset() {
      return offset
    },
    frames,
    close,
    async *[Symbol.asyncIterator]() {
      for await (const { events } of frames()) yield* events
    },
  }
}

function endedBy(run: string, { why, fault }: Ended): CrewlineError {
  if (fault) return CrewlineError.of(fault)
  if (why === 'deleted') return new CrewlineError('not_found', `run ${run} was deleted`)
  if (why === 'forbidden') return new CrewlineError('forbidden', `run ${run} may not be followed any more: a right was taken away`)
  return new CrewlineError('disconnected', `the server ended the stream of run ${run}: follow it again from where you are`)
}
