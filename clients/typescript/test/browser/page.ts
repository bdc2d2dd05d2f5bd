/** What the tests' pages run: a client, and what it has heard of a run, kept through reloads. */
import { createClient, type Client, type LiveQuery, type Presence, type RunEvent, type TabSharing } from '../../src/core/index.js'
import { sharedTabs } from '../../src/worker/index.js'

export interface Page {
  client: Client
  live: LiveQuery<{ items: { id: string; data: Record<string, unknown> }[] }>
  presence: Presence | null
  /** The events of the run that are stored, and whether it has ended. */
  log(): { offset: number; events: RunEvent[]; done: boolean }
  /** Why `auth` was asked. */
  asked: string[]
  /** Where its connection stood, one after another. */
  stood: string[]
  /** How many calls are kept beyond a reload by now. */
  kept(): Promise<number>
  /** Whether this page may evaluate text. */
  evaluates: boolean
}

const query = new URLSearchParams(location.search)
const asked: string[] = []
const tabs: Record<string, TabSharing> = {
  leader: sharedTabs(),
  worker: sharedTabs({ worker: () => new SharedWorker('/worker.js', { type: 'module' }) }),
}

const client = createClient({
  url: query.get('url')!,
  auth: ({ reason }) => {
    asked.push(reason)
    return localStorage.getItem('token')
  },
  reconnect: { base_ms: 50, max_ms: 500 },
  ...(query.has('tabs') && { tabs: tabs[query.get('tabs')!]! }),
})

const stood: string[] = []
client.connection.subscribe(() => stood.push(client.connection.get().status))

const live = client.live('record.list', { collection: 'campaigns' })
if (query.has('live')) live.retain()

const session = query.get('session')
const presence = session === null ? null : client.presence(session)

// Each frame is stored at its offset, in one step with what it says: that is the position that a reload goes on from.
const run = query.get('run')
const prefix = `run:${run}:`
const stored = (): [offset: number, events: RunEvent[]][] =>
  Object.keys(localStorage)
    .filter((key) => key.startsWith(prefix))
    .map((key): [number, RunEvent[]] => [Number(key.slice(prefix.length)), JSON.parse(localStorage.getItem(key)!)])
    .sort(([one], [other]) => one - other)

let done = false
async function follow(run: string): Promise<void> {
  const frames = client.followRun(run, { from: stored().at(-1)?.[0] ?? 0 }).frames()
  for await (const { offset, events } of frames) localStorage.setItem(`${prefix}${offset}`, JSON.stringify(events))
  done = true
}
if (run !== null) void follow(run)

const kept = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const opening = indexedDB.open(`crewline:${query.get('url')}`)
    opening.onerror = () => reject(opening.error)
    opening.onsuccess = () => {
      const counting = opening.result.transaction('outbox').objectStore('outbox').count()
      counting.onsuccess = () => resolve(counting.result)
    }
  })

let evaluates = true
try {
  Function('return 1')
} catch {
  evaluates = false
}

const page: Page = {
  client,
  live: live as Page['live'],
  presence,
  asked,
  stood,
  kept,
  evaluates,
  log() {
    const frames = stored()
    return { offset: frames.at(-1)?.[0] ?? 0, events: frames.flatMap(([, events]) => events), done }
  },
}
declare global {
  var page: Page
}
globalThis.page = page
