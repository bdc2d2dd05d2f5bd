/** One page in Chromium against the real server, through whatever happens to it and to its link. Every page is under `script-src 'self'`. */
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { ConnectionState } from '../../src/core/index.js'
import { logOf, normal, openStage, until, type Stage, type User } from './stage.js'

let stage: Stage
let ada: User
let person: BrowserContext

beforeAll(async () => {
  stage = await openStage(['simulated_tokens_per_s=100'])
  ada = await stage.user('Ada')
  person = await stage.site.person(ada.token)
})
afterAll(() => stage?.close())
afterEach(async () => {
  for (const page of person.pages()) await page.close()
  stage.relay.refuses = false
  stage.relay.watch = null
  expect(stage.site.errors.splice(0)).toEqual([])
})

const open = (query: Record<string, string> = {}): Promise<Page> => stage.site.open(person, { url: stage.relay.url, ...query })
const state = (page: Page): Promise<ConnectionState> => page.evaluate(() => globalThis.page.client.connection.get())
const status = async (page: Page): Promise<string> => (await state(page)).status
const offset = (page: Page): Promise<number> => page.evaluate(() => globalThis.page.log().offset)

async function startRun(): Promise<string> {
  const run = await ada.client.call('run.start', { crew: 'review', inputs: { name: 'notes.md', page: '# Notes\n\nSome words about a garden, and some more of them.\n'.repeat(20) } })
  return run.id
}

/** Until the page has the whole run; compares it with the server's log. */
async function expectWhole(page: Page, run: string): Promise<void> {
  const { events } = await until('the run ends', () => page.evaluate(() => globalThis.page.log()), (log) => log.done)
  const log = await logOf(ada.client, run)
  expect(log.at(-1)).toMatchObject({ type: 'run.finished', status: 'succeeded' })
  expect(normal(events)).toBe(normal(log))
}

test('a page that is reloaded in mid-stream has every event once', async () => {
  const run = await startRun()
  stage.relay.sent.length = 0
  const page = await open({ run })
  const reloadedAt: number[] = []
  while (reloadedAt.length < 4) {
    const before = await offset(page)
    const { offset: now, done } = await until('events come', () => page.evaluate(() => globalThis.page.log()), (log) => log.offset > before + 5 || log.done)
    if (done) break
    reloadedAt.push(now)
    await page.reload()
  }
  await expectWhole(page, run)
  // However slow the machine: it was reloaded while the run went on.
  expect(reloadedAt.length).toBeGreaterThanOrEqual(2)
  const from = stage.relay.sent.filter(([kind]) => kind === 10).map((frame) => (frame[3] as { from: number }).from)
  expect(from).toHaveLength(reloadedAt.length + 1)
  // It went on from where it was, never from the start.
  for (const [place, offset] of reloadedAt.entries()) expect(from[place + 1]).toBeGreaterThanOrEqual(offset)
  expect(await ada.client.call('run.get', { id: run })).toMatchObject({ status: 'succeeded' })
})

test('a server that is killed and started again is found, and the run goes on', async () => {
  const run = await startRun()
  const page = await open({ run })
  await until('events come', () => offset(page), (now) => now > 10)
  await stage.server.kill()
  expect(await until('it is noticed', () => state(page), (now) => now.status === 'waiting')).toMatchObject({ attempt: expect.any(Number) })
  await stage.server.start()
  await expectWhole(page, run)
  expect(await status(page)).toBe('open')
})

test('a link that died without a word is found by its silence', async () => {
  const page = await open({ live: '' })
  await until('it is live', () => page.evaluate(() => globalThis.page.live.get().status), (now) => now === 'live')
  const made = stage.relay.made
  stage.relay.freeze()
  await ada.client.call('record.create', { collection: 'campaigns', data: { name: 'Meanwhile', topic: 'x', status: 'draft' } })
  await until('another link is made', () => stage.relay.made, (now) => now > made)
  await until('what happened meanwhile is seen', () => page.evaluate(() => globalThis.page.live.get().output?.items.map(({ data }) => data.name)), (names) => !!names?.includes('Meanwhile'))
})

test('what a browser calls offline is found too, and its end', async () => {
  const page = await open({ live: '' })
  await until('it is live', () => page.evaluate(() => globalThis.page.live.get().status), (now) => now === 'live')
  await person.setOffline(true)
  stage.relay.freeze()
  await until('it is noticed', () => status(page), (now) => now === 'waiting')
  await person.setOffline(false)
  await until('it is live again', () => page.evaluate(() => globalThis.page.live.get().status), (now) => now === 'live')
})

