/** The AI SDK's `useChat` over Crewline: each message starts a run, whose events become the parts of the answer. */
import type { ChatTransport, UIMessage, UIMessageChunk } from 'ai'
import type { Client } from '../core/types.js'
import type { RunEvent } from '../protocol.js'
import { passed, type Place, type Places, said } from './text.js'

/** Which crew answers a chat, and with what. */
export interface ChatOptions<M extends UIMessage> {
  /** The crew that answers. */
  crew: string
  /** What a run is started with, from the messages so far. */
  inputs(messages: M[]): Record<string, unknown>
  /** The session that a chat belongs to; absent: each run makes one. */
  session?: (chatId: string) => string | undefined
  /** Where each chat's answer stands. Absent: as long as the page lives; `storedPlaces(sessionStorage)` goes on after a reload. */
  places?: Places
}

/**
 * A `ChatTransport` of the AI SDK, version 5 and later. `resume` continues an answer from where it stood: what was seen is not sent again, and
 * what comes of a text that was being said is a text of its own. Tasks are steps, thoughts are reasoning, tool calls are dynamic tools; progress,
 * usage and approvals are data parts (`data-progress`, `data-usage`, `data-approval`). Stopping the chat cancels the run.
 */
export function crewlineChatTransport<M extends UIMessage = UIMessage>(client: Client, options: ChatOptions<M>): ChatTransport<M> {
  const places: Places = options.places ?? new Map<string, Place>()

  function chunks(chatId: string, place: Place, abort: AbortSignal | undefined): ReadableStream<UIMessageChunk> {
    const stream = client.followRun(place.run, { from: place.offset })
    const frames = stream.frames()[Symbol.asyncIterator]()
    const names = new Map<string, string>()
    let stopped = false
    // A text that is gone on with has no beginning in this stream: it is begun under another name.
    const begun: UIMessageChunk[] = [{ type: 'start', messageId: place.run }]
    for (const [part, role] of Object.entries(place.open)) {
      names.set(part, `${part}@${place.offset}`)
      begun.push({ type: role === 'thought' ? 'reasoning-start' : 'text-start', id: names.get(part)! })
    }
    const stop = (): void => {
      stopped = true
      places.delete(chatId)
      client.call('run.cancel', { id: place.run, mode: 'now' }).catch(() => {})
      stream.close()
    }
    if (abort?.aborted) stop()
    else abort?.addEventListener('abort', stop)

    return new ReadableStream<UIMessageChunk>({
      start(controller) {
        for (const chunk of begun) controller.enqueue(chunk)
      },
      async pull(controller) {
        try {
          const { value: frame, done } = await frames.next()
          if (done || !frame) {
            if (stopped) controller.enqueue({ type: 'abort' })
            abort?.removeEventListener('abort', stop)
            return controller.close()
          }
          for (const event of frame.events) {
            const roles = { ...place.open }
            passed(place, event)
            for (const chunk of chunkOf(event, roles, names)) controller.enqueue(chunk)
          }
          place.offset = frame.offset
          const over = frame.events.some(({ type }) => type === 'run.finished')
          if (over) places.delete(chatId)
          else places.set(chatId, place)
        } catch (error) {
          controller.enqueue({ type: 'error', errorText: said(error) })
          controller.close()
        }
      },
      cancel: () => stream.close(),
    })
  }

  return {
    async sendMessages({ chatId, messages, abortSignal }) {
      const session_id = options.session?.(chatId)
      const run = await client.call('run.start', { crew: options.crew, inputs: options.inputs(messages), ...(session_id !== undefined && { session_id }) })
      const place: Place = { run: run.id, offset: 0, open: {} }
      places.set(chatId, place)
      return chunks(chatId, place, abortSignal)
    },
    async reconnectToStream({ chatId }) {
      const place = places.get(chatId)
      return place ? chunks(chatId, place, undefined) : null
    },
  }
}

function chunkOf(event: RunEvent, open: Place['open'], names: Map<string, string>): UIMessageChunk[] {
  switch (event.type) {
    case 'task.started':
      return [{ type: 'start-step' }]
    case 'task.finished':
      return [{ type: 'finish-step' }]
    case 'task.failed':
      return [{ type: 'finish-step' }]
    case 'text.started':
      return [{ type: event.role === 'thought' ? 'reasoning-start' : 'text-start', id: event.part }]
    case 'text.delta':
      return [{ type: open[event.part] === 'thought' ? 'reasoning-delta' : 'text-delta', id: names.get(event.part) ?? event.part, delta: event.text }]
    case 'text.finished':
      return [{ type: open[event.part] === 'thought' ? 'reasoning-end' : 'text-end', id: names.get(event.part) ?? event.part }]
    case 'tool.started':
      return [{ type: 'tool-input-available', toolCallId: event.call, toolName: event.tool, input: event.input, dynamic: true, providerExecuted: true }]
    case 'tool.finished':
      return [{ type: 'tool-output-available', toolCallId: event.call, output: event.output, dynamic: true, providerExecuted: true }]
    case 'tool.failed':
      return [{ type: 'tool-output-error', toolCallId: event.call, errorText: event.fault.message, dynamic: true, providerExecuted: true }]
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
