/**
 * The example app, built as its users build it, in Chromium against the real server: two people on one list, and a run.
 * `CREWLINE_PICTURE=1` writes what it looks like to docs/example.png.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { chromium, type Browser, type Page } from 'playwright-core'
import { build } from 'vite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startServer, type Server } from '../support/server.js'
import { chromiumPath } from './chromium.js'
import { until } from './stage.js'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const PASSWORD = 'a long enough password'

let server: Server
let browser: Browser
let origin: string
const files = new Map<string, string | Uint8Array>()
const site = createServer(({ url = '/' }, response) => {
  const name = url === '/' ? 'index.html' : url.slice(1)
  const type = /css$/.test(name) ? 'text/css' : /js$/.test(name) ? 'text/javascript' : 'text/html'
  response.setHeader('content-type', type).end(files.get(name) ?? '')
})
const wrong: string[] = []

beforeAll(async () => {
  await new Promise<void>((resolve) => site.listen(0, 'localhost', resolve))
  origin = `http://localhost:${(site.address() as { port: number }).port}`
  server = await startServer([`origins=${origin}`, 'simulated_tokens_per_s=200'])
  const built = await build({
    root: here('../../examples/minimal'),
    logLevel: 'warn',
    build: { write: false },
    define: { 'import.meta.env.VITE_CREWLINE_URL': JSON.stringify(server.url.replace('127.0.0.1', 'localhost')) },
    resolve: {
      alias: [
        { find: /^@crewline\/client$/, replacement: here('../../src/core/index.ts') },
        { find: /^@crewline\/client\/(.*)$/, replacement: here('../../src/$1/index.ts') },
      ],
    },
  })
  for (const part of 'output' in built ? built.output : []) files.set(part.fileName, part.type === 'chunk' ? part.code : part.source)
  browser = await chromium.launch({ executablePath: chromiumPath()!, args: ['--no-sandbox'] })
})
afterAll(async () => {
  await browser?.close()
  site.closeAllConnections()
  await new Promise((resolve) => site.close(resolve))
  await server?.stop()
})

async function open(): Promise<Page> {
  const page = await (await browser.newContext({ viewport: { width: 1080, height: 900 } })).newPage()
  page.on('pageerror', (error) => wrong.push(String(error)))
  await page.goto(origin)
  return page
}

const fill = async (page: Page, how: 'Register' | 'Sign in'): Promise<void> => {
  await page.getByLabel('E-mail').fill('ada@example.com')
  await page.getByLabel('Password').fill(PASSWORD)
  if (how === 'Register') await page.getByLabel('Name').fill('Ada')
  await page.getByRole('button', { name: how }).click()
}

const names = (page: Page) => page.getByLabel('Name', { exact: true }).evaluateAll((inputs) => inputs.map((input) => (input as HTMLInputElement).value))

test('the types of its app are those of KP', () => {
  expect(readFileSync(here('../../examples/minimal/src/app.ts'), 'utf8')).toBe(readFileSync(here('../../../../apps/kp/types.ts'), 'utf8'))
})

test('people sign in, see each other and the same campaigns, and follow a run over a reload', async () => {
  const ada = await open()
  await fill(ada, 'Register')
  await ada.getByText('Live').waitFor()
  const begun = await until('the seeds are listed', () => names(ada), (now) => now.length === 2)
  expect([...begun].sort()).toEqual(['Shared gardens', 'Smaller meetings'])

  // The same person in another browser is somebody else who is here.
  const bob = await open()
  await fill(bob, 'Sign in')
  await ada.getByRole('list', { name: 'Also here' }).getByText('Ad').waitFor()

  const first = ada.getByLabel('Name', { exact: true }).first()
  await first.fill('Gardens of all kinds')
  await first.press('Enter')
  await until('the other sees it', () => names(bob), (now) => now.includes('Gardens of all kinds'))
  await bob.getByLabel('Name of a new campaign').fill('Winter reading')
  await bob.getByLabel('Topic of a new campaign').fill('Long articles for short days.')
  await bob.getByRole('button', { name: 'Add' }).click()
  await until('it comes to the first', () => names(ada), (now) => now[0] === 'Winter reading')
  await ada.getByRole('button', { name: 'draft' }).click()
  await until('only drafts are left', () => names(ada), (now) => now.length === 1 && now[0] === 'Winter reading')
  await ada.getByRole('button', { name: 'all' }).click()

  await ada.getByRole('button', { name: 'Start' }).click()
  await until('words come', () => ada.locator('article pre').allTextContents(), ([text = '']) => text.length > 40)
  if (process.env.CREWLINE_PICTURE) {
    await until('the second agent speaks', () => ada.locator('article').nth(1).locator('pre').allTextContents(), (texts) => texts.join('').length > 100)
    await ada.screenshot({ path: here('../../docs/example.png') })
  }
  await ada.reload()
  await ada.getByText('succeeded').waitFor({ timeout: 60_000 })
  expect(await ada.locator('article').count()).toBe(3)

  // Offline, a name that was changed is shown at once, and sent when there is a connection again.
  const meanwhile = ada.getByLabel('Name', { exact: true }).first()
  await server.kill()
  await ada.getByText('Reconnecting').waitFor()
  await meanwhile.fill('Summer reading')
  await meanwhile.press('Enter')
  await ada.getByText('1 to be sent').waitFor()
  expect(await names(ada)).toContain('Summer reading')
  await server.start()
  await until('the other sees it too', () => names(bob), (now) => now.includes('Summer reading'))
  expect(wrong).toEqual([])
})

test('a wrong password is said', async () => {
  const page = await open()
  await page.getByLabel('E-mail').fill('ada@example.com')
  await page.getByLabel('Password').fill('not her long password')
  await page.getByRole('button', { name: 'Sign in' }).click()
  expect(await page.getByRole('alert').textContent()).toMatch(/password/)
})
