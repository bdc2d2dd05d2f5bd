import { CrewlineProvider } from '@crewline/client/react'
import { QueryClientProvider } from '@tanstack/react-query'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { Page } from './Page'
import { client, queryClient } from './crewline'
import './style.css'

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <CrewlineProvider client={client}>
        <Page />
      </CrewlineProvider>
    </QueryClientProvider>
  </StrictMode>,
)
