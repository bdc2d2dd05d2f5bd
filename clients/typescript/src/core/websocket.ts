import { SUBPROTOCOL } from '../protocol.js'
import { CrewlineError } from './error.js'
import type { Transport } from './transport.js'

/** An address as a WebSocket takes it: `http(s)` becomes `ws(s)`, and `/ws` is added where there is no path. Relative to the page in a browser. */
export function socketUrl(url: string | URL): string {
  let parsed: URL
  try {
    parsed = new URL(url, globalThis.location?.href)
  } catch {
    throw new CrewlineError('unreachable', `\`${url}\` is no address of a server: give one such as wss://example.com/ws`)
  }
  parsed.protocol = parsed.protocol.replace(/^http/, 'ws')
  if (!/^wss?:$/.test(parsed.protocol)) {
    throw new CrewlineError('unreachable', `\`${url}\` begins with \`${parsed.protocol}\`: a server is reached by ws:, wss:, http: or https:`)
  }
  if (parsed.pathname === '/') parsed.pathname = '/ws'
  parsed.hash = ''
  return parsed.href
}

/** Bytes over the WebSocket that browsers and Node ≥ 22 have; any other class of the same shape can be given. */
export function webSocketTransport(url: string | URL, Socket: typeof WebSocket | undefined = globalThis.WebSocket): Transport {
  const address = socketUrl(url)
  if (!Socket) {
    throw new CrewlineError('unreachable', 'there is no WebSocket here: give `transport: webSocketTransport(url, WebSocket)` with one, such as that of the package `ws`')
  }
  return {
    open(handlers) {
      const socket = new Socket(address, SUBPROTOCOL)
      socket.binaryType = 'arraybuffer'
      let opened = false
      socket.onopen = () => {
        opened = true
        handlers.opened()
      }
      socket.onmessage = ({ data }) => handlers.message(typeof data === 'string' ? new Uint8Array() : new Uint8Array(data as ArrayBuffer))
      socket.onclose = ({ code, reason }) => handlers.closed(code, reason, !opened)
      // `close` follows; without a listener some environments throw.
      socket.onerror = () => {}
      return {
        send: (bytes) => socket.send(bytes as Uint8Array<ArrayBuffer>),
        close: (code) => socket.close(code),
      }
    },
  }
}
