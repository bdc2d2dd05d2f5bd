import { encode } from '@msgpack/msgpack'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createHub, type HubLink, type ToTab } from '../../src/worker/hub.js'
import { createLines, frames, hello, message, welcome, type Line } from './line.js'

const settle = (): Promise<void> => vi.advanceTimersByTimeAsync(0).then(() => {})

interface TestTab extends HubLink {
  /** How long the last message was. */
  readonly bytes: number
  /** What it was told since the last time: frames, and other news. */
  take(): unknown[]
  say(...frames: unknown[][]): void
}

function stage(opens = true) {
  const { own, lines } = createLines(opens)
  const hub = createHub(own)
  const tab = (): TestTab => {
    const told: unknown[] = []
    let bytes = 0
    const link = hub((news: ToTab) => {
      told.push(...(news instanceof Uint8Array ? frames(news) : [news]))
      bytes = news.length
    })
    return {
      ...link,
      get bytes() {
        return bytes
      },
      take: () => told.splice(0),
      say: (...frames) => link.send(message(...frames)),
    }
  }
  return { lines, tab }
}

/** A hub whose tabs are all welcome by the same token. */
async function shared(count: number): Promise<{ line: Line; tabs: TestTab[]; lines: Line[]; tab: () => TestTab }> {
  const { lines, tab } = stage()
  const tabs = Array.from({ length: count }, tab)
  for (const one of tabs) one.say(hello('t'))
  await settle()
  lines[0]!.say(welcome())
  lines[0]!.take()
  for (const one of tabs) one.take()
  return { line: lines[0]!, tabs, lines, tab }
}

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('opening', () => {
  test('one hello is sent; every tab is welcome with what it said meanwhile', async () => {
    const { lines, tab } = stage(false)
    const [one, two] = [tab(), tab()]
    one.say(hello('t'), [3, 1, 'workspace.get', {}])
    two.say(hello('t'))
    two.say([3, 1, 'member.list', {}])
    expect(lines).toHaveLength(1)
    expect(lines[0]!.sent).toEqual([])
    lines[0]!.handlers.opened()
    expect(lines[0]!.take()).toEqual([hello('t'), [3, 1, 'workspace.get', {}]])
    vi.setSystemTime(1_000_000)
    lines[0]!.say(welcome(), [4, 1, { name: 'w' }, { as_of: 5 }])
    expect(one.take()).toEqual([welcome(), [4, 1, { name: 'w' }, { as_of: 5 }]])
    expect(two.take()).toEqual([welcome()])
    expect(lines[0]!.take()).toEqual([[3, 2, 'member.list', {}]])
    vi.setSystemTime(1_007_000)
    const three = tab()
    three.say(hello('t'))
    expect(three.take()).toEqual([[2, { ...(welcome()[1] as object), now_at: 1_007_000 }]])
    expect(lines[0]!.sent).toEqual([])
  })

  test('a tab with another token is asked about: the same principal shares, another one gets a socket of its own', async () => {
    const { line, tabs, tab } = await shared(1)
    const [same, other] = [tab(), tab()]
    same.say(hello('t2'), [3, 1, 'workspace.get', {}])
    other.say(hello('t3'), [3, 1, 'workspace.get', {}])
    expect(line.take()).toEqual([
      [3, 1, 'auth.authenticate', { access_token: 't2' }],
      [3, 2, 'auth.authenticate', { access_token: 't3' }],
    ])
    line.say([5, 2, { code: 'conflict', message: 'another', retry: 'refetch' }])
    expect(other.take()).toEqual(['own'])
    line.say([4, 1, { principal: { kind: 'user', id: 'ada', name: 'Ada L.' }, access_expires_at: 1 }])
    expect(same.take()).toEqual([[2, { ...(welcome()[1] as object), principal: { kind: 'user', id: 'ada', name: 'Ada L.' } }]])
    expect(line.take()).toEqual([[3, 3, 'workspace.get', {}]])
    expect(tabs[0]!.take()).toEqual([])
    // Accepted once, the token needs no question any more.
    const again = tab()
    again.say(hello('t2'))
    expect(again.take()).toHaveLength(1)
    expect(line.sent).toEqual([])
  })

  test('a tab that goes while it is asked about has said nothing', async () => {
    const { line, tab } = await shared(1)
    const other = tab()
    other.say(hello('t2'), [3, 1, 'workspace.get', {}])
    other.leave()
    line.take()
    line.say([4, 1, { principal: { kind: 'user', id: 'ada', name: 'ada' }, access_expires_at: 1 }])
    expect(line.sent).toEqual([])
    expect(other.take()).toEqual([])
  })

  test('nobody signed in: a socket of its own, and none for the hub', () => {
    const { lines, tab } = stage()
    const one = tab()
    one.say(hello(), [3, 1, 'auth.login', {}])
    expect(one.take()).toEqual(['own'])
    expect(lines).toHaveLength(0)
  })

  test('what is said against the first hello is not said of the others', async () => {
    const { lines, tab } = stage()
    const [one, two] = [tab(), tab()]
    one.say(hello('bad'))
    two.say(hello('good'))
    await settle()
    const fault = [5, 0, { code: 'unauthenticated', message: 'no', retry: 'sign_in' }]
    lines[0]!.say(fault)
    lines[0]!.handlers.closed(4100, 'token refused', false)
    expect(one.take()).toEqual([fault, [4100, 'token refused', false]])
    expect(two.take()).toEqual([[1006, 'token refused', false]])
    // The next who comes opens another.
    two.say(hello('good'))
    const three = tab()
    three.say(hello('good'))
    expect(lines).toHaveLength(2)
  })

  test('a welcome that does not come ends it', async () => {
    const { lines, tab } = stage()
    const one = tab()
    one.say(hello('t'))
    await vi.advanceTimersByTimeAsync(15_200)
    expect(one.take()).toEqual([[1006, 'nothing was heard from the server', false]])
    expect(lines[0]!.closed).toBe(1000)
  })
})

