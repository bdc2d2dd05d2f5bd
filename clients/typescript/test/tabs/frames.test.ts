import { decode, encode } from '@msgpack/msgpack'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { concat, eachFrame, numberOf, putNumber, valueEnd, withNumber } from '../../src/core/frames.js'

const seed = Number(globalThis.process?.env.CREWLINE_SEED ?? Date.now() % 2 ** 31)
const check = <T>(values: fc.Arbitrary<T>, property: (value: T) => void): void => fc.assert(fc.property(values, property), { seed, numRuns: 300 })

const same = (one: Uint8Array, other: Uint8Array): boolean => one.length === other.length && one.every((byte, at) => byte === other[at])

// Every form that an encoder writes: integers and floats of all widths, text, bytes, lists and maps short and long.
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false, 0, 127, 128, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -1, -32, -33, -129, -32769, -(2 ** 31) - 1),
    fc.double(),
    fc.integer({ min: 0, max: 70_000 }).map((length) => 'x'.repeat(length % 7 ? length % 300 : length)),
    fc.integer({ min: 0, max: 70_000 }).map((length) => new Uint8Array(length % 7 ? length % 300 : length)),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(fc.string().map((key) => `k${key}`), tie('value'), { maxKeys: 20 }),
  ),
}))

test('a value ends where the next begins', () => {
  check(fc.array(value, { maxLength: 5 }), (values) => {
    const encoded = values.map((value) => encode(value))
    const message = concat(encoded)
    let at = 0
    for (const one of encoded) {
      expect(valueEnd(message, at)).toBe(at + one.length)
      at += one.length
    }
  })
})

test('long lists and maps are passed over too', () => {
  const long = [Array.from({ length: 70_000 }, () => 1), Object.fromEntries(Array.from({ length: 70_000 }, (_, key) => [key, [key]]))]
  for (const value of long) {
    const bytes = encode(value)
    expect(valueEnd(concat([bytes, encode(1)]), 0)).toBe(bytes.length)
  }
})

test('numbers are put into their place, and a copy takes any', () => {
  const numbers = fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }))
  check(fc.tuple(numbers, numbers, value), ([one, other, value]) => {
    const [low, high] = one < other ? [one, other] : [other, one]
    const frame = encode([12, high, value])
    expect(numberOf(frame)).toBe(high)
    const is = (frame: Uint8Array, number: number): boolean => same(encode(decode(frame)), encode([12, number, value]))
    const copy = withNumber(frame, low)
    expect(numberOf(copy)).toBe(low)
    expect(is(copy, low)).toBe(true)
    putNumber(frame, low)
    expect(is(frame, low)).toBe(true)
    expect(is(withNumber(frame, high), high)).toBe(true)
  })
})

test('a signed integer and a long head are read as well', () => {
  const frame = new Uint8Array([0xdc, 0, 3, 11, 0xd1, 0x01, 0x02, 0xc0])
  expect(numberOf(frame)).toBe(258)
  const kinds: number[] = []
  eachFrame(concat([frame, encode([5, 1, {}])]), (_, kind) => kinds.push(kind))
  expect(kinds).toEqual([11, 5])
  putNumber(frame, 7)
  expect(decode(frame)).toEqual([11, 7, null])
  expect(decode(withNumber(frame, 70_000))).toEqual([11, 70_000, null])
})
