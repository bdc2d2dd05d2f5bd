/** A run's stream on a connection of which the test says what it does. */
import { describe, expect, test } from 'vitest'
import { CrewlineError } from '../../src/core/error.js'
import { createRunStream } from '../../src/core/stream.js'
import type { RunEvent } from '../../src/protocol.js'
import type { FollowOptions, RunFrame } from '../../src/core/types.js'
import { end, fakeChannel, settled, words } from '../support/fake-channel.js'

const BYTES = 100

async function following(options?: FollowOptions) {
  const channel = fakeChannel()
  const stream = createRunStream(channel, 'r', options)
  await settled()
  const one = channel.last
  /** The server sends the events up to an offset, of those after another. */
  const send = (from: number, to: number, bytes = BYTES): void => one.subscriber.events?.(to, to - from, words(from, to), bytes)
  return { channel, stream, one, send }
}
const texts = (events: readonly RunEvent[]): string => events.map((event) => (event.type === 'text.delta' ? event.text : '')).join('')

describe('credit', () => {
  test('is given for what was consumed, when the next is asked for, and what waits is bounded by it', async () => {
    const { stream, one, send } = await following({ credit: 1_000 })
    expect(one.asked).toEqual([{ from: 0, credit: 1_000 }])
    const frames = stream.frames()[Symbol.asyncIterator]()
    send(0, 1)
    expect((await frames.next()).value).toMatchObject({ offset: 1, span: 1 })
    await settled()
    expect([one.granted, stream.offset]).toEqual([[], 0])
    const next = frames.next()
    await settled()
    expect([one.granted, stream.offset]).toEqual([[BYTES], 1])
    send(1, 2)
    await next
  })

  test('is given in halves of the window while more waits', async () => {
    const { stream, one, send } = await following({ credit: 1_000 })
    for (let offset = 0; offset < 10; offset++) send(offset, offset + 1)
    const frames = stream.frames()[Symbol.asyncIterator]()
    for (let turn = 0; turn < 10; turn++) await frames.next()
    expect(one.granted).toEqual([500])
    void frames.next()
    await settled()
    expect(one.granted).toEqual([500, 500])
  })

  test.each(['lose', 'handOver', 'again'] as const)('never comes to more than the window after %s', async (how) => {
    const { channel, stream, one, send } = await following({ credit: 1_000 })
    for (let offset = 0; offset < 6; offset++) send(offset, offset + 1)
    const frames = stream.frames()[Symbol.asyncIterator]()
    // Three are consumed, one is in hand, two wait.
    for (let turn = 0; turn < 4; turn++) await frames.next()
    if (how === 'again') send(8, 9)
    else if (how === 'handOver') channel.handOver()
    else (channel.lose(), channel.connect())
    expect(one.asked.at(-1)).toEqual({ from: 6, credit: 700 })
    for (let turn = 0; turn < 2; turn++) await frames.next()
    void frames.next()
    await settled()
    expect(one.granted.reduce((sum, bytes) => sum + bytes, 0)).toBe(300)
  })

  test('of a frame that is dropped is given back at once', async () => {
    const { stream, one, send } = await following()
    send(0, 2)
    send(0, 2)
    expect(one.granted).toEqual([BYTES])
    stream.close()
  })
})

describe('the rule', () => {
  test.each<[string, number, number, string, number]>([
    ['begins where it stands', 4, 6, '5 6 ', 1],
    ['ends where it stands', 2, 4, '', 1],
    ['ends before', 1, 2, '', 1],
    ['begins later', 5, 6, '', 2],
    ['begins before and ends later', 3, 6, '', 2],
  ])('a frame that %s', async (_, from, to, text, asked) => {
    const { stream, one, send } = await following({ from: 4 })
    send(from, to)
    expect(one.asked).toEqual(Array(asked).fill({ from: 4, credit: 256 * 1024 }))
    end(one, { why: 'complete' })
    const events: RunEvent[] = []
    for await (const event of stream) events.push(event)
    expect(texts(events)).toBe(text)
  })

  test('every event comes once over lost connections, and only what was asked for', async () => {
    const { channel, stream, one, send } = await following({ only: ['text.delta'] })
    expect(one.target).toEqual({ run: 'r', only: ['text.delta'] })
    send(0, 3)
    channel.lose()
    channel.connect()
    expect(one.asked.at(-1)).toMatchObject({ from: 3 })
    send(0, 3)
    send(3, 5)
    end(one, { why: 'complete' }, 5)
    const events: RunEvent[] = []
    for await (const event of stream) events.push(event)
    expect([texts(events), stream.offset]).toEqual(['1 2 3 4 5 ', 5])
  })
})