describe('requests', () => {
  test('each tab gets its own answers under its own numbers', async () => {
    const { line, tabs } = await shared(3)
    for (const [place, tab] of tabs.entries()) tab.say([3, 1, 'record.get', { place }], [3, 2, 'record.list', { place }, { key: 'k' }])
    expect(line.take().map((frame) => frame.slice(1))).toEqual(
      [0, 1, 2].flatMap((place) => [
        [2 * place + 1, 'record.get', { place }],
        [2 * place + 2, 'record.list', { place }, { key: 'k' }],
      ]),
    )
    line.say([4, 5, 'third'], [5, 4, { code: 'invalid' }], [4, 1, 'first'], [4, 99, 'nobody'])
    expect(tabs.map((tab) => tab.take())).toEqual([[[4, 1, 'first']], [[5, 2, { code: 'invalid' }]], [[4, 1, 'third']]])
    tabs[1]!.say([6, 1], [6, 2], [6, 7])
    expect(line.take()).toEqual([[6, 3]])
    line.say([4, 5, 'again'])
    expect(tabs[2]!.take()).toEqual([])
  })

  test('a tab whose numbers go on from an earlier connection keeps them', async () => {
    const { line, tabs } = await shared(2)
    tabs[1]!.say([3, 70_000, 'workspace.get', {}], [10, 300, { run: 'r' }])
    tabs[0]!.say([3, 1, 'workspace.get', {}], [10, 1, { run: 's' }])
    expect(line.take()).toEqual([
      [3, 70_000, 'workspace.get', {}],
      [10, 300, { run: 'r' }],
      [3, 70_001, 'workspace.get', {}],
      [10, 301, { run: 's' }],
    ])
    line.say([4, 70_000, 'a'], [4, 70_001, 'b'], [11, 301, {}], [11, 300, {}])
    expect(tabs.map((tab) => tab.take())).toEqual([
      [[4, 1, 'b'], [11, 1, {}]],
      [[4, 70_000, 'a'], [11, 300, {}]],
    ])
  })

  test('many large requests are sent in several messages', async () => {
    const { lines, tab } = stage(false)
    const [one, two] = [tab(), tab()]
    one.say(hello('t'))
    lines[0]!.handlers.opened()
    const sizes: number[] = []
    const big = 'x'.repeat(200_000)
    two.say(hello('t'))
    two.say(...[1, 2, 3, 4].map((id) => [3, id, 'record.create', { big }]))
    const { sent } = lines[0]!
    const push = sent.push.bind(sent)
    sent.push = (...frames) => {
      sizes.push(frames.length)
      return push(...frames)
    }
    lines[0]!.say(welcome())
    expect(sizes).toEqual([2, 2])
    expect(sent.slice(-4).map((frame) => frame[1])).toEqual([1, 2, 3, 4])
  })
})

