/** Live queries on a connection of which the test says what it does. */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { LiveChange } from '../../src/protocol.js'
import { CrewlineError } from '../../src/core/error.js'
import { createLives } from '../../src/core/live.js'
import type { LiveQuery } from '../../src/core/types.js'
import { end, fakeChannel, settled, type FakeChannel } from '../support/fake-channel.js'

interface Row {
  id: string
  n: number
}
interface Page {
  items: Row[]
  next?: string
  total?: number
}
const LINGER_MS = 5_000
const row = (id: string, n = 0): Row => ({ id, n })
const put = (id: string, before: string | null = null, n = 0): LiveChange => ({ put: row(id, n), before }) as unknown as LiveChange
const page = (...ids: string[]): Page => ({ items: ids.map((id) => row(id)) })
const ids = (query: LiveQuery): string[] => (query.get().output as Page).items.map(({ id }) => id)

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

/** A list that is followed, and true at revision 10. */
async function followed(output: unknown = page('a', 'b', 'c'), channel = fakeChannel()) {
  const lives = createLives(channel, LINGER_MS)
  const query = lives.live('record.list', { collection: 'pages' })
  const release = query.retain()
  await settled()
  const { subscriber } = channel.last
  subscriber.subscribed?.({ revision: 10, snapshot: true })
  subscriber.snapshot?.(10, output, 100)
  return { channel, lives, query, release, subscriber, one: channel.last }
}

