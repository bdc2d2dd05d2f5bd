/** A browser, and a server of the pages that tests open in it, under a strict content security policy. */
import { createServer, type ServerResponse } from 'node:http'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { chromiumPath } from './chromium.js'

const POLICY = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self' ws://127.0.0.1:*"

export interface Site {
  readonly origin: string
  readonly browser: Browser
  /** Another person's browser: nothing of one is seen by another. It is signed in by a token. */
  person(token: string): Promise<BrowserContext>
  /** Opens a page of a person, at another host where `query.host` names it; what it says to the console as an error, and what it throws, is in `errors`. */
  open(person: BrowserContext, query: Record<string, string>): Promise<Page>
  readonly errors: string[]
  /** How many requests for `/hold` wait for `release`: a page that makes one in step is blocked. */
  held(): number
  release(): void
  close(): Promise<void>
}

export async function openSite(): Promise<Site> {
  const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
  const { outputFiles } = await build({
    entryPoints: { page: here('page.ts'), worker: here('../../src/worker/index.ts') },
    bundle: true,
    format: 'esm',
    outdir: '/',
    write: false,
  })
  const files = new Map(outputFiles.map(({ path, text }) => [path, text]))
  const held = new Set<ServerResponse>()
  const release = (): void => {
    for (const response of held) response.end()
    held.clear()
  }
  const server = createServer(({ url = '/' }, response) => {
    const script = files.get(url)
    response.setHeader('content-security-policy', POLICY)
    response.setHeader('content-type', script === undefined ? 'text/html' : 'text/javascript')
    if (url === '/hold') return void held.add(response)
    if (url === '/favicon.ico') response.statusCode = 204
    response.end(script ?? '<!doctype html><meta charset="utf-8"><title>Test</title><script type="module" src="/page.js"></script>')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  const executablePath = chromiumPath()
  if (!executablePath) throw new Error('these tests need Chromium: set CREWLINE_CHROMIUM to its path, or put `chromium` on PATH')
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  const errors: string[] = []
  return {
    origin,
    browser,
    errors,
    held: () => held.size,
    release,
    async person(token) {
      const person = await browser.newContext()
      await person.addInitScript((token) => localStorage.getItem('token') ?? localStorage.setItem('token', token), token)
      return person
    },
    async open(person, { host, ...query }) {
      const page = await person.newPage()
      page.on('pageerror', (error) => errors.push(String(error)))
      page.on('console', (message) => message.type() === 'error' && !/WebSocket connection to/.test(message.text()) && errors.push(message.text()))
      await page.goto(`${host === undefined ? origin : `http://${host}`}/?${new URLSearchParams(query)}`)
      await page.waitForFunction(() => 'page' in globalThis)
      return page
    },
    async close() {
      await browser.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
