import type { SignedIn } from '../protocol.js'
import { createCalls, tokensIn } from './calls.js'
import { createConnection } from './connection.js'
import type { CrewlineError } from './error.js'
import { createLives } from './live.js'
import { createOutbox, indexedDbStore, type Memory } from './outbox.js'
import { createPresence } from './presence.js'
import { createRunStream } from './stream.js'
import type { AnyApp, AppShape, Auth, Client, ClientOptions, TabSharing } from './types.js'
import { socketUrl, webSocketTransport } from './websocket.js'

const VERSION = '0.1.0'

/**
 * Makes a client of the server at `url`. The socket is opened when there is something to say.
 *
 * Throws a `CrewlineError` for an address that can't be one, and where there is no WebSocket and no `transport`. All else is told where it
 * happens: by the promise of a call, by `live(…).get().error`, and by `connection`.
 */
export function createClient<A extends AppShape = AnyApp>(options: ClientOptions): Client<A> {
  const address = options.transport ? String(options.url) : socketUrl(options.url)
  // What `auth.login` gave on this client, where nobody else keeps tokens.
  let signedIn: SignedIn | null = null
  const auth: Auth = options.auth ?? (async ({ reason }) => {
    if (!signedIn) return null
    if (reason === 'initial') return signedIn.access_token
    return renewed(signedIn.refresh_token)
  })
  const shared = {
    transport: options.transport ?? (options.tabs ?? own)({ own: webSocketTransport(address), url: address, workspace: options.workspace }),
    client: options.client ?? { name: '@crewline/client', version: VERSION },
    base_ms: options.reconnect?.base_ms,
    max_ms: options.reconnect?.max_ms,
    ...(options.workspace !== undefined && { workspace: options.workspace }),
  }
  const connection = createConnection({ ...shared, auth })
  const calls = createCalls(connection)
  async function renewed(refresh_token: string): Promise<string | null> {
    const open = connection.state.get().status === 'open'
    // A connection that waits for a token can't carry the question for one.
    const other = open ? null : createConnection({ ...shared, auth: () => null })
    try {
      const { output } = await (other ? createCalls(other) : calls)('auth.refresh', { refresh_token })
      signedIn = output as SignedIn
      return signedIn.access_token
    } catch (error) {
      // Whoever may not go on signs in anew; who can't ask now asks again.
      if ((error as CrewlineError).code !== 'unauthenticated') throw error
      signedIn = null
      return null
    } finally {
      other?.close()
    }
  }
  const send: typeof calls = async (op, input, callOptions) => {
    const answer = await calls(op, input, callOptions)
    signedIn = tokensIn(op, answer.output) ?? signedIn
    if (op === 'auth.logout') signedIn = null
    return answer
  }
  const store = options.outbox === 'memory' ? null : options.outbox ?? indexedDbStore(address)
  const { outbox, ask } = createOutbox(connection, store, memory(address), send)
  const lives = createLives(connection)
  connection.onOpen((_, another) => another && lives.forget())

  return {
    connection: connection.state,
    outbox,
    connect: connection.connect,
    ask: (op, input, callOptions) => ask(op, input, callOptions) as never,
    call: async (op, input, callOptions) => (await ask(op, input, callOptions)).output as never,
    live: (op, input) => lives.live(op, input) as never,
    followRun: (id, followOptions) => createRunStream(connection, id, followOptions),
    presence: (session_id) => createPresence(connection, session_id),
    close: connection.close,
  }
}

const own: TabSharing = (socket) => socket.own

function memory(name: string): Memory {
  const key = `crewline:owner:${name}`
  // Reading it throws where a page may not store anything.
  const storage = (): Storage | undefined => {
    try {
      return globalThis.localStorage
    } catch {
      return undefined
    }
  }
  return {
    get: () => storage()?.getItem(key) ?? undefined,
    set: (value) => storage()?.setItem(key, value),
  }
}