describe('a query', () => {
  test('is one object for one input, in whatever order its keys are written', () => {
    const { live } = createLives(fakeChannel())
    const query = live('record.list', { collection: 'pages', filter: { field: 'n', eq: 1 } })
    expect(live('record.list', { filter: { eq: 1, field: 'n' }, collection: 'pages', limit: undefined })).toBe(query)
    expect(live('record.list', { collection: 'pages', filter: { field: 'n', eq: 2 } })).not.toBe(query)
    expect(live('record.aggregate', { collection: 'pages', filter: { field: 'n', eq: 1 } })).not.toBe(query)
  })

  test('is subscribed to once by whoever retains it, also under StrictMode', async () => {
    const channel = fakeChannel()
    const query = createLives(channel, LINGER_MS).live('run.list', {})
    query.retain()()
    const [one, other] = [query.retain(), query.retain()]
    await settled()
    expect(channel.followed).toHaveLength(1)
    expect(channel.last.target).toEqual({ query: { op: 'run.list', input: {} } })
    // Letting go twice counts once.
    one()
    one()
    await vi.advanceTimersByTimeAsync(2 * LINGER_MS)
    expect(channel.last.open).toBe(true)
    other()
    await vi.advanceTimersByTimeAsync(LINGER_MS - 1)
    expect(channel.last.open).toBe(true)
    await vi.advanceTimersByTimeAsync(1)
    expect([channel.last.open, query.get().status]).toEqual([false, 'idle'])
  })

  test('keeps what it knows when the last has let go, and asks for the difference then', async () => {
    const { channel, query, release } = await followed()
    const before = query.get().output
    release()
    await vi.advanceTimersByTimeAsync(LINGER_MS)
    expect(query.get()).toMatchObject({ status: 'idle', revision: 10 })
    query.retain()
    await settled()
    expect(channel.followed).toHaveLength(2)
    expect(channel.last.asked).toEqual([{ from: 10 }])
    channel.last.subscriber.subscribed?.({ revision: 10, snapshot: false })
    expect(query.get().status).toBe('live')
    expect(query.get().output).toBe(before)
  })

  test('tells its output once it is up to date, and the fault where it can’t', async () => {
    const channel = fakeChannel()
    const query = createLives(channel, LINGER_MS).live('run.list', {})
    const current = query.current()
    await settled()
    channel.last.subscriber.snapshot?.(3, page('a'), 10)
    expect(await current).toEqual(page('a'))
    expect(await query.current()).toBe(query.get().output)
    const refused = createLives(channel).live('run.list', { nonsense: 1 }).current()
    await settled()
    end(channel.last, { why: 'refused', fault: { code: 'invalid', message: 'no such field', retry: 'never' } })
    await expect(refused).rejects.toMatchObject({ code: 'invalid', message: 'no such field' })
  })

  test.each([
    ['deleted', undefined, 'not_found'],
    ['forbidden', undefined, 'forbidden'],
    ['refused', { code: 'too_many', message: 'too many', retry: 'after' } as const, 'too_many'],
  ] as const)('that is ended as %s says so, and is begun anew by who retains it then', async (why, fault, code) => {
    const { channel, query } = await followed()
    end(channel.last, { why, ...(fault && { fault }) }, 10)
    expect(query.get().status).toBe('ended')
    expect(query.get().error).toBeInstanceOf(CrewlineError)
    expect(query.get().error?.code).toBe(code)
    await expect(query.current()).rejects.toBe(query.get().error)
    query.retain()
    await settled()
    expect(channel.followed).toHaveLength(2)
    expect(query.get()).toMatchObject({ status: 'stale', error: null })
  })

  test('ends where the connection has stopped for good', async () => {
    const { channel, query } = await followed()
    const error = new CrewlineError('unauthenticated', 'sign in')
    channel.fail(error)
    expect(query.get()).toMatchObject({ status: 'ended', error })
  })

  test('that is forgotten holds nothing, and is not true before it was read again', async () => {
    const { query, one, subscriber } = await followed()
    query.forget()
    expect(query.get()).toMatchObject({ output: undefined, revision: -1, status: 'stale' })
    expect(one.asked.at(-1)).toEqual({})
    const current = query.current()
    subscriber.subscribed?.({ revision: 11, snapshot: true })
    subscriber.snapshot?.(11, page('z'), 10)
    expect(await current).toEqual(page('z'))
    const idle = await followed()
    idle.release()
    await vi.advanceTimersByTimeAsync(LINGER_MS)
    idle.query.forget()
    expect(idle.query.get()).toEqual({ output: undefined, revision: -1, status: 'idle', error: null })
  })

  test('is dropped when two hundred others were let go after it, whether it was ever retained, ended or neither', async () => {
    const channel = fakeChannel()
    const { live } = createLives(channel, LINGER_MS)
    const held = live('run.list', { limit: 1 })
    held.retain()
    const read = live('run.list', { limit: 0 })
    const letGo = read.retain()
    await settled()
    channel.last.subscriber.snapshot?.(10, page('a'), 10)
    letGo()
    await vi.advanceTimersByTimeAsync(LINGER_MS)
    expect(read.get().output).toEqual(page('a'))
    const ended = live('run.list', { limit: 2 })
    const release = ended.retain()
    await settled()
    end(channel.last, { why: 'forbidden' })
    release()
    await vi.advanceTimersByTimeAsync(LINGER_MS)
    const idle = live('run.list', { limit: 3 })
    for (let limit = 4; limit < 204; limit++) live('run.list', { limit })
    expect(live('run.list', { limit: 1 })).toBe(held)
    expect(live('run.list', { limit: 203 })).toBe(live('run.list', { limit: 203 }))
    expect(live('run.list', { limit: 2 })).not.toBe(ended)
    expect(live('run.list', { limit: 3 })).not.toBe(idle)
    // Whoever has it still holds nothing of it.
    expect(read.get()).toMatchObject({ output: undefined, revision: -1, status: 'idle' })
  })
})

