/** TanStack AI's chat over Crewline: its stream chunks are AG-UI events. */
import type { ConnectConnectionAdapter } from '@tanstack/ai-client'
import type { Client } from '../core/types.js'
import { agUiEvents } from './ag-ui.js'

/** Which crew answers, and with what. */
export interface ConnectionOptions {
  /** The crew that answers. */
  crew: string
  /** What a run is started with, from the messages so far. */
  inputs(messages: Parameters<ConnectConnectionAdapter['connect']>[0]): Record<string, unknown>
}

/** A connection adapter for `@tanstack/ai-client` and its hooks: each send starts a run. Stopping the chat cancels it. */
export function crewlineConnection(client: Client, { crew, inputs }: ConnectionOptions): ConnectConnectionAdapter {
  return {
    async *connect(messages, _data, signal, context) {
      const run = await client.call('run.start', { crew, inputs: inputs(messages) })
      const stop = (): void => void client.call('run.cancel', { id: run.id, mode: 'now' }).catch(() => {})
      if (signal?.aborted) stop()
      else signal?.addEventListener('abort', stop)
      try {
        const names = context && { threadId: context.threadId, runId: context.runId }
        // The same words as TanStack AI's own types have.
        yield* agUiEvents(client, run.id, { ...names, ...(signal && { signal }) }) as AsyncIterable<never>
      } finally {
        signal?.removeEventListener('abort', stop)
      }
    },
  }
}
