/**
 * Tabs that come, ask, follow and go at random, over a hub whose server keeps the protocol's rules and knows who asked for what: whatever arrives
 * must be its tab's own, under its own number, and what a tab leaves behind must be ended. `CREWLINE_SEED=n` repeats one.
 */
import { decode, decodeMulti, encode } from '@msgpack/msgpack'
import { expect, test } from 'vitest'
import { eachFrame } from '../../src/core/frames.js'
import type { TransportHandlers } from '../../src/core/transport.js'
import { createHub } from '../../src/worker/hub.js'
import { hello, message, welcome } from './line.js'

const { CREWLINE_SEED, CREWLINE_SEEDS, CI } = globalThis.process?.env ?? {}
const seeds = CREWLINE_SEED ? [Number(CREWLINE_SEED)] : Array.from({ length: Number(CREWLINE_SEEDS ?? (CI ? 500 : 20)) }, (_, at) => at + 1)

test.each(seeds)('CREWLINE_SEED=%i', (seed) => {
  const random = generator(seed)
  const below = (n: number): number => Math.floor(random() * n)
  const one = <T>(list: readonly T[]): T | undefined => list[below(list.length)]
  const lines: Line[] = []
  const tabs: Tab[] = []
  let tags = 0

  const hub = createHub({
    open(handlers) {
      const line = createLine(handlers)
      lines.push(line)
      return { send: (bytes) => line.receive(bytes), close: () => line.close() }
    },
  })

  const acts: (() => void)[] = [
    function come() {
      if (tabs.length > 6) return
      const token = one(['t1', 't2', 'stranger'])!
      const tab = createTab(hub, below(4) ? 0 : below(70_000))
      tabs.push(tab)
      tab.say(hello(token))
      if (below(2)) tab.ask(++tags)
    },
    ...times(6, () => one(tabs)?.ask(++tags)),
    ...times(3, () => one(tabs)?.follow({ run: `r${++tags}` })),
    () => one(tabs)?.follow({ presence: { session_id: one(['s1', 's2'])! } }),
    () => one(tabs)?.unfollow(below),
    () => one(tabs)?.cancel(below),
    () => one(tabs)?.setState(++tags, below),
    ...times(10, () => one(lines)?.answer(below)),
    ...times(10, () => one(lines)?.tell(below, ++tags)),
    () => one(lines)?.end(below),
    () => one(lines)?.member(below, ++tags),
    () => !below(3) && leave(),
    () => !below(8) && one(lines)?.goaway(),
    () => !below(10) && one(lines)?.close(4000 + below(2) * 201),
  ]

  function leave(): void {
    const tab = tabs.splice(below(tabs.length), 1)[0]
    tab?.leave()
  }

  for (let step = 0; step < 300; step++) {
    one(acts)!()
    for (const tab of [...tabs]) {
      if (tab.over) tabs.splice(tabs.indexOf(tab), 1)
    }
    check()
  }
  for (const line of lines) while (line.open && line.asked.size) line.answer(below)
  for (const tab of tabs) if (tab.shares) expect([...tab.asked.values()]).toEqual([])
  while (tabs.length) leave()
  for (const line of lines) expect(line.open).toBe(false)

  /** What the server has open is what its tabs have open, and no more is owed than a quarter of the credit. */
  function check(): void {
    const expected = new Set(tabs.flatMap((tab) => (tab.shares ? tab.targets() : [])))
    const open = lines.flatMap((line) => (line.open ? [...line.subs.values()].map((target) => JSON.stringify(target)) : []))
    expect(new Set(open)).toEqual(expected)
    for (const line of lines) {
      if (!line.open) continue
      expect(line.spent - line.granted).toBeLessThanOrEqual(1_000)
      expect(line.spent - line.granted).toBeGreaterThanOrEqual(0)
    }
  }
})

type Line = ReturnType<typeof createLine>
type Tab = ReturnType<typeof createTab>
type Frame = [kind: number, number: number, a: any, b: any, c: any]

