/** Where frames begin and end in a message, and their ids: what can be known of them, and changed, without decoding what they hold. */

/** The index after the MessagePack value that begins at `at`. */
export function valueEnd(bytes: Uint8Array, at: number): number {
  let left = 1
  const count = (width: number): number => {
    const value = uint(bytes, at, width)
    at += width
    return value
  }
  const skip = (width: number): void => {
    at += width
  }
  for (; left > 0 && at < bytes.length; left--) {
    const tag = bytes[at++]!
    if (tag < 0x80 || tag > 0xdf) continue
    if (tag < 0x90) left += 2 * (tag & 15)
    else if (tag < 0xa0) left += tag & 15
    else if (tag < 0xc0) skip(tag & 31)
    else if (tag > 0xdb) left += count(tag & 1 ? 4 : 2) * (tag > 0xdd ? 2 : 1)
    else if (tag > 0xd8) skip(count(1 << (tag - 0xd9)))
    else if (tag > 0xc9) skip(tag < 0xcc ? 4 << (tag & 1) : 1 << (tag & 3))
    else if (tag > 0xc3) skip(count(1 << (tag - 0xc4)))
  }
  return at
}

/** Calls `use` with each frame of a message, a view on it, and the frame's kind. */
export function eachFrame(bytes: Uint8Array, use: (frame: Uint8Array, kind: number) => void): void {
  for (let start = 0, end; start < bytes.length; start = end) {
    end = valueEnd(bytes, start)
    const frame = bytes.subarray(start, end)
    use(frame, frame[kindAt(frame)]!)
  }
}

/** The integer after a frame's kind: its `id` or `sub`. */
export function numberOf(frame: Uint8Array): number {
  const at = kindAt(frame) + 1
  const tag = frame[at]!
  return tag < 0x80 ? tag : uint(frame, at + 1, 1 << (tag & 3))
}

/** Puts a number that is no greater into its place: the frame keeps its length, by which credit is counted. */
export function putNumber(frame: Uint8Array, number: number): void {
  const at = kindAt(frame) + 1
  const tag = frame[at]!
  const width = tag < 0x80 ? 0 : 1 << (tag & 3)
  for (let place = at + width; place >= at + Math.sign(width); place--) {
    frame[place] = number
    number = Math.floor(number / 256)
  }
}

/** A copy of a frame with any other number. */
export function withNumber(frame: Uint8Array, number: number): Uint8Array {
  const at = kindAt(frame) + 1
  const head = new Uint8Array([...frame.subarray(0, at), 0xce, 0, 0, 0, 0])
  new DataView(head.buffer).setUint32(at + 1, number)
  return concat([head, frame.subarray(valueEnd(frame, at))])
}

/** One message of several pieces. */
export function concat(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}

// An array of up to 15 has one byte of head, another that may be written three.
const kindAt = (frame: Uint8Array): number => (frame[0]! < 0xa0 ? 1 : 3)

function uint(bytes: Uint8Array, at: number, width: number): number {
  let value = 0
  while (width--) value = value * 256 + (bytes[at++] ?? 0)
  return value
}
