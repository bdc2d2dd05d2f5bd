/** The one client of this page, and the bridge from it to TanStack Query. */
import { createClient, createTokens } from '@crewline/client'
import { createQueryBridge } from '@crewline/client/query'
import { QueryClient } from '@tanstack/react-query'
import type { App } from './app'

const url = import.meta.env.VITE_CREWLINE_URL ?? 'http://localhost:7410'

export const tokens = createTokens({ url })
export const client = createClient<App>({ url, auth: tokens.auth })
export const queryClient = new QueryClient()
export const { q } = createQueryBridge(client, queryClient)
