/** A client whose server is the test's hand: what is followed says what the test says, and calls are answered when it answers them. */
import { CrewlineError, type Client, type Fault, type LiveQuery, type LiveState, type RecordRow } from '../../src/core/index.js'

export interface Asked {
  op: string
  input: any
  key: string | undefined
  answer(output: unknown, as_of: number): void
  refuse(fault: Partial<Fault> & Pick<Fault, 'code'>): void
}

export class HandLive {
  state: LiveState<unknown> = { output: undefined, revision: -1, status: 'idle', error: null }
  retained = 0
  /** How often it was opened. */
  opened = 0
  private listeners = new Set<() => void>()
  private waiting: { resolve(output: unknown): void; reject(error: unknown): void }[] = []

  constructor(
    readonly op: string,
    readonly input: any,
  ) {}

  /** Whether anybody is told. */
  get watched(): boolean {
    return this.listeners.size > 0
  }
  get = () => this.state
  subscribe = (listener: () => void) => {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }
  retain = () => {
    if (this.retained++ === 0 || this.state.status === 'ended') {
      this.opened++
      this.set({ status: 'stale', error: null })
    }
    let held = true
    return () => {
      if (!held) return
      held = false
      if (--this.retained === 0 && this.state.status !== 'ended') this.set({ status: 'idle' })
    }
  }
  current = (): Promise<unknown> => {
    if (this.state.status === 'live') return Promise.resolve(this.state.output)
    if (this.state.status === 'ended') return Promise.reject(this.state.error)
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }))
  }
  forget = () => this.set({ output: undefined, revision: -1, status: this.retained ? 'stale' : 'idle', error: null })

  /** What the server says. */
  say(output: unknown, revision: number): void {
    this.set({ output, revision, status: 'live', error: null })
    for (const one of this.waiting.splice(0)) one.resolve(output)
  }
  lose(): void {
    this.set({ status: 'stale' })
  }
  end(error: CrewlineError): void {
    this.set({ status: 'ended', error })
    for (const one of this.waiting.splice(0)) one.reject(error)
  }
  private set(part: Partial<LiveState<unknown>>): void {
    this.state = { ...this.state, ...part }
    for (const listener of [...this.listeners]) listener()
  }
}

export class Hand {
  lives = new Map<string, HandLive>()
  asked: Asked[] = []

  /** What is followed, whether or not anybody does yet. */
  live(op: string, input: unknown): HandLive {
    const name = JSON.stringify([op, input])
    const found = this.lives.get(name) ?? new HandLive(op, input)
    this.lives.set(name, found)
    return found
  }

  /** The call that waits the longest. */
  next(): Asked {
    const asked = this.asked.shift()
    if (!asked) throw new Error('nothing was asked')
    return asked
  }

  readonly client = {
    connection: { get: () => ({ status: 'idle' }), subscribe: () => () => {} },
    outbox: { get: () => [], subscribe: () => () => {}, retry() {}, discard() {} },
    connect() {},
    close() {},
    live: (op: string, input: unknown) => this.live(op, input) as unknown as LiveQuery,
    ask: (op: string, input: unknown, options?: { key?: string }) =>
      new Promise((resolve, reject) => {
        this.asked.push({
          op,
          input,
          key: options?.key,
          answer: (output, as_of) => resolve({ output, as_of }),
          refuse: (fault) => reject(CrewlineError.of({ message: fault.code, retry: fault.code === 'conflict' ? 'refetch' : 'never', ...fault })),
        })
      }),
    call: (op: string, input: unknown) => this.client.ask(op, input).then((answer: any) => answer.output),
  } as unknown as Client & { ask(op: string, input: unknown, options?: { key?: string }): Promise<unknown> }
}

/** A record of the collection `tasks`. */
export const task = (id: string, revision: number, data: Record<string, unknown> = {}): RecordRow => ({
  id,
  revision,
  created_at: 0,
  updated_at: revision,
  collection: 'tasks',
  data,
  created_by: 'ada',
})

/** Lets promises and the query cache come to rest. */
export const rest = async (): Promise<void> => {
  for (let turn = 0; turn < 3; turn++) await new Promise((done) => setTimeout(done, 0))
}