describe('changes', () => {
  test.each<[string, unknown, LiveChange[], unknown]>([
    ['put at the end', page('a', 'b'), [put('c')], page('a', 'b', 'c')],
    ['put before another', page('a', 'b'), [put('c', 'a')], page('c', 'a', 'b')],
    ['put anew where it stands', page('a', 'b'), [put('a', 'b', 7)], { items: [row('a', 7), row('b')] }],
    ['put elsewhere', page('a', 'b', 'c'), [put('c', 'a', 7)], { items: [row('c', 7), row('a'), row('b')] }],
    ['put before one that is put first', page('a'), [put('c'), put('b', 'c')], page('a', 'b', 'c')],
    ['removed', page('a', 'b', 'c'), [{ remove: 'b' }], page('a', 'c')],
    ['removed that is not there', page('a'), [{ remove: 'z' }], page('a')],
    ['removed and put again', page('a', 'b'), [{ remove: 'a' }, put('a')], page('b', 'a')],
    ['more beyond', page('a'), [{ next: 'x' }], { ...page('a'), next: 'x' }],
    ['no more beyond', { ...page('a'), next: 'x' }, [{ next: null }], page('a')],
    ['counted', { ...page('a'), total: 1 }, [put('b'), { total: 2 }], { ...page('a', 'b'), total: 2 }],
    ['another output', { rows: [1] }, [{ value: { rows: [2] } }], { rows: [2] }],
    ['other outputs in order', { rows: [1] }, [{ value: { rows: [2] } }, { value: { rows: [3] } }], { rows: [3] }],
    ['nothing, at a later revision', page('a'), [], page('a')],
  ])('%s', async (_, before, changes, after) => {
    const { query, subscriber } = await followed(before)
    subscriber.events?.(12, 2, changes, 10)
    expect(query.get()).toEqual({ output: after, revision: 12, status: 'live', error: null })
  })

  test('take effect as one, and leave what they do not touch', async () => {
    const { query, subscriber } = await followed()
    const [a, , c] = (query.get().output as Page).items
    const seen: unknown[] = []
    query.subscribe(() => seen.push(ids(query)))
    subscriber.events?.(12, 2, [{ remove: 'b' }, put('d', 'a'), { total: 3 }], 10)
    expect(seen).toEqual([['d', 'a', 'c']])
    const { items } = query.get().output as Page
    expect([items[1], items[2]]).toEqual([a, c])
    expect(items[1]).toBe(a)
    expect(items[2]).toBe(c)
  })

  test('that only move a row, or put it as it is, keep it', async () => {
    const { query, subscriber } = await followed()
    const [a, , c] = (query.get().output as Page).items
    subscriber.events?.(11, 1, [put('c', 'a')], 10)
    const { items } = query.get().output as Page
    expect(items.map(({ id }) => id)).toEqual(['c', 'a', 'b'])
    expect(items[0]).toBe(c)
    expect(items[1]).toBe(a)
  })

  test('in a value leave its equal parts the same objects, and a snapshot does', async () => {
    const { query, subscriber } = await followed({ rows: [{ groups: ['x'], count: 1 }, { groups: ['y'], count: 2 }] })
    const before = query.get().output as { rows: object[] }
    subscriber.events?.(11, 1, [{ value: { rows: [{ groups: ['x'], count: 1 }, { groups: ['y'], count: 3 }] } }], 10)
    const after = query.get().output as { rows: object[] }
    expect(after.rows[0]).toBe(before.rows[0])
    expect(after.rows[1]).toEqual({ groups: ['y'], count: 3 })
    subscriber.snapshot?.(12, structuredClone(after), 10)
    expect(query.get().output).toBe(after)
  })

  test('cost credit, and give it back once applied or dropped', async () => {
    const { one, subscriber } = await followed()
    subscriber.events?.(11, 1, [put('d')], 20)
    subscriber.events?.(11, 1, [put('d')], 30)
    expect(one.granted).toEqual([100, 20, 30])
  })
})

