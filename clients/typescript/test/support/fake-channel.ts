/** A connection of which a test says what it does: for what stands on `Channel` alone. */
import type { RunEvent, SubscribeOptions, Target } from '../../src/protocol.js'
import type { Channel, Subscriber } from '../../src/core/channel.js'
import type { CrewlineError } from '../../src/core/error.js'

/** One subscription, as the server's side sees it. */
export interface Followed {
  target: Target
  subscriber: Subscriber
  /** The options of each subscribe that was sent. */
  asked: SubscribeOptions[]
  /** Bytes that were granted on the subscription that there is now, by grant. */
  granted: number[]
  /** States that were set, of a presence. */
  states: unknown[]
  open: boolean
}

export interface FakeChannel extends Channel {
  epoch: string
  /** All that were made, oldest first. */
  followed: Followed[]
  /** The last that was made. */
  readonly last: Followed
  /** Connects, and again after `lose`; `epoch`: to another database. */
  connect(epoch?: string): void
  lose(): void
  /** A new socket takes the place of the old one, which was never lost. */
  handOver(): void
  /** It stops for good. */
  fail(error: CrewlineError): void
}

export function fakeChannel(connected = true): FakeChannel {
  const begin = (one: Followed): void => {
    one.granted = []
    one.asked.push(one.subscriber.options())
  }
  const open = (): Followed[] => channel.followed.filter((one) => one.open)
  const channel: FakeChannel = {
    epoch: 'one',
    followed: [],
    get last() {
      return channel.followed.at(-1)!
    },
    connect(epoch = channel.epoch) {
      connected = true
      channel.epoch = epoch
      open().forEach(begin)
    },
    lose() {
      connected = false
      for (const { subscriber } of open()) subscriber.lost?.()
    },
    handOver: () => open().forEach(begin),
    fail(error) {
      for (const one of open()) {
        one.open = false
        one.subscriber.failed(error)
      }
    },
    subscribe(target, subscriber) {
      const one: Followed = { target, subscriber, asked: [], granted: [], states: [], open: true }
      channel.followed.push(one)
      // Nothing is called from within `subscribe`.
      queueMicrotask(() => one.open && connected && one.asked.length === 0 && begin(one))
      return {
        credit: (bytes) => void (one.open && connected && bytes > 0 && one.granted.push(bytes)),
        again: () => one.open && connected && begin(one),
        state: (state) => void (one.open && connected && one.states.push(state)),
        close: () => void (one.open = false),
      }
    },
  }
  return channel
}

/** Ends it as the server does. */
export function end(one: Followed, body: Parameters<Subscriber['ended']>[1], offset = 0): void {
  one.open = false
  one.subscriber.ended(offset, body)
}

/** Lets promises go on that nothing but promises hold up. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A log's events: words of one part. */
export const words = (from: number, to: number): RunEvent[] =>
  Array.from({ length: to - from }, (_, place) => ({ type: 'text.delta', at: 0, part: 'p', text: `${from + place + 1} ` }))
