/**
 * The five-minute start of the README, done as it says: its commands in their order, its files, and a person in Chromium. What would come from
 * the network is taken from here: Vite's template, and the packages that are installed.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer as createSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium, type Browser } from 'playwright-core'
import { createServer, type ViteDevServer } from 'vite'
import { afterAll, expect, test } from 'vitest'
import { createClient } from '../../src/core/index.js'
import { read, type Snippet, snippets } from '../docs/snippets.js'
import { BINARY, nodeTransport, startServer, type Server } from '../support/server.js'
import { chromiumPath } from './chromium.js'
import { until } from './stage.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const modules = realpathSync(join(root, 'node_modules'))
const checkout = mkdtempSync(join(tmpdir(), 'crewline-quick-start-'))
const app = join(checkout, 'my-app')

let server: Server | undefined
let vite: ViteDevServer | undefined
let browser: Browser | undefined
let origin: string
afterAll(async () => {
  await browser?.close()
  await vite?.close()
  await server?.stop()
  rmSync(checkout, { recursive: true, force: true })
})

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const socket = createSocket().listen(0, 'localhost', () => {
      const { port } = socket.address() as { port: number }
      socket.close(() => resolve(port))
    })
  })

/** Puts a package where `npm install` does. */
function install(name: string): void {
  const to = join(app, 'node_modules', name)
  mkdirSync(dirname(to), { recursive: true })
  symlinkSync(join(modules, name), to)
}

/** What each command does here; a command that is none of these fails the test. */
const commands: [RegExp, (found: RegExpExecArray) => void | Promise<void>][] = [
  [/^crewline serve --set origins=http:\/\/localhost:5173$/, async () => {
    origin = `http://localhost:${await freePort()}`
    server = await startServer([`origins=${origin}`, 'simulated_tokens_per_s=200'])
  }],
  [/^\(cd clients\/typescript && npm ci && npm run build && npm pack\)$/, () => {
    const to = join(checkout, 'clients/typescript')
    mkdirSync(to, { recursive: true })
    execFileSync('npm', ['run', '--silent', 'build'], { cwd: root })
    execFileSync('npm', ['pack', '--silent', '--pack-destination', to], { cwd: root })
  }],
  [/^npm create --yes vite@latest (my-app -- --template react-ts --no-interactive)$/, ([, args]) => {
    execFileSync(process.execPath, [join(modules, 'create-vite/index.js'), ...args!.replace('-- ', '').split(' ')], { cwd: checkout })
  }],
  [/^cd my-app$/, () => expect(existsSync(join(app, 'package.json'))).toBe(true)],
  [/^npm install (\S+\.tgz) (.+)$/, ([, tarball, names]) => {
    const { dependencies, devDependencies } = JSON.parse(readFileSync(join(app, 'package.json'), 'utf8'))
    // The linter is nothing that the app needs.
    for (const name of [...names!.split(' '), ...Object.keys({ ...dependencies, ...devDependencies })]) if (name !== 'oxlint') install(name)
    const to = join(app, 'node_modules/@crewline/client')
    mkdirSync(to, { recursive: true })
    execFileSync('tar', ['-xzf', join(app, tarball!), '-C', to, '--strip-components=1'])
    for (const name of Object.keys(JSON.parse(readFileSync(join(to, 'package.json'), 'utf8')).dependencies)) install(name)
  }],
  [/^crewline types > (src\/app\.ts)$/, ([, to]) => writeFileSync(join(app, to!), execFileSync(BINARY, ['types']))],
  [/^npm run dev$/, async () => {
    vite = await createServer({ root: app, logLevel: 'error', server: { host: 'localhost', port: Number(new URL(origin).port), strictPort: true } })
    await vite.listen()
  }],
]

async function carryOut({ language, text, file }: Snippet): Promise<void> {
  if (file) {
    // The ports are this test's own.
    return writeFileSync(join(app, file), text.replace('http://localhost:7410', server!.url.replace('127.0.0.1', 'localhost')))
  }
  expect(language).toBe('sh')
  for (const line of text.trim().split('\n')) {
    const known = commands.find(([pattern]) => pattern.test(line))
    if (!known) throw new Error(`the README has a command that this test does not know: ${line}`)
    await known[1](known[0].exec(line)!)
  }
}

test('five minutes lead to a live list and a run that streams', async () => {
  const section = read('README.md').split('## In five minutes')[1]!.split('\n## ')[0]!
  const steps = snippets('README.md').filter(({ text }) => section.includes(text))
  expect(steps.filter(({ file }) => file).map(({ file }) => file)).toEqual(['src/crewline.ts', 'src/main.tsx', 'src/App.tsx'])
  for (const step of steps) await carryOut(step)
  expect(readFileSync(join(app, 'src/crewline.ts'), 'utf8')).not.toContain(':7410')
  // The template's own checks pass.
  execFileSync(process.execPath, [join(modules, 'typescript/bin/tsc'), '-b'], { cwd: app, stdio: 'inherit' })

  browser = await chromium.launch({ executablePath: chromiumPath()!, args: ['--no-sandbox'] })
  const page = await browser.newPage()
  const wrong: string[] = []
  page.on('pageerror', (error) => wrong.push(String(error)))
  await page.goto(origin)
  await page.getByPlaceholder('E-mail').fill('ada@example.com')
  await page.getByPlaceholder('Password').fill('a long enough password')
  await page.getByRole('button', { name: 'Register' }).click()
  const listed = () => page.locator('li').allTextContents()
  await until('the list', listed, (now) => now.join() === 'Shared gardens (active),Smaller meetings (active)')

  const other = createClient({ url: server!.url, transport: nodeTransport(server!.url), outbox: 'memory' })
  await other.call('auth.login', { email: 'ada@example.com', password: 'a long enough password' })
  const { items } = await other.call('record.list', { collection: 'campaigns', sort: [{ field: 'name' }] })
  await other.call('record.update', { collection: 'campaigns', id: items[0]!.id, data: { name: 'Wild gardens' } })
  other.close()
  await until('what another one changed', listed, (now) => now.join() === 'Smaller meetings (active),Wild gardens (active)')

  await page.getByRole('button', { name: 'Review a page' }).click()
  const lengths: number[] = []
  const words = async () => lengths[lengths.push((await page.locator('pre').allTextContents()).join('').length) - 1]!
  await until('words', words, (now) => now > 0)
  await until('the end of the run', async () => (await words(), page.locator('h2').textContent()), (now) => now === 'succeeded')
  // They came one after another, not all at once.
  expect(new Set(lengths).size).toBeGreaterThan(3)
  expect(wrong).toEqual([])
}, 120_000)
