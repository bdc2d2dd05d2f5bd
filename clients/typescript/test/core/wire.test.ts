import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type Frame, read, write } from '../../src/core/wire.js'

interface Vector {
  name: string
  from: 'client' | 'server'
  hex: string
  frames: unknown[][]
  canonical?: boolean
  malformed?: boolean
  invalid?: unknown
}

const { vectors } = JSON.parse(readFileSync(new URL('../../../../protocol/vectors/frames.json', import.meta.url), 'utf8')) as { vectors: Vector[] }
const unhex = (hex: string): Uint8Array => new Uint8Array(hex.match(/../g)?.map((byte) => parseInt(byte, 16)) ?? [])
const hex = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')

/** As the vectors write values. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return { $bin: hex(value) }
  if (Array.isArray(value)) return value.map(plain)
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, plain(entry)]))
  return value
}

/** Elements after those that are known, and options that are nil, are left out. */
const KNOWN: Record<number, number> = { 2: 2, 4: 4, 5: 3, 11: 3, 12: 5, 13: 4, 14: 4, 20: 4, 30: 2, 31: 2, 32: 2, 33: 2 }
function trimmed(frame: Frame): unknown {
  const elements = frame.slice(0, KNOWN[frame[0]])
  if (frame[0] === 4 && elements[3] == null) elements.length = 3
  return plain(elements)
}

const fromServer = vectors.filter((vector) => vector.from === 'server')
const written = vectors.filter((vector) => vector.canonical && !JSON.stringify(vector.frames).includes('$bin'))

test('there are vectors in both directions', () => {
  expect(fromServer.length).toBeGreaterThan(30)
  expect(written.some((vector) => vector.from === 'client')).toBe(true)
})

test.each(fromServer)('reads: $name', ({ hex: bytes, frames, malformed }) => {
  const seen: unknown[] = []
  let length = 0
  const sound = read(unhex(bytes), (frame, size) => {
    seen.push(trimmed(frame))
    length += size
  })
  expect(seen).toEqual(frames)
  expect(sound).toBe(malformed !== true)
  expect(length).toBeLessThanOrEqual(bytes.length / 2)
})

test.each(written)('writes: $name', ({ hex: bytes, frames }) => {
  expect(frames.map((frame) => hex(write(frame as unknown as Frame))).join('')).toBe(bytes)
})
