// @vitest-environment happy-dom
/** A run of the real server, as components show it. */
import { cleanup, render, screen, waitFor } from '@testing-library/react'
import { StrictMode } from 'react'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createClient, type AnyApp, type Client, type RunEvent } from '../../src/core/index.js'
import { CrewlineProvider, useReplay, useRun, useRunText } from '../../src/react/index.js'
import { nodeTransport, startProxy, startServer, type Proxy, type Server } from '../support/server.js'

let server: Server
let proxy: Proxy
let client: Client<AnyApp>
beforeAll(async () => {
  server = await startServer(['simulated_tokens_per_s=400'])
  proxy = await startProxy(server.url)
  client = createClient<AnyApp>({ url: proxy.url, transport: nodeTransport(proxy.url), outbox: 'memory', reconnect: { base_ms: 20, max_ms: 200 } })
  await client.call('auth.register', { email: 'ada@example.com', password: 'a long enough password', name: 'Ada' })
})
afterEach(cleanup)
afterAll(async () => {
  client.close()
  await proxy.close()
  await server.stop()
})

const start = () => client.call('run.start', { crew: 'review', inputs: { page: '<h1>One</h1><p>Two three four.</p>', name: 'one.html' } })

async function told(id: string): Promise<string> {
  const events: RunEvent[] = []
  for await (const event of client.followRun(id)) events.push(event)
  return events.map((event) => (event.type === 'text.delta' ? event.text : '')).join('')
}

function Text({ run, part }: { run: string; part: string }) {
  return <span data-testid="text">{useRunText(run, part)}</span>
}
function Run({ id }: { id: string }) {
  const { status, texts } = useRun(id)
  return <div data-testid="run" data-status={status}>{Object.keys(texts).map((part) => <Text key={part} run={id} part={part} />)}</div>
}

test('a run over links that break is what its log tells, and so is its replay', async () => {
  const run = await start()
  render(<StrictMode><CrewlineProvider client={client}><Run id={run.id} /></CrewlineProvider></StrictMode>)
  const cuts = setInterval(() => proxy.cut(), 150)
  await waitFor(() => expect(screen.getByTestId('run').dataset.status).toBe('succeeded'), { timeout: 25_000 })
  clearInterval(cuts)
  const text = await told(run.id)
  expect(text.length).toBeGreaterThan(100)
  expect(screen.getByTestId('run').textContent).toBe(text)
  cleanup()

  let replay: ReturnType<typeof useReplay>
  function Replay() {
    replay = useReplay(run.id)
    return <p data-testid="replay">{Object.values(replay.run.texts).map((part) => part.text).join('')}</p>
  }
  render(<CrewlineProvider client={client}><Replay /></CrewlineProvider>)
  await waitFor(() => expect(replay.complete).toBe(true))
  expect(screen.getByTestId('replay').textContent).toBe('')
  replay!.setSpeed(1000)
  replay!.play()
  await waitFor(() => expect(screen.getByTestId('replay').textContent).toBe(text), { timeout: 10_000 })
  expect(replay!).toMatchObject({ offset: replay!.head, run: { status: 'succeeded' } })
})

test('cancel ends it', async () => {
  const run = await start()
  let shown: ReturnType<typeof useRun>
  function Cancel() {
    shown = useRun(run.id)
    return null
  }
  render(<CrewlineProvider client={client}><Cancel /></CrewlineProvider>)
  await waitFor(() => expect(shown.status).toBe('running'))
  await shown!.cancel('now')
  await waitFor(() => expect(shown).toMatchObject({ status: 'cancelled', complete: true, error: null }), { timeout: 10_000 })
})
