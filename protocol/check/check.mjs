// Reads what the protocol crate generates with readers that others keep: AsyncAPI's parser, an OpenAPI validator, Ajv, tsc,
// and MessagePack for JavaScript on the frames. `npm ci && node check.mjs` prints a line a check and exits with 1 where one fails.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { fileURLToPath } from 'node:url'

import { Parser } from '@asyncapi/parser'
import { decodeMulti, encode } from '@msgpack/msgpack'
import { Validator } from '@seriousme/openapi-schema-validator'
import Ajv from 'ajv/dist/2020.js'

const at = (path) => fileURLToPath(new URL(path, import.meta.url))
const read = (path) => readFileSync(at(path), 'utf8')

const ERROR = 0

const checks = {
  async 'asyncapi.json is AsyncAPI 3'() {
    const { diagnostics } = await new Parser().parse(read('../generated/asyncapi.json'))
    return diagnostics.filter(({ severity }) => severity === ERROR).map(({ path, message }) => `${path.join('/')}: ${message}`)
  },

  async 'openapi.json is OpenAPI 3.1'() {
    const { valid, errors } = await new Validator().validate(at('../generated/openapi.json'))
    return valid ? [] : [JSON.stringify(errors)]
  },

  'schema.json holds JSON Schemas'() {
    const document = JSON.parse(read('../generated/schema.json'))
    const ajv = new Ajv({ strict: false, validateFormats: false, schemas: [{ ...document, $id: 'wire' }] })
    const pointers = [
      ...Object.keys(document.$defs).map((name) => `$defs/${name}`),
      ...Object.keys(document.frames).map((name) => `frames/${name}`),
      ...Object.keys(document.operations).flatMap((name) => [`operations/${name}/input`, `operations/${name}/output`]),
    ]
    return pointers.flatMap((pointer) => {
      try {
        ajv.compile({ $ref: `wire#/${pointer}` })
        return []
      } catch (error) {
        return [`${pointer}: ${error.message}`]
      }
    })
  },

  'types.ts passes tsc --strict'() {
    try {
      execFileSync(at('node_modules/.bin/tsc'), ['--strict', '--noEmit', at('../generated/types.ts')])
      return []
    } catch (error) {
      return [String(error.stdout || error)]
    }
  },

  'frames.json is read and written alike by MessagePack for JavaScript'() {
    return JSON.parse(read('../vectors/frames.json')).vectors.flatMap(({ name, hex, frames, canonical }) => {
      if (!canonical) return []
      const bytes = Buffer.from(hex, 'hex')
      const decoded = [...decodeMulti(bytes)]
      const written = Buffer.concat(frames.map((frame) => encode(frame)))
      return [
        ...(isDeepStrictEqual(decoded, frames) ? [] : [`${name}: reads ${JSON.stringify(decoded)}`]),
        ...(written.equals(bytes) ? [] : [`${name}: writes ${written.toString('hex')}`]),
      ]
    })
  },
}

let failed = false
for (const [name, check] of Object.entries(checks)) {
  const problems = await check()
  console.log(problems.length === 0 ? `ok     ${name}` : `FAILED ${name}`)
  for (const problem of problems) console.log(`       ${problem}`)
  failed ||= problems.length > 0
}
process.exit(failed ? 1 : 0)
