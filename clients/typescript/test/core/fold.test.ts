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