describe('another database', () => {
  test('is gone on from what was handed out, and what waited of the old one is not', async () => {
    const { channel, stream, one, send } = await following({ credit: 1_000 })
    send(0, 2)
    send(2, 4)
    send(4, 6)
    const frames = stream.frames()[Symbol.asyncIterator]()
    await frames.next()
    await frames.next()
    channel.lose()
    channel.connect('two')
    expect(one.asked.at(-1)).toEqual({ from: 4, credit: 900 })
    send(4, 5)
    const { value } = await frames.next()
    expect(value as RunFrame).toMatchObject({ offset: 5, span: 1 })
  })

  test('whose log is shorter than what was read says what to do', async () => {
    const { channel, stream, one, send } = await following()
    send(0, 6)
    const events = stream[Symbol.asyncIterator]()
    for (let turn = 0; turn < 6; turn++) await events.next()
    const next = events.next()
    await settled()
    channel.lose()
    channel.connect('two')
    end(one, { why: 'refused', fault: { code: 'invalid', message: 'from is above head', retry: 'never' } })
    await expect(next).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('from the start') })
  })
})

describe('it ends', () => {
  test.each([
    ['deleted', undefined, 'not_found'],
    ['forbidden', undefined, 'forbidden'],
    ['refused', { code: 'not_found', message: 'no such run', retry: 'never' } as const, 'not_found'],
  ] as const)('where it is %s, after what had come', async (why, fault, code) => {
    const { stream, one, send } = await following()
    send(0, 1)
    end(one, { why, ...(fault && { fault }) })
    const events: RunEvent[] = []
    const reading = (async () => {
      for await (const event of stream) events.push(event)
    })()
    await expect(reading).rejects.toBeInstanceOf(CrewlineError)
    await expect(reading).rejects.toMatchObject({ code })
    expect(texts(events)).toBe('1 ')
  })

  test('where the connection has stopped for good', async () => {
    const { channel, stream } = await following()
    const next = stream[Symbol.asyncIterator]().next()
    const error = new CrewlineError('unauthenticated', 'sign in')
    channel.fail(error)
    await expect(next).rejects.toBe(error)
  })

  test('by a break, whose last frame was not consumed', async () => {
    const { stream, one, send } = await following()
    send(0, 1)
    send(1, 2)
    for await (const { offset } of stream.frames()) if (offset === 2) break
    expect([one.open, stream.offset]).toEqual([false, 1])
  })

  test.each<[string, (stop: AbortController) => FollowOptions, (stop: AbortController, stream: ReturnType<typeof createRunStream>, events: AsyncIterator<RunEvent>) => unknown]>([
    ['`close`', () => ({}), (_, stream) => stream.close()],
    ['a signal', (stop) => ({ signal: stop.signal }), (stop) => stop.abort()],
    ['`return` while somebody waits', () => ({}), (_, __, events) => events.return!()],
  ])('by %s', async (_, options, stops) => {
    const stop = new AbortController()
    const { stream, one } = await following(options(stop))
    const events = stream[Symbol.asyncIterator]()
    const next = events.next()
    await settled()
    await stops(stop, stream, events)
    expect(await next).toEqual({ done: true, value: undefined })
    expect(one.open).toBe(false)
  }, 2_000)

  test('at once, where the signal was aborted before', async () => {
    const { stream, one } = await following({ signal: AbortSignal.abort() })
    expect(one.asked).toEqual([])
    expect(await stream[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined })
  })
})
