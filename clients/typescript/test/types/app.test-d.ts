/** What compiles and what does not, for an app whose types are known and for one of which nothing is. */
import type { App } from '../../../../apps/kp/types.js'
import { useInfiniteQuery, useMutation, useQuery } from '@tanstack/react-query'
import { QueryClient } from '@tanstack/query-core'
import { agUiEvents, crewlineChatTransport, crewlineCollectionOptions, crewlineConnection } from '../../src/ai/index.js'
import { createQueryBridge } from '../../src/query/index.js'
import type { AnyApp, Client, Page, RecordRow, Row } from '../../src/core/index.js'

declare const kp: Client<App>
declare const any: Client<AnyApp>

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function same<A, B>(..._: Equal<A, B> extends true ? [] : [{ expected: B; actual: A }]): void {}

export async function records(): Promise<void> {
  const list = await kp.call('record.list', { collection: 'campaigns', filter: { field: 'status', eq: 'active' }, sort: [{ field: 'name' }, { field: 'created_at', descending: true }] })
  same<typeof list, Page<Row<App, 'campaigns'>>>()
  const status: 'draft' | 'active' | 'paused' | 'done' = list.items[0]!.data.status
  void status
  const row = await kp.call('record.create', { collection: 'pages', data: { url: 'https://example.com', title: 'A page', status: 'found' } })
  same<typeof row, Row<App, 'pages'>>()
  await kp.call('record.update', { collection: 'pages', id: row.id, revision: row.revision, data: { words: 7, author: null } })
  await kp.call('record.delete', { collection: 'pages', id: row.id })
  await kp.call('record.aggregate', { collection: 'comments', groups: [{ field: 'status' }, { ref: 'page_id' }], measures: [{ name: 'all', count: true }, { name: 'score', avg: 'quality_score', where: { field: 'status', eq: 'approved' } }] })
  await kp.call('record.batch', { operations: [{ create: { collection: 'personas', data: { name: 'Eve', voice: 'calm', active: true } } }, { delete: { collection: 'pages', id: row.id } }] })
  await kp.call('record.list', { collection: 'personas', filter: { all: [{ field: 'languages', contains: 'en' }, { not: { field: 'active', eq: false } }] } })
  same<ReturnType<ReturnType<typeof kp.live<'record.get', 'pages'>>['get']>['output'], Row<App, 'pages'> | undefined>()

  // @ts-expect-error there is no such collection
  await kp.call('record.list', { collection: 'campaign' })
  // @ts-expect-error there is no such field
  await kp.call('record.list', { collection: 'campaigns', filter: { field: 'state', eq: 'active' } })
  // @ts-expect-error it is of another collection
  await kp.call('record.list', { collection: 'campaigns', sort: [{ field: 'url' }] })
  // @ts-expect-error no status is called so
  await kp.call('record.list', { collection: 'campaigns', filter: { field: 'status', eq: 'activ' } })
  // @ts-expect-error `title` is missing
  await kp.call('record.create', { collection: 'pages', data: { url: 'https://example.com', status: 'found' } })
  // @ts-expect-error a page has no `colour`
  await kp.call('record.create', { collection: 'pages', data: { url: 'https://example.com', title: 'A', status: 'found', colour: 'red' } })
  // @ts-expect-error a title can't be removed
  await kp.call('record.update', { collection: 'pages', id: row.id, data: { title: null } })
  // @ts-expect-error an operation has no such input
  await kp.call('record.get', { collection: 'pages', id: row.id, colour: 'red' })
  // @ts-expect-error there is no such operation
  await kp.call('record.fetch', { collection: 'pages' })
}

export async function runs(): Promise<void> {
  const run = await kp.call('run.start', { crew: 'review', inputs: { page: '<p>', name: 'a' } })
  void run.status
  // @ts-expect-error there is no such crew
  await kp.call('run.start', { crew: 'revue', inputs: { page: '<p>', name: 'a' } })
  // @ts-expect-error `name` is missing
  await kp.call('run.start', { crew: 'review', inputs: { page: '<p>' } })
  // @ts-expect-error a crew with inputs is given them
  await kp.call('run.start', { crew: 'review' })
}

