// @vitest-environment happy-dom
/** How an app tests a component: the server is a script in a file beside the test. */
import { QueryClient, QueryClientProvider, useMutation, useQuery } from '@tanstack/react-query'
import { act, cleanup, fireEvent, render, screen } from '@testing-library/react'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type AnyApp, createClient } from '../../src/core/index.js'
import { createQueryBridge, type QueryBridge } from '../../src/query/index.js'
import { createScriptedServer, type Script } from '../../src/testing/index.js'
import campaigns from './campaigns.script.json' with { type: 'json' }

function Campaigns({ q }: { q: QueryBridge<AnyApp>['q'] }) {
  const { data } = useQuery(q.record.list.queryOptions({ collection: 'campaigns' }))
  const create = useMutation(q.record.create.mutationOptions())
  return (
    <>
      <ul>{data?.items.map(({ id, data: { name } }) => <li key={id}>{String(name)}</li>)}</ul>
      <button onClick={() => create.mutate({ collection: 'campaigns', data: { name: 'Fields' } })}>Add</button>
      {create.error && <p role="alert">{create.error.message}</p>}
    </>
  )
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  cleanup()
  vi.useRealTimers()
})
const pass = (ms: number): Promise<void> => act(() => vi.advanceTimersByTimeAsync(ms).then(() => {}))

test('campaigns come and go as the server says, and a refusal is shown', async () => {
  const server = createScriptedServer(campaigns as Script)
  const client = createClient({ url: 'ws://test', transport: server.transport, auth: () => 'any', outbox: 'memory' })
  const queries = new QueryClient()
  const { q } = createQueryBridge(client, queries)
  render(<QueryClientProvider client={queries}><Campaigns q={q} /></QueryClientProvider>)
  const names = (): (string | null)[] => screen.queryAllByRole('listitem').map(({ textContent }) => textContent)

  await pass(100)
  expect(names()).toEqual(['Gardens'])
  await pass(1_000)
  expect(names()).toEqual(['Gardens', 'Bees'])

  fireEvent.click(screen.getByText('Add'))
  await pass(100)
  expect(screen.getByRole('alert').textContent).toBe('viewers make no campaigns')
  // The connection was lost once: it was sent again, under the same key.
  const [first, second] = server.received.filter(({ op }) => op === 'record.create')
  expect(first).toEqual(second)

  server.push('record.list', [{ remove: 'a' }])
  await pass(100)
  expect(names()).toEqual(['Bees'])
  client.close()
  queries.clear()
})
