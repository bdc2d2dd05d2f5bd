/** What tests of adapters share: events in short, a scripted server with a client, and a chat of the AI SDK without a page. */
import { AbstractChat, type ChatState, type ChatStatus, type UIMessage } from 'ai'
import { afterEach } from 'vitest'
import { type Client, createClient, type RunEvent } from '../../src/core/index.js'
import { createScriptedServer, type Script } from '../../src/testing/index.js'

const clients: Client[] = []
afterEach(() => {
  for (const client of clients.splice(0)) client.close()
})

export function scripted(script: Script) {
  const server = createScriptedServer(script)
  const client = createClient({ url: 'ws://test', transport: server.transport, auth: () => 'token', outbox: 'memory' })
  clients.push(client)
  return { server, client }
}

export const at = 1_700_000_000_000
export const usage = { input_tokens: 1, output_tokens: 2, cost_microusd: 3 }
export const started: Script['calls'] = { 'run.start': { output: { id: 'r' } }, 'run.cancel': { output: { id: 'r' } } }

/** Events in short. */
export const run = {
  begins: (attempt = 1): RunEvent => ({ type: 'run.started', at, attempt, crew: 'review', inputs: {} }),
  ends: (): RunEvent => ({ type: 'run.finished', at, status: 'succeeded', output: 'Done.', usage }),
  task: (task: string, name = task): RunEvent => ({ type: 'task.started', at, task, name, agent: 'analyst' }),
  taskEnds: (task: string): RunEvent => ({ type: 'task.finished', at, task, output: '' }),
  text: (part: string, task: string): RunEvent => ({ type: 'text.started', at, part, task, agent: 'analyst', role: 'answer' }),
  words: (part: string, text: string): RunEvent => ({ type: 'text.delta', at, part, text }),
  textEnds: (part: string): RunEvent => ({ type: 'text.finished', at, part }),
  tool: (call: string, task: string): RunEvent => ({ type: 'tool.started', at, call, task, agent: 'analyst', tool: 'web.fetch', input: { url: 'x' } }),
  toolEnds: (call: string): RunEvent => ({ type: 'tool.finished', at, call, output: 7 }),
  costs: (): RunEvent => ({ type: 'usage.recorded', at, agent: 'analyst', model: 'm', ...usage }),
}

/** Two tasks at once, the second of which still speaks when the first has ended. */
export const sideBySide: RunEvent[] = [
  run.begins(), run.task('t1', 'look'), run.task('t2', 'look'), run.text('a', 't1'), run.text('b', 't2'), run.words('a', 'A'), run.textEnds('a'), run.taskEnds('t1'),
  run.words('b', 'B'), run.textEnds('b'), run.taskEnds('t2'), run.ends(),
]
/** An attempt that is lost in the middle of a task, a text and a call, and another that makes it again. */
export const twice: RunEvent[] = [
  run.begins(), run.task('t1', 'look'), run.text('a', 't1'), run.words('a', 'x'), run.tool('c', 't1'),
  run.begins(2), run.task('t2', 'look'), run.text('b', 't2'), run.words('b', 'y'), run.textEnds('b'), run.taskEnds('t2'), run.ends(),
]

class State implements ChatState<UIMessage> {
  status: ChatStatus = 'ready'
  error: Error | undefined
  constructor(public messages: UIMessage[]) {}
  pushMessage(message: UIMessage) {
    this.messages = [...this.messages, message]
  }
  popMessage() {
    this.messages = this.messages.slice(0, -1)
  }
  replaceMessage(place: number, message: UIMessage) {
    this.messages = this.messages.map((other, at) => (at === place ? structuredClone(message) : other))
  }
  snapshot = structuredClone
}

/** What `useChat` holds. */
export class Chat extends AbstractChat<UIMessage> {
  constructor(transport: ConstructorParameters<typeof AbstractChat<UIMessage>>[0]['transport'], messages: UIMessage[] = []) {
    super({ id: 'chat', state: new State(messages), ...(transport && { transport }) })
  }
}
