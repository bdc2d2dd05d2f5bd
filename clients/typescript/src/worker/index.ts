/**
 * The script of a SharedWorker that has one connection for all tabs of an origin:
 *
 * ```ts
 * createClient({ url, auth, tabs: { worker: () => new SharedWorker(new URL('@crewline/client/worker', import.meta.url), { type: 'module' }) } })
 * ```
 *
 * Where a bundler finds no package in such a URL, a file of one's own is the script: `import { serve } from '@crewline/client/worker'; serve()`.
 */
import { createHub } from '../core/hub.js'
import { socketTransport } from '../core/socket.js'
import { takeIn } from '../core/tabs.js'

/** Takes in every tab that connects to this worker. The module does so by itself where it is a worker's script; twice does no harm. */
export function serve(): void {
  const hubs = new Map<string, ReturnType<typeof createHub>>()
  const scope = globalThis as unknown as { onconnect: (event: MessageEvent) => void }
  scope.onconnect = ({ ports: [port] }) => {
    port!.onmessage = ({ data: [name, url, id] }: MessageEvent<[name: string, url: string, id: string]>) => {
      const hub = hubs.get(name) ?? createHub(socketTransport(url))
      hubs.set(name, hub)
      void takeIn(navigator.locks, hub, port!, id, 'worker')
    }
  }
}

if ('SharedWorkerGlobalScope' in globalThis) serve()
