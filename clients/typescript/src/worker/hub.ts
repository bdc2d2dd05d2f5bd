/**
 * One connection for several tabs. Each tab speaks to the hub as it would to a server; the hub renumbers what they send, and gives each what is
 * its own. Frames are passed on as bytes: only what opens a connection, and presence, is decoded.
 */
import { decode, encode } from '@msgpack/msgpack'
import { KINDS, type Authenticated, type Hello, LIMITS, type Notice, type Target, type Welcome } from '../protocol.js'
import { concat, eachFrame, numberOf, putNumber, withNumber } from '../core/frames.js'
import { sharePresence } from './hub-presence.js'
import type { Transport } from '../core/transport.js'

/** What a hub tells a tab: frames; that its connection is closed, as `TransportHandlers.closed`; `own`: that it needs a socket of its own. */
export type ToTab = Uint8Array | [code: number, reason: string, failed: boolean] | 'own'

/** A tab's side of the hub: one connection, as the tab sees it. */
export interface HubLink {
  /** One or more frames; the first is `hello`. */
  send(bytes: Uint8Array): void
  /** The tab is gone. */
  leave(): void
}

/** A tab, as the hub sees it. */
export interface HubTab {
  tell(message: ToTab): void
  token: string
  /** What it has sent, while its hello has no answer. */
  waits: Uint8Array[] | null
  /** Its open requests and subscriptions: its numbers, and the connection's. */
  requests: Map<number, number>
  subs: Map<number, number>
  /** Frames that are about to be told. */
  out: Uint8Array[]
}

/** What a subscription of the connection is to the tabs that hold it. */
export interface Stream {
  join?(tab: HubTab, sub: number): void
  set?(tab: HubTab, sub: number, frame: Uint8Array): void
  /** A frame of the server. */
  receive(kind: number, frame: Uint8Array): void
  /** Takes a tab out, and tells whether it was the last. */
  leave(tab: HubTab, sub: number): boolean
}

/** How long a server may take to say welcome, and to say anything after a ping, in milliseconds. */
const WELCOME_MS = 15_000
const PING_MS = 3_000

/**
 * A hub over one connection at a time; over another while a server hands over, or where one has many subscriptions. What it returns takes in
 * one connection of a tab.
 */
export function createHub(transport: Transport): (tell: (message: ToTab) => void) => HubLink {
  let latest: Shared | null = null
  return (tell) => {
    const tab: HubTab = { tell, token: '', waits: [], requests: new Map(), subs: new Map(), out: [] }
    let shared: Shared | null = null
    return {
      send(bytes) {
        if (shared) return shared.send(tab, bytes)
        eachFrame(bytes, (frame, kind) => {
          if (kind === KINDS.hello) tab.token = part<Hello>(frame, 1).access_token ?? ''
        })
        // Who signs in over a connection does so alone: the other tabs would not know of it.
        if (!tab.token) return tell('own')
        if (!latest?.open()) latest = share(transport)
        shared = latest
        shared.join(tab, bytes)
      },
      leave: () => shared?.leave(tab),
    }
  }
}

interface Shared {
  /** Whether a tab that comes now is to share it. */
  open(): boolean
  join(tab: HubTab, bytes: Uint8Array): void
  send(tab: HubTab, bytes: Uint8Array): void
  leave(tab: HubTab): void
}

const part = <T>(frame: Uint8Array, place: number): T => (decode(frame) as T[])[place] as T

