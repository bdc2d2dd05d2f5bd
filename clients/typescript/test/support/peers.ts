/** The other side of a client's sockets, of which a test says what it does: for what stands on `Transport`. */
import { decodeMulti, encode } from '@msgpack/msgpack'
import { vi } from 'vitest'
import type { Transport, TransportHandlers } from '../../src/core/transport.js'

export type Frame = [number, ...unknown[]]

/** One socket, as the server's side sees it. */
export interface Peer {
  /** What the client said, frame by frame. */
  said: Frame[]
  /** Whether the client has closed it. */
  left: boolean
  say(...frames: Frame[]): void
  cut(code?: number): void
  /** Only that of a server that is not reached at once: it is now. */
  reach(): void
}

export interface Peers {
  readonly transport: Transport
  /** All that were made, oldest first. */
  readonly all: Peer[]
  /** The last that was made. */
  readonly last: Peer
  /** Whether a socket is open as soon as it is asked for. */
  reachable: boolean
}

export function peersOfClient(): Peers {
  const peers: Peers = {
    all: [],
    get last() {
      return peers.all.at(-1)!
    },
    reachable: true,
    transport: {
      open(handlers: TransportHandlers) {
        const peer: Peer = {
          said: [],
          left: false,
          say: (...frames) => handlers.message(Buffer.concat(frames.map((frame) => encode(frame)))),
          cut: (code = 1006) => handlers.closed(code, '', false),
          reach: () => handlers.opened(),
        }
        peers.all.push(peer)
        if (peers.reachable) queueMicrotask(peer.reach)
        return {
          send: (bytes) => void peer.said.push(...([...decodeMulti(bytes)] as Frame[])),
          close: () => void (peer.left = true),
        }
      },
    },
  }
  return peers
}

const principal = (id: string) => ({ kind: 'user', id, name: id, role: 'member', workspace: { id: `of ${id}`, name: id } })

/** A welcome to `who`, or to a stranger. */
export const welcome = (who: string | null = 'a', more: { epoch?: string; heartbeat_ms?: number; base_ms?: number; max_ms?: number } = {}): Frame => {
  const { epoch = 'one', heartbeat_ms = 1_000_000, base_ms = 100, max_ms = 1_000 } = more
  return [2, {
    connection_id: 'c', server: { name: 's', version: '1', build: '' }, now_at: 0, epoch, ...(who && { principal: principal(who) }),
    limits: { message_bytes: 1 << 20, row_bytes: 1 << 18, requests: 10, subscriptions: 10, credit_bytes: 1 << 20 },
    heartbeat_ms, features: [], reconnect: { base_ms, max_ms },
  }]
}

/** What `auth.login` and its like answer, for this principal. */
export const signedInAs = (id: string) => ({ access_token: 't', access_expires_at: 0, refresh_token: 'r', refresh_expires_at: 0, principal: principal(id) })

/** Lets fake time pass, and what then happens happen. */
export const passes = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

/** The frames of a kind that a peer heard. */
export const heard = ({ said }: Peer, kind: number): Frame[] => said.filter(([one]) => one === kind)
