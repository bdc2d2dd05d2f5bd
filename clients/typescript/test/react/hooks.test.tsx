// @vitest-environment happy-dom
import { act, cleanup, render, screen } from '@testing-library/react'
import { StrictMode, type ReactNode } from 'react'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { CrewlineError, type Client, type ConnectionState, type OutboxEntry, type PresentMember, type RunEvent, type RunFrame } from '../../src/core/index.js'
import { cell } from '../../src/core/readable.js'
import { CrewlineProvider, useConnection, useCrewline, useOutbox, usePresence, useReplay, useRun, useRunText } from '../../src/react/index.js'

/** A client of which the test says what comes. */
function scripted() {
  const streams: { id: string; from: number; closed: boolean; say(...events: RunEvent[]): void; end(error?: CrewlineError): void }[] = []
  const presences: { id: string; members: ReturnType<typeof cell<readonly PresentMember[]>>; closed: boolean; told: unknown[] }[] = []
  const connection = cell<ConnectionState>({ status: 'idle' })
  const entries = cell<readonly OutboxEntry[]>([])
  const calls: unknown[][] = []
  const client = {
    connection,
    outbox: { ...entries, retry: vi.fn(), discard: vi.fn() },
    call: (op: string, input: unknown) => (calls.push([op, input]), Promise.resolve({})),
    followRun(id: string, { from = 0 } = {}) {
      const frames: RunFrame[] = []
      let offset = from
      let over: CrewlineError | true | undefined
      let wake = () => {}
      const stream: (typeof streams)[number] = {
        id, from, closed: false,
        say(...events) {
          offset += events.length
          frames.push({ offset, span: events.length, events })
          wake()
        },
        end(error) {
          over = error ?? true
          wake()
        },
      }
      streams.push(stream)
      return {
        close: () => ((stream.closed = true), stream.end()),
        async *frames() {
          for (;;) {
            const next = frames.shift()
            if (next) yield next
            else if (over === true) return
            else if (over) throw over
            else await new Promise<void>((resolve) => (wake = resolve))
          }
        },
      }
    },
    presence(id: string) {
      const made: (typeof presences)[number] = { id, members: cell<readonly PresentMember[]>([]), closed: false, told: [] }
      presences.push(made)
      return { ...made.members, update: (state: unknown) => made.told.push(state), close: () => (made.closed = true) }
    },
  } as unknown as Client
  return { client, streams, presences, connection, entries, calls }
}

let given: ReturnType<typeof scripted>
beforeEach(() => {
  vi.useFakeTimers()
  given = scripted()
})
afterEach(async () => {
  cleanup()
  await vi.advanceTimersByTimeAsync(5000)
  vi.useRealTimers()
})

const show = (children: ReactNode) => render(<CrewlineProvider client={given.client}>{children}</CrewlineProvider>)
const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms))
const started: RunEvent = { type: 'run.started', at: 0, attempt: 1, crew: 'c', inputs: {} }
const task: RunEvent = { type: 'task.started', at: 0, task: 't', name: 'write', agent: 'a' }
const begun = (part: string): RunEvent => ({ type: 'text.started', at: 0, part, task: 't', agent: 'a', role: 'answer' })
const delta = (part: string, text: string, at = 0): RunEvent => ({ type: 'text.delta', at, part, text })

