import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import type { Row } from '@crewline/client'
import type { App, CampaignsData } from './app'
import { q } from './crewline'

const STATUSES: CampaignsData['status'][] = ['draft', 'active', 'paused', 'done']

/** A list that stays true: whoever changes a campaign, it changes here. */
export function Campaigns() {
  const [status, setStatus] = useState<CampaignsData['status']>()
  const { data, error } = useQuery(
    q.record.list.queryOptions({
      collection: 'campaigns',
      sort: [{ field: 'created_at', descending: true }],
      ...(status && { filter: { field: 'status', eq: status } }),
    }),
  )
  return (
    <section className="card">
      <nav aria-label="Which campaigns">
        {[undefined, ...STATUSES].map((one) => (
          <button key={one ?? 'all'} aria-pressed={one === status} onClick={() => setStatus(one)}>{one ?? 'all'}</button>
        ))}
      </nav>
      {error && <p role="alert">{error.message}</p>}
      <ul className="campaigns">
        {data?.items.map((row) => <Campaign key={row.id} row={row} />)}
        {data?.items.length === 0 && <li className="empty">No campaign is {status ?? 'here'} yet.</li>}
      </ul>
      <Add />
    </section>
  )
}

/** Another name is shown at once, in every list that has the row, and taken back where the server refuses it. */
function Campaign({ row }: { row: Row<App, 'campaigns'> }) {
  const change = useMutation(q.record.update.mutationOptions())
  const [typed, setTyped] = useState<string>()
  const rename = () => {
    if (typed?.trim() && typed !== row.data.name) change.mutate({ collection: 'campaigns', id: row.id, data: { name: typed } })
    setTyped(undefined)
  }
  return (
    <li>
      <input
        aria-label="Name"
        // What others write comes in, but for what is being typed.
        value={typed ?? row.data.name}
        onChange={(event) => setTyped(event.target.value)}
        onBlur={rename}
        onKeyDown={(event) => event.key === 'Enter' && event.currentTarget.blur()}
      />
      <span className={`status ${row.data.status}`}>{row.data.status}</span>
      <p>{row.data.topic}</p>
      {change.error && <p role="alert">{change.error.message}</p>}
    </li>
  )
}

function Add() {
  const create = useMutation(q.record.create.mutationOptions())
  return (
    <form
      className="add"
      action={(form) => create.mutate({ collection: 'campaigns', data: { name: String(form.get('name')), topic: String(form.get('topic')), status: 'draft' } })}
    >
      <input name="name" placeholder="New campaign" aria-label="Name of a new campaign" required maxLength={200} />
      <input name="topic" placeholder="What it is about" aria-label="Topic of a new campaign" required maxLength={1000} />
      <button>Add</button>
      {create.error && <p role="alert">{create.error.message}</p>}
    </form>
  )
}
