import { useConnection, useOutbox, usePresence } from '@crewline/client/react'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { Campaigns } from './Campaigns'
import { Review } from './Review'
import { SignIn } from './SignIn'
import { client, q, tokens } from './crewline'

export function Page() {
  const connection = useConnection()
  const [signedIn, setSignedIn] = useState(tokens.signedIn)
  if (!signedIn || (connection.status === 'stopped' && connection.why === 'signed_out')) {
    return <SignIn done={() => { client.connect(); setSignedIn(true) }} />
  }
  return (
    <>
      <header>
        <h1>Campaigns</h1>
        <Link />
        <Room />
        <button className="quiet" onClick={signOut}>Sign out</button>
      </header>
      <main>
        <Campaigns />
        <Review />
      </main>
    </>
  )
}

async function signOut() {
  await client.call('auth.logout', {}, { wait: false }).catch(() => {})
  tokens.signOut()
  location.reload()
}

/** Where the connection stands, and what waits for it. */
function Link() {
  const connection = useConnection()
  const waiting = useOutbox().entries.filter((entry) => entry.status === 'waiting').length
  const text = connection.status === 'open' ? 'Live' : connection.status === 'stopped' ? connection.error?.message : 'Reconnecting …'
  return <p className={`link ${connection.status}`} role="status">{text}{waiting > 0 && `, ${waiting} to be sent`}</p>
}

/** Everybody who looks at this page is in the workspace's first session. */
function Room() {
  const first = useQuery(q.session.list.queryOptions({ limit: 1 })).data
  const { mutate: create } = useMutation(q.session.create.mutationOptions())
  const none = first?.items.length === 0
  useEffect(() => { if (none) create({ title: 'Campaigns' }) }, [none, create])
  return first?.items[0] ? <Others session={first.items[0].id} /> : null
}

function Others({ session }: { session: string }) {
  const { others } = usePresence(session)
  return (
    <ul className="others" aria-label="Also here">
      {others.map(({ connection_id, principal }) => <li key={connection_id} title={principal.name}>{principal.name.slice(0, 2)}</li>)}
    </ul>
  )
}