describe('the rule', () => {
  test.each<[string, number, number, 'applied' | 'dropped' | 'again']>([
    ['begins where it stands', 11, 1, 'applied'],
    ['spans many', 15, 5, 'applied'],
    ['ends where it stands', 10, 2, 'dropped'],
    ['ends before', 9, 1, 'dropped'],
    ['begins later', 12, 1, 'again'],
    ['begins before and ends later', 12, 4, 'again'],
  ])('a frame that %s', async (_, offset, span, what) => {
    const { query, one, subscriber } = await followed()
    subscriber.events?.(offset, span, [put('d')], 10)
    expect(ids(query)).toEqual(what === 'applied' ? ['a', 'b', 'c', 'd'] : ['a', 'b', 'c'])
    expect(one.asked).toEqual(what === 'again' ? [{}, { from: 10 }] : [{}])
    expect(query.get().status).toBe(what === 'again' ? 'stale' : 'live')
  })

  test('what comes before a snapshot that was told of is in it', async () => {
    const { channel, query, one, subscriber } = await followed()
    channel.lose()
    channel.connect()
    subscriber.subscribed?.({ revision: 15, snapshot: true })
    subscriber.events?.(14, 1, [put('d')], 10)
    expect([query.get().status, one.asked.length]).toEqual(['stale', 2])
    subscriber.snapshot?.(15, page('a', 'd'), 10)
    expect([ids(query), query.get().revision, one.asked.length]).toEqual([['a', 'd'], 15, 2])
  })

  test('a lost connection is gone on from where it stands, without reading anew', async () => {
    const { channel, query, one, subscriber } = await followed()
    channel.lose()
    expect(query.get()).toMatchObject({ status: 'stale', revision: 10 })
    channel.connect()
    expect(one.asked).toEqual([{}, { from: 10 }])
    subscriber.subscribed?.({ revision: 10, snapshot: false })
    subscriber.events?.(14, 4, [put('d')], 10)
    expect([ids(query), query.get().revision, query.get().status]).toEqual([['a', 'b', 'c', 'd'], 14, 'live'])
  })

  test('another database makes every position void, also of what is not followed meanwhile', async () => {
    const { channel, lives, query, one, subscriber, release } = await followed()
    const idle = lives.live('run.list', {})
    const let_go = idle.retain()
    await settled()
    channel.last.subscriber.snapshot?.(10, page('x'), 10)
    let_go()
    await vi.advanceTimersByTimeAsync(LINGER_MS)
    channel.lose()
    channel.connect('two')
    expect(one.asked.at(-1)).toEqual({})
    expect(ids(query)).toEqual(['a', 'b', 'c'])
    subscriber.subscribed?.({ revision: 4, snapshot: true })
    subscriber.snapshot?.(4, page('b'), 10)
    expect([ids(query), query.get().revision, query.get().status]).toEqual([['b'], 4, 'live'])
    idle.retain()
    await settled()
    expect(channel.last.asked).toEqual([{}])
    release()
  })

  test('nothing is left of what somebody else has read', async () => {
    const { lives, query, one } = await followed()
    lives.forget()
    expect(query.get()).toMatchObject({ output: undefined, revision: -1, status: 'stale' })
    expect(one.asked.at(-1)).toEqual({})
  })
})

/** A list at the server: its changes a revision, and what it was at each. */
class Model {
  revision = 0
  readonly at: Row[][] = [[]]
  readonly changes: LiveChange[][] = [[]]

  write(change: (rows: Row[]) => LiveChange[]): void {
    const rows = [...this.at[this.revision]!]
    this.changes[++this.revision] = change(rows)
    this.at[this.revision] = rows
  }
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('put' as const), id: fc.integer({ min: 0, max: 7 }), place: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), id: fc.integer({ min: 0, max: 7 }), place: fc.nat(9) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('send' as const), id: fc.nat(3), place: fc.nat(9) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('lose', 'repeat', 'skip', 'late', 'restore', 'leave', 'come', 'snapshot'), id: fc.nat(3), place: fc.nat(9) }) },
)
const SEED = process.env.CREWLINE_SEED ? Number(process.env.CREWLINE_SEED) : undefined
const RUNS = Number(process.env.CREWLINE_RUNS ?? 200)

