// @vitest-environment happy-dom
/** What hooks show comes back when somebody signs in again. */
import { act, cleanup, render, screen } from '@testing-library/react'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createClient, type Client, type RunEvent } from '../../src/core/index.js'
import { CrewlineProvider, usePresence, useReplay, useRun } from '../../src/react/index.js'
import { createScriptedServer, type ScriptedServer } from '../../src/testing/index.js'

const bob = { connection_id: 'b', principal: { kind: 'user', id: 'b', name: 'Bob' } }
const events: RunEvent[] = [{ type: 'run.started', at: 0, attempt: 1, crew: 'c', inputs: {} }]
let server: ScriptedServer
let client: Client
let here: ReturnType<typeof usePresence>

beforeEach(() => {
  vi.useFakeTimers()
  server = createScriptedServer({ runs: { r: { steps: [{ events }], open: true } }, presence: { s: [bob] } })
  client = createClient({ url: 'ws://test', transport: server.transport, auth: () => 't', outbox: 'memory' })
})
afterEach(async () => {
  cleanup()
  client.close()
  await vi.advanceTimersByTimeAsync(5000)
  vi.useRealTimers()
})
const pass = () => act(() => vi.advanceTimersByTimeAsync(500))

function Shown() {
  const run = useRun('r')
  const { run: { id }, head, error } = useReplay('r')
  here = usePresence('s')
  return <p data-testid="shown">{[run.status, run.error?.code, head, error?.code, here.others.map(({ principal }) => principal.name), here.error?.code].join(' ')}{id && ''}</p>
}
const shown = () => screen.getByTestId('shown').textContent

test('a run, a replay and who is here end where one is signed out, and go on when somebody signs in', async () => {
  render(<CrewlineProvider client={client}><Shown /></CrewlineProvider>)
  await pass()
  expect(shown()).toBe('running  1  Bob ')
  here.update({ typing: true })
  server.close(4201, { code: 'unauthenticated', message: 'signed out' })
  await pass()
  expect(shown()).toBe('running unauthenticated 1 unauthenticated  unauthenticated')
  act(() => client.connect())
  await pass()
  expect(shown()).toBe('running  1  Bob ')
  server.append('r', [{ type: 'task.started', at: 0, task: 't', name: 'write', agent: 'a' }])
  await pass()
  expect(shown()).toBe('running  2  Bob ')
})

test('they begin when somebody signs in where they were shown to nobody', async () => {
  server.script({ principal: null })
  client.connect()
  await pass()
  server.close(4201)
  await pass()
  render(<CrewlineProvider client={client}><Shown /></CrewlineProvider>)
  await pass()
  expect(here.error?.code).toBe('unauthenticated')
  server.script({ principal: { kind: 'user', id: 'a', name: 'A', workspace: { id: 'w', name: 'W' } } })
  act(() => client.connect())
  await pass()
  expect(shown()).toBe('running  1  Bob ')
})