describe('subscriptions', () => {
  test('frames come under the tab’s number and as long as the server counted them', async () => {
    const { line, tabs } = await shared(2)
    tabs[0]!.say(...Array.from({ length: 300 }, (_, at) => [10, at + 1, { run: `r${at}` }]))
    tabs[1]!.say([10, 1, { run: 'x' }, { from: 3, credit: 100 }])
    expect(line.take().at(-1)).toEqual([10, 301, { run: 'x' }, { from: 3, credit: 100 }])
    const events = message([12, 301, 4, 1, [{ type: 'log.written' }]])
    line.handlers.message(events.slice())
    expect(tabs[1]!.bytes).toBe(events.length)
    expect(tabs[1]!.take()).toEqual([[12, 1, 4, 1, [{ type: 'log.written' }]]])
    tabs[1]!.say([15, 1, 50], [15, 7, 1], [16, 1], [16, 1])
    expect(line.take()).toEqual([[15, 301, 50], [16, 301]])
    line.say([12, 301, 5, 1, []])
    expect(tabs[1]!.take()).toEqual([])
  })

  test('an ended subscription is forgotten', async () => {
    const { line, tabs } = await shared(1)
    tabs[0]!.say([10, 1, { query: { op: 'run.list', input: {} } }])
    line.say([14, 1, 0, { why: 'refused' }])
    expect(tabs[0]!.take()).toEqual([[14, 1, 0, { why: 'refused' }]])
    line.take()
    tabs[0]!.say([15, 1, 10], [16, 1])
    expect(line.sent).toEqual([])
  })

  test('the connection’s credit is given back as frames come, whoever has them', async () => {
    const { line, tabs } = await shared(2)
    tabs[0]!.say([10, 1, { run: 'r' }])
    line.take()
    const events = [12, 1, 1, 1, [{ text: 'x'.repeat(600) }]]
    const bytes = encode(events).length
    line.say(events)
    expect(line.take()).toEqual([])
    line.say(events, [12, 9, 1, 1, []])
    expect(line.take()).toEqual([[15, 0, 2 * bytes + encode([12, 9, 1, 1, []]).length]])
    // A tab's own grants for the connection would count twice.
    tabs[0]!.say([15, 0, 5_000])
    expect(line.take()).toEqual([])
  })

  test('a tab that goes leaves nothing open, and the last one closes', async () => {
    const { line, tabs } = await shared(2)
    tabs[0]!.say([3, 1, 'run.list', {}], [10, 1, { run: 'r' }], [10, 2, { presence: { session_id: 's' } }])
    tabs[1]!.say([3, 1, 'run.list', {}], [10, 1, { run: 'r' }])
    line.take()
    tabs[0]!.leave()
    tabs[0]!.leave()
    expect(line.take()).toEqual([[6, 1], [16, 1], [16, 2]])
    tabs[0]!.say([3, 2, 'run.list', {}])
    expect(line.take()).toEqual([])
    line.say([4, 1, 'late'], [4, 2, 'mine'])
    expect(tabs.map((tab) => tab.take())).toEqual([[], [[4, 1, 'mine']]])
    expect(line.closed).toBeNull()
    tabs[1]!.leave()
    expect(line.closed).toBe(1000)
    tabs[1]!.say([3, 2, 'run.list', {}])
    expect(line.sent.filter((frame) => frame[0] === 3)).toEqual([])
  })

  test('where half of the subscriptions are taken, the next tab opens another connection', async () => {
    const { lines, tabs, tab } = await shared(1)
    tabs[0]!.say(...[1, 2, 3, 4].map((sub) => [10, sub, { run: `${sub}` }]))
    tab().say(hello('t'))
    expect(lines).toHaveLength(1)
    tabs[0]!.say([10, 5, { run: '5' }])
    tab().say(hello('t'))
    tab().say(hello('t'))
    expect(lines).toHaveLength(2)
  })
})

