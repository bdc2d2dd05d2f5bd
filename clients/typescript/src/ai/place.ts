/** Where a reader of a run stands: what adapters share, so that a stream can go on in the middle. */
import type { RunEvent } from '../protocol.js'

/** What a text is: an answer, or a thought on the way to it. */
export type Role = 'answer' | 'thought'

/** What is said of a call that its attempt left. */
export const UNANSWERED = 'the run went on without an answer'

/** What of a run has begun and not ended. */
export interface Unfinished {
  /** Texts: their role by part. */
  texts: Record<string, Role>
  /** Calls of tools, by call. */
  calls: Record<string, { tool: string; input: unknown }>
  /** Tasks: their name by task, with a number where another task of that name is not finished either. */
  tasks: Record<string, string>
}

/** Where a reader of a run stands: enough to go on with the suffix only, also after a reload. It is plain data. */
export interface Place extends Unfinished {
  run: string
  /** The last offset that was passed on. */
  offset: number
}

const nothing = (): Unfinished => ({ texts: {}, calls: {}, tasks: {} })

/** The place before a run's first event. */
export const placeBefore = (run: string): Place => ({ run, offset: 0, ...nothing() })

/** A place of its own. */
export const copied = (place: Place): Place => ({ ...place, texts: { ...place.texts }, calls: { ...place.calls }, tasks: { ...place.tasks } })

/** Brings a place past an event. Gives back what the event leaves unfinished for ever: what an attempt began and another makes again, or the run's end cuts off. */
export function passed(place: Place, event: RunEvent): Unfinished | undefined {
  switch (event.type) {
    case 'run.started':
    case 'run.finished': {
      if (event.type === 'run.started' && event.attempt === 1) return
      const left = { ...place }
      Object.assign(place, nothing())
      return left
    }
    case 'task.started': {
      const taken = Object.values(place.tasks)
      let name = event.name
      for (let nth = 2; taken.includes(name); nth++) name = `${event.name} ${nth}`
      place.tasks[event.task] = name
      return
    }
    case 'task.finished':
    case 'task.failed':
      delete place.tasks[event.task]
      return
    case 'text.started':
      place.texts[event.part] = event.role
      return
    case 'text.finished':
      delete place.texts[event.part]
      return
    case 'tool.started':
      place.calls[event.call] = { tool: event.tool, input: event.input }
      return
    case 'tool.finished':
    case 'tool.failed':
      delete place.calls[event.call]
  }
  return
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