describe('a run', () => {
  let renders = 0
  beforeEach(() => void (renders = 0))
  function Run({ id = 'r' }: { id?: string }) {
    const { status, texts, complete, error } = useRun(id)
    renders++
    return <p data-testid="run">{`${status} ${texts.p?.text ?? ''} ${complete} ${error?.code ?? ''}`}</p>
  }
  const shown = () => screen.getAllByTestId('run').map((element) => element.textContent)

  test('StrictMode and many hooks follow it once', async () => {
    show(<StrictMode><Run /><Run /></StrictMode>)
    await pass(0)
    expect(given.streams.map(({ id, from }) => [id, from])).toEqual([['r', 0]])
    given.streams[0]!.say(started, task, begun('p'), delta('p', 'Hi'))
    await pass(20)
    expect(shown()).toEqual(['running Hi false ', 'running Hi false '])
  })

  test('tokens never go through a query cache: a thousand in a frame are one paint', async () => {
    show(<Run />)
    given.streams[0]!.say(started, task, begun('p'))
    await pass(50)
    const before = renders
    for (let count = 0; count < 1000; count++) {
      given.streams[0]!.say(delta('p', '.'))
      if (count % 100 === 0) await act(async () => void (await Promise.resolve()))
    }
    await pass(17)
    expect(shown()[0]).toBe(`running ${'.'.repeat(1000)} false `)
    expect(renders - before).toBe(1)
  })

  test('it is painted in a page that draws no frames', async () => {
    vi.stubGlobal('requestAnimationFrame', () => 1)
    try {
      show(<Run />)
      given.streams[0]!.say(started)
      await pass(150)
      expect(shown()).toEqual(['running  false '])
    } finally {
      vi.unstubAllGlobals()
    }
  })

  test('who comes back soon finds it going on, and later it is closed', async () => {
    const one = show(<Run />)
    given.streams[0]!.say(started)
    await pass(50)
    one.unmount()
    await pass(1000)
    const two = show(<Run />)
    expect(shown()).toEqual(['running  false '])
    expect(given.streams).toHaveLength(1)
    two.unmount()
    await pass(5000)
    expect(given.streams[0]!.closed).toBe(true)
    show(<Run />)
    expect(given.streams).toHaveLength(2)
  })

  test('another id is another run', async () => {
    const one = show(<Run />)
    given.streams[0]!.say(started)
    await pass(50)
    one.rerender(<CrewlineProvider client={given.client}><Run id="s" /></CrewlineProvider>)
    expect(shown()).toEqual(['queued  false '])
    expect(given.streams.map(({ id }) => id)).toEqual(['r', 's'])
  })

  test('its end and its failure are told', async () => {
    show(<><Run /><Run id="s" /></>)
    given.streams[0]!.say({ type: 'run.finished', at: 1, status: 'succeeded', usage: { input_tokens: 1, output_tokens: 1, cost_microusd: 1 } })
    given.streams[0]!.end()
    given.streams[1]!.end(new CrewlineError('not_found', 'no such run'))
    await pass(50)
    expect(shown()).toEqual(['succeeded  true ', 'queued  false not_found'])
  })

  test('useRunText renders for its part only', async () => {
    let texts = 0
    function Text() {
      texts++
      return <b data-testid="text">{useRunText('r', 'p')}</b>
    }
    show(<Text />)
    given.streams[0]!.say(started, task, begun('p'), begun('other'), delta('p', 'a'))
    await pass(50)
    expect(screen.getByTestId('text').textContent).toBe('a')
    const before = texts
    given.streams[0]!.say(delta('other', 'b'))
    await pass(50)
    expect(texts).toBe(before)
    given.streams[0]!.say(delta('p', 'c'))
    await pass(50)
    expect(screen.getByTestId('text').textContent).toBe('ac')
    expect(texts).toBe(before + 1)
  })

  test('cancel, steer and answer call the operations', async () => {
    let run: ReturnType<typeof useRun>
    function Person() {
      run = useRun('r')
      return null
    }
    show(<Person />)
    await run!.cancel('now')
    await run!.steer('shorter')
    await run!.answer({ id: 'q', revision: 3 }, { verdict: 'approve' })
    expect(given.calls).toEqual([
      ['run.cancel', { id: 'r', mode: 'now' }],
      ['run.steer', { id: 'r', text: 'shorter' }],
      ['approval.answer', { id: 'q', revision: 3, verdict: 'approve' }],
    ])
  })
})

