/** Presence of several tabs over one connection: a connection is present in a session once, so that its tabs are one member there. */
import { decode, encode } from '@msgpack/msgpack'
import { KINDS, type ServerPresenceFrame } from '../protocol.js'
import { withNumber } from '../core/frames.js'
import type { HubTab, Stream } from './hub.js'

interface Holder {
  tab: HubTab
  sub: number
  /** The frame that sets its state. */
  state: Uint8Array | null
}

/** Whose state is the member's: that of the tab that set one last. `write` sends a frame; `number` is the connection's. */
export function sharePresence(number: number, write: (frame: Uint8Array) => void): Stream {
  // Who set a state last stands last.
  let holders: Holder[] = []
  let began: Uint8Array | null = null
  const members = new Map<string, Uint8Array>()
  const others = (tab: HubTab, sub: number): Holder[] => holders.filter((holder) => holder.tab !== tab || holder.sub !== sub)
  const tell = ({ tab, sub }: Holder, frame: Uint8Array): void => {
    tab.out.push(withNumber(frame, sub))
  }
  return {
    join(tab, sub) {
      const holder = { tab, sub, state: null }
      holders.unshift(holder)
      for (const frame of began ? [began, ...members.values()] : []) tell(holder, frame)
    },
    set(tab, sub, frame) {
      const state = withNumber(frame, number)
      holders = [...others(tab, sub), { tab, sub, state }]
      write(state)
    },
    receive(kind, frame) {
      if (kind === KINDS.subscribed) began = frame.slice()
      if (kind === KINDS.presence) {
        const [, , { connection_id }, state] = decode(frame) as ServerPresenceFrame
        if (state == null) members.delete(connection_id)
        else members.set(connection_id, frame.slice())
      }
      for (const holder of holders) tell(holder, frame)
    },
    leave(tab, sub) {
      const before = holders.at(-1)
      holders = others(tab, sub)
      const now = holders.at(-1)
      if (now && now !== before && before?.state) write(now.state ?? encode([KINDS.presence, number, {}]))
      return !now
    },
  }
}
