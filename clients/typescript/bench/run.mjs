/**
 * Measures the client in Chromium beside socket.io-client, tRPC's wsLink and plain ws with JSON, doing the same work in one run:
 *   node run.mjs [--json]
 * The servers of all share the machine with the browser; what counts are the ratios.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { chromium } from 'playwright-core'
import WebSocket from 'ws'
import { startOthers } from './servers.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '../../..')
const binary = process.env.CREWLINE_BIN ?? join(root, 'target/release/crewline')
const STREAMS = 5
const WORDS = 20_000
const TURNS = 3
const say = (line) => process.stderr.write(`${line}\n`)

if (!existsSync(binary)) {
  say(`There is no ${binary}: build it with \`cargo build --release --bin crewline\`, or name another in CREWLINE_BIN.`)
  process.exit(1)
}

const alias = { '@crewline/client': join(here, '../src/core/index.ts') }
const bundled = await build({ entryPoints: [join(here, 'page.ts')], bundle: true, minify: true, format: 'iife', write: false, alias })
const script = bundled.outputFiles[0].text
const pages = createServer((request, response) => {
  const js = request.url === '/page.js'
  response.setHeader('content-type', js ? 'text/javascript' : 'text/html')
  response.end(js ? script : '<!doctype html><title>bench</title><body><script src="/page.js"></script>')
})
await new Promise((resolve) => pages.listen(0, '127.0.0.1', resolve))
const origin = `http://127.0.0.1:${pages.address().port}`

/** A server of Crewline whose model says so many words a second; runs of `words` words are made by `start`. */
async function startCrewline(wordsPerSecond) {
  const data = mkdtempSync(join(tmpdir(), 'crewline-bench-'))
  const settings = { origins: origin, simulated_tokens_per_s: wordsPerSecond, answer_bytes: 131072, read_rate: 10_000_000, write_rate: 10_000_000 }
  const child = spawn(binary, ['serve', '--listen', '127.0.0.1:0', '--data', data, '--log', 'warn', '--app', join(root, 'loadtest/app'),
    ...Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`])], { stdio: ['ignore', 'pipe', 'inherit'] })
  const url = await new Promise((resolve) => child.stdout.on('data', (text) => {
    const found = /listening on \w+:\/\/([^/\s]+)/.exec(text)
    if (found) resolve(`http://${found[1]}`)
  }))
  const node = await build({ stdin: { contents: "export { createClient, webSocketTransport } from '@crewline/client'", resolveDir: here }, bundle: true, format: 'esm', platform: 'node', write: false, alias })
  const { createClient, webSocketTransport } = await import(`data:text/javascript;base64,${Buffer.from(node.outputFiles[0].text).toString('base64')}`)
  const client = createClient({ url, transport: webSocketTransport(url, WebSocket), outbox: 'memory' })
  const { access_token } = await client.call('auth.register', { email: 'load@example.com', password: 'a long enough password', name: 'Load' })
  const start = (words) => client.call('run.start', { crew: 'talk', inputs: { words } }).then(({ id }) => id)
  return {
    url: `${url}#${access_token}`,
    start,
    async finished(run) {
      for await (const _ of client.followRun(run, { only: ['run.finished'] }));
    },
    async stop() {
      client.close()
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGTERM')
      await gone
      rmSync(data, { recursive: true, force: true })
    },
  }
}

async function size(contents) {
  const { outputFiles } = await build({ stdin: { contents, resolveDir: here }, bundle: true, minify: true, format: 'esm', write: false, alias })
  return gzipSync(outputFiles[0].contents, { level: 9 }).length
}

const candidates = ['chromium', 'chromium-browser', 'google-chrome'].map((name) => `/usr/bin/${name}`)
const executablePath = process.env.CREWLINE_CHROMIUM ?? candidates.find(existsSync)
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--js-flags=--expose-gc'] })

