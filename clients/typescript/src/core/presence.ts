import type { Channel } from './channel.js'
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

  const subscription = channel.subscribe({ presence: { session_id } }, {
    options: () => ({}),
    subscribed: () => void (own && send()),
    member(member, state) {
      const others = members.get()
      const known = others.findIndex(({ connection_id }) => connection_id === member.connection_id)
      if (state === null) members.set(others.filter((_, place) => place !== known))
      else if (known < 0) members.set([...others, { ...member, state }])
      else members.set(others.map((other, place) => (place === known ? { ...member, state } : other)))
    },
    // Who is there is told anew on the next connection.
    lost: () => members.set([]),
    ended: () => members.set([]),
    failed: () => members.set([]),
  })

  function send(): void {
    timer = undefined
    sentAt = Date.now()
    subscription.state(own ?? {})
  }

  return {
    get: members.get,
    subscribe: members.subscribe,
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
