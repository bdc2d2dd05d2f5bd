/** Each adapter with the library that it is for, over a scripted server. */
import { verifyEvents } from '@ag-ui/client'
import { EventSchema } from '@ag-ui/core/schemas'
import { ChatClient } from '@tanstack/ai-client'
import { createCollection } from '@tanstack/db'
import { readUIMessageStream, type UIMessage } from 'ai'
import { from, lastValueFrom, type Observable, toArray } from 'rxjs'
import { expect, test } from 'vitest'
import { agUiEvents, crewlineChatTransport, crewlineCollectionOptions, crewlineConnection, storedPlaces } from '../../src/ai/index.js'
import type { Client, RunEvent } from '../../src/core/index.js'
import type { Script } from '../../src/testing/index.js'
import { until } from '../support/wait.js'
import { at, scripted, sideBySide, started, twice, usage } from './support.js'

const begin: RunEvent[] = [
  { type: 'run.started', at, attempt: 1, crew: 'review', inputs: {} },
  { type: 'task.started', at, task: 't1', name: 'analyze', agent: 'analyst' },
  { type: 'text.started', at, part: 'p0', task: 't1', agent: 'analyst', role: 'thought' },
  { type: 'text.delta', at, part: 'p0', text: 'Hm.' },
  { type: 'text.finished', at, part: 'p0' },
  { type: 'tool.started', at, call: 'c1', task: 't1', agent: 'analyst', tool: 'content.analyze', input: { input: 'page' } },
  { type: 'tool.finished', at, call: 'c1', output: { words: 7 } },
  { type: 'tool.started', at, call: 'c2', task: 't1', agent: 'analyst', tool: 'web.fetch', input: {} },
  { type: 'tool.failed', at, call: 'c2', fault: { code: 'forbidden', message: 'not there', retry: 'never' } },
  { type: 'progress.reported', at, fraction: 0.5, message: 'half' },
  { type: 'text.started', at, part: 'p1', task: 't1', agent: 'analyst', role: 'answer' },
  { type: 'text.delta', at, part: 'p1', text: 'It has ' },
]
const end: RunEvent[] = [
  { type: 'text.delta', at, part: 'p1', text: '7 words.' },
  { type: 'text.finished', at, part: 'p1' },
  { type: 'task.finished', at, task: 't1', output: 'It has 7 words.' },
  { type: 'run.finished', at, status: 'succeeded', output: 'It has 7 words.', usage },
]
const whole: Script = { calls: started!, runs: { r: { steps: [{ events: begin }, { events: end }] } } }
const half: Script = { calls: started!, runs: { r: { steps: [{ events: begin }], open: true } } }

const question: UIMessage[] = [{ id: 'q', role: 'user', parts: [{ type: 'text', text: 'How long is it?' }] }]
const send = { trigger: 'submit-message' as const, chatId: 'chat', messageId: undefined, messages: question, abortSignal: undefined }
const chat = { crew: 'review', inputs: (messages: UIMessage[]) => ({ messages: messages.length }) }

/** The client of AG-UI has an rxjs of its own. */
const all = (events: Observable<unknown>): Promise<unknown[]> => lastValueFrom(events.pipe(toArray()))

async function last<T>(stream: AsyncIterable<T>): Promise<T> {
  let found: T | undefined
  for await (const value of stream) found = value
  return found!
}

test('AI SDK: a run is a message of parts', async () => {
  const { server, client } = scripted(whole)
  const stream = await crewlineChatTransport(client, chat).sendMessages(send)
  const message = await last(readUIMessageStream({ stream, terminateOnError: true }))
  expect(server.received[0]).toMatchObject({ op: 'run.start', input: { crew: 'review', inputs: { messages: 1 } } })
  const parts = message.parts.map((part) => ('text' in part ? [part.type, part.text] : 'toolName' in part ? [part.type, part.toolName, part.state] : [part.type]))
  expect(parts).toEqual([
    ['step-start'], ['reasoning', 'Hm.'], ['dynamic-tool', 'content.analyze', 'output-available'], ['dynamic-tool', 'web.fetch', 'output-error'],
    ['data-progress'], ['text', 'It has 7 words.'], ['data-usage'],
  ])
})

