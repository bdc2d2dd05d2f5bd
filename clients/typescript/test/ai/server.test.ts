/** The AI SDK's chat, and what is recorded of a session, against the real server. */
import type { UIMessage } from 'ai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { crewlineChatTransport, type Place } from '../../src/ai/index.js'
import { type AnyApp, type Client, createClient, type RunEvent } from '../../src/core/index.js'
import { createScriptedServer, record, type Recording } from '../../src/testing/index.js'
import { nodeTransport, type Proxy, type Server, startProxy, startServer } from '../support/server.js'
import { until } from '../support/wait.js'
import { Chat } from './support.js'

let server: Server
let proxy: Proxy
let client: Client<AnyApp>
let recording: Recording
beforeAll(async () => {
  server = await startServer(['simulated_tokens_per_s=400'])
  proxy = await startProxy(server.url)
  recording = record(nodeTransport(proxy.url))
  client = createClient<AnyApp>({ url: proxy.url, transport: recording.transport, outbox: 'memory', reconnect: { base_ms: 20, max_ms: 200 } })
  await client.call('auth.register', { email: 'ada@example.com', password: 'a long enough password', name: 'Ada' })
})
afterAll(async () => {
  client.close()
  await proxy.close()
  await server.stop()
})

const options = { crew: 'review', inputs: () => ({ page: '<h1>One</h1><p>Two three four.</p>', name: 'one.html' }) }
const texts = (messages: UIMessage[]): string => messages.flatMap(({ role, parts }) => (role === 'assistant' ? parts.map((part) => ('text' in part ? part.text : '')) : [])).join('')

async function told(run: string): Promise<string> {
  let text = ''
  for await (const event of client.followRun(run)) if (event.type === 'text.delta') text += event.text
  return text
}

test('a chat shows all that a run says, over lost connections', async () => {
  const places = new Map<string, Place>()
  let run = ''
  const chat = new Chat(crewlineChatTransport(client, { ...options, places }))
  const sent = chat.sendMessage({ text: 'Look.' })
  await until(() => texts(chat.messages).length > 40)
  run = places.get('chat')!.run
  proxy.cut()
  await sent
  expect([chat.status, chat.error]).toEqual(['ready', undefined])
  expect(texts(chat.messages)).toBe(await told(run))
  expect(chat.lastMessage!.parts.filter(({ type }) => type === 'step-start').length).toBeGreaterThan(0)
  expect(places.size).toBe(0)
})

test('a chat that is left in mid-answer goes on in another page with the rest only', async () => {
  const places = new Map<string, Place>()
  const transport = crewlineChatTransport(client, { ...options, places })
  const reader = (await transport.sendMessages({ trigger: 'submit-message', chatId: 'chat', messageId: undefined, messages: [], abortSignal: undefined })).getReader()
  let before = ''
  while (before.length < 40) {
    const { value } = await reader.read()
    if (value && 'delta' in value) before += value.delta
  }
  const { run } = places.get('chat')!
  // The rest of the frame, as a page does before it goes.
  let open = true
  while (open) {
    const at = places.get('chat')!.offset
    const { value } = await reader.read()
    if (value && 'delta' in value) before += value.delta
    open = places.get('chat')!.offset === at
  }
  await reader.cancel()
  const other = new Chat(crewlineChatTransport(client, { ...options, places }))
  await other.resumeStream()
  const all = await told(run)
  expect(before + texts(other.messages)).toBe(all)
  expect(texts(other.messages).length).toBeLessThan(all.length)
})

test('stopping a chat cancels its run', async () => {
  const places = new Map<string, Place>()
  const chat = new Chat(crewlineChatTransport(client, { ...options, places }))
  void chat.sendMessage({ text: 'Look.' })
  await until(() => texts(chat.messages).length > 0)
  const { run } = places.get('chat')!
  await chat.stop()
  const events: RunEvent[] = []
  for await (const event of client.followRun(run)) events.push(event)
  expect(events.at(-1)).toMatchObject({ type: 'run.finished', status: 'cancelled' })
})

test('what was recorded is a script that a client lives through as it did', async () => {
  const run = await client.call('run.start', { crew: 'review', inputs: options.inputs() })
  const lived = await told(run.id)
  const script = JSON.parse(JSON.stringify(recording.script()))
  expect(JSON.stringify(script)).not.toMatch(/_token":"(?!recorded)/)
  const replay = createClient({ url: 'ws://test', transport: createScriptedServer(script).transport, auth: () => 'any', outbox: 'memory' })
  let again = ''
  for await (const event of replay.followRun(run.id)) if (event.type === 'text.delta') again += event.text
  replay.close()
  expect(again).toBe(lived)
})
