/** The AI SDK's `useChat` over Crewline: each message starts a run, whose events become the parts of the answer. */
import type { ChatTransport, UIMessage, UIMessageChunk } from 'ai'
import type { CrewlineError } from '../core/error.js'
import type { AnyApp, AppShape, Client, ClientOf, InputOf, NameOf } from '../core/types.js'
import type { RunEvent } from '../protocol.js'
import { copied, passed, type Place, placeBefore, type Places, type Role, UNANSWERED } from './place.js'

/** What the runs of crew `C` are started with. */
export type CrewInputs<A extends AppShape, C extends string> = InputOf<A, 'run.start', C> extends { inputs?: infer Inputs } ? NonNullable<Inputs> : never

/** Which crew answers a chat, and with what. */
export interface ChatOptions<M extends UIMessage, A extends AppShape = AnyApp, C extends NameOf<A, 'run.start'> = NameOf<A, 'run.start'>> {
  /** The crew that answers. */
  crew: C
  /** What a run is started with, from the messages so far. */
  inputs(messages: M[]): CrewInputs<A, C>
  /** The session that a chat belongs to; absent: each run makes one. */
  session?: (chatId: string) => string | undefined
  /** Where each chat's answer stands. Absent: as long as the page lives; `storedPlaces(sessionStorage)` goes on after a reload. */
  places?: Places
}

/**
 * A `ChatTransport` of the AI SDK, version 5 and later. `resume` continues an answer from where it stood, to the frame: what was read is not sent
 * again, so keep the messages where you keep the places. What comes of a text that was being said is a text of its own. After a reload the SDK
 * adds nothing to a message that it did not begin itself: what comes is then a message of its own, behind the one that was kept. Thoughts are reasoning, tool calls are dynamic tools; progress,
 * usage and approvals are data parts (`data-progress`, `data-usage`, `data-approval`). A task begins a step; since the SDK's steps do not overlap, a step
 * ends when no task goes on. The SDK takes no part back: what an attempt left unfinished stays, as texts that have ended and tools that failed.
 * Stopping the chat cancels the run, also after `resume`.
 */
export function crewlineChatTransport<A extends AppShape = AnyApp, C extends NameOf<A, 'run.start'> = NameOf<A, 'run.start'>, M extends UIMessage = UIMessage>(
  client: ClientOf<A>,
  options: ChatOptions<M, A, C>,
): ChatTransport<M> {
  const any = client as unknown as Client
  const places: Places = options.places ?? new Map<string, Place>()
  /** Who reads each chat's answer: the last to begin. */
  const readers = new Map<string, object>()

  function chunks(chatId: string, from: Place, abort: AbortSignal | undefined, resumed: boolean): ReadableStream<UIMessageChunk> {
    const place = copied(from)
    const stream = any.followRun(place.run, { from: place.offset })
    const frames = stream.frames()[Symbol.asyncIterator]()
    const chunksOf = mapper(place)
    const reads = (): boolean => readers.get(chatId) === stream
    const waiting = begun(place)
    let end: 'stopped' | 'left' | undefined
    let [over, told] = [false, false]
    readers.set(chatId, stream)

    function stop(): void {
      // The SDK aborts a resume to begin it anew, and at once asks for the next: that is nobody's wish to stop the run.
      queueMicrotask(() => {
        end ??= 'stopped'
        if (reads()) places.delete(chatId)
        if (reads() || !resumed) any.call('run.cancel', { id: place.run, mode: 'now' }).catch(() => {})
        stream.close()
      })
    }
    function leave(): void {
      abort?.removeEventListener('abort', stop)
      stream.close()
    }
    if (abort?.aborted) stop()
    else abort?.addEventListener('abort', stop)

    /** One chunk for each that is asked for, so that a frame is known to be read when its last chunk is. */
    async function next(): Promise<UIMessageChunk | undefined> {
      // A frame may show nothing, and nobody asks again before something came.
      while (waiting.length === 0) {
        const { value: frame, done } = await frames.next()
        if (done) {
          if (!end && reads()) places.delete(chatId)
          if (end !== 'stopped' || told) return
          told = true
          return { type: 'abort' }
        }
        for (const event of frame.events) {
          waiting.push(...chunksOf(event))
          over ||= event.type === 'run.finished'
        }
        place.offset = frame.offset
      }
      const chunk = waiting.shift()
      if (waiting.length > 0 || end || !reads()) return chunk
      if (over) places.delete(chatId)
      else places.set(chatId, copied(place))
      return chunk
    }

    return new ReadableStream<UIMessageChunk>(
      {
        async pull(controller) {
          try {
            const chunk = await next()
            if (end === 'left') return
            if (chunk) return controller.enqueue(chunk)
          } catch (error) {
            if (end === 'left') return
            // What can be followed again is gone on with; what is gone is not.
            if (reads() && (error as CrewlineError).retry === 'never') places.delete(chatId)
            controller.enqueue({ type: 'error', errorText: error instanceof Error ? error.message : String(error) })
          }
          leave()
          controller.close()
        },
        cancel() {
          end = 'left'
          leave()
        },
      },
      { highWaterMark: 0 },
    )
  }

  return {
    async sendMessages({ chatId, messages, abortSignal }) {
      const session_id = options.session?.(chatId)
      const run = await any.call('run.start', { crew: options.crew, inputs: options.inputs(messages), ...(session_id !== undefined && { session_id }) })
      places.set(chatId, placeBefore(run.id))
      return chunks(chatId, placeBefore(run.id), abortSignal, false)
    },
    async reconnectToStream({ chatId, abortSignal }) {
      const place = places.get(chatId)
      return place ? chunks(chatId, place, abortSignal, true) : null
    },
  }
}

