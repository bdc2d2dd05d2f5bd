/** Gives what asks for React its version 18, for the tests that run again with that one. */
import { createRequire, Module } from 'node:module'
import * as react from 'react'

/** As Node resolves what a CommonJS module requires: not among its types. */
const node = Module as unknown as { _resolveFilename(request: string, ...rest: unknown[]): string }
const resolve = node._resolveFilename
node._resolveFilename = (request, ...rest) => resolve(request.replace(/^react(-dom)?(?=\/|$)/, 'react$1-18'), ...rest)

// One of each, for whoever imports it and for whoever requires it: two of them are no hooks at all.
const require = createRequire(import.meta.url)
for (const { version } of [react, require('react'), require('react-dom')] as { version: string }[]) {
  if (!version.startsWith('18.')) throw new Error(`these tests are for React 18, and would run with ${version}`)
}
