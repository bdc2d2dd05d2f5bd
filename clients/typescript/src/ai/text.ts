/** What of a run's stream adapters share: which texts and calls are open, so that a stream can go on in the middle. */
import type { RunEvent } from '../protocol.js'

/** Where a reader of a run stands: enough to go on with the suffix only, also after a reload. It is plain data. */
export interface Place {
  run: string
  /** The last offset that was passed on. */
  offset: number
  /** Texts that have begun and not ended: their role by part. */
  open: Record<string, 'answer' | 'thought'>
}

/** The place after an event. */
export function passed(place: Place, event: RunEvent): void {
  if (event.type === 'text.started') place.open[event.part] = event.role
  else if (event.type === 'text.finished') delete place.open[event.part]
  // What an attempt left unfinished is made again.
  else if (event.type === 'run.started' && event.attempt > 1) place.open = {}
}

/** Remembers places by chat. A `Map` does; so does anything that outlives the page. */
export interface Places {
  get(chat: string): Place | undefined
  set(chat: string, place: Place): void
  delete(chat: string): void
}

/** Places in a `Storage`, such as `sessionStorage`: a chat goes on after a reload. */
export function storedPlaces(storage: Storage, prefix = 'crewline:chat:'): Places {
  return {
    get(chat) {
      const text = storage.getItem(prefix + chat)
      return text ? (JSON.parse(text) as Place) : undefined
    },
    set: (chat, place) => storage.setItem(prefix + chat, JSON.stringify(place)),
    delete: (chat) => storage.removeItem(prefix + chat),
  }
}

export const said = (error: unknown): string => (error instanceof Error ? error.message : String(error))
