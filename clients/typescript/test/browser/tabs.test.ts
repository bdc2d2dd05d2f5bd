/** Several tabs in Chromium, on one connection to the real server. */
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { logOf, normal, openStage, until, type Stage, type User } from './stage.js'

let stage: Stage
let ada: User
let person: BrowserContext

// Little credit for a connection: what one tab does not consume would soon hold up the others.
beforeAll(async () => {
  stage = await openStage(['simulated_tokens_per_s=300', 'connection_credit_bytes=8192'])
})
afterAll(() => stage?.close())
beforeEach(async () => {
  ada = await stage.user('Ada')
  person = await stage.site.person(ada.token)
})
afterEach(async () => {
  await person.close()
  await until('nothing is open', () => stage.relay.open, (open) => open === 0)
  expect(stage.site.errors.splice(0)).toEqual([])
})

const open = (query: Record<string, string>): Promise<Page> => stage.site.open(person, { url: stage.relay.url, ...query })
const names = (page: Page): Promise<unknown[] | undefined> => page.evaluate(() => globalThis.page.live.get().output?.items.map(({ data }) => data.name))
const create = (page: Page, name: string): Promise<unknown> =>
  page.evaluate((name) => globalThis.page.client.call('record.create', { collection: 'campaigns', data: { name, topic: 'x', status: 'draft' } }), name)
const sees = (page: Page, name: string): Promise<unknown> => until(`${name} is seen`, () => names(page), (names) => !!names?.includes(name))
const live = (page: Page): Promise<unknown> => until('it is live', () => page.evaluate(() => globalThis.page.live.get().status), (now) => now === 'live')
const status = (page: Page): Promise<string> => page.evaluate(() => globalThis.page.client.connection.get().status)

