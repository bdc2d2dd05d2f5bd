/** Presence on a connection of which the test says what it does. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createPresence } from '../../src/core/presence.js'
import { end, fakeChannel, settled } from '../support/fake-channel.js'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] }))
afterEach(() => void vi.useRealTimers())

const member = (id: string) => ({ connection_id: id, principal: { kind: 'user', id: `user ${id}`, name: id } })

async function present() {
  const channel = fakeChannel()
  const presence = createPresence(channel, 's')
  await settled()
  const one = channel.last
  one.subscriber.subscribed?.({})
  return { channel, presence, one, subscriber: one.subscriber }
}

test('others come, change and go', async () => {
  const { presence, subscriber, one } = await present()
  expect(one.target).toEqual({ presence: { session_id: 's' } })
  subscriber.member?.(member('a'), {})
  subscriber.member?.(member('b'), { typing: true })
  subscriber.member?.(member('a'), { typing: true })
  expect(presence.get()).toEqual([{ ...member('a'), state: { typing: true } }, { ...member('b'), state: { typing: true } }])
  subscriber.member?.(member('a'), null)
  expect(presence.get().map(({ connection_id }) => connection_id)).toEqual(['b'])
  subscriber.member?.(member('nobody'), null)
  expect(presence.get()).toHaveLength(1)
})

test('one’s state is sent at most every 50 ms, and the last counts', async () => {
  const { presence, one } = await present()
  for (let n = 0; n < 100; n++) {
    presence.update({ n })
    await vi.advanceTimersByTimeAsync(10)
  }
  await vi.advanceTimersByTimeAsync(50)
  expect(one.states.length).toBeGreaterThan(10)
  expect(one.states.length).toBeLessThanOrEqual(21)
  expect(one.states.at(-1)).toEqual({ n: 99 })
  const sent = one.states.length
  await vi.advanceTimersByTimeAsync(1_000)
  expect(one.states).toHaveLength(sent)
})

test('one’s state is set again on the next connection', async () => {
  const { channel, presence, one, subscriber } = await present()
  presence.update({ typing: true })
  await vi.advanceTimersByTimeAsync(50)
  subscriber.member?.(member('a'), {})
  channel.lose()
  expect(presence.get()).toEqual([])
  presence.update({ typing: false })
  await vi.advanceTimersByTimeAsync(50)
  expect(one.states).toEqual([{ typing: true }])
  channel.connect()
  subscriber.subscribed?.({})
  expect(one.states).toEqual([{ typing: true }, { typing: false }])
})

test('who left while one connection took another’s place is gone', async () => {
  const { channel, presence, subscriber } = await present()
  subscriber.member?.(member('a'), {})
  subscriber.member?.(member('b'), {})
  channel.handOver()
  subscriber.subscribed?.({})
  subscriber.member?.(member('b'), {})
  expect(presence.get().map(({ connection_id }) => connection_id)).toEqual(['b'])
})

test('closing leaves, and says nothing more', async () => {
  const { presence, one, subscriber } = await present()
  subscriber.member?.(member('a'), {})
  presence.update({ typing: true })
  presence.close()
  await vi.advanceTimersByTimeAsync(1_000)
  expect([one.open, one.states, presence.get()]).toEqual([false, [], []])
})

test('a state that is refused says so', async () => {
  const { presence, one } = await present()
  let told = 0
  presence.subscribe(() => told++)
  expect(presence.error).toBeNull()
  end(one, { why: 'refused', fault: { code: 'too_large', message: 'at most 1 KiB', retry: 'never' } })
  expect([presence.error?.code, presence.get(), told]).toEqual(['too_large', [], 1])
})
