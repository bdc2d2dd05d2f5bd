/** Hooks for React 18 and 19. */
import { useCallback, useMemo, useSyncExternalStore } from 'react'
import { cell } from '../core/readable.js'
import type { CrewlineError } from '../core/error.js'
import type { ConnectionState, OutboxEntry, Presence, PresentMember, Readable } from '../core/types.js'
import { useCrewline } from './context.js'
import { sharing, useShared, type Shared } from './share.js'

export { CrewlineProvider, useCrewline } from './context.js'
export { useRun, useRunText, type Followed, type RunActions } from './run.js'
export { useReplay, type ReplayActions, type ReplayState } from './replay.js'

const useReadable = <T>({ get, subscribe }: Readable<T>): T => useSyncExternalStore(subscribe, get, get)

/** Where the connection stands. */
export const useConnection = (): ConnectionState => useReadable(useCrewline().connection)

/** Mutations that wait for an answer, and those that were refused when nobody waited for it any more. */
export function useOutbox(): { entries: readonly OutboxEntry[]; retry(key: string, input?: unknown): void; discard(key: string): void } {
  const { outbox } = useCrewline()
  const entries = useReadable(outbox)
  return useMemo(() => ({ entries, retry: outbox.retry, discard: outbox.discard }), [outbox, entries])
}

/** Who is here, as a hook tells it. */
interface Here {
  others: readonly PresentMember[]
  /** Why one is not there any more; `null`: one is, or will be. */
  error: CrewlineError | null
}

const presences = sharing((client, session): Shared<Here> & Pick<Presence, 'update'> => {
  const here = cell<Here>({ others: [], error: null })
  let presence: Presence | undefined
  let own: Record<string, unknown> | undefined
  return {
    ...here,
    start() {
      presence?.close()
      const made = (presence = client.presence(session))
      const tell = () => made === presence && here.set({ others: made.get(), error: made.error })
      made.subscribe(tell)
      tell()
      if (own) made.update(own)
    },
    close: () => presence?.close(),
    update: (state) => presence?.update((own = state)),
  }
})

/** Who else is in a session, being there oneself; `update` sets one's own state (`typing`, `viewing`, …), at most 1 KiB of it. */
export function usePresence(sessionId: string): Here & { update(state: Record<string, unknown>): void } {
  const client = useCrewline()
  const here = useShared(presences, sessionId, (presence) => presence.get())
  const update = useCallback((state: Record<string, unknown>) => presences(client, sessionId).shared.update(state), [client, sessionId])
  return useMemo(() => ({ ...here, update }), [here, update])
}
