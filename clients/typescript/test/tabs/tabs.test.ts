import { afterEach, describe, expect, test, vi } from 'vitest'
import { sharedTabs, takeIn, type Port, type SharedOptions } from '../../src/worker/tabs.js'
import { createHub } from '../../src/worker/hub.js'
import type { Link, Transport } from '../../src/core/transport.js'
import { createBrowser, type FakeTab } from './browser.js'
import { createLines, frames, hello, message, welcome } from './line.js'

/** Until it holds: what passes between tabs takes a few turns. */
const until = (holds: () => void): Promise<void> => vi.waitFor(holds, { timeout: 5_000, interval: 2 })

interface End {
  link: Link
  /** What happened: `opened`, frames, `[closed …]`. */
  news: unknown[]
  say(...frames: unknown[][]): void
}

function open(transport: Transport): End {
  const news: unknown[] = []
  const link = transport.open({
    opened: () => news.push('opened'),
    message: (bytes) => news.push(...frames(bytes)),
    closed: (...how) => news.push({ closed: how }),
  })
  expect(news).toEqual([])
  return { link, news, say: (...frames) => link.send(message(...frames)) }
}

function stage() {
  const browser = createBrowser()
  const { own, lines } = createLines()
  const join = ({ url = 'ws://x/ws', workspace, worker }: SharedOptions & { url?: string; workspace?: string } = {}): { tab: FakeTab; transport: Transport } => {
    const tab = browser.tab()
    return { tab, transport: sharedTabs({ worker, scope: tab.scope })({ own, url, workspace }) }
  }
  return { browser, lines, join, own }
}

afterEach(() => {
  vi.useRealTimers()
})

describe('a leader among the tabs', () => {
  test('three tabs have one connection; when the leader goes the next one opens another', async () => {
    const { lines, join, browser } = stage()
    const tabs = [join(), join(), join()]
    const ends = tabs.map(({ transport }) => open(transport))
    await until(() => ends.forEach((end) => expect(end.news).toEqual(['opened'])))
    for (const end of ends) end.say(hello('t'))
    await until(() => expect(lines[0]?.sent).toEqual([hello('t')]))
    await browser.quiet()
    lines[0]!.say(welcome())
    await until(() => ends.forEach((end) => expect(end.news[1]).toMatchObject([2, {}])))
    for (const [at, end] of ends.entries()) end.say([3, 1, 'record.get', { at }])
    await until(() => expect(lines[0]!.sent.filter((frame) => frame[0] === 3)).toHaveLength(3))
    expect(lines).toHaveLength(1)

    tabs[0]!.tab.close()
    await until(() => ends.slice(1).forEach((end) => expect(end.news.at(-1)).toEqual({ closed: [1006, 'the tab that had the connection is gone', false] })))
    const again = tabs.slice(1).map(({ transport }) => open(transport))
    await until(() => again.forEach((end) => expect(end.news).toEqual(['opened'])))
    for (const end of again) end.say(hello('t'))
    await until(() => expect(lines).toHaveLength(2))
    await until(() => expect(lines[1]!.sent).toEqual([hello('t')]))
    lines[1]!.say(welcome())
    await until(() => again.forEach((end) => expect(end.news[1]).toMatchObject([2, {}])))
    // One lock to lead, and one for each connection that is open; the next in turn waits.
    expect(browser.held()).toHaveLength(3)
  })

  test('a tab that vanishes, and one that closes, leave the connection; the last one ends it', async () => {
    const { lines, join, browser } = stage()
    const tabs = [join(), join(), join()]
    const ends = tabs.map(({ transport }) => open(transport))
    for (const end of ends) end.say(hello('t'))
    await browser.quiet()
    // What was said before there was a hub is said when there is one.
    await until(() => expect(lines[0]?.sent).toEqual([hello('t')]))
    lines[0]!.say(welcome())
    await until(() => ends.forEach((end) => expect(end.news).toHaveLength(2)))
    lines[0]!.take()
    ends[1]!.say([10, 1, { run: 'a' }])
    await until(() => expect(lines[0]!.take()).toEqual([[10, 1, { run: 'a' }]]))
    ends[2]!.say([10, 1, { run: 'b' }])
    await until(() => expect(lines[0]!.take()).toEqual([[10, 2, { run: 'b' }]]))
    tabs[1]!.tab.close()
    await until(() => expect(lines[0]!.take()).toEqual([[16, 1]]))
    ends[2]!.link.close()
    expect(ends[2]!.news).toHaveLength(2)
    await until(() => expect(ends[2]!.news.at(-1)).toEqual({ closed: [1000, '', false] }))
    await until(() => expect(lines[0]!.take()).toEqual([[16, 2]]))
    expect(lines[0]!.closed).toBeNull()
    ends[0]!.link.close()
    await until(() => expect(lines[0]!.closed).toBe(1000))
    expect(ends[1]!.news.at(-1)).toMatchObject([2, {}])
  })

  test('another principal gets a socket of its own, and says again there what it has said', async () => {
    const { lines, join, browser } = stage()
    const [one, two] = [join(), join()].map(({ transport }) => open(transport)) as [End, End]
    one.say(hello('t'))
    await until(() => expect(lines).toHaveLength(1))
    lines[0]!.say(welcome())
    two.say(hello('other'), [3, 1, 'workspace.get', {}])
    two.say([3, 2, 'member.list', {}])
    await until(() => expect(lines[0]!.sent.at(-1)).toEqual([3, 1, 'auth.authenticate', { access_token: 'other' }]))
    await browser.quiet()
    lines[0]!.say([5, 1, { code: 'conflict', message: 'another', retry: 'refetch' }])
    await until(() => expect(lines[1]?.sent).toEqual([hello('other'), [3, 1, 'workspace.get', {}], [3, 2, 'member.list', {}]]))
    lines[1]!.say(welcome('ben'))
    two.say([3, 3, 'run.list', {}])
    expect(lines[1]!.sent.at(-1)).toEqual([3, 3, 'run.list', {}])
    expect(two.news).toEqual(['opened', welcome('ben')])
    two.link.close(3000)
    expect(lines[1]!.closed).toBe(3000)
    lines[1]!.handlers.closed(3000, '', false)
    expect(two.news.at(-1)).toEqual({ closed: [3000, '', false] })
    expect(lines[0]!.closed).toBeNull()
  })

  test('a close of the real socket, and a server that is not there, are told to each', async () => {
    const { lines, join, browser } = stage()
    const ends = [join(), join()].map(({ transport }) => open(transport))
    for (const end of ends) end.say(hello('t'))
    await until(() => expect(lines).toHaveLength(1))
    await browser.quiet()
    lines[0]!.handlers.closed(1006, '', true)
    await until(() => ends.forEach((end) => expect(end.news).toEqual(['opened', { closed: [1006, '', true] }])))
  })

  test('a tab that hears nothing of a hub opens a socket of its own', async () => {
    vi.useFakeTimers()
    const { lines, browser, join } = stage()
    const { scope } = browser.tab()
    // Another tab has the lock, and does not answer.
    void scope.navigator!.locks!.request('crewline/1 ws://x/ws ', () => new Promise(() => {}))
    const end = open(join().transport)
    await vi.advanceTimersByTimeAsync(3_900)
    expect(lines).toHaveLength(0)
    await vi.advanceTimersByTimeAsync(200)
    expect(end.news).toEqual(['opened'])
    end.say(hello('t'))
    expect(lines[0]!.sent).toEqual([hello('t')])
  })

  test('URLs and workspaces do not mix', async () => {
    const { lines, join } = stage()
    const ends = [join(), join({ url: 'ws://y/ws' }), join({ workspace: 'w' })].map(({ transport }) => open(transport))
    for (const end of ends) end.say(hello('t'))
    await until(() => expect(lines).toHaveLength(3))
  })

  test('closed at once: nothing is opened', async () => {
    const { lines, join, browser } = stage()
    const end = open(join().transport)
    end.link.close()
    end.say(hello('t'))
    await until(() => expect(end.news).toEqual([{ closed: [1000, '', false] }]))
    await browser.quiet()
    expect(lines).toHaveLength(0)
    expect(browser.held()).toHaveLength(0)
  })
})