describe('presence', () => {
  const target = { presence: { session_id: 's' } }
  const ben = { connection_id: 'c2', principal: { kind: 'user', id: 'ben', name: 'Ben' } }
  const cleo = { connection_id: 'c3', principal: { kind: 'user', id: 'cleo', name: 'Cleo' } }

  test('tabs in one session are one member, and each sees the others', async () => {
    const { line, tabs } = await shared(3)
    const [one, two, three] = tabs as [TestTab, TestTab, TestTab]
    one.say([10, 1, target])
    two.say([10, 1, { run: 'r' }], [10, 2, target])
    expect(line.take()).toEqual([[10, 1, target], [10, 2, { run: 'r' }]])
    line.say([11, 1, {}], [20, 1, ben, { typing: true }], [20, 1, cleo, {}])
    expect(one.take()).toEqual([[11, 1, {}], [20, 1, ben, { typing: true }], [20, 1, cleo, {}]])
    expect(two.take()).toEqual([[11, 2, {}], [20, 2, ben, { typing: true }], [20, 2, cleo, {}]])
    line.say([20, 1, cleo, null], [20, 1, ben, { typing: false }])
    one.take()
    // Who comes later is told what the others were.
    three.say([10, 200, target])
    expect(line.take()).toEqual([])
    expect(three.take()).toEqual([[11, 200, {}], [20, 200, ben, { typing: false }]])
    three.say([10, 201, { run: 'r' }])
    expect(line.take()).toEqual([[10, 201, { run: 'r' }]])
  })

  test('the latest state is the member’s; when its tab goes, the one before', async () => {
    const { line, tabs } = await shared(3)
    const [one, two, three] = tabs as [TestTab, TestTab, TestTab]
    for (const tab of tabs) tab.say([10, 1, target])
    line.take()
    one.say([20, 1, { cursor: 1 }])
    two.say([20, 1, { cursor: 2 }])
    two.say([20, 1, { cursor: null }])
    expect(line.take()).toEqual([[20, 1, { cursor: 1 }], [20, 1, { cursor: 2 }], [20, 1, { cursor: null }]])
    two.say([16, 1])
    expect(line.take()).toEqual([[20, 1, { cursor: 1 }]])
    one.leave()
    expect(line.take()).toEqual([[20, 1, {}]])
    three.say([20, 1, null])
    expect(line.take()).toEqual([[16, 1]])
    three.say([10, 2, target])
    expect(line.take()).toEqual([[10, expect.any(Number), target]])
  })

  test('a presence that ends, ends for all, and may begin again', async () => {
    const { line, tabs } = await shared(2)
    for (const tab of tabs) tab.say([10, 1, target])
    line.take()
    line.say([14, 1, 0, { why: 'forbidden' }])
    for (const tab of tabs) expect(tab.take()).toEqual([[14, 1, 0, { why: 'forbidden' }]])
    tabs[1]!.say([16, 1], [10, 2, target])
    expect(line.take()).toEqual([[10, 3, target]])
  })
})