test('AI SDK: resuming sends the suffix only, also after a reload', async () => {
  const { server, client } = scripted(half)
  const kept = new Map<string, string>()
  const storage = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value), removeItem: (key: string) => void kept.delete(key) } as unknown as Storage
  const first = (await crewlineChatTransport(client, { ...chat, places: storedPlaces(storage) }).sendMessages(send)).getReader()
  let message: UIMessage | undefined
  const seen: string[] = []
  while (!seen.includes('text-delta')) seen.push((await first.read()).value!.type)
  await until(() => kept.size > 0)
  await first.cancel()
  // Another page.
  const again = await crewlineChatTransport(client, { ...chat, places: storedPlaces(storage) }).reconnectToStream({ chatId: 'chat' })
  server.append('r', end)
  server.complete('r')
  message = await last(readUIMessageStream({ stream: again!, terminateOnError: true }))
  expect(message.parts.filter((part) => part.type === 'text' || part.type === 'reasoning').map((part) => part.text)).toEqual(['7 words.'])
  expect(kept.size).toBe(0)
  expect(await crewlineChatTransport(client, chat).reconnectToStream({ chatId: 'chat' })).toBeNull()
})

test('AI SDK: stopping the chat cancels the run', async () => {
  const { server, client } = scripted(half)
  const stop = new AbortController()
  const stream = await crewlineChatTransport(client, chat).sendMessages({ ...send, abortSignal: stop.signal })
  const types: string[] = []
  const reading = (async () => {
    for await (const chunk of stream as unknown as AsyncIterable<{ type: string }>) types.push(chunk.type)
  })()
  await until(() => types.includes('text-delta'))
  stop.abort()
  await reading
  expect(types.at(-1)).toBe('abort')
  await until(() => server.received.some(({ op, input }) => op === 'run.cancel' && (input as { mode: string }).mode === 'now'))
})

test('AG-UI: every event is one of its schemas, in an order that its client accepts', async () => {
  const attempts: RunEvent[] = [...begin, { type: 'run.started', at, attempt: 2, crew: 'review', inputs: {} }, { type: 'text.started', at, part: 'p2', task: 't1', agent: 'analyst', role: 'answer' }, { type: 'text.delta', at, part: 'p2', text: 'Again.' }, ...end.slice(2)]
  for (const [events, verdict] of [[[...begin, ...end], 'RUN_FINISHED'], [attempts, 'RUN_FINISHED'], [[...begin, { type: 'run.finished', at, status: 'cancelled', usage }], 'RUN_ERROR']] as [RunEvent[], string][]) {
    const { client } = scripted({ runs: { r: { steps: [{ events }] } } })
    const told = []
    for await (const event of agUiEvents(client, 'r', { threadId: 'thread' })) told.push(EventSchema.parse(event))
    const verified = (await all(verifyEvents()(from(told as never[]) as never) as never)) as { type: string }[]
    expect(verified.map(({ type }) => type).at(-1)).toBe(verdict)
    expect(told.filter(({ type }) => type === 'TOOL_CALL_RESULT')).toHaveLength(2)
  }
})

test('AG-UI: tasks of one name at a time, and those of a lost attempt, are steps that begin and end', async () => {
  for (const [events, steps] of [[sideBySide, ['look', 'look 2', '-look', '-look 2']], [twice, ['look', '-look', 'look', '-look']]] as const) {
    const { client } = scripted({ runs: { r: { steps: [{ events: [...events] }] } } })
    const told = []
    for await (const event of agUiEvents(client, 'r')) told.push(EventSchema.parse(event))
    await all(verifyEvents()(from(told as never[]) as never) as never)
    expect(told.flatMap((event) => ('stepName' in event ? [`${event.type === 'STEP_FINISHED' ? '-' : ''}${String(event.stepName)}`] : []))).toEqual(steps)
  }
})

