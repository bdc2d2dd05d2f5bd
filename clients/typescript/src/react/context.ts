import { createContext, createElement, useContext, type ReactElement, type ReactNode } from 'react'
import { CrewlineError } from '../core/error.js'
import type { AnyApp, AppShape, Client, ClientOf } from '../core/types.js'

const Context = createContext<Client | null>(null)

/** Gives a client to the hooks below it. */
export function CrewlineProvider<A extends AppShape = AnyApp>({ client, children }: { client: ClientOf<A>; children?: ReactNode }): ReactElement {
  return createElement(Context.Provider, { value: client as unknown as Client }, children)
}

/** The client of the nearest `CrewlineProvider`; it throws where there is none. */
export function useCrewline<A extends AppShape = AnyApp>(): Client<A> {
  const client = useContext(Context)
  if (!client) throw new CrewlineError('invalid', 'no client is given to this component: put a `CrewlineProvider` around it')
  return client as unknown as Client<A>
}