test('closes do what their code says', async () => {
  for (const code of [1001, 4001, 4002, 4003, 4004, 4077]) {
    const page = await open({ live: '' })
    await until('it is open', () => status(page), (now) => now === 'open')
    const made = stage.relay.made
    stage.relay.close(code)
    await until(`${code}: it is open again`, async () => [stage.relay.made, await status(page)] as const, ([links, now]) => links === made + 1 && now === 'open')
    expect(await page.evaluate(() => globalThis.page.asked)).toEqual(['initial', 'initial'])
    await page.close()
  }
  for (const code of [4100, 4101, 4102]) {
    const page = await open({ live: '' })
    await until('it is open', () => status(page), (now) => now === 'open')
    stage.relay.close(code)
    await until(`${code}: another token is asked for`, () => page.evaluate(() => globalThis.page.asked), (asked) => asked.includes('rejected'))
    await until('it is open again', () => status(page), (now) => now === 'open')
    await page.close()
  }
  for (const code of [4201, 4202, 4203, 4204, 4205, 4206]) {
    const page = await open({ live: '' })
    await until('it is open', () => status(page), (now) => now === 'open')
    const made = stage.relay.made
    stage.relay.close(code)
    const now = await until(`${code}: it stops`, () => state(page), ({ status }) => status === 'stopped')
    expect(now).toMatchObject({ why: code === 4201 ? 'signed_out' : 'refused' })
    expect(stage.relay.made).toBe(made)
    await page.close()
  }
})

test('a server that leaves hands over without a gap', async () => {
  const run = await startRun()
  const page = await open({ live: '', run })
  await until('events come', () => offset(page), (now) => now > 10)
  const made = stage.relay.made
  stage.relay.say([33, { why: 'shutdown', reconnect_within_ms: 200, drain_ms: 5_000 }])
  await until('there is another link, and the old one is left', () => [stage.relay.made - made, stage.relay.open], ([more, now]) => more === 1 && now === 1)
  await expectWhole(page, run)
  expect((await page.evaluate(() => globalThis.page.stood)).filter((status) => status !== 'open')).toEqual(['connecting'])
})

test('a server that is not there, and one that refuses this page, are told', async () => {
  const { port } = new URL(stage.site.origin)
  for (const query of [{ url: 'ws://127.0.0.1:9/ws' }, { url: stage.server.url, host: `localhost:${port}` }]) {
    const page = await open(query)
    const failed = page.evaluate(() => globalThis.page.client.call('session.list', {}, { wait: false }).catch((error: { code: string }) => error.code))
    expect(await failed).toBe('unreachable')
    await page.close()
  }
})

test('a create whose link is cut twenty times makes one row', async () => {
  const page = await open()
  let cuts = 0
  stage.relay.watch = (frames) => {
    if (!frames.some(([kind, , op]) => kind === 3 && op === 'record.create') || cuts >= 20) return
    // Before the server knows of it, and after it has done it.
    return cuts++ % 2 ? 'cut after' : 'cut'
  }
  const made = await page.evaluate(() => globalThis.page.client.call('record.create', { collection: 'campaigns', data: { name: 'Once', topic: 'x', status: 'draft' } }))
  expect(cuts).toBe(20)
  const { items } = await ada.client.call('record.list', { collection: 'campaigns', filter: { field: 'name', eq: 'Once' } })
  expect(items.map(({ id }) => id)).toEqual([made.id])
})

test('what was called offline survives a reload, and happens once', async () => {
  const page = await open()
  await page.evaluate(() => globalThis.page.client.call('session.list', {}))
  stage.relay.refuses = true
  stage.relay.cut()
  await page.evaluate(() => void globalThis.page.client.call('record.create', { collection: 'campaigns', data: { name: 'Kept', topic: 'x', status: 'draft' } }).catch(() => {}))
  const waiting = (): Promise<string[]> => page.evaluate(() => globalThis.page.client.outbox.get().map(({ op }) => op))
  await until('it waits', waiting, (ops) => ops.length === 1)
  await until('it is kept', () => page.evaluate(() => globalThis.page.kept()), (kept) => kept === 1)
  await page.reload()
  await until('it waits after the reload', waiting, (ops) => ops.length === 1)
  await page.evaluate(() => globalThis.page.client.connect())
  stage.relay.refuses = false
  await until('it is sent', waiting, (ops) => ops.length === 0)
  await until('it is not kept any more', () => page.evaluate(() => globalThis.page.kept()), (kept) => kept === 0)
  const { items } = await ada.client.call('record.list', { collection: 'campaigns', filter: { field: 'name', eq: 'Kept' } })
  expect(items).toHaveLength(1)
})

test('the pages of these tests may not evaluate text', async () => {
  const page = await open()
  expect(await page.evaluate(() => globalThis.page.evaluates)).toBe(false)
  expect(await page.evaluate(() => globalThis.page.client.call('session.list', {}))).toMatchObject({ items: expect.any(Array) })
})
