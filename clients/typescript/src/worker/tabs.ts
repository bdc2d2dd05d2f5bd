/**
 * Several tabs on one connection: a hub in a SharedWorker, or in the tab among them that leads, has it. A tab reaches the hub by a port, and holds a
 * lock as long as it does: when that is free, the hub knows that the tab is gone, whatever became of it. Where there are no locks (a page that is
 * not secure), or nothing answers, a tab has a socket of its own.
 */
import { createHub, type HubLink, type ToTab } from './hub.js'
import type { Link, Transport } from '../core/transport.js'
import type { TabSharing } from '../core/types.js'

/** Where the connection is that tabs share. */
export interface SharedOptions {
  /** Makes the worker that the hub is in; absent, or where the browser has none: the hub is in one of the tabs. */
  worker?: (() => SharedWorker) | undefined
  /** What the browser gives: for tests. */
  scope?: Scope
}

/** What sharing takes of the browser. */
export interface Scope {
  navigator?: { locks?: Pick<LockManager, 'request'> }
  BroadcastChannel?: new (name: string) => Port
}

/** A MessagePort or a BroadcastChannel. */
export interface Port {
  onmessage: ((event: MessageEvent) => void) | null
  postMessage(message: unknown, transfer?: Transferable[]): void
  close(): void
}

/** A connection of a tab, as it is on its way to a hub and on it. */
interface Reached {
  send(bytes: Uint8Array<ArrayBuffer>): void
  close(): void
}

/** What comes from a hub; at first, which one it is. */
type FromHub = ToTab | { leader: string }
/** Gets to a hub, for the connection of this id. `gone`: the hub is no more. */
type Reach = (id: string, receive: (message: FromHub) => void, gone: () => void) => Reached
type Hub = (tell: (message: ToTab) => void) => HubLink
type Locks = Pick<LockManager, 'request'>

/** How long a hub may take to answer, in milliseconds. */
const ANSWER_MS = 4_000

/**
 * Lets the tabs of an origin share one connection for each URL and workspace: `createClient({ url, auth, tabs: sharedTabs() })`.
 *
 * The tab that was first has it, and when it is gone the next one; or a SharedWorker that `worker` makes. A tab in which somebody else, or
 * nobody, is signed in has a socket of its own, as has every tab of a page that is not secure (`http:`, other than of this machine). Tabs that
 * share are one member of a presence.
 */
export function sharedTabs({ worker, scope = globalThis as Scope }: SharedOptions = {}): TabSharing {
  return ({ own, url, workspace = '' }) => {
    const locks = scope.navigator?.locks
    if (!locks) return own
    const name = `crewline/1 ${url} ${workspace}`
    let byLeader: Reach | undefined
    const reach: Reach = (id, receive, gone) => {
      if (worker) {
        try {
          return reachWorker(worker(), [name, url, id], receive, gone)
        } catch {
          worker = undefined
        }
      }
      byLeader ??= reachLeader(name, own, locks, scope.BroadcastChannel!)
      return byLeader(id, receive, gone)
    }
    return { open: (handlers) => openShared(`${name} ${crypto.randomUUID()}`, reach, own, locks, handlers) }
  }
}