async function onPage(run) {
  const page = await browser.newPage()
  await page.goto(origin)
  try {
    return await run(page, await page.context().newCDPSession(page))
  } finally {
    await page.close()
  }
}

say(`Making ${STREAMS} runs of ${WORDS} words`)
const fast = await startCrewline(1_000_000)
const runs = []
for (let run = 0; run < STREAMS; run++) {
  runs.push(await fast.start(WORDS))
  await fast.finished(runs[run])
}
const others = await startOthers(WORDS)
const urls = { crewline: fast.url, ...others.urls }
const names = Object.keys(urls)
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1]
const results = Object.fromEntries(names.map((name) => [name, { calls: [], words: [], heap: [] }]))
for (let turn = 0; turn < TURNS; turn++) {
  for (const name of names) {
    say(`Turn ${turn + 1} of ${TURNS}: ${name}`)
    const streams = name === 'crewline' ? runs : runs.map((_, place) => `stream-${place}`)
    const seen = await onPage(async (page, cdp) => {
      const measured = await page.evaluate(([n, u, s, w]) => window.measure(n, u, s, w), [name, urls[name], streams, STREAMS * WORDS])
      await cdp.send('HeapProfiler.collectGarbage')
      const { usedSize } = await cdp.send('Runtime.getHeapUsage')
      return { ...measured, heap: usedSize }
    })
    for (const key of ['calls', 'words', 'heap']) results[name][key].push(seen[key])
  }
}
others.close()
await fast.stop()

say('Watching eight runs at 200 words a second for ten seconds')
const slow = await startCrewline(200)
const live = await Promise.all(Array.from({ length: 8 }, () => slow.start(2_400)))
const watched = await onPage((page) => page.evaluate(([u, s]) => window.watch('crewline', u, s, 10_000), [slow.url, live]))
await slow.stop()

say('Folding deltas that nobody has merged')
const folded = []
for (let turn = 0; turn < TURNS; turn++) folded.push(await onPage((page) => page.evaluate(() => window.fold(200_000, 10))))

const sizes = {
  crewline: await size("export { createClient } from '@crewline/client'"),
  'socket.io': await size("export { io } from 'socket.io-client'"),
  trpc: await size("export { createTRPCClient, createWSClient, wsLink } from '@trpc/client'"),
}
await browser.close()
pages.close()

const rows = [
  ['calls/s, 32 under way', 'calls', (v) => Math.round(v).toLocaleString('en')],
  ['words/s, decoded, folded and painted', 'words', (v) => Math.round(v).toLocaleString('en')],
  [`heap after ${(STREAMS * WORDS).toLocaleString('en')} words, MB`, 'heap', (v) => (v / 1e6).toFixed(1)],
]
const found = Object.fromEntries(names.map((name) => [name, Object.fromEntries(rows.map(([, key]) => [key, median(results[name][key])]))]))
if (process.argv.includes('--json')) {
  console.log(JSON.stringify({ results: found, sizes, folded: median(folded), watched }))
} else {
  const cell = (text) => String(text).padStart(20)
  console.log(`${''.padEnd(40)}${names.map(cell).join('')}`)
  for (const [title, key, told] of rows) {
    const base = found.crewline[key]
    console.log(title.padEnd(40) + names.map((name) => cell(`${told(found[name][key])} (${(found[name][key] / base).toFixed(2)})`)).join(''))
  }
  console.log('bundle, gzipped, bytes'.padEnd(40) + names.map((name) => cell(sizes[name] ?? '–')).join(''))
  console.log(`\n${Math.round(median(folded)).toLocaleString('en')} deltas/s decoded and folded, each an event of its own, ten in a frame.`)
  console.log(`Crewline's server joins adjacent words on their way to who catches up; the others send each word as a message.`)
  console.log(`In brackets: beside Crewline. Eight runs at 200 words/s for 10 s: ${watched.words} words, ${watched.paints} paints, the longest task ${Math.round(watched.longest)} ms (0: none over 50).`)
}
