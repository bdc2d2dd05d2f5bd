import fc from 'fast-check'
import { expect, test } from 'vitest'
import { emptyRun, foldRun, type RunEvent, type RunState } from '../../src/core/index.js'

const at = 1_700_000_000_000
const usage = { input_tokens: 3, output_tokens: 2, cost_microusd: 1 }
const log: RunEvent[] = [
  { type: 'run.started', at, attempt: 1, crew: 'review', inputs: { name: 'a' } },
  { type: 'task.started', at, task: 't1', name: 'analyze', agent: 'analyst' },
  { type: 'text.started', at, part: 'p1', task: 't1', agent: 'analyst', role: 'answer' },
  { type: 'text.delta', at, part: 'p1', text: 'Let me ' },
  { type: 'text.delta', at, part: 'p1', text: 'see.' },
  { type: 'text.finished', at, part: 'p1' },
  { type: 'tool.started', at, call: 'c1', task: 't1', agent: 'analyst', tool: 'content.analyze', input: { input: 'page' } },
  { type: 'usage.recorded', at, task: 't1', agent: 'analyst', model: 'simulated', ...usage },
  { type: 'tool.finished', at, call: 'c1', output: { words: 7 } },
  { type: 'text.started', at, part: 'p2', task: 't1', agent: 'analyst', role: 'answer' },
  { type: 'text.delta', at, part: 'p2', text: 'Half an ans' },
  { type: 'tool.started', at, call: 'c2', task: 't1', agent: 'analyst', tool: 'content.analyze', input: {} },
  { type: 'run.started', at, attempt: 2, crew: 'review', inputs: { name: 'a' } },
  { type: 'text.started', at, part: 'p3', task: 't1', agent: 'analyst', role: 'answer' },
  { type: 'text.delta', at, part: 'p3', text: 'It has 7 words.' },
  { type: 'text.finished', at, part: 'p3' },
  { type: 'usage.recorded', at, task: 't1', agent: 'analyst', model: 'simulated', ...usage },
  { type: 'task.finished', at, task: 't1', output: 'It has 7 words.' },
  { type: 'progress.reported', at, fraction: 0.5, message: 'half' },
  { type: 'run.finished', at: at + 1, status: 'succeeded', output: 'It has 7 words.', usage: { input_tokens: 6, output_tokens: 4, cost_microusd: 2 } },
]

/** The events in frames that end at these offsets. */
function folded(cuts: number[]): RunState {
  let state = emptyRun('r')
  let from = 0
  for (const offset of [...cuts, log.length]) {
    state = foldRun(state, { offset, span: offset - from, events: log.slice(from, offset) })
    from = offset
  }
  return state
}

/** Texts are joined when they are read. */
const plain = (state: RunState): unknown => JSON.parse(JSON.stringify({ ...state, texts: Object.values(state.texts).map(({ id, text, finished }) => ({ id, text, finished })) }))

test('a run is what its events say, and what an attempt left unfinished is void', () => {
  const state = folded([])
  expect(state).toMatchObject({ status: 'succeeded', attempt: 2, crew: 'review', output: 'It has 7 words.', started_at: at, finished_at: at + 1, progress: { fraction: 1 } })
  expect(state.tasks[0]).toMatchObject({ name: 'analyze', status: 'finished', items: [{ kind: 'text', id: 'p1' }, { kind: 'call', id: 'c1' }, { kind: 'text', id: 'p3' }] })
  expect(Object.values(state.texts).map(({ text, finished }) => [text, finished])).toEqual([['Let me see.', true], ['It has 7 words.', true]])
  expect(Object.keys(state.calls)).toEqual(['c1'])
  expect(state.calls.c1).toMatchObject({ status: 'finished', output: { words: 7 } })
  expect(state.usage_by).toEqual([{ agent: 'analyst', model: 'simulated', input_tokens: 6, output_tokens: 4, cost_microusd: 2 }])
})

test('the same events give the same run, however they are cut into frames', () => {
  const whole = plain(folded([]))
  for (let cut = 1; cut < log.length; cut++) expect(plain(folded([cut]))).toEqual(whole)
  expect(plain(folded(log.map((_, place) => place + 1).slice(0, -1)))).toEqual(whole)
})

test('a frame that is not new changes nothing, and a version keeps what it was', () => {
  const before = foldRun(emptyRun('r'), { offset: 4, span: 4, events: log.slice(0, 4) })
  expect(foldRun(before, { offset: 4, span: 1, events: log.slice(3, 4) })).toBe(before)
  const [one, other] = ['see.', 'think.'].map((text) => foldRun(before, { offset: 5, span: 1, events: [{ type: 'text.delta', at, part: 'p1', text }] }))
  expect([before, one, other].map((state) => state!.texts.p1!.text)).toEqual(['Let me ', 'Let me see.', 'Let me think.'])
  expect(one!.tasks).toBe(before.tasks)
})