/** A text that is gone on with has no beginning in this stream: it is begun under another name, which the place's offset makes. */
const nameOf = (part: string, offset: number): string => `${part}@${offset}`
const kind = (role: Role) => (role === 'thought' ? 'reasoning' : 'text')

/** What a stream begins with, so that all that comes has its beginning. */
function begun({ run, offset, texts, calls }: Place): UIMessageChunk[] {
  return [
    // The SDK would put what comes in the place of a message of the same name, rather than behind it.
    { type: 'start', ...(offset === 0 && { messageId: run }) },
    ...Object.entries(texts).map(([part, role]): UIMessageChunk => ({ type: `${kind(role)}-start`, id: nameOf(part, offset) })),
    ...Object.entries(calls).map(([call, { tool, input }]) => called(call, tool, input)),
  ]
}

const OURS = { dynamic: true, providerExecuted: true } as const
const called = (toolCallId: string, toolName: string, input: unknown): UIMessageChunk => ({ type: 'tool-input-available', toolCallId, toolName, input, ...OURS })

/** Makes chunks of one event after another, and brings the place along. */
function mapper(place: Place): (event: RunEvent) => UIMessageChunk[] {
  const names = new Map(Object.keys(place.texts).map((part) => [part, nameOf(part, place.offset)]))
  const ended = (part: string, role: Role): UIMessageChunk => ({ type: `${kind(role)}-end`, id: names.get(part) ?? part })
  const failed = (toolCallId: string, errorText: string): UIMessageChunk => ({ type: 'tool-output-error', toolCallId, errorText, ...OURS })

  function shown(event: RunEvent, role: Role | undefined): UIMessageChunk[] {
    switch (event.type) {
      case 'task.started':
        return [{ type: 'start-step' }]
      case 'task.finished':
      case 'task.failed':
        // The end of a step ends all texts for the SDK.
        return empty(place.tasks) && empty(place.texts) ? [{ type: 'finish-step' }] : []
      case 'text.started':
        return [{ type: `${kind(event.role)}-start`, id: event.part }]
      case 'text.delta':
        return role ? [{ type: `${kind(role)}-delta`, id: names.get(event.part) ?? event.part, delta: event.text }] : []
      case 'text.finished':
        return role ? [ended(event.part, role)] : []
      case 'tool.started':
        return [called(event.call, event.tool, event.input)]
      case 'tool.finished':
        return [{ type: 'tool-output-available', toolCallId: event.call, output: event.output, ...OURS }]
      case 'tool.failed':
        return [failed(event.call, event.fault.message)]
      case 'progress.reported':
        return [{ type: 'data-progress', id: 'progress', data: { fraction: event.fraction, message: event.message } }]
      case 'approval.requested':
      case 'approval.answered':
        return [{ type: 'data-approval', id: event.approval.id, data: event.approval }]
      case 'run.finished':
        return [
          { type: 'data-usage', id: 'usage', data: event.usage },
          ...(event.fault ? [{ type: 'error' as const, errorText: event.fault.message }] : []),
          event.status === 'cancelled' ? { type: 'abort' } : { type: 'finish', finishReason: event.fault ? 'error' : 'stop' },
        ]
      default:
        return []
    }
  }

  return (event) => {
    const role = 'part' in event ? place.texts[event.part] : undefined
    const left = passed(place, event)
    return [
      ...Object.entries(left?.texts ?? {}).map(([part, of]) => ended(part, of)),
      ...Object.keys(left?.calls ?? {}).map((call) => failed(call, UNANSWERED)),
      ...(left && !empty(left.tasks) ? [{ type: 'finish-step' as const }] : []),
      ...shown(event, role),
    ]
  }
}

const empty = (record: object): boolean => Object.keys(record).length === 0
