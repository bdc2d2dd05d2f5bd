/** What a browser gives its tabs, in Node: locks and channels of one origin, and tabs that can go at any moment. */
import type { Port, Scope } from '../../src/worker/tabs.js'

type Callback = (lock: Lock | null) => unknown

interface Waiting {
  tab: symbol
  callback: Callback
  done(result: Promise<unknown>): void
}

export interface FakeTab {
  scope: Scope
  /** Takes the tab away: its locks are free, and it hears and says nothing any more. */
  close(): void
}

/** A browser: what its tabs share. */
export function createBrowser() {
  const held = new Map<string, { tab: symbol; ends: () => void }>()
  const queues = new Map<string, Waiting[]>()
  const channels = new Set<{ tab: symbol; name: string; port: Port }>()
  const gone = new Set<symbol>()
  let underWay = 0

  function next(name: string): void {
    if (held.has(name)) return
    const one = queues.get(name)?.shift()
    if (!one) return
    if (gone.has(one.tab)) return next(name)
    let ends = (): void => {}
    const end = new Promise<void>((resolve) => (ends = resolve))
    held.set(name, { tab: one.tab, ends })
    const result = Promise.resolve().then(() => one.callback({ name, mode: 'exclusive' } as Lock))
    one.done(result)
    void Promise.race([end, result]).then(() => {
      held.delete(name)
      next(name)
    })
  }

  return {
    held: () => [...held.keys()],
    /** Until no tab has anything to hear or to do. */
    async quiet(): Promise<void> {
      do await new Promise((resolve) => setTimeout(resolve))
      while (underWay > 0)
    },
    tab(): FakeTab {
      const tab = Symbol()
      const request = (name: string, options: LockOptions | Callback, use?: Callback): Promise<unknown> =>
        new Promise((resolve) => {
          const callback = typeof options === 'function' ? options : use!
          const available = typeof options === 'object' && options.ifAvailable
          if (available && held.has(name)) return queueMicrotask(() => resolve(callback(null)))
          const queue = queues.get(name) ?? []
          queues.set(name, queue)
          queue.push({ tab, callback, done: resolve })
          next(name)
        })
      class FakeChannel implements Port {
        onmessage: Port['onmessage'] = null
        readonly #entry
        constructor(name: string) {
          this.#entry = { tab, name, port: this }
          if (!gone.has(tab)) channels.add(this.#entry)
        }
        postMessage(message: unknown): void {
          if (!channels.has(this.#entry)) return
          for (const other of channels) {
            if (other.name !== this.#entry.name || other === this.#entry) continue
            const data: unknown = structuredClone(message)
            underWay++
            setTimeout(() => {
              underWay--
              if (channels.has(other)) other.port.onmessage?.({ data } as MessageEvent)
            })
          }
        }
        close(): void {
          channels.delete(this.#entry)
        }
      }
      return {
        scope: { navigator: { locks: { request } as unknown as LockManager }, BroadcastChannel: FakeChannel },
        close() {
          gone.add(tab)
          for (const entry of channels) if (entry.tab === tab) channels.delete(entry)
          for (const lock of [...held.values()]) if (lock.tab === tab) lock.ends()
        },
      }
    },
  }
}
