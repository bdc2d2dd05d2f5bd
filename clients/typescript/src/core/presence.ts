import type { Channel } from './channel.js'
import { type CrewlineError, endedBy } from './error.js'
import { cell } from './readable.js'
import type { Presence, PresentMember } from './types.js'

/** One's state is sent at most so often: what changes faster is overwritten. */
const PACE_MS = 50

/** Makes this connection present in a session, and tells who else is. */
export function createPresence(channel: Channel, session_id: string): Presence {
  const members = cell<readonly PresentMember[]>([])
  let own: Record<string, unknown> | undefined
  let sentAt = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  let error: CrewlineError | null = null

  const subscription = channel.subscribe({ presence: { session_id } }, {
    options: () => ({}),
    subscribed() {
      // All others are told now: who is not among them has left.
      members.set([])
      if (own) send()
    },
    member(member, state) {
      const others = members.get()
      const known = others.findIndex(({ connection_id }) => connection_id === member.connection_id)
      if (state === null) members.set(others.filter((_, place) => place !== known))
      else if (known < 0) members.set([...others, { ...member, state }])
      else members.set(others.map((other, place) => (place === known ? { ...member, state } : other)))
    },
    // Who is there is told anew on the next connection.
    lost: () => members.set([]),
    ended: (_, body) => end(endedBy(`session ${session_id}`, body)),
    failed: end,
  })

  function end(why: CrewlineError): void {
    error = why
    members.set([])
  }

  function send(): void {
    clearTimeout(timer)
    timer = undefined
    sentAt = Date.now()
    subscription.state(own ?? {})
  }

  return {
    get: members.get,
    subscribe: members.subscribe,
    get error() {
      return error
    },
    update(state) {
      own = state
      timer ??= setTimeout(send, Math.max(0, sentAt + PACE_MS - Date.now()))
    },
    close() {
      clearTimeout(timer)
      subscription.close()
      members.set([])
    },
  }
}
