import type { Channel } from './channel.js'
import { type CrewlineError, endedBy } from './error.js'
import { cell } from './readable.js'
import type { Presence, PresentMember } from './types.js'

/** One's state is sent at most so often: what changes faster is overwritten. */
const PACE_MS = 50

/** Makes this connection present in a session, and tells who else is. */
export function createPresence(channel: Channel, session_id: string): Presence {
  const members = cell<readonly PresentMember[]>([])
  const others = new Map<string, PresentMember>()
  let own: Record<string, unknown> | undefined
  let sentAt = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  let error: CrewlineError | null = null

  const subscription = channel.subscribe({ presence: { session_id } }, {
    options: () => ({}),
    subscribed() {
      // All others are told now: who is not among them has left.
      clear()
      if (own) send()
    },
    member(member, state) {
      if (state) others.set(member.connection_id, { ...member, state })
      else others.delete(member.connection_id)
      tell()
    },
    // Who is there is told anew on the next connection.
    lost: clear,
    ended: (_, body) => end(endedBy(`session ${session_id}`, body)),
    failed: end,
  })

  function tell(): void {
    members.set([...others.values()])
  }

  function clear(): void {
    others.clear()
    tell()
  }

  function end(why: CrewlineError): void {
    error = why
    clear()
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
      timer ??= setTimeout(send, sentAt + PACE_MS - Date.now())
    },
    close() {
      clearTimeout(timer)
      subscription.close()
      clear()
    },
  }
}
