import { useRun, useRunText } from '@crewline/client/react'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { q } from './crewline'

/** Starts a run of the crew `review` and shows what its agents say. The run is in the address: a page that is loaded again goes on with it. */
export function Review() {
  const [run, setRun] = useState(location.hash.slice(1))
  const show = (id: string) => { location.hash = id; setRun(id) }
  const start = useMutation(q.run.start.mutationOptions({ onSuccess: ({ id }) => show(id) }))
  return (
    <section className="card">
      {run ? <Run key={run} id={run} close={() => show('')} /> : (
        <form
          className="review"
          action={(form) => start.mutate({ crew: 'review', inputs: { name: String(form.get('name')), page: String(form.get('page')) } })}
        >
          <h2>Review a page</h2>
          <input name="name" aria-label="Name of the page" required defaultValue="a-year-of-watering-less.md" />
          <textarea name="page" aria-label="The page" required rows={8} defaultValue={SAMPLE} />
          {start.error && <p role="alert">{start.error.message}</p>}
          <button disabled={start.isPending}>Start</button>
        </form>
      )}
    </section>
  )
}

function Run({ id, close }: { id: string; close: () => void }) {
  const { status, tasks, usage, complete, error, fault, cancel } = useRun(id)
  const said = error ?? fault
  return (
    <>
      <h2>Review <span className={`status ${status}`}>{status}</span></h2>
      {tasks.map((task) => (
        <article key={task.id} className={task.status}>
          <h3>{task.name.replaceAll('_', ' ')} <small>{task.agent.replaceAll('_', ' ')}</small></h3>
          {task.items.map((item) => (item.kind === 'text' ? <Words key={item.id} run={id} part={item.id} /> : <p key={item.id} className="tool">used a tool</p>))}
        </article>
      ))}
      {said && <p role="alert">{said.message}</p>}
      <footer>
        <small>{usage.input_tokens + usage.output_tokens} tokens, ${(usage.cost_microusd / 1e6).toFixed(4)}</small>
        {complete || error ? <button onClick={close}>Another page</button> : <button className="quiet" onClick={() => cancel('now').catch(() => {})}>Stop</button>}
      </footer>
    </>
  )
}

/** Renders for this part only, once a frame at most, however fast words come. */
function Words({ run, part }: { run: string; part: string }) {
  return <pre>{useRunText(run, part)}</pre>
}

const SAMPLE = `# A year of watering less

Last January I made one rule for my allotment: no plot gets watered on a schedule. I would water only where I had put a finger in the soil and found
it dry to the second joint. The water meter says that I used a little under half of the year before.

## What went wrong

Celery wants to stand in a stream, and no rule of mine will change its mind. I have given its bed to chard.`
