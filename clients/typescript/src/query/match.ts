/** What a list's `filter` and `sort` say of a row, as the server means them: where an optimistic row belongs until the server says so. */
import type { Filter, Sort } from '../protocol.js'

/** What every row has; the rest is its noun's. */
export interface Row {
  id: string
  revision: number
  [field: string]: unknown
}

const ROW_FIELDS = /^(id|revision|(crea|upda)ted_(at|by)|collection)$/

/** A field of a row; of a record it is one of `data`, but for those that every record has. `null`: absent. */
const field = (row: Row, name: string): unknown =>
  ((row.collection && !ROW_FIELDS.test(name) ? (row.data as Row | undefined) : row)?.[name]) ?? null

/** Whether a filter takes a row in. */
export function matches(filter: Filter | undefined, row: Row): boolean {
  if (!filter) return true
  if ('all' in filter) return filter.all.every((part) => matches(part, row))
  if ('any' in filter) return filter.any.some((part) => matches(part, row))
  if ('not' in filter) return !matches(filter.not, row)
  const value = field(row, filter.field) as string
  if ('eq' in filter) return value === filter.eq
  if ('ne' in filter) return value !== filter.ne
  if (value === null) return false
  if ('in' in filter) return filter.in.includes(value)
  if ('contains' in filter) return !!value.includes?.(filter.contains as string)
  const [test, than] = Object.entries(filter).find(([key]) => key !== 'field') as [string, string]
  return value === than ? test.endsWith('e') : test < 'l' ? less(than, value) : less(value, than)
}

/** Whether `a` comes before `b`; texts as the server has it: by code points, where JavaScript compares halves of those beyond U+FFFF. */
function less(a: string, b: string): boolean {
  let at = 0
  while (a[at] && a[at] === b[at]) at++
  // What ends there comes first; and what is no text has no characters.
  return a[at] && b[at] ? a.codePointAt(at)! < b.codePointAt(at)! : a < b
}

/** Negative where `a` comes before `b`. Absent comes last either way, and equals by `id`. */
export function compare(sort: readonly Sort[] = [], a: Row, b: Row): number {
  for (const { field: name, descending } of [...sort, { field: 'id', descending: false }]) {
    const [left, right] = [field(a, name), field(b, name)] as [string, string]
    if (left === right) continue
    if (left === null || right === null) return left === null ? 1 : -1
    return less(left, right) !== !!descending ? -1 : 1
  }
  return 0
}
