import { CrewlineError } from './error.js'
import type { Auth } from './types.js'
import { socketUrl } from './websocket.js'

/** Tokens as they are kept. */
interface Kept {
  access_token: string
  /** Absent: the server has put it into a cookie that no script can read. */
  refresh_token?: string
  /** Milliseconds since the epoch. */
  expires_at: number
}

/** Whose tokens they are, and where they are kept. */
export interface TokensOptions {
  /** The same as the client's. */
  url: string | URL
  /**
   * Where tokens outlive the page; absent: `localStorage`, `null`: nowhere. What a page of an allowed origin keeps is the access token, good for
   * minutes: its refresh token is in a cookie that no script can read, and the page must be of the same site as the server.
   */
  storage?: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> | null
}

/** A person's tokens, kept and renewed. */
export interface Tokens {
  /** For `createClient({ auth: tokens.auth })`. */
  readonly auth: Auth
  /** Whether somebody was signed in by these tokens; whether the server still takes them shows when it is asked. */
  readonly signedIn: boolean
  /** Signs in with e-mail and password. Rejects with `unauthenticated` where nobody has them, `rate_limited` after too many tries. */
  signIn(email: string, password: string, workspace_id?: string): Promise<void>
  /** Takes tokens that came another way, such as by `auth.register` or `invitation.accept`. */
  keep(tokens: { access_token: string; refresh_token?: string; access_expires_at: number }): void
  /** Forgets them. Call `auth.logout` before, so that the server forgets them too. */
  signOut(): void
}

/**
 * Keeps a person signed in: access tokens are renewed by the refresh token over HTTP, once at a time, in all tabs of the page. The server's setting
 * `origins` must name the page's origin.
 */
export function createTokens({ url, storage = globalThis.localStorage }: TokensOptions): Tokens {
  const endpoint = socketUrl(url).replace(/^ws/, 'http').replace(/\/ws(\?|$)/, '/token$1')
  const name = `crewline:tokens:${endpoint}`
  let held: Kept | null = null
  let renewing: Promise<string | null> | null = null

  const load = (): Kept | null => {
    if (!storage) return held
    try {
      const kept = JSON.parse(storage.getItem(name)!) as Kept | null
      return kept?.access_token ? kept : null
    } catch {
      // What something else has written there is as good as nothing.
      return null
    }
  }
  const save = (kept: Kept | null): void => {
    held = kept
    if (kept) storage?.setItem(name, JSON.stringify(kept))
    else storage?.removeItem(name)
  }

  async function ask(form: Record<string, string>): Promise<Kept> {
    let answer: Response
    try {
      answer = await fetch(endpoint, { method: 'POST', body: new URLSearchParams(form), credentials: 'include' })
    } catch (cause) {
      throw new CrewlineError('unreachable', 'no Crewline server answers at this address, or it refuses this page’s origin', undefined, { cause })
    }
    const body = (await answer.json().catch(() => ({}))) as { access_token?: string; refresh_token?: string; expires_in?: number; error_description?: string }
    if (answer.ok && body.access_token) {
      const { access_token, refresh_token, expires_in = 60 } = body
      return { access_token, ...(refresh_token && { refresh_token }), expires_at: Date.now() + expires_in * 1000 }
    }
    const code = answer.status === 429 ? 'rate_limited' : answer.status >= 500 ? 'unavailable' : 'unauthenticated'
    throw new CrewlineError(code, body.error_description ?? `the server gave no token (${answer.status})`)
  }

  /** Another tab may have renewed them meanwhile: a refresh token is used once. */
  function renew(used: Kept): Promise<string | null> {
    const once = async (): Promise<string | null> => {
      const now = load()
      if (!now) return null
      if (now.access_token !== used.access_token) return now.access_token
      try {
        const fresh = await ask({ grant_type: 'refresh_token', ...(now.refresh_token && { refresh_token: now.refresh_token }) })
        save(fresh)
        return fresh.access_token
      } catch (error) {
        if (!(error instanceof CrewlineError) || error.code !== 'unauthenticated') throw error
        save(null)
        return null
      }
    }
    const locks = globalThis.navigator?.locks
    return (renewing ??= Promise.resolve(locks ? locks.request(name, once) : once()).finally(() => (renewing = null)))
  }

  return {
    get signedIn() {
      return load() !== null
    },
    async auth({ reason }) {
      const kept = load()
      if (!kept) return null
      // A clock that is a little wrong is no reason to be refused first.
      return reason === 'initial' && kept.expires_at > Date.now() + 5_000 ? kept.access_token : renew(kept)
    },
    async signIn(username, password, workspace_id) {
      save(await ask({ grant_type: 'password', username, password, ...(workspace_id && { workspace_id }) }))
    },
    keep: ({ access_token, refresh_token, access_expires_at }) => save({ access_token, ...(refresh_token && { refresh_token }), expires_at: access_expires_at }),
    signOut: () => save(null),
  }
}
