/** What stays the same object when data is made anew, so that nothing is drawn again for nothing. */
import { replaceEqualDeep } from '@tanstack/query-core'
import type { Rows } from './overlay.js'

/**
 * The first of two values of one shape where nothing in the second is another. Rows are compared as objects, for they stay the same until they
 * change.
 */
export function alike<T>(before: unknown, after: T): T {
  if (!before || !after) return after
  const [old, now] = [Object.entries(before), after as Record<string, unknown>]
  return old.length === Object.keys(now).length && old.every(([key, value]) => key in now && now[key] === value) ? (before as T) : after
}

/** The same of a page or an output, and of its rows. */
export const kept = <T>(before: unknown, after: T): T => {
  const items = (after as Rows | undefined)?.items
  return items ? alike(before, { ...after, items: alike((before as Rows | undefined)?.items, items) }) : after
}

/** What `select` makes is shared as TanStack Query does it, but for lists of rows: to compare them place by place would make new ones of all that moved. */
export const shared = (before: unknown, value: unknown): unknown =>
  Array.isArray(value) && (value[0] as { revision?: number } | undefined)?.revision !== undefined
    ? Array.isArray(before) ? alike(before, value) : value
    : replaceEqualDeep(before, value)