test('many deltas cost what they add, not what is there', () => {
  let state = foldRun(emptyRun('r'), { offset: 3, span: 3, events: log.slice(0, 3) })
  for (let offset = 4; offset < 100_004; offset++) {
    state = foldRun(state, { offset, span: 1, events: [{ type: 'text.delta', at, part: 'p1', text: 'word ' }] })
  }
  expect(state.texts.p1!.text).toHaveLength(500_000)
})

test('a run that was stored goes on where it was', () => {
  for (let cut = 0; cut <= log.length; cut++) {
    const stored = JSON.parse(JSON.stringify(cut ? foldRun(emptyRun('r'), { offset: cut, span: cut, events: log.slice(0, cut) }) : emptyRun('r'))) as RunState
    expect(plain(foldRun(stored, { offset: log.length, span: log.length - cut, events: log.slice(cut) }))).toEqual(plain(folded([])))
  }
})

test('a new attempt voids what is unfinished and nothing that only shares its id', () => {
  const task = 't1'
  const events: RunEvent[] = [
    log[0]!,
    log[1]!,
    { type: 'text.started', at, part: 'x', task, agent: 'a', role: 'answer' },
    { type: 'text.finished', at, part: 'x' },
    { type: 'tool.started', at, call: 'x', task, agent: 'a', tool: 't', input: {} },
    { type: 'text.started', at, part: 'y', task, agent: 'a', role: 'answer' },
    { type: 'tool.started', at, call: 'y', task, agent: 'a', tool: 't', input: {} },
    { type: 'tool.failed', at, call: 'y', fault: { code: 'internal', message: 'no', retry: 'never' } },
    { type: 'run.started', at, attempt: 2, crew: 'review', inputs: {} },
  ]
  const state = foldRun(emptyRun('r'), { offset: events.length, span: events.length, events })
  expect(Object.keys(state.texts)).toEqual(['x'])
  expect(Object.keys(state.calls)).toEqual(['y'])
  expect(state.tasks[0]!.items).toEqual([{ kind: 'text', id: 'x' }, { kind: 'call', id: 'y' }])
})

const { CREWLINE_SEED } = globalThis.process?.env ?? {}
const seed = CREWLINE_SEED ? { seed: Number(CREWLINE_SEED) } : {}

test('however a log is merged and cut into frames on its way, and repeated, the run is the same', () => {
  const parts = ['a', 'b', 'c']
  const step: fc.Arbitrary<RunEvent> = fc.oneof(
    fc.record({ type: fc.constant('text.delta' as const), at: fc.constant(at), part: fc.constantFrom(...parts), text: fc.string() }),
    fc.record({ type: fc.constant('text.finished' as const), at: fc.constant(at), part: fc.constantFrom(...parts) }),
    fc.record({ type: fc.constant('progress.reported' as const), at: fc.constant(at), fraction: fc.constantFrom(0.1, 0.5), message: fc.string() }),
    fc.record({ type: fc.constant('run.started' as const), at: fc.constant(at), attempt: fc.integer({ min: 2, max: 3 }), crew: fc.constant('c'), inputs: fc.constant({}) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1 }), (tail, spans) => {
      const events: RunEvent[] = [
        log[1]!,
        ...parts.map((part): RunEvent => ({ type: 'text.started', at, part, task: 't1', agent: 'a', role: 'answer' })),
        ...tail,
      ]
      let one = emptyRun('r')
      events.forEach((event, place) => (one = foldRun(one, { offset: place + 1, span: 1, events: [event] })))
      let other = emptyRun('r')
      for (let from = 0, turn = 0; from < events.length; turn++) {
        const to = Math.min(events.length, from + spans[turn % spans.length]!)
        const frame = { offset: to, span: to - from, events: merged(events.slice(from, to)) }
        other = foldRun(other, frame)
        expect(foldRun(other, frame)).toBe(other)
        from = to
      }
      expect(other).toEqual(one)
    }),
    seed,
  )
})

/** As the server merges: adjacent words of one part are one event, and only the last progress of a row is told. */
function merged(events: readonly RunEvent[]): RunEvent[] {
  const made: RunEvent[] = []
  for (const event of events) {
    const last = made.at(-1)
    if (event.type === 'text.delta' && last?.type === 'text.delta' && last.part === event.part) made[made.length - 1] = { ...event, text: last.text + event.text }
    else if (event.type === 'progress.reported' && last?.type === event.type) made[made.length - 1] = event
    else made.push(event)
  }
  return made
}
