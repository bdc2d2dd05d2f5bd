/** What is followed: on one socket at a time, and anew on the next. */
import { KINDS, type Target } from '../protocol.js'
import type { Subscriber } from './channel.js'
import { say, type Socket } from './socket.js'
import type { PresentMember } from './types.js'

export interface Followed {
  target: Target
  subscriber: Subscriber
  socket: Socket | null
  sub: number
  /** Whether it was ever subscribed to, and how often nothing came of it since. */
  begun: boolean
  tries: number
}

export function subscribe(socket: Socket, followed: Followed): void {
  const { target, subscriber } = followed
  const sub = ++socket.sub
  say(socket, [KINDS.subscribe, sub, target, subscriber.options()], `the input of \`${(target as { query?: { op: string } }).query?.op}\``)
  followed.socket = socket
  followed.sub = sub
  socket.subs.set(sub, followed)
}

/** It is followed on no socket now. */
export function leave(followed: Followed): void {
  followed.socket?.subs.delete(followed.sub)
  followed.socket = null
}

export function unsubscribe(followed: Followed): void {
  const { socket, sub } = followed
  leave(followed)
  if (socket) say(socket, [KINDS.unsubscribe, sub])
}

/** Passes on what the server says of it, but for its end. */
export function tell(followed: Followed, kind: number, b: any, c: any, d: any, size: number): void {
  const { subscriber } = followed
  if (kind === KINDS.events || kind === KINDS.snapshot) followed.tries = 0
  if (kind === KINDS.events) subscriber.events?.(b, c, d, size)
  else if (kind === KINDS.snapshot) subscriber.snapshot?.(b, c, size)
  else if (kind === KINDS.subscribed) {
    followed.begun = true
    subscriber.subscribed?.(b)
  }
  else if (kind === KINDS.presence) subscriber.member?.(b as Omit<PresentMember, 'state'>, c ?? null)
}
