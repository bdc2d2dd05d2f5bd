/** What live queries, run streams and presence ask of the connection: one subscription each, opened again after every reconnect. */
import type { Ended, RunEvent, SubscribeOptions, SubscribedQuery, SubscribedRun, Target } from '../protocol.js'
import type { CrewlineError } from './error.js'
import type { PresentMember } from './types.js'

export interface Channel {
  /**
   * Where positions hold: the database as it is now, and who reads it. It changes before `options` is asked; what was read under another is no
   * place to go on from.
   */
  readonly epoch: string
  /** Opens a subscription as soon as there is a connection, and again after each reconnect, until it is closed or has ended. */
  subscribe(target: Target, subscriber: Subscriber): Subscription
}

/** Called by the connection, never from within `subscribe` itself. */
export interface Subscriber {
  /** Asked each time a subscribe frame is about to be sent. */
  options(): SubscribeOptions
  subscribed?(body: SubscribedRun | SubscribedQuery | Record<string, never>): void
  /** `bytes`: the frame's length, to be given back as credit once it is applied. A query's events are changes. */
  events?(offset: number, span: number, events: readonly (RunEvent | unknown)[], bytes: number): void
  snapshot?(offset: number, value: unknown, bytes: number): void
  /** The server ended it, for good: what it ends to begin anew, and what it can't open again just now, is opened again by itself. */
  ended(offset: number, body: Ended): void
  member?(member: Omit<PresentMember, 'state'>, state: Record<string, unknown> | null): void
  /** The connection is lost. What comes next is `options`, or `failed`. */
  lost?(): void
  /** The connection has stopped for good (signed out, closed). It is not opened again. */
  failed(error: CrewlineError): void
}

export interface Subscription {
  /** Grants what was applied. */
  credit(bytes: number): void
  /** Unsubscribes and subscribes anew, with `options` asked again: after a gap. */
  again(): void
  /** One's state in a presence. */
  state(state: Record<string, unknown> | null): void
  close(): void
}
