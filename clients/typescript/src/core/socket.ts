/** One socket, and what is under way on it. */
import { LIMITS, type Fault } from '../protocol.js'
import type { Request } from './connection.js'
import { CrewlineError, unsendable } from './error.js'
import type { Followed } from './follows.js'
import type { Link } from './transport.js'
import { concat, type Frame, write } from './wire.js'

export interface Socket {
  /** `null`: there is none yet, or it is lost. */
  link: Link | null
  welcomed: boolean
  /** When it was welcomed, and when something was last heard. */
  since: number
  heard: number
  /** The most bytes of a message. */
  most: number
  /** The last numbers that were given. */
  id: number
  sub: number
  asked: Map<number, Request>
  subs: Map<number, Followed>
  queue: Uint8Array[]
  fault: Fault | null
  /** The server leaves: nothing new is begun on it. */
  leaving: boolean
  timers: Set<ReturnType<typeof setTimeout>>
}

export function createSocket(): Socket {
  return {
    link: null, welcomed: false, since: 0, heard: 0, most: LIMITS.message_bytes_before_sign_in, id: 0, sub: 0,
    asked: new Map(), subs: new Map(), queue: [], fault: null, leaving: false, timers: new Set(),
  }
}

/** Does something later, as long as the socket is open. */
export function later(socket: Socket, ms: number, then: () => void): void {
  if (!socket.link) return
  const timer = setTimeout(() => {
    socket.timers.delete(timer)
    then()
  }, ms)
  socket.timers.add(timer)
}

/** What is said in one go travels in one message. `what` a caller has given may be none that can be sent: then it throws, and nothing was said. */
export function say(socket: Socket, frame: Frame, what?: string): void {
  let bytes: Uint8Array
  try {
    bytes = write(frame)
  } catch (cause) {
    throw unsendable(what, cause)
  }
  // The server would close the connection, and all else that is under way with it.
  if (what && bytes.length > socket.most) throw new CrewlineError('too_large', `${what} has ${bytes.length} bytes, more than ${socket.most}: make it smaller`)
  socket.queue.push(bytes)
  if (socket.queue.length === 1) queueMicrotask(() => flush(socket))
}

function flush(socket: Socket): void {
  const frames = socket.queue
  socket.queue = []
  let message: Uint8Array[] = []
  let bytes = 0
  for (const frame of frames) {
    if (bytes && bytes + frame.length > socket.most) {
      socket.link?.send(concat(message))
      message = []
      bytes = 0
    }
    message.push(frame)
    bytes += frame.length
  }
  socket.link?.send(concat(message))
}