function openShared(id: string, reach: Reach, own: Transport, locks: Locks, handlers: Parameters<Transport['open']>[0]): Link {
  let opened = false
  let left = false
  let done = false
  let socket: Link | null = null
  let reached: Reached | null = null
  let release: (() => void) | null = null
  // What was sent and has no answer: a socket of one's own says it again.
  let sent: Uint8Array<ArrayBuffer>[] | null = []

  const timer = setTimeout(alone, ANSWER_MS)
  locks
    .request(id, () => {
      if (left) return
      reached = reach(id, receive, lost)
      return new Promise<void>((resolve) => (release = resolve))
    })
    .catch(alone)

  return {
    send(bytes) {
      const copy = bytes.slice()
      sent?.push(copy)
      if (socket && !sent) socket.send(copy)
      else if (opened) reached?.send(bytes.slice())
    },
    close(code = 1000) {
      if (socket) return socket.close(code)
      letGo()
      queueMicrotask(() => finish(code, '', false))
    },
  }

  function receive(message: FromHub): void {
    if (message === 'own') alone()
    else if (Array.isArray(message)) finish(...message)
    else if (message instanceof Uint8Array) {
      sent = null
      handlers.message(message)
    } else {
      clearTimeout(timer)
      opened = true
      for (const bytes of sent ?? []) reached?.send(bytes.slice())
      handlers.opened()
    }
  }

  function lost(): void {
    if (opened) finish(1006, 'the tab that had the connection is gone', false)
    else alone()
  }

  function alone(): void {
    if (done || socket || !sent) return
    letGo()
    const link = own.open({
      opened() {
        for (const bytes of sent ?? []) link.send(bytes)
        sent = null
        if (!opened) handlers.opened()
      },
      message: handlers.message,
      closed: finish,
    })
    socket = link
  }

  function letGo(): void {
    left = true
    clearTimeout(timer)
    reached?.close()
    reached = null
    release?.()
  }

  function finish(code: number, reason: string, failed: boolean): void {
    if (done) return
    done = true
    letGo()
    handlers.closed(code, reason, failed)
  }
}

function reachWorker(worker: SharedWorker, hello: [name: string, url: string, id: string], receive: (message: FromHub) => void, gone: () => void): Reached {
  worker.onerror = gone
  worker.port.onmessage = ({ data }) => receive(data)
  worker.port.postMessage(hello)
  return { send: (bytes) => worker.port.postMessage(bytes, [bytes.buffer]), close: () => worker.port.close() }
}

/** The tab that holds the lock of this name leads; when it is gone, another one gets the lock, and says so to all. */
function reachLeader(name: string, own: Transport, locks: Locks, Channel: new (name: string) => Port): Reach {
  const common = new Channel(name)
  const changed = new Set<() => void>()
  const taken = new Set<string>()
  let leader = ''
  let hub: Hub | null = null

  const follow = (other: string): void => {
    leader = other
    for (const tell of [...changed]) tell()
  }
  const lead = (): Promise<never> => {
    hub = createHub(own)
    follow(crypto.randomUUID())
    common.postMessage({ leader })
    return new Promise(() => {})
  }
  common.onmessage = ({ data }: MessageEvent<{ leader: string } | { join: string }>) => {
    if ('leader' in data) follow(data.leader)
    else if (hub && !taken.has(data.join)) {
      taken.add(data.join)
      takeIn(locks, hub, new Channel(data.join), data.join, leader).then(() => taken.delete(data.join))
    }
  }
  // A page that is about to go is refused its locks.
  const ignore = (): void => {}
  const known = new Promise<void>((resolve) => {
    const begin = (lock: Lock | null): Promise<unknown> | void => {
      resolve()
      if (lock) return lead()
      locks.request(name, lead).catch(ignore)
    }
    locks.request(name, { ifAvailable: true }, begin).catch(ignore)
  })

  return (id, receive, gone) => {
    let port: Port | null = null
    let answered = ''
    const join = (): void => {
      if (hub) {
        port?.close()
        const { port1, port2 } = new MessageChannel()
        void takeIn(locks, hub, port2, id, leader)
        port = port1
      } else {
        port ??= new Channel(id)
        common.postMessage({ join: id })
      }
      port.onmessage = ({ data }) => {
        answered ||= data.leader
        receive(data)
      }
    }
    const change = (): void => {
      if (!port) return
      if (!answered) join()
      else if (answered !== leader) gone()
    }
    changed.add(change)
    let closed = false
    void known.then(() => closed || join())
    return {
      send: (bytes) => port?.postMessage(bytes, [bytes.buffer]),
      close() {
        closed = true
        changed.delete(change)
        port?.close()
      },
    }
  }
}

/** Takes in, at a hub, one connection of a tab, until the lock of its id is free: the tab has let go, or is gone. */
export async function takeIn(locks: Locks, hub: Hub, port: Port, id: string, leader: string): Promise<void> {
  const link = hub((message) => port.postMessage(message, message instanceof Uint8Array ? [message.buffer as ArrayBuffer] : []))
  port.onmessage = ({ data }) => link.send(data)
  port.postMessage({ leader })
  await locks.request(id, () => {
    link.leave()
    port.close()
  })
}