describe('staying alive', () => {
  test('the hub answers pings and passes them on; a tab’s ping is answered by the server', async () => {
    const { line, tabs } = await shared(2)
    line.say([30, 'n'])
    expect(line.take()).toEqual([[31, 'n']])
    expect(tabs.map((tab) => tab.take())).toEqual([[[30, 'n']], [[30, 'n']]])
    tabs[0]!.say([31, 'n'])
    tabs[1]!.say([30, 7])
    tabs[0]!.say([30, 7])
    expect(line.take()).toEqual([[30, 7], [30, 7]])
    line.say([31, 7])
    expect(tabs.map((tab) => tab.take())).toEqual([[], [[31, 7]]])
    line.say([31, 7])
    expect(tabs.map((tab) => tab.take())).toEqual([[[31, 7]], []])
  })

  test('a ping that nothing follows ends the connection for all; so do two silent heartbeats', async () => {
    const { line, lines, tabs, tab } = await shared(2)
    tabs[0]!.say([30, 1])
    await vi.advanceTimersByTimeAsync(2_000)
    tabs[1]!.say([30, 1])
    await vi.advanceTimersByTimeAsync(1_200)
    for (const tab of tabs) expect(tab.take()).toEqual([[1006, 'nothing was heard from the server', false]])
    expect(line.closed).toBe(1000)
    const next = tab()
    next.say(hello('t'))
    await settle()
    lines[1]!.say(welcome())
    next.take()
    await vi.advanceTimersByTimeAsync(29_000)
    lines[1]!.say([30, 1])
    await vi.advanceTimersByTimeAsync(29_900)
    expect(next.take()).toEqual([[30, 1]])
    await vi.advanceTimersByTimeAsync(300)
    expect(next.take()).toHaveLength(1)
  })

  test('what concerns the connection is told to all; a principal that changed is told to who comes later', async () => {
    const { line, tabs, tab } = await shared(2)
    const changed = [32, { type: 'principal_changed', principal: { kind: 'user', id: 'ada', name: 'Countess' } }]
    line.say(changed, [32, { type: 'token_expiring', expires_at: 5 }])
    for (const tab of tabs) expect(tab.take()).toEqual([changed, [32, { type: 'token_expiring', expires_at: 5 }]])
    const late = tab()
    late.say(hello('t'))
    expect(late.take()).toMatchObject([[2, { principal: { name: 'Countess' } }]])
  })

  test('a server that leaves: who connects anew gets the next connection, and the old one serves until all have gone', async () => {
    const { line, lines, tabs, tab } = await shared(2)
    const goaway = [33, { why: 'shutdown', reconnect_within_ms: 100, drain_ms: 1_000 }]
    tabs[0]!.say([3, 1, 'run.list', {}])
    line.say(goaway)
    for (const tab of tabs) expect(tab.take()).toEqual([goaway])
    const [one, two] = [tab(), tab()]
    one.say(hello('t'))
    two.say(hello('t'))
    await settle()
    expect(lines).toHaveLength(2)
    lines[1]!.say(welcome())
    expect(one.take()).toHaveLength(1)
    expect(two.take()).toHaveLength(1)
    line.say([4, 1, 'done'])
    expect(tabs[0]!.take()).toEqual([[4, 1, 'done']])
    tabs[0]!.leave()
    expect(line.closed).toBeNull()
    tabs[1]!.leave()
    expect(line.closed).toBe(1000)
    expect(lines[1]!.closed).toBeNull()
  })

  test('a close is told to all with its code', async () => {
    const { line, lines, tabs, tab } = await shared(2)
    line.handlers.closed(4201, 'signed out', false)
    for (const tab of tabs) expect(tab.take()).toEqual([[4201, 'signed out', false]])
    tab().say(hello('t'))
    expect(lines).toHaveLength(2)
  })
})