describe('a replay', () => {
  let replay: ReturnType<typeof useReplay>
  function Replay() {
    replay = useReplay('r')
    return <p data-testid="replay">{replay.run.texts.p?.text ?? ''}</p>
  }
  const text = () => screen.getByTestId('replay').textContent

  async function loaded(count = 5) {
    show(<Replay />)
    given.streams[0]!.say(started, task, begun('p'), ...Array.from({ length: count }, (_, at) => delta('p', String(at % 10), (at + 1) * 100)))
    given.streams[0]!.end()
    await pass(50)
  }

  test('stands at the beginning until it is played, at the pace at which it happened', async () => {
    await loaded()
    expect(replay).toMatchObject({ offset: 0, head: 8, time: 0, duration: 500, playing: false, speed: 1, complete: true })
    act(() => replay.play())
    await pass(250)
    expect(text()).toBe('01')
    act(() => replay.pause())
    await pass(1000)
    expect(text()).toBe('01')
    act(() => replay.setSpeed(10))
    act(() => replay.play())
    await pass(60)
    expect(text()).toBe('01234')
    expect(replay).toMatchObject({ offset: 8, playing: false })
    act(() => replay.play())
    await pass(0)
    expect(replay.offset).toBeLessThan(8)
  })

  test('shows the run as it was after any offset, forwards and back', async () => {
    await loaded(1000)
    const whole = Array.from({ length: 1000 }, (_, at) => String(at % 10)).join('')
    for (const offset of [1003, 3, 700, 699, 253, 254, 1003, 0]) {
      act(() => replay.seek(offset))
      expect(text()).toBe(whole.slice(0, Math.max(0, offset - 3)))
      expect(replay.offset).toBe(offset)
    }
  })

  test.each([NaN, -1, Infinity])('can’t be played at speed %d', async (speed) => {
    await loaded()
    expect(() => replay.setSpeed(speed)).toThrow(CrewlineError)
    expect(replay.speed).toBe(1)
  })

  test('cuts long pauses short', async () => {
    show(<Replay />)
    given.streams[0]!.say(started, task, begun('p'), delta('p', 'a', 10), delta('p', 'b', 3_600_000))
    await pass(50)
    expect(replay.duration).toBe(2010)
  })
})

test('presence: who else is here, joined once, and one’s own state', async () => {
  let seen: ReturnType<typeof usePresence>
  function Here() {
    seen = usePresence('s')
    return <p data-testid="here">{seen.others.map(({ principal }) => principal.name).join()}</p>
  }
  const one = show(<StrictMode><Here /><Here /></StrictMode>)
  await pass(0)
  expect(given.presences).toHaveLength(1)
  act(() => given.presences[0]!.members.set([{ connection_id: 'c', principal: { kind: 'user', id: 'b', name: 'Bob' }, state: {} }]))
  expect(screen.getAllByTestId('here').map((element) => element.textContent)).toEqual(['Bob', 'Bob'])
  seen!.update({ typing: true })
  expect(given.presences[0]!.told).toEqual([{ typing: true }])
  one.unmount()
  await pass(5000)
  expect(given.presences[0]!.closed).toBe(true)
})

test('the connection and the outbox', () => {
  let outbox: ReturnType<typeof useOutbox>
  function Line() {
    outbox = useOutbox()
    return <p data-testid="line">{`${useConnection().status} ${outbox.entries.length}`}</p>
  }
  show(<Line />)
  expect(screen.getByTestId('line').textContent).toBe('idle 0')
  act(() => {
    given.connection.set({ status: 'connecting', attempt: 0 })
    given.entries.set([{ key: 'k', op: 'record.update', input: {}, at: 0, status: 'waiting', error: null }])
  })
  expect(screen.getByTestId('line').textContent).toBe('connecting 1')
  outbox!.retry('k')
  expect(given.client.outbox.retry).toHaveBeenCalledWith('k')
})

test('without a provider it says what to do', () => {
  function Lost() {
    useCrewline()
    return null
  }
  const quiet = vi.spyOn(console, 'error').mockImplementation(() => {})
  expect(() => render(<Lost />)).toThrow('CrewlineProvider')
  quiet.mockRestore()
})