test('TanStack AI: its chat client shows the answer', async () => {
  const { client } = scripted(whole)
  const chatClient = new ChatClient({ connection: crewlineConnection(client, { crew: 'review', inputs: (messages) => ({ messages: messages.length }) }) })
  await chatClient.sendMessage('How long is it?')
  const [asked, answer] = chatClient.getMessages()
  expect([asked!.role, answer!.role]).toEqual(['user', 'assistant'])
  expect(JSON.stringify(answer!.parts)).toContain('It has 7 words.')
})

test('TanStack AI: stopping its chat cancels the run', async () => {
  const { server, client } = scripted(half)
  const chatClient = new ChatClient({ connection: crewlineConnection(client, { crew: 'review', inputs: () => ({}) }) })
  const sent = chatClient.sendMessage('How long is it?')
  await until(() => JSON.stringify(chatClient.getMessages()).includes('It has '))
  chatClient.stop()
  await sent
  await until(() => server.received.some(({ op, input }) => op === 'run.cancel' && (input as { id: string }).id === 'r'))
})

test('TanStack DB: rows come and go as the live query says, and writes are let go when they are known', async () => {
  const row = (id: string, name: string, revision: number) => ({ id, revision, created_at: at, updated_at: at, created_by: 'u', collection: 'campaigns', data: { name } })
  const { server, client } = scripted({
    queries: [{ op: 'record.list', output: { items: [row('a', 'Gardens', 1)] } }],
    calls: {
      'record.create': { output: row('b', 'Bees', 2), as_of: 2, delay_ms: 10 },
      'record.update': [{ output: row('a', 'Orchards', 3), as_of: 3 }, { fault: { code: 'conflict', message: 'somebody was faster' } }],
      'record.delete': { output: {}, as_of: 4 },
    },
  })
  const campaigns = createCollection(crewlineCollectionOptions(client as unknown as Client<{ collections: { campaigns: { name: string } }; crews: object }>, { collection: 'campaigns' }))
  await campaigns.preload()
  const names = (): string[] => campaigns.toArray.map(({ name }) => name).sort()
  expect(names()).toEqual(['Gardens'])
  const insert = campaigns.insert({ id: 'b', name: 'Bees' })
  expect(names()).toEqual(['Bees', 'Gardens'])
  await until(() => server.received.some(({ op }) => op === 'record.create'))
  server.push('record.list', [{ put: row('b', 'Bees', 2), before: null }])
  await insert.isPersisted.promise
  expect(server.received.at(-1)).toMatchObject({ op: 'record.create', input: { collection: 'campaigns', id: 'b', data: { name: 'Bees' } } })
  const update = campaigns.update('a', (draft) => void (draft.name = 'Orchards'))
  await until(() => server.received.some(({ op }) => op === 'record.update'))
  server.push('record.list', [{ put: row('a', 'Orchards', 3), before: 'b' }])
  await update.isPersisted.promise
  expect([names(), campaigns.get('a')!.revision]).toEqual([['Bees', 'Orchards'], 3])
  const refused = campaigns.update('a', (draft) => void (draft.name = 'Fields'))
  expect(names()).toEqual(['Bees', 'Fields'])
  await expect(refused.isPersisted.promise).rejects.toMatchObject({ code: 'conflict' })
  expect(names()).toEqual(['Bees', 'Orchards'])
  const gone = campaigns.delete('b')
  await until(() => server.received.some(({ op }) => op === 'record.delete'))
  server.push('record.list', [{ remove: 'b' }])
  await gone.isPersisted.promise
  expect(names()).toEqual(['Orchards'])
})

test('TanStack DB: a query that ends puts the collection in error, and no write waits for it', async () => {
  const { server, client } = scripted({ calls: { 'record.delete': { output: {}, as_of: 99 } }, queries: [{ op: 'record.list', output: { items: [{ id: 'a', revision: 1, data: {} }] } }] })
  const campaigns = createCollection(crewlineCollectionOptions(client, { collection: 'campaigns' }))
  await campaigns.preload()
  const gone = campaigns.delete('a')
  await until(() => server.received.some(({ op }) => op === 'record.delete'))
  server.end('record.list', { code: 'forbidden', message: 'a right was taken away' })
  await gone.isPersisted.promise
  expect(campaigns.status).toBe('error')
})