test('however frames are lost, repeated, late or skipped, a list is what the server has when it is quiet', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const channel: FakeChannel = fakeChannel()
      const query = createLives(channel, LINGER_MS).live('record.list', { collection: 'pages' })
      let model = new Model()
      let release: (() => void) | undefined = query.retain()
      await settled()
      let epoch = 1
      /** Where the server has this subscription, and how many subscribes it has answered. */
      let position = 0
      let answered = 0
      let mute = false
      const old: Parameters<NonNullable<typeof channel.last.subscriber.events>>[] = []

      /** Answers the subscribes that came. */
      function answer(snapshot = false): void {
        const one = channel.last
        const asks = channel.followed.reduce((sum, { asked }) => sum + asked.length, 0)
        if (asks === answered || !one.open || mute) return
        answered = asks
        const { from } = one.asked.at(-1)!
        const resumes = !snapshot && from !== undefined && from <= model.revision
        position = resumes ? from : model.revision
        one.subscriber.subscribed?.({ revision: position, snapshot: !resumes })
        if (!resumes) one.subscriber.snapshot?.(position, { items: structuredClone(model.at[position]!) }, 10)
      }
      function send(most: number): void {
        answer()
        const to = Math.min(model.revision, position + most)
        if (!channel.last.open || mute || to === position) return
        const frame = [to, to - position, structuredClone(model.changes.slice(position + 1, to + 1).flat()), 10] as (typeof old)[number]
        old.push(frame)
        position = to
        channel.last.subscriber.events?.(...frame)
        answer()
      }

      for (const { kind, id, place } of steps) {
        if (kind === 'put' || kind === 'remove') {
          model.write((rows) => {
            const at = rows.findIndex((known) => known.id === `${id}`)
            const [known] = at < 0 ? [] : rows.splice(at, 1)
            if (kind === 'remove') return known ? [{ remove: `${id}` }] : []
            const to = Math.min(place, rows.length)
            const before = rows[to]?.id ?? null
            rows.splice(to, 0, row(`${id}`, model.revision))
            return [put(`${id}`, before, model.revision)]
          })
        } else if (kind === 'send') send(id + 1)
        else if (kind === 'lose') (channel.lose(), (old.length = 0), channel.connect())
        else if (kind === 'repeat' && channel.last.open && old.length && !mute) channel.last.subscriber.events?.(...old.at(-1)!)
        else if (kind === 'skip' && channel.last.open) position = Math.min(model.revision, position + id)
        else if (kind === 'late') mute = !mute
        else if (kind === 'restore') {
          // Another database with what there was some time ago, which goes on otherwise.
          const back = new Model()
          const to = Math.max(0, model.revision - place)
          for (let revision = 1; revision <= to; revision++) {
            back.changes[revision] = model.changes[revision]!
            back.at[revision] = model.at[revision]!
          }
          back.revision = to
          for (let more = 0; more < id; more++) back.write((rows) => (rows.unshift(row(`r${to + more}`)), [put(`r${to + more}`, rows[1]?.id ?? null)]))
          model = back
          old.length = 0
          channel.lose()
          channel.connect(`${++epoch}`)
        } else if (kind === 'leave' && release) {
          release()
          release = undefined
          await vi.advanceTimersByTimeAsync(LINGER_MS)
          old.length = 0
        } else if (kind === 'come' && !release) (release = query.retain()), await settled()
        else if (kind === 'snapshot' && channel.last.open && !mute) {
          answer(true)
          // The server may send one whenever it likes.
          position = model.revision
          channel.last.subscriber.snapshot?.(position, { items: structuredClone(model.at[position]!) }, 10)
        }
        if (!mute) answer()
      }

      mute = false
      release ??= query.retain()
      await settled()
      // A gap shows at the next change: quiet is when the server has told all.
      model.write((rows) => (rows.push(row('last')), [put('last')]))
      for (let turn = 0; turn < 5; turn++) send(Infinity)
      expect(query.get()).toEqual({ output: { items: model.at[model.revision] }, revision: model.revision, status: 'live', error: null })
      release()
    }),
    { numRuns: RUNS, ...(SEED !== undefined && { seed: SEED }) },
  )
})