export async function unknownApps(): Promise<void> {
  const list = await any.call('record.list', { collection: 'whatever', filter: { field: 'x', gt: 1 } })
  same<typeof list, Page<RecordRow>>()
  await any.call('run.start', { crew: 'whatever', inputs: { a: 1 } })
  await any.call('record.batch', { operations: [{ create: { collection: 'x', data: {} } }] })
  const sessions = await kp.call('session.list', { limit: 3 })
  void sessions.items[0]?.title
  // @ts-expect-error a limit is a number
  await any.call('session.list', { limit: '3' })
}

const { q } = createQueryBridge(kp, new QueryClient())

export function bridged(): void {
  const options = q.record.list.queryOptions({ collection: 'campaigns', filter: { field: 'status', eq: 'active' } })
  const found = useQuery(options).data
  same<typeof found, Page<Row<App, 'campaigns'>> | undefined>()
  const names = useQuery(q.record.list.queryOptions({ collection: 'pages' }, { select: (page) => page.items.map((row) => row.data.title) })).data
  same<typeof names, string[] | undefined>()
  useInfiniteQuery(q.record.list.infiniteQueryOptions({ collection: 'pages', limit: 50 }))
  const rename = useMutation(q.record.update.mutationOptions())
  rename.mutate({ collection: 'campaigns', id: '018bcfe5-6800-7707-8707-070707070707', data: { name: 'Other' } })
  useQuery(q.session.get.queryOptions({ id: '018bcfe5-6800-7707-8707-070707070707' })).data?.title

  // @ts-expect-error there is no such collection
  q.record.list.queryOptions({ collection: 'campaign' })
  // @ts-expect-error there is no such field
  q.record.list.queryOptions({ collection: 'campaigns', filter: { field: 'state', eq: 'active' } })
  // @ts-expect-error a campaign has no such field
  rename.mutate({ collection: 'campaigns', id: '018bcfe5-6800-7707-8707-070707070707', data: { title: 'Other' } })
  q.record.update.mutationOptions({ optimistic: (cache, { id }) => cache.patch({ id, data: { status: 'paused', goal: null } }) })
  q.record.update.mutationOptions({ optimistic: (cache, { id }) => cache.patch({ id, title: 'Other' }, 'session') })
  q.session.update.mutationOptions({ optimistic: (cache, { id }) => cache.patch({ id, title: 'Other' }) })
  createQueryBridge(any, new QueryClient()).q.record.update.mutationOptions({ optimistic: (cache, { id }) => cache.patch({ id, data: { anything: 1 } }) })
  // @ts-expect-error no collection has such a field
  q.record.update.mutationOptions({ optimistic: (cache, { id }) => cache.patch({ id, data: { nope: 1 } }) })
  // @ts-expect-error a session has no such field
  q.session.update.mutationOptions({ optimistic: (cache, { id }) => cache.patch({ id, nope: 1 }) })

  // @ts-expect-error it is a mutation
  q.record.update.queryOptions({})
}

export function adapters(): void {
  crewlineChatTransport(kp, { crew: 'review', inputs: (messages) => ({ name: 'chat', page: JSON.stringify(messages) }) })
  crewlineChatTransport(any, { crew: 'whatever', inputs: () => ({ anything: 1 }) })
  crewlineConnection(kp, { crew: 'review', inputs: () => ({ name: 'chat', page: '' }) })
  agUiEvents(kp, 'run')
  const campaigns = crewlineCollectionOptions(kp, { collection: 'campaigns', filter: { field: 'status', eq: 'active' }, sort: [{ field: 'name' }] })
  const status: 'draft' | 'active' | 'paused' | 'done' = ({} as Parameters<typeof campaigns.getKey>[0]).status
  void status
  crewlineCollectionOptions(any, { collection: 'whatever', filter: { field: 'anything', eq: 1 } })

  // @ts-expect-error there is no such crew
  crewlineChatTransport(kp, { crew: 'reviews', inputs: () => ({ name: 'chat', page: '' }) })
  // @ts-expect-error `page` is missing
  crewlineChatTransport(kp, { crew: 'review', inputs: () => ({ name: 'chat' }) })
  // @ts-expect-error `page` is a text
  crewlineConnection(kp, { crew: 'review', inputs: () => ({ name: 'chat', page: 7 }) })
  // @ts-expect-error there is no such collection
  crewlineCollectionOptions(kp, { collection: 'campaign' })
  // @ts-expect-error there is no such field
  crewlineCollectionOptions(kp, { collection: 'campaigns', filter: { field: 'state', eq: 'active' } })
}