function createLine(handlers: TransportHandlers) {
  const asked = new Map<number, unknown>()
  const subs = new Map<number, unknown>()
  const offsets = new Map<number, number>()
  let lastId = 0
  let lastSub = 0
  let greeted = false
  let principal = ''
  let opened = false
  const line = {
    open: true,
    asked,
    subs,
    spent: 0,
    granted: 0,
    receive(bytes: Uint8Array) {
      if (!line.open) throw new Error('sent on a closed connection')
      for (const frame of decodeMulti(bytes) as Iterable<any[]>) {
        const [kind, number, a, b] = frame
        expect(kind === 1).toBe(!greeted)
        if (kind === 1) {
          greeted = true
          principal = of(number.access_token)
          asked.set(0, welcome(principal))
        } else if (kind === 3) {
          expect(number).toBeGreaterThan(lastId)
          lastId = number
          asked.set(number, a === 'auth.authenticate' ? authenticated(number, b.access_token) : [4, number, b.tag])
        } else if (kind === 6) {
          if (asked.has(number)) asked.set(number, [5, number, { code: 'cancelled' }])
        } else if (kind === 10) {
          expect(number).toBeGreaterThan(lastSub)
          lastSub = number
          if ('presence' in a) expect([...subs.values()].map((target) => JSON.stringify(target))).not.toContain(JSON.stringify(a))
          subs.set(number, a)
          offsets.set(number, 0)
          say([11, number, {}])
        } else if (kind === 15) {
          expect(number).toBe(0)
          line.granted += a
        } else if (kind === 16) {
          expect(subs.delete(number)).toBe(true)
        } else if (kind === 20) {
          expect(subs.has(number)).toBe(true)
        } else throw new Error(`a frame of kind ${kind}`)
      }
    },
    /** Says what was asked, in any order; welcome first, once the socket is open. */
    answer(below: (n: number) => number) {
      if (!line.open) return
      if (!opened) {
        opened = true
        return handlers.opened()
      }
      const ids = [...asked.keys()]
      const id = asked.has(0) ? 0 : ids[below(ids.length)]
      if (id === undefined) return
      const answer = asked.get(id) as unknown[]
      asked.delete(id)
      say(answer)
    },
    /** Says several things of several subscriptions in one message. */
    tell(below: (n: number) => number, tag: number) {
      if (!line.open || asked.has(0)) return
      const all = [...subs].filter(([, target]) => 'run' in (target as object))
      const said: unknown[][] = []
      for (let more = below(4); more >= 0; more--) {
        const [sub, target] = all[below(all.length)] ?? []
        if (sub === undefined) return
        const offset = offsets.get(sub)! + 1
        offsets.set(sub, offset)
        const event = { target, tag, offset, fill: 'x'.repeat(300 + below(300)), bytes: 1_000 }
        event.bytes = encode([12, sub, offset, 1, [event]]).length
        line.spent += event.bytes
        said.push([12, sub, offset, 1, [event]])
      }
      say(...said)
    },
    end(below: (n: number) => number) {
      if (!line.open) return
      const [sub, target] = [...subs][below(subs.size)] ?? []
      if (sub === undefined) return
      subs.delete(sub)
      say([14, sub, offsets.get(sub)!, { why: 'deleted', target }])
    },
    member(below: (n: number) => number, tag: number) {
      if (!line.open) return
      const [sub, target] = [...subs].filter(([, target]) => 'presence' in (target as object))[0] ?? []
      if (sub === undefined) return
      say([20, sub, { connection_id: `c${below(3)}`, principal: {} }, below(3) ? { target, tag } : null])
    },
    goaway() {
      if (line.open && !asked.has(0)) say([33, { why: 'upgrade', reconnect_within_ms: 1, drain_ms: 1 }])
    },
    close(code?: number) {
      if (!line.open) return
      line.open = false
      subs.clear()
      asked.clear()
      if (code) handlers.closed(code, '', false)
    },
  }
  const authenticated = (id: number, token: string): unknown[] =>
    of(token) === principal ? [4, id, { principal: { id: principal }, access_expires_at: 1 }] : [5, id, { code: 'conflict' }]
  const say = (...said: unknown[][]): void => handlers.message(message(...said))
  return line
}

const of = (token: string): string => (token === 'stranger' ? 'ben' : 'ada')

function createTab(hub: ReturnType<typeof createHub>, from: number) {
  const asked = new Map<number, number>()
  const follows = new Map<number, { target: object; heard: number }>()
  let id = from
  let sub = from
  let welcomed = false
  const tab = {
    over: false,
    /** Whether it has been sent on, and has its place on a connection. */
    get shares() {
      return welcomed && !tab.over
    },
    asked,
    targets: () => [...follows.values()].map(({ target }) => JSON.stringify(target)),
    say: (...said: unknown[][]) => link.send(message(...said)),
    ask(tag: number) {
      asked.set(++id, tag)
      tab.say([3, id, 'record.get', { tag }])
    },
    follow(target: object) {
      if (!welcomed) return
      follows.set(++sub, { target, heard: 0 })
      tab.say([10, sub, target, { from: 0 }])
    },
    unfollow(below: (n: number) => number) {
      const one = [...follows.keys()][below(follows.size)]
      if (one === undefined) return
      follows.delete(one)
      tab.say([16, one])
    },
    cancel(below: (n: number) => number) {
      const one = [...asked.keys()][below(asked.size)]
      if (one !== undefined) tab.say([6, one])
    },
    setState(tag: number, below: (n: number) => number) {
      const here = [...follows].filter(([, { target }]) => 'presence' in target)
      const one = here[below(here.length)]
      if (!one) return
      if (!below(5)) follows.delete(one[0])
      tab.say([20, one[0], follows.has(one[0]) ? { tag } : null])
    },
    leave: () => link.leave(),
  }
  const link = hub((news) => {
    expect(tab.over).toBe(false)
    if (!(news instanceof Uint8Array)) {
      tab.over = true
      link.leave()
      return
    }
    eachFrame(news, (bytes) => hear(decode(bytes) as Frame, bytes.length))
  })

  function hear([kind, number, a, b, c]: Frame, bytes: number): void {
    if (kind === 33) return
    if (kind === 2) {
      welcomed = true
    } else if (kind === 4) {
      expect(a).toBe(asked.get(number))
      asked.delete(number)
    } else if (kind === 5) {
      expect(asked.delete(number)).toBe(true)
    } else {
      const follow = follows.get(number)!
      expect(follow).toBeDefined()
      if (kind === 12) expect(c[0]).toMatchObject({ target: follow.target, offset: ++follow.heard, bytes })
      if (kind === 14) {
        expect(b.target).toEqual(follow.target)
        follows.delete(number)
      }
      if (kind === 20 && b) expect(b.target).toEqual(follow.target)
    }
  }
  return tab
}

const times = (count: number, act: () => void): (() => void)[] => Array.from({ length: count }, () => act)

/** Mulberry32. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