test('without locks each tab has its own socket', () => {
  const { own } = createLines()
  expect(sharedTabs({ scope: {} })({ own, url: 'ws://x/ws', workspace: undefined })).toBe(own)
})

describe('a SharedWorker', () => {
  test('the hub is there; where there is none, the tabs find a leader', async () => {
    const { lines, join, browser, own } = stage()
    const locks = browser.tab().scope.navigator!.locks!
    const hub = createHub(own)
    const asked: unknown[] = []
    const worker = (): SharedWorker => {
      const { port1, port2 } = new MessageChannel()
      port2.onmessage = ({ data }) => {
        asked.push(data)
        void takeIn(locks, hub, port2 as Port, data[2], 'worker')
      }
      return { port: port1 } as unknown as SharedWorker
    }
    const tabs = [join({ worker }), join({ worker })]
    const ends = tabs.map(({ transport }) => open(transport))
    await until(() => ends.forEach((end) => expect(end.news).toEqual(['opened'])))
    expect(asked).toEqual([0, 1].map(() => ['crewline/1 ws://x/ws ', 'ws://x/ws', expect.any(String)]))
    for (const end of ends) end.say(hello('t'))
    await until(() => expect(lines[0]?.sent).toEqual([hello('t')]))
    lines[0]!.say(welcome())
    await until(() => ends.forEach((end) => expect(end.news).toHaveLength(2)))
    tabs[0]!.tab.close()
    ends[1]!.link.close()
    await until(() => expect(lines[0]!.closed).toBe(1000))

    const end = open(
      join({
        worker() {
          throw new ReferenceError('SharedWorker is not defined')
        },
      }).transport,
    )
    end.say(hello('t'))
    await until(() => expect(lines).toHaveLength(2))
  })

  test('a script that does not load: a socket of one’s own', async () => {
    const { lines, join } = stage()
    const { port1 } = new MessageChannel()
    const worker = { port: port1, onerror: null as (() => void) | null }
    const end = open(join({ worker: () => worker as unknown as SharedWorker }).transport)
    await until(() => expect(worker.onerror).not.toBeNull())
    worker.onerror!()
    await until(() => expect(end.news).toEqual(['opened']))
    expect(lines).toHaveLength(1)
    port1.close()
  })
})