describe.each(['leader', 'worker'])('tabs that share by a %s', (tabs) => {
  test('three tabs have one connection, and each its own answers, streams and live lists', async () => {
    const made = stage.relay.made
    const { id: run } = await ada.client.call('run.start', { crew: 'review', inputs: { name: 'notes.md', page: '# Notes\n\nSome words.\n' } })
    const pages = [await open({ tabs, live: '' }), await open({ tabs, live: '' }), await open({ tabs, live: '', run })]
    for (const page of pages) await live(page)
    expect(stage.relay.made - made).toBe(1)
    await Promise.all(pages.map((page, at) => create(page, `of ${at}`)))
    for (const page of pages) for (const at of [0, 1, 2]) await sees(page, `of ${at}`)
    const { events } = await until('the run ends', () => pages[2]!.evaluate(() => globalThis.page.log()), (log) => log.done)
    expect(normal(events)).toBe(normal(await logOf(ada.client, run)))
    expect([stage.relay.open, stage.relay.made - made]).toEqual([1, 1])
  })

  test('a tab that goes is missed by nobody; when the first goes, the others go on', async () => {
    const pages = [await open({ tabs, live: '' }), await open({ tabs, live: '' }), await open({ tabs, live: '' })]
    for (const page of pages) await live(page)
    const made = stage.relay.made
    stage.relay.sent.length = 0
    await pages[2]!.close()
    await until('its subscription ends', () => stage.relay.sent.map(([kind]) => kind), (kinds) => kinds.includes(16))
    const { id: run } = await ada.client.call('run.start', { crew: 'review', inputs: { name: 'notes.md', page: '# Notes\n\nSome words.\n' } })
    const follower = await open({ tabs, live: '', run })
    await until('events come', () => follower.evaluate(() => globalThis.page.log().offset), (now) => now > 5)
    await pages[0]!.close()
    await ada.client.call('record.create', { collection: 'campaigns', data: { name: 'After', topic: 'x', status: 'draft' } })
    for (const page of [pages[1]!, follower]) await sees(page, 'After')
    const { events } = await until('the run ends', () => follower.evaluate(() => globalThis.page.log()), (log) => log.done)
    expect(normal(events)).toBe(normal(await logOf(ada.client, run)))
    // A leader takes its socket with it; a worker does not notice.
    expect([stage.relay.open, stage.relay.made - made]).toEqual([1, tabs === 'leader' ? 1 : 0])
  })

  test('a tab whose process dies is missed by nobody either', async () => {
    const pages = [await open({ tabs, live: '' }), await open({ tabs, live: '' }), await open({ tabs, live: '' })]
    for (const page of pages) await live(page)
    const made = stage.relay.made
    const crashed = pages[0]!.waitForEvent('crash')
    pages[0]!.goto('chrome://crash').catch(() => {})
    await crashed
    await ada.client.call('record.create', { collection: 'campaigns', data: { name: 'After', topic: 'x', status: 'draft' } })
    for (const page of pages.slice(1)) await sees(page, 'After')
    // The leader's socket is gone with it, and so is a worker that ran in its process.
    expect(stage.relay.open).toBe(1)
    expect(stage.relay.made - made).toBeLessThanOrEqual(1)
  })

  test('a link that dies is one link that is made again', async () => {
    const pages = [await open({ tabs, live: '' }), await open({ tabs, live: '' })]
    for (const page of pages) await live(page)
    const made = stage.relay.made
    stage.relay.freeze()
    await ada.client.call('record.create', { collection: 'campaigns', data: { name: 'Meanwhile', topic: 'x', status: 'draft' } })
    for (const page of pages) await sees(page, 'Meanwhile')
    expect([stage.relay.open, stage.relay.made - made]).toEqual([1, 1])
    stage.relay.cut()
    await ada.client.call('record.create', { collection: 'campaigns', data: { name: 'Again', topic: 'x', status: 'draft' } })
    for (const page of pages) await sees(page, 'Again')
    expect([stage.relay.open, stage.relay.made - made]).toEqual([1, 2])
  })

  test('a server that leaves hands all tabs over to one other connection, without a gap', async () => {
    const pages = [await open({ tabs, live: '' }), await open({ tabs, live: '' })]
    for (const page of pages) await live(page)
    const made = stage.relay.made
    stage.relay.say([33, { why: 'upgrade', reconnect_within_ms: 300, drain_ms: 5_000 }])
    await until('there is one other', () => [stage.relay.made - made, stage.relay.open], ([more, now]) => more === 1 && now === 1)
    for (const [at, page] of pages.entries()) await create(page, `over ${at}`)
    for (const page of pages) for (const at of [0, 1]) await sees(page, `over ${at}`)
    for (const page of pages) expect((await page.evaluate(() => globalThis.page.stood)).filter((status) => status !== 'open')).toEqual(['connecting'])
  })

  test('a close is one for all: they ask for another token, or stop', async () => {
    const pages = [await open({ tabs, live: '' }), await open({ tabs, live: '' })]
    for (const page of pages) await live(page)
    const made = stage.relay.made
    stage.relay.close(4101)
    for (const page of pages) await until('another token is asked for', () => page.evaluate(() => globalThis.page.asked), (asked) => asked.includes('rejected'))
    for (const page of pages) await live(page)
    expect([stage.relay.open, stage.relay.made - made]).toEqual([1, 1])
    stage.relay.close(4201)
    for (const page of pages) expect(await until('it stops', () => page.evaluate(() => globalThis.page.client.connection.get()), (now) => now.status === 'stopped')).toMatchObject({ why: 'signed_out' })
    expect([stage.relay.open, stage.relay.made - made]).toEqual([0, 1])
  })

  test('tabs of one person are one member of a presence, and see who else is there', async () => {
    const ben = await stage.user('Ben')
    const { id: session } = await ada.client.call('session.create', { title: 'Here' })
    // Ben is in Ada's workspace.
    const { token } = (await ada.client.call('invitation.create', { email: ben.email, role: 'member' })) as { token: string }
    const invited = (await ben.client.call('invitation.accept', { token })) as { access_token: string }
    const other = await stage.site.person(invited.access_token)
    const [one, two] = [await open({ tabs, session }), await open({ tabs, session })]
    const his = await stage.site.open(other, { url: stage.relay.url, tabs, session })
    const members = (page: Page): Promise<{ name: string; state: unknown }[]> =>
      page.evaluate(() => globalThis.page.presence!.get().map(({ principal, state }) => ({ name: principal.name, state })))
    const seen = (page: Page, name: string, state: unknown): Promise<unknown> =>
      until(`${name} is seen`, () => members(page), (now) => JSON.stringify(now) === JSON.stringify([{ name, state }]))
    await two.evaluate(() => globalThis.page.presence!.update({ typing: true }))
    await his.evaluate(() => globalThis.page.presence!.update({ viewing: 'x' }))
    await seen(his, 'Ada', { typing: true })
    for (const page of [one, two]) await seen(page, 'Ben', { viewing: 'x' })
    await two.close()
    await seen(his, 'Ada', {})
    await one.close()
    await until('she is gone', () => members(his), (now) => now.length === 0)
    await other.close()
  })

  test('somebody else in another tab has a connection of their own', async () => {
    const ben = await stage.user('Ben')
    const first = await open({ tabs, live: '' })
    await live(first)
    await first.evaluate((token) => localStorage.setItem('token', token), ben.token)
    const second = await open({ tabs, live: '' })
    await live(second)
    expect(stage.relay.open).toBe(2)
    await create(second, 'of Ben')
    await sees(second, 'of Ben')
    expect(await names(first)).not.toContain('of Ben')
    // Another sign-in of the same person shares.
    const again = await stage.again(ada)
    await first.evaluate((token) => localStorage.setItem('token', token), again.token)
    const third = await open({ tabs, live: '' })
    await live(third)
    expect(stage.relay.open).toBe(2)
    expect(await status(third)).toBe('open')
  })

  test('a tab that is busy does not hold up another', async () => {
    // The first leads, the second is busy, and the third reads.
    const pages = [await open({ tabs, live: '' })]
    await live(pages[0]!)
    const { id: run } = await ada.client.call('run.start', { crew: 'review', inputs: { name: 'notes.md', page: '# Notes\n\nSome words.\n' } })
    pages.push(await open({ tabs, live: '', run }), await open({ tabs, live: '', run }))
    await until('events come', () => pages[1]!.evaluate(() => globalThis.page.log().offset), (now) => now > 0)
    const work = pages[1]!.evaluate(() => {
      const held = new XMLHttpRequest()
      held.open('GET', '/hold', false)
      held.send()
    })
    await until('it is blocked', stage.site.held, (held) => held === 1)
    await until('the run ends for who reads', () => pages[2]!.evaluate(() => globalThis.page.log().done), (done) => done)
    stage.site.release()
    await work
    const { events } = await until('the run ends for who was busy', () => pages[1]!.evaluate(() => globalThis.page.log()), (log) => log.done)
    expect(normal(events)).toBe(normal(await logOf(ada.client, run)))
  })
})
