/** Frames as bytes: what a client writes, and what it reads. */
import { Decoder, encode } from '@msgpack/msgpack'
import { KINDS, LIMITS } from '../protocol.js'
import { concat, valueEnd } from './frames.js'

/** `[kind, …]`, as the protocol has it. */
export type Frame = readonly [kind: number, ...rest: unknown[]]

/** What a server sends, and how many integers stand after the kind. */
const fromServer: Record<number, number> = {
  [KINDS.welcome]: 0, [KINDS.reply]: 1, [KINDS.fault]: 1, [KINDS.subscribed]: 1, [KINDS.events]: 3, [KINDS.snapshot]: 2, [KINDS.ended]: 2,
  [KINDS.presence]: 1, [KINDS.ping]: 0, [KINDS.pong]: 0, [KINDS.notice]: 0, [KINDS.goaway]: 0,
}
const known = new Set<number>(Object.values(KINDS))

const decoder = new Decoder()

/** One frame's bytes. Absent fields are left out. */
export function write(frame: Frame): Uint8Array {
  return encode(frame, { ignoreUndefined: true, maxDepth: LIMITS.depth + 1 })
}

/**
 * Reads a message from the server: `take` gets each frame of a known kind and its length. `false`: what follows the frames that were taken
 * is malformed, and the connection is good for nothing any more.
 */
export function read(message: Uint8Array, take: (frame: Frame, bytes: number) => void): boolean {
  if (message.length === 0) return false
  for (let at = 0; at < message.length; ) {
    const end = valueEnd(message, at)
    let frame: unknown
    try {
      frame = end <= message.length && sound(message, at, end) && decoder.decode(message.subarray(at, end))
    } catch {
      return false
    }
    if (!Array.isArray(frame) || !Number.isInteger(frame[0])) return false
    const kind = frame[0] as number
    const integers = fromServer[kind]
    if (integers !== undefined) {
      for (let place = 1; place <= integers; place++) if (!(Number.isSafeInteger(frame[place]) && (frame[place] as number) >= 0)) return false
      take(frame as unknown as Frame, end - at)
    } else if (known.has(kind)) return false
    at = end
  }
  return true
}

/** Whether a value is nested no deeper than frames may be, and without extensions. */
function sound(bytes: Uint8Array, from: number, to: number): boolean {
  // How many values each open level still waits for.
  const left = [1]
  for (let at = from; at < to; ) {
    while (left[left.length - 1] === 0) left.pop()
    left[left.length - 1]!--
    const tag = bytes[at]!
    if (tag === 0xc1 || (tag >= 0xc7 && tag <= 0xc9) || (tag >= 0xd4 && tag <= 0xd8)) return false
    const map = (tag & 0xf0) === 0x80 || tag > 0xdd
    if (!(map || (tag & 0xf0) === 0x90 || tag === 0xdc || tag === 0xdd) || tag > 0xdf) {
      at = valueEnd(bytes, at)
      continue
    }
    if (left.length > LIMITS.depth) return false
    const width = tag < 0xa0 ? 0 : tag & 1 ? 4 : 2
    let count = width ? 0 : tag & 15
    for (let place = 1; place <= width; place++) count = count * 256 + bytes[at + place]!
    left.push(map ? count * 2 : count)
    at += 1 + width
  }
  return true
}

export { concat }
