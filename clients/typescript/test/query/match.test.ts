import { expect, test } from 'vitest'
import { compare, matches } from '../../src/query/match.js'

const row = (id: string, name: string | number) => ({ id, revision: 1, name })
const names = ['', 'a', 'aa', 'b', '\u{e000}', '\u{ffff}', '\u{10000}', '\u{1f600}', '\u{1f600}a', '\u{1f601}']

test('texts are sorted by their code points, as the server sorts them', () => {
  const rows = names.map((name, place) => row(String(place), name))
  expect([...rows].reverse().sort((a, b) => compare([{ field: 'name' }], a, b))).toEqual(rows)
  expect([...rows].sort((a, b) => compare([{ field: 'name', descending: true }], a, b))).toEqual([...rows].reverse())
})

test('`lt`, `lte`, `gt` and `gte` are of the same order, and numbers are compared as numbers', () => {
  for (const values of [names, [-1, 0, 2, 10]]) {
    values.forEach((one, at) => values.forEach((other, place) => {
      const takes = (['lt', 'lte', 'gt', 'gte'] as const).map((test) => matches({ field: 'name', [test]: other } as never, row('r', one)))
      expect(takes).toEqual([at < place, at <= place, at > place, at >= place])
    }))
  }
})
