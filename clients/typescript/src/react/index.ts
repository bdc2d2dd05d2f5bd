/** Hooks for React 18 and 19. */
import { useCallback, useMemo, useSyncExternalStore } from 'react'
import { cell } from '../core/readable.js'
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

const NOBODY: readonly PresentMember[] = []

const presences = sharing((client, session): Shared<readonly PresentMember[]> & Pick<Presence, 'update'> => {
  const others = cell(NOBODY)
  let presence: Presence | undefined
  return {
    ...others,
    start() {
      if (presence) return
      presence = client.presence(session)
      const { get, subscribe } = presence
      subscribe(() => others.set(get()))
    },
    close: () => presence?.close(),
    update: (state) => presence?.update(state),
  }
})

/** Who else is in a session, being there oneself; `update` sets one's own state (`typing`, `viewing`, …), at most 1 KiB of it. */
export function usePresence(sessionId: string): { others: readonly PresentMember[]; update(state: Record<string, unknown>): void } {
  const client = useCrewline()
  const others = useShared(presences, sessionId, (presence) => presence.get())
  const update = useCallback((state: Record<string, unknown>) => presences(client, sessionId).shared.update(state), [client, sessionId])
  return useMemo(() => ({ others, update }), [others, update])
}
