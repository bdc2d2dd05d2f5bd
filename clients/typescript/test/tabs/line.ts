/** The server's end of connections, by hand: what was sent is seen frame by frame, and a test says what the server says. */
import { decodeMulti, encode } from '@msgpack/msgpack'
import { concat } from '../../src/core/frames.js'
import type { Transport, TransportHandlers } from '../../src/core/transport.js'

type Frame = unknown[]

export interface Line {
  handlers: TransportHandlers
  /** What has been sent and not been taken. */
  sent: Frame[]
  /** The code that it was closed with by the client. */
  closed: number | null
  /** What was sent since the last time. */
  take(): Frame[]
  /** Says these frames in one message. */
  say(...frames: Frame[]): void
}

/** A transport whose connections are in `lines`, the first one first. `opens`: whether they open by themselves. */
export function createLines(opens = true): { own: Transport; lines: Line[] } {
  const lines: Line[] = []
  const own: Transport = {
    open(handlers) {
      const line: Line = {
        handlers,
        sent: [],
        closed: null,
        take: () => line.sent.splice(0),
        say: (...frames) => handlers.message(message(...frames)),
      }
      lines.push(line)
      if (opens) queueMicrotask(() => handlers.opened())
      return {
        send: (bytes) => line.sent.push(...(decodeMulti(bytes) as Iterable<Frame>)),
        close: (code = 1000) => (line.closed ??= code),
      }
    },
  }
  return { own, lines }
}

export const message = (...frames: Frame[]): Uint8Array => concat(frames.map((frame) => encode(frame)))

export const frames = (bytes: Uint8Array): Frame[] => [...(decodeMulti(bytes) as Iterable<Frame>)]

export const welcome = (principal = 'ada'): Frame => [
  2,
  {
    connection_id: 'c1',
    server: { name: 'crewline', version: '0', build: 'test' },
    now_at: 1_000_000,
    epoch: 'one',
    principal: { kind: 'user', id: principal, name: principal },
    limits: { message_bytes: 1 << 20, row_bytes: 1 << 18, requests: 256, subscriptions: 8, credit_bytes: 4_000 },
    heartbeat_ms: 15_000,
    features: [],
    reconnect: { base_ms: 250, max_ms: 30_000 },
  },
]

export const hello = (access_token?: string): Frame => [1, { client: { name: 'test', version: '0' }, ...(access_token && { access_token }) }]
