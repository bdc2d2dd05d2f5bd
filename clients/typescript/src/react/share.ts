/** What hooks share: one resource of a client for all that use it, and one paint a frame for all that changes. */
import { useCallback, useSyncExternalStore } from 'react'
import type { Client, Readable } from '../core/types.js'
import { useCrewline } from './context.js'

/** How long something outlives its last user: StrictMode unmounts and mounts again, and people go back and forth between pages. */
const LINGER_MS = 2000
/** What no frame comes for, as in a hidden page, is painted after this all the same. */
const UNSEEN_MS = 100

/** Something that hooks read: cold when it is made, for that happens while React renders. It begins with `start`, and anew with the next. */
export interface Shared<T> extends Readable<T> {
  start(): void
  close(): void
}

interface Entry<S> {
  shared: S
  users: number
  /** Begins it, once; and anew when somebody signs in where nobody was, for signing out has ended it. */
  begin(): void
  timer?: ReturnType<typeof setTimeout>
}

export type Sharing<S> = (client: Client, id: string) => Entry<S> & { leaveLater(): void }

/** One of each id for a client: made when it is first asked for, and closed a while after the last user has left. */
export function sharing<S extends Shared<any>>(make: (client: Client, id: string) => S): Sharing<S> {
  const clients = new WeakMap<Client, Map<string, ReturnType<Sharing<S>>>>()
  return (client, id) => {
    let all = clients.get(client)
    if (!all) clients.set(client, (all = new Map()))
    const found = all.get(id)
    if (found) return found
    let stop: (() => void) | undefined
    const entry: ReturnType<Sharing<S>> = {
      shared: make(client, id),
      users: 0,
      begin() {
        if (stop) return
        const { get, subscribe } = client.connection
        const signedOut = (now = get()): boolean => now.status === 'stopped' || (now.status === 'open' && !now.principal)
        let nobody = signedOut()
        stop = subscribe(() => {
          if (signedOut()) nobody = true
          else if (nobody && get().status === 'open') {
            nobody = false
            entry.shared.start()
          }
        })
        entry.shared.start()
      },
      leaveLater() {
        entry.timer = setTimeout(() => {
          all.delete(id)
          stop?.()
          entry.shared.close()
        }, LINGER_MS)
      },
    }
    all.set(id, entry)
    // Whoever renders it may never come to use it.
    entry.leaveLater()
    return entry
  }
}

/** Uses what is shared under an id, and reads from it: the component renders again when what it reads is another. */
export function useShared<S extends Shared<any>, T>(find: Sharing<S>, id: string, read: (shared: S) => T): T {
  const client = useCrewline()
  const subscribe = useCallback(
    (listener: () => void) => {
      const entry = find(client, id)
      clearTimeout(entry.timer)
      entry.users++
      const stop = entry.shared.subscribe(listener)
      entry.begin()
      return () => {
        stop()
        if (--entry.users === 0) entry.leaveLater()
      }
    },
    [find, client, id],
  )
  const get = () => read(find(client, id).shared)
  return useSyncExternalStore(subscribe, get, get)
}

let dirty = new Set<() => void>()
let asked = -Infinity

/** Calls `tell` once before the next frame is drawn, however often it is asked for. */
export function paint(tell: () => void): void {
  dirty.add(tell)
  // Who fakes timers in tests may throw away the one that was waited for.
  if (Math.abs(Date.now() - asked) < 1000) return
  asked = Date.now()
  const drawn = typeof requestAnimationFrame === 'function'
  const now = () => {
    clearTimeout(timer)
    if (drawn) cancelAnimationFrame(frame)
    asked = -Infinity
    const all = dirty
    dirty = new Set()
    for (const one of all) one()
  }
  const timer = setTimeout(now, drawn ? UNSEEN_MS : 16)
  const frame = drawn ? requestAnimationFrame(now) : 0
}
