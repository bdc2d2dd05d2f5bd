/** The AI SDK's own chat over runs as they really come: side by side, tried again, left and gone on with. */
import type { UIMessage } from 'ai'
import { expect, test } from 'vitest'
import { crewlineChatTransport, type Place } from '../../src/ai/index.js'
import type { RunEvent } from '../../src/core/index.js'
import { until } from '../support/wait.js'
import { Chat, run, scripted, sideBySide, started, twice } from './support.js'

const options = { crew: 'review', inputs: () => ({}) }
const send = { trigger: 'submit-message' as const, chatId: 'chat', messageId: undefined, messages: [], abortSignal: undefined }
const parts = (message: UIMessage | undefined): unknown[] =>
  (message?.parts ?? []).map((part) => ('text' in part ? [part.text, part.state] : 'toolName' in part ? [part.toolName, part.state] : part.type))

async function chatted(steps: { delay_ms?: number; events: RunEvent[] }[]) {
  const { client } = scripted({ calls: started!, runs: { r: { steps } } })
  const chat = new Chat(crewlineChatTransport(client, options))
  await chat.sendMessage({ text: 'Look.' })
  return chat
}

test('tasks side by side: the end of one does not end the texts of another', async () => {
  const chat = await chatted([{ events: sideBySide }])
  expect(chat.error).toBeUndefined()
  expect(parts(chat.lastMessage)).toEqual(['step-start', 'step-start', ['A', 'done'], ['B', 'done'], 'data-usage'])
})

test('what an attempt left unfinished has ended, and the next says its own', async () => {
  const chat = await chatted([{ events: twice }])
  expect(parts(chat.lastMessage)).toEqual(['step-start', ['x', 'done'], ['web.fetch', 'output-error'], 'step-start', ['y', 'done'], 'data-usage'])
})

test('frames that show nothing do not stop the stream', async () => {
  const silent = Array.from({ length: 5 }, () => ({ delay_ms: 2, events: [run.costs()] }))
  const chat = await chatted([{ events: [run.begins()] }, ...silent, { delay_ms: 2, events: [run.task('t'), run.text('a', 't'), run.words('a', 'x'), run.textEnds('a'), run.taskEnds('t'), run.ends()] }])
  expect(parts(chat.lastMessage)).toContainEqual(['x', 'done'])
})

test('a run that failed puts the chat in error, with its fault', async () => {
  const fault = { code: 'over_quota', message: 'the budget is used up', retry: 'never' } as const
  const chat = await chatted([{ events: [run.begins(), { ...run.ends(), status: 'failed', fault } as RunEvent] }])
  expect([chat.status, chat.error?.message]).toEqual(['error', 'the budget is used up'])
})

test('wherever it is left, every word comes once', async () => {
  const events = [run.begins(), run.task('t'), run.text('a', 't'), ...['1', '2', '3', '4'].map((word) => run.words('a', word)), run.textEnds('a'), run.taskEnds('t'), run.ends()]
  for (let after = 1; after <= 4; after++) {
    const places = new Map<string, Place>()
    const { server, client } = scripted({ calls: started!, runs: { r: { steps: [], open: true } } })
    const transport = crewlineChatTransport(client, { ...options, places })
    const reader = (await transport.sendMessages(send)).getReader()
    let text = ''
    const begins = events.slice(0, 2 + after)
    for (const event of [...begins, events[2 + after]!]) server.append('r', [event])
    while (text.length < after) {
      const { value } = await reader.read()
      if (value?.type === 'text-delta') text += value.delta
    }
    // What comes now is not read.
    for (const event of events.slice(3 + after)) server.append('r', [event])
    server.complete('r')
    await reader.cancel()
    const resumed = (await transport.reconnectToStream({ chatId: 'chat' }))!.getReader()
    for (let read = await resumed.read(); !read.done; read = await resumed.read()) if (read.value.type === 'text-delta') text += read.value.delta
    expect(text).toBe('1234')
    expect(places.size).toBe(0)
  }
})

test('a tool that answers after a reload has its call again', async () => {
  const { server, client } = scripted({ calls: started!, runs: { r: { steps: [{ events: [run.begins(), run.task('t'), run.tool('c', 't')] }], open: true } } })
  const transport = crewlineChatTransport(client, options)
  const chat = new Chat(transport)
  void chat.sendMessage({ text: 'Look.' })
  await until(() => parts(chat.lastMessage).length === 2)
  const finish = (): void => {
    server.append('r', [run.toolEnds('c'), run.taskEnds('t'), run.ends()])
    server.complete('r')
  }
  // One page kept its messages, another did not.
  const before = structuredClone(chat.messages)
  const kept = new Chat(transport, structuredClone(before))
  const fresh = new Chat(transport)
  const both = [kept.resumeStream(), fresh.resumeStream()]
  await until(() => fresh.status === 'streaming')
  finish()
  await Promise.all(both)
  expect([kept.error, fresh.error]).toEqual([undefined, undefined])
  // What was kept stays as it was.
  expect(kept.messages.slice(0, 2)).toEqual(before)
  expect(parts(kept.lastMessage)).toEqual([['web.fetch', 'output-available'], 'data-usage'])
  expect(parts(fresh.lastMessage)).toEqual([['web.fetch', 'output-available'], 'data-usage'])
})

test('a chat that was gone on with can be stopped; one that is resumed twice is not', async () => {
  const { server, client } = scripted({ calls: started!, runs: { r: { steps: [{ events: [run.begins(), run.task('t'), run.text('a', 't'), run.words('a', '1')] }], open: true } } })
  const transport = crewlineChatTransport(client, options)
  const reader = (await transport.sendMessages(send)).getReader()
  while ((await reader.read()).value?.type !== 'text-delta');
  await reader.cancel()
  const chat = new Chat(transport)
  // As StrictMode does.
  void chat.resumeStream()
  const second = chat.resumeStream()
  await until(() => chat.status === 'streaming')
  server.append('r', [run.words('a', '2')])
  await until(() => JSON.stringify(parts(chat.lastMessage)).includes('"2"'))
  expect(server.received.map(({ op }) => op)).toEqual(['run.start'])
  await chat.stop()
  await second
  await until(() => server.received.some(({ op }) => op === 'run.cancel'))
  expect(await transport.reconnectToStream({ chatId: 'chat' })).toBeNull()
})

test('a run that is gone is not asked for again', async () => {
  const places = new Map<string, Place>([['chat', { run: 'gone', offset: 3, texts: {}, calls: {}, tasks: {} }]])
  const { client } = scripted({})
  const chat = new Chat(crewlineChatTransport(client, { ...options, places }))
  await chat.resumeStream()
  expect([chat.status, chat.error?.message, places.size]).toEqual(['error', 'the script has no run `gone`: add it under `runs`', 0])
})
