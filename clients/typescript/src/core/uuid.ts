/** Makes a UUIDv7, lower-case with hyphens: the time first, then chance. Keys of mutations and ids of new rows are such. */
export function uuidv7(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  const now = Date.now()
  for (let place = 0; place < 6; place++) bytes[place] = now / 2 ** (40 - 8 * place)
  bytes[6] = (bytes[6]! & 0x0f) | 0x70
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
