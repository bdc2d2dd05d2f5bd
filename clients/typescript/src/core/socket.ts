import { SUBPROTOCOL } from '../protocol.js'
import type { Transport } from './transport.js'

/** WebSockets to this URL, by the platform's own class or by one that is given. */
export function socketTransport(url: string, Socket: typeof WebSocket = WebSocket): Transport {
  return {
    open(handlers) {
      let failed = true
      let socket: WebSocket
      try {
        socket = new Socket(url, SUBPROTOCOL)
      } catch (error) {
        // No URL of a WebSocket, or one that this page may not open.
        queueMicrotask(() => handlers.closed(1006, String(error), true))
        return { send() {}, close() {} }
      }
      socket.binaryType = 'arraybuffer'
      socket.onopen = () => {
        failed = false
        handlers.opened()
      }
      // Text, which no server sends, is as a message without a frame.
      socket.onmessage = ({ data }) => handlers.message(new Uint8Array(typeof data === 'string' ? 0 : data))
      socket.onclose = ({ code, reason }) => handlers.closed(code, reason, failed)
      return {
        send: (bytes) => socket.send(bytes as Uint8Array<ArrayBuffer>),
        close: (code = 1000) => socket.close(code),
      }
    },
  }
}
