/** What every test in a browser needs: the real server, a relay in front of it, a site whose pages it lets in, and people. */
import { vi } from 'vitest'
import { createClient, type Client, type RunEvent } from '../../src/core/index.js'
import { PASSWORD, register } from '../support/people.js'
import { nodeTransport, startServer, type Server } from '../support/server.js'
import { startRelay, type Relay } from './relay.js'
import { openSite, type Site } from './site.js'

/** Somebody: a token, and a client in Node that goes past the relay. */
export interface User {
  email: string
  token: string
  client: Client
}

export interface Stage {
  server: Server
  relay: Relay
  site: Site
  user(name: string): Promise<User>
  /** Another sign-in of this user. */
  again(user: User): Promise<User>
  close(): Promise<void>
}

export async function openStage(settings: readonly string[] = []): Promise<Stage> {
  const site = await openSite()
  const server = await startServer([`origins=${site.origin}`, 'heartbeat_ms=1000', 'sign_in_rate=100000', ...settings])
  const relay = await startRelay(server.url)
  const clients: Client[] = []
  const stranger = (): Client => {
    const client = createClient({ url: server.url, transport: nodeTransport(server.url), outbox: 'memory', reconnect: { base_ms: 50, max_ms: 200 } })
    clients.push(client)
    return client
  }
  return {
    server,
    relay,
    site,
    async user(name) {
      const client = stranger()
      const { email, access_token: token } = await register(client, name)
      return { email, token, client }
    },
    async again({ email }) {
      const client = stranger()
      const { access_token: token } = await client.call('auth.login', { email, password: PASSWORD })
      return { email, token, client }
    },
    async close() {
      for (const client of clients) client.close()
      await site.close()
      await relay.stop()
      await server.stop()
    },
  }
}

/** Until it holds, or the test fails with what it came to. */
export async function until<T>(what: string, value: () => T | Promise<T>, holds: (value: T) => boolean): Promise<T> {
  const look = async (): Promise<T> => {
    const now = await value()
    if (!holds(now)) throw new Error(`${what}: it came to ${JSON.stringify(now)?.slice(0, 500)}`)
    return now
  }
  return vi.waitFor(look, { timeout: 30_000, interval: 20 })
}

/**
 * Events as they read once the server's freedom is taken out of them: adjacent deltas of a part may come as one, and progress that another
 * overtook may not come at all.
 */
export function normal(events: readonly RunEvent[]): string {
  const read: RunEvent[] = []
  for (const event of events) {
    const last = read.at(-1)
    if (event.type === 'progress.reported') continue
    if (event.type === 'text.delta' && last?.type === 'text.delta' && last.part === event.part) {
      read[read.length - 1] = { ...event, text: last.text + event.text }
    } else read.push(event)
  }
  return read.map((event) => JSON.stringify(event)).join('\n')
}

/** The whole log of a run that has ended, read afresh. */
export async function logOf(client: Client, id: string): Promise<RunEvent[]> {
  const events: RunEvent[] = []
  for await (const event of client.followRun(id)) events.push(event)
  return events
}
