/** TanStack AI's chat over Crewline: its stream chunks are AG-UI events. */
import type { ConnectConnectionAdapter } from '@tanstack/ai-client'
import type { AnyApp, AppShape, Client, ClientOf, NameOf } from '../core/types.js'
import { agUiEvents } from './ag-ui.js'
import type { CrewInputs } from './chat-transport.js'

/** Which crew answers, and with what. */
export interface ConnectionOptions<A extends AppShape = AnyApp, C extends NameOf<A, 'run.start'> = NameOf<A, 'run.start'>> {
  /** The crew that answers. */
  crew: C
  /** What a run is started with, from the messages so far. */
  inputs(messages: Parameters<ConnectConnectionAdapter['connect']>[0]): CrewInputs<A, C>
}

/**
 * A connection adapter for `@tanstack/ai-client` and its hooks: each send starts a run. Stopping the chat cancels it. It has no `joinRun`: a reload in
 * mid-answer is not gone on with, because TanStack AI names runs by ids of its own.
 */
export function crewlineConnection<A extends AppShape = AnyApp, C extends NameOf<A, 'run.start'> = NameOf<A, 'run.start'>>(
  client: ClientOf<A>,
  { crew, inputs }: ConnectionOptions<A, C>,
): ConnectConnectionAdapter {
  const any = client as unknown as Client
  return {
    async *connect(messages, _data, signal, context) {
      const run = await any.call('run.start', { crew, inputs: inputs(messages) })
      const stop = (): void => void any.call('run.cancel', { id: run.id, mode: 'now' }).catch(() => {})
      if (signal?.aborted) stop()
      else signal?.addEventListener('abort', stop)
      try {
        const names = context && { threadId: context.threadId, runId: context.runId }
        // The same words as TanStack AI's own types have.
        yield* agUiEvents(any, run.id, { ...names, ...(signal && { signal }) }) as AsyncIterable<never>
      } finally {
        signal?.removeEventListener('abort', stop)
      }
    },
  }
}
