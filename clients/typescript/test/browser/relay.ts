/** Stands between pages and a server, and breaks what passes: a link that is cut, that freezes, that is closed with a code, that is not there. */
import { decodeMulti, encode } from '@msgpack/msgpack'
import { WebSocket, WebSocketServer, type RawData } from 'ws'
import { SUBPROTOCOL } from '../../src/protocol.js'

type Frame = [kind: number, ...rest: unknown[]]

export interface Relay {
  readonly url: string
  /** Connections to the server that are open now. */
  readonly open: number
  /** Connections that were made so far. */
  readonly made: number
  /** What clients have sent. */
  readonly sent: Frame[]
  /** Whether nobody is let in. */
  refuses: boolean
  /** Called before a message of a client is passed on. Returning `cut` cuts the link instead of passing it, `cut after` once the server has answered. */
  watch: ((frames: Frame[]) => 'cut' | 'cut after' | void) | null
  /** Passes nothing on any more on the links that there are, and closes nothing. */
  freeze(): void
  /** Cuts the links without a word. */
  cut(): void
  /** Says a frame to the clients, as if the server did. */
  say(frame: Frame): void
  /** Closes the links with this code. */
  close(code: number): void
  stop(): Promise<void>
}

interface Ends {
  near: WebSocket
  far: WebSocket
  frozen: boolean
  /** The answer to what was passed on last is the last that the server says here. */
  last: boolean
}

export async function startRelay(server: string): Promise<Relay> {
  const links = new Set<Ends>()
  const target = `${server.replace(/^http/, 'ws')}/ws`
  const listener = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false, verifyClient: () => !relay.refuses })
  await new Promise((resolve) => listener.once('listening', resolve))

  listener.on('connection', (near, { headers }) => {
    relay.count()
    const far = new WebSocket(target, SUBPROTOCOL, { perMessageDeflate: false, ...(headers.origin && { origin: headers.origin }) })
    const ends: Ends = { near, far, frozen: false, last: false }
    const early: RawData[] = []
    links.add(ends)
    near.on('message', (data) => {
      const frames = [...decodeMulti(data as Buffer)] as Frame[]
      relay.sent.push(...frames)
      const now = relay.watch?.(frames)
      if (now === 'cut') return cut(ends)
      ends.last ||= now === 'cut after'
      if (ends.frozen) return
      if (far.readyState === WebSocket.OPEN) far.send(data)
      else early.push(data)
    })
    far.on('open', () => early.splice(0).forEach((data) => far.send(data)))
    far.on('message', (data) => {
      if (ends.last) return cut(ends)
      if (!ends.frozen) near.send(data)
    })
    near.on('close', () => {
      links.delete(ends)
      far.terminate()
    })
    far.on('close', (code, reason) => {
      if (ends.frozen || near.readyState !== WebSocket.OPEN) return
      if (code === 1005 || code === 1006) near.terminate()
      else near.close(code, reason)
    })
    near.on('error', () => {})
    far.on('error', () => near.terminate())
  })

  function cut({ near, far }: Ends): void {
    near.terminate()
    far.terminate()
  }

  let made = 0
  const relay: Relay & { count(): void } = {
    url: `ws://127.0.0.1:${(listener.address() as { port: number }).port}/ws`,
    get open() {
      return links.size
    },
    get made() {
      return made
    },
    count: () => made++,
    sent: [],
    refuses: false,
    watch: null,
    freeze: () => links.forEach((ends) => (ends.frozen = true)),
    cut: () => links.forEach(cut),
    say: (frame) => links.forEach(({ near }) => near.send(encode(frame))),
    close: (code) => links.forEach(({ near }) => near.close(code)),
    stop() {
      links.forEach(cut)
      return new Promise((resolve) => listener.close(() => resolve()))
    },
  }
  return relay
}