function share(transport: Transport): Shared {
  const tabs = new Set<HubTab>()
  const tokens = new Set<string>()
  // By the connection's numbers, but for presences: these by their session.
  const answers = new Map<number, (kind: number, frame: Uint8Array) => void>()
  const streams = new Map<number, Stream>()
  const presences = new Map<string, number>()
  const pings: HubTab[] = []
  let lastRequest = 0
  let lastSub = 0
  let first: HubTab | null = null
  let welcome: Welcome | null = null
  let welcomedAt = 0
  let usable = true
  let over = false
  // Frames that are about to be sent, and messages that wait for the socket.
  let out: Uint8Array[] = []
  let unsent: Uint8Array[] | null = []
  // Bytes that the server may send again.
  let owed = 0
  let heard = 0
  let probing = false
  let timer: ReturnType<typeof setTimeout>

  const link = transport.open({
    opened() {
      for (const message of unsent ?? []) link.send(message)
      unsent = null
    },
    message: receive,
    closed: end,
  })
  listen(WELCOME_MS)

  return {
    open: () => usable && streams.size <= (welcome?.limits.subscriptions ?? Infinity) / 2,
    join(tab, bytes) {
      tabs.add(tab)
      tab.waits = [bytes]
      if (!first) {
        first = tab
        tokens.add(tab.token)
        tab.waits = null
        eachFrame(bytes, (frame, kind) => kind === KINDS.hello && out.push(frame))
        forward(tab, bytes)
      } else if (welcome) admit(tab, welcome)
      flush()
    },
    send(tab, bytes) {
      if (tab.waits) tab.waits.push(bytes)
      else if (tabs.has(tab)) forward(tab, bytes)
      flush()
    },
    leave,
  }

  /** Takes in a tab whose token the server accepts for the same principal. Whatever else the server says, it says again to a socket of the tab's own. */
  function admit(tab: HubTab, said: Welcome): void {
    if (tokens.has(tab.token)) return greet(tab, said)
    answers.set(++lastRequest, (kind, frame) => {
      if (!tabs.has(tab)) return
      if (kind === KINDS.reply) {
        tokens.add(tab.token)
        said.principal = part<Authenticated>(frame, 2).principal
        greet(tab, said)
      } else {
        tab.tell('own')
        leave(tab)
      }
    })
    out.push(encode([KINDS.request, lastRequest, 'auth.authenticate', { access_token: tab.token }]))
  }

  function greet(tab: HubTab, said: Welcome): void {
    tab.out.push(encode([KINDS.welcome, { ...said, now_at: said.now_at + Date.now() - welcomedAt }], { ignoreUndefined: true }))
    const waits = tab.waits ?? []
    tab.waits = null
    for (const bytes of waits) forward(tab, bytes)
  }

  /** From a tab to the server. */
  function forward(tab: HubTab, bytes: Uint8Array): void {
    eachFrame(bytes, (frame, kind) => {
      if (kind === KINDS.ping) {
        pings.push(tab)
        out.push(frame)
        if (!probing) listen(PING_MS)
        probing = true
      }
      // Pongs answer the hub's own pings, and the connection's credit is the hub's to give back.
      const number = kind === KINDS.hello || kind === KINDS.ping || kind === KINDS.pong ? 0 : numberOf(frame)
      const known = (kind === KINDS.cancel ? tab.requests : tab.subs).get(number)
      if (kind === KINDS.request) request(tab, number, frame)
      else if (kind === KINDS.subscribe) subscribe(tab, number, frame)
      else if (known === undefined) return
      else if (kind === KINDS.unsubscribe || (kind === KINDS.presence && part(frame, 2) === null)) unsubscribe(tab, number, known)
      else if (kind === KINDS.presence) streams.get(known)?.set?.(tab, number, frame)
      else out.push(withNumber(frame, known))
    })
  }

  function request(tab: HubTab, id: number, frame: Uint8Array): void {
    // Never below the tab's own number, so that the tab's fits where the connection's stands.
    lastRequest = Math.max(lastRequest + 1, id)
    tab.requests.set(id, lastRequest)
    answers.set(lastRequest, (_, answer) => {
      tab.requests.delete(id)
      putNumber(answer, id)
      tab.out.push(answer)
    })
    out.push(withNumber(frame, lastRequest))
  }

  function subscribe(tab: HubTab, sub: number, frame: Uint8Array): void {
    lastSub = Math.max(lastSub + 1, sub)
    const target = part<Target>(frame, 2)
    const session = 'presence' in target ? target.presence.session_id : ''
    const number = presences.get(session) ?? lastSub
    const shared = streams.get(number)
    tab.subs.set(sub, shared ? number : lastSub)
    if (shared) return shared.join?.(tab, sub)
    const stream = session ? sharePresence(lastSub, (frame) => out.push(frame)) : own(tab, sub)
    stream.join?.(tab, sub)
    streams.set(lastSub, stream)
    if (session) presences.set(session, lastSub)
    out.push(withNumber(frame, lastSub))
  }

  function unsubscribe(tab: HubTab, sub: number, number: number): void {
    tab.subs.delete(sub)
    if (!streams.get(number)?.leave(tab, sub)) return
    streams.delete(number)
    out.push(encode([KINDS.unsubscribe, number]))
  }

  function leave(tab: HubTab): void {
    if (!tabs.delete(tab)) return
    for (const id of tab.requests.values()) {
      answers.delete(id)
      out.push(encode([KINDS.cancel, id]))
    }
    for (const [sub, number] of [...tab.subs]) unsubscribe(tab, sub, number)
    if (tabs.size) return flush()
    end(1000, '', false)
    link.close(1000)
  }

  /** From the server to the tabs. */
  function receive(bytes: Uint8Array): void {
    heard++
    probing = false
    eachFrame(bytes, (frame, kind) => {
      if (kind === KINDS.welcome) return welcomed(frame)
      if (kind === KINDS.pong) return pings.shift()?.out.push(frame)
      const number = kind < KINDS.ping ? numberOf(frame) : 0
      if (!number) return toAll(kind, frame)
      if (kind === KINDS.reply || kind === KINDS.fault) {
        answers.get(number)?.(kind, frame)
        answers.delete(number)
        return
      }
      if (kind === KINDS.events || kind === KINDS.snapshot) owed += frame.length
      streams.get(number)?.receive(kind, frame)
      if (kind === KINDS.ended) streams.delete(number)
    })
    // The hub gives the connection's credit back, not who consumes: else a tab that sleeps would hold up the others.
    if (welcome && owed > welcome.limits.credit_bytes / 4) {
      out.push(encode([KINDS.credit, 0, owed]))
      owed = 0
    }
    listen(welcome ? 2 * welcome.heartbeat_ms : WELCOME_MS)
    flush()
  }

  function welcomed(frame: Uint8Array): void {
    welcome = part<Welcome>(frame, 1)
    welcomedAt = Date.now()
    for (const tab of [...tabs]) {
      if (tab === first) tab.out.push(frame)
      else admit(tab, welcome)
    }
  }

  /** What is said of the connection. A ping is passed on, for each tab sees by it that the link lives; the hub answers, for a tab may be asleep. */
  function toAll(kind: number, frame: Uint8Array): void {
    if (kind === KINDS.ping) out.push(encode([KINDS.pong, part(frame, 1)]))
    if (kind === KINDS.goaway) usable = false
    if (kind === KINDS.notice && welcome) {
      const notice = part<Notice>(frame, 1)
      if ('principal' in notice) welcome.principal = notice.principal
    }
    for (const tab of tabs) if (!tab.waits) tab.out.push(frame)
  }

  /** Sends and tells what has gathered, in messages well below the limit. */
  function flush(): void {
    while (out.length && !over) {
      let bytes = 0
      const fits = out.findIndex((frame) => (bytes += frame.length) > LIMITS.message_bytes / 2)
      const message = concat(out.splice(0, fits < 0 ? out.length : fits || 1))
      if (unsent) unsent.push(message)
      else link.send(message)
    }
    for (const tab of tabs) {
      if (tab.out.length) tab.tell(concat(tab.out.splice(0)))
    }
  }

  /** Ends it when nothing is heard for so long. The timer of a page that slept may come before what has arrived: that is read first. */
  function listen(ms: number): void {
    clearTimeout(timer)
    if (over) return
    timer = setTimeout(() => {
      const before = heard
      timer = setTimeout(() => {
        if (before !== heard) return
        end(1006, 'nothing was heard from the server', false)
        link.close()
      }, 100)
    }, ms)
  }

  function end(code: number, reason: string, failed: boolean): void {
    clearTimeout(timer)
    usable = false
    over = true
    // What the server has against the first one's hello is not said of the others.
    for (const tab of tabs) tab.tell([welcome || tab === first ? code : 1006, reason, failed])
    tabs.clear()
  }
}

const own = (tab: HubTab, sub: number): Stream => ({
  receive(kind, frame) {
    putNumber(frame, sub)
    tab.out.push(frame)
    if (kind === KINDS.ended) tab.subs.delete(sub)
  },
  leave: () => true,
})
