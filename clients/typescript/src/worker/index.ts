/**
 * One connection for all tabs of an origin.
 *
 * ```ts
 * import { sharedTabs } from '@crewline/client/worker'
 *
 * createClient({ url, auth, tabs: sharedTabs() })
 * ```
 *
 * The tabs find one among them that has the connection. With a SharedWorker no tab has to, and none is interrupted when another one is closed;
 * this module is its script as well:
 *
 * ```ts
 * const worker = () => new SharedWorker(new URL('@crewline/client/worker', import.meta.url), { type: 'module' })
 * createClient({ url, auth, tabs: sharedTabs({ worker }) })
 * ```
 *
 * A bundler that finds no package in such a URL takes a file of one's own, `import { serve } from '@crewline/client/worker'; serve()`.
 */
import { webSocketTransport } from '../core/websocket.js'
import { createHub } from './hub.js'
import { takeIn } from './tabs.js'

export { sharedTabs, type SharedOptions } from './tabs.js'

/** Makes a SharedWorker's script take in every tab that connects. This module does so by itself where it is the script; twice does no harm. */
export function serve(): void {
  const hubs = new Map<string, ReturnType<typeof createHub>>()
  const scope = globalThis as unknown as { onconnect: (event: MessageEvent) => void }
  scope.onconnect = ({ ports: [port] }) => {
    port!.onmessage = ({ data: [name, url, id] }: MessageEvent<[name: string, url: string, id: string]>) => {
      const hub = hubs.get(name) ?? createHub(webSocketTransport(url))
      hubs.set(name, hub)
      void takeIn(navigator.locks, hub, port!, id, 'worker')
    }
  }
}

if ('SharedWorkerGlobalScope' in globalThis) serve()
