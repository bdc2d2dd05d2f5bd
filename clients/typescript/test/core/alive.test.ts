// @vitest-environment happy-dom
/** How a connection is found to be dead, on a transport of which the test says what it does. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createClient, type Client, type CrewlineError } from '../../src/core/index.js'
import { heard, passes, peersOfClient, type Peers, welcome } from '../support/peers.js'

const BEAT_MS = 1_000
let client: Client
let peers: Peers

beforeEach(() => {
  vi.useFakeTimers()
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  peers = peersOfClient()
  client = createClient({ url: 'ws://server/ws', transport: peers.transport, outbox: 'memory', auth: () => 't' })
})
afterEach(() => {
  client.close()
  vi.restoreAllMocks()
  vi.useRealTimers()
})

const status = () => client.connection.get().status
const errorCode = () => (client.connection.get() as { error?: CrewlineError }).error?.code

async function connected(heartbeat_ms = BEAT_MS): Promise<void> {
  client.connect()
  await passes()
  peers.last.say(welcome('a', { heartbeat_ms }))
}

describe('the heartbeat', () => {
  test('a ping is answered at once, with its nonce', async () => {
    await connected()
    peers.last.say([30, 7], [30, 8])
    await passes()
    expect(heard(peers.last, 31)).toEqual([[31, 7], [31, 8]])
  })

  test('two heartbeats without a byte: the connection is left, and made anew', async () => {
    await connected()
    await passes(2 * BEAT_MS - 1)
    expect([status(), peers.last.left]).toEqual(['open', false])
    await passes(1)
    expect([status(), errorCode(), peers.last.left]).toEqual(['waiting', 'disconnected', true])
    await passes(1_000)
    expect(peers.all).toHaveLength(2)
    expect(peers.last.said[0]).toMatchObject([1, { last_close: { code: 4003 } }])
  })

  test('any byte puts it off, for two heartbeats from then', async () => {
    await connected()
    for (let turn = 0; turn < 5; turn++) {
      await passes(2 * BEAT_MS - 1)
      peers.last.say([31, 0])
    }
    await passes(2 * BEAT_MS - 1)
    expect([status(), peers.all.length]).toEqual(['open', 1])
    await passes(1)
    expect(status()).toBe('waiting')
  })

  test('what was given up and speaks again is not heard', async () => {
    await connected()
    const call = client.call('run.list', {})
    await passes(2 * BEAT_MS)
    peers.all[0]!.say(welcome('b'), [4, 1, { items: ['stale'] }], [30, 1])
    expect(status()).toBe('waiting')
    await passes(1_000)
    peers.last.say(welcome('a'))
    await passes()
    peers.last.say([4, heard(peers.last, 3)[0]![1], { items: [] }])
    expect(await call).toEqual({ items: [] })
    expect(heard(peers.all[0]!, 31)).toEqual([])
  })
})

describe('a server that never answers', () => {
  test.each([['is not reached', false], ['says nothing to a hello', true]])('and %s is given up after fifteen seconds, and tried again', async (_, reachable) => {
    peers.reachable = reachable
    const call = client.call('run.list', {})
    await passes(14_999)
    expect([status(), peers.all.length]).toEqual(['connecting', 1])
    await passes(1)
    expect([status(), errorCode(), peers.last.left]).toEqual(['waiting', 'unreachable', true])
    peers.reachable = true
    await passes(500)
    // The first comes to life too late.
    peers.all[0]!.reach()
    peers.all[0]!.say(welcome('a'))
    expect([status(), peers.all.length]).toEqual(['connecting', 2])
    peers.last.say(welcome('a'))
    await passes()
    peers.last.say([4, 1, { items: [] }])
    expect(await call).toEqual({ items: [] })
    await passes(60_000)
    expect([status(), peers.all.length]).toEqual(['open', 2])
  })
})

describe('a client that wakes', () => {
  const wakes: [string, () => void][] = [
    ['network is back', () => window.dispatchEvent(new Event('online'))],
    ['page is shown from the cache', () => window.dispatchEvent(new Event('pageshow'))],
    ['window is looked at', () => window.dispatchEvent(new Event('focus'))],
    ['tab is shown', () => document.dispatchEvent(new Event('visibilitychange'))],
  ]

  test.each(wakes)('pings when its %s, and gives up what is silent for three seconds', async (_, wake) => {
    await connected(1_000_000)
    await passes(100_000)
    wake()
    await passes()
    expect(heard(peers.last, 30)).toHaveLength(1)
    await passes(2_999)
    expect(status()).toBe('open')
    await passes(1)
    expect([status(), errorCode(), peers.last.left]).toEqual(['waiting', 'disconnected', true])
    await passes(1_000)
    expect(peers.all).toHaveLength(2)
  })

  test.each(wakes)('keeps what answers when its %s', async (_, wake) => {
    await connected(1_000_000)
    await passes(100_000)
    wake()
    await passes(1_000)
    const [[, nonce]] = heard(peers.last, 30) as [[number, number]]
    peers.last.say([31, nonce])
    await passes(60_000)
    expect([status(), peers.all.length]).toEqual(['open', 1])
  })

  test.each(wakes)('tries at once where it waits and its %s', async (_, wake) => {
    vi.mocked(Math.random).mockReturnValue(0.999)
    await connected()
    peers.last.cut(4006)
    expect(status()).toBe('waiting')
    wake()
    await passes()
    expect([status(), peers.all.length]).toEqual(['connecting', 2])
    peers.last.say(welcome('a'))
    await passes(BEAT_MS)
    // The try that was put off is not made as well.
    expect([status(), peers.all.length]).toEqual(['open', 2])
  })

  test('does nothing when its tab is hidden', async () => {
    await connected(1_000_000)
    vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('hidden')
    document.dispatchEvent(new Event('visibilitychange'))
    await passes()
    expect(heard(peers.last, 30)).toEqual([])
  })

  test('listens to nothing once it is closed', () => {
    const listening = new Set<unknown>()
    for (const target of [window, document]) {
      vi.spyOn(target, 'addEventListener').mockImplementation((type: string) => void listening.add(type))
      vi.spyOn(target, 'removeEventListener').mockImplementation((type: string) => void listening.delete(type))
    }
    const other = createClient({ url: 'ws://server/ws', transport: peers.transport, outbox: 'memory', auth: () => 't' })
    expect(listening).toEqual(new Set(['online', 'pageshow', 'focus', 'visibilitychange']))
    other.close()
    expect(listening).toEqual(new Set())
  })
})
