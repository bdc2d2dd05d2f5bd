/** What the documents say: their code compiles, their tables are complete, their links lead somewhere. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { FAULT_RETRY } from '../../src/protocol.js'
import { DOCUMENTS, read, snippets } from './snippets.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folder = join(root, '.snippets')
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** What snippets take as given: the client and bridge of the five-minute start. */
const GIVEN = `
import type { Client, Tokens } from '@crewline/client'
import type { QueryBridge } from '@crewline/client/query'
import type { QueryClient } from '@tanstack/react-query'
import type { App } from '../../../apps/kp/types.js'
declare global {
  const client: Client<App>
  const tokens: Tokens
  const q: QueryBridge<App>['q']
  const queryClient: QueryClient
  const sessionId: string
}
`

async function compile(): Promise<string> {
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  return promisify(execFile)(process.execPath, [tsc, '-p', join(root, 'tsconfig.docs.json')], { cwd: root }).then(() => '', ({ stdout }: { stdout: string }) => stdout)
}

function write(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), text)
}

function writeAll(): number {
  rmSync(folder, { recursive: true, force: true })
  write('given.d.ts', GIVEN)
  let count = 0
  for (const document of DOCUMENTS) {
    const place = document.replaceAll(/\W/g, '-')
    write(`${place}/src/app.ts`, "export * from '../../../../../apps/kp/types.js'\n")
    for (const { language, file, text, note } of snippets(document)) {
      if (!/^tsx?$/.test(language) || note === 'before') continue
      write(`${place}/${file ?? `${++count}.tsx`}`, `${text}export {}\n`)
      if (file) count++
    }
  }
  return count
}

test('all code in the documents compiles, and what would not is found', async () => {
  expect(writeAll()).toBeGreaterThan(20)
  expect(await compile()).toBe('')
  write('wrong.tsx', "client.call('record.list', { collection: 'campaign' })\nexport {}\n")
  expect(await compile()).toContain('wrong.tsx')
}, 60_000)

test('every code of an error is in the README, with what to do', () => {
  const rows = read('README.md').split('## Errors')[1]!.split('\n## ')[0]!.split('\n').filter((line) => line.startsWith('| `'))
  const told = rows.flatMap((row) => [...row.split('|')[1]!.matchAll(/`(\w+)`/g)].map(([, code]) => code!))
  const own = /export type ErrorCode =([\s\S]*?)\n\n/.exec(readFileSync(join(root, 'src/core/error.ts'), 'utf8'))![1]!
  const codes = [...Object.keys(FAULT_RETRY), ...[...own.matchAll(/\| '(\w+)'/g)].map(([, code]) => code!)]
  expect(told.sort()).toEqual([...new Set(codes)].sort())
})

test('the sizes in the README are those that are checked', () => {
  const rows = read('README.md').split('## Sizes')[1]!.split('\n## ')[0]!.split('\n').filter((line) => / kB \|$/.test(line))
  const limits = (JSON.parse(read('package.json')) as { 'size-limit': { limit: string }[] })['size-limit'].map(({ limit }) => limit)
  expect(rows.map((row) => row.split('|')[2]!.trim())).toEqual(limits)
})

test('links lead to what is there', () => {
  for (const document of [...DOCUMENTS, 'docs/api.md', 'examples/minimal/README.md']) {
    for (const [, target] of read(document).matchAll(/\]\(([^)\s]+)\)/g)) {
      const [path, anchor] = target!.split('#')
      if (target!.includes('://')) continue
      const file = path ? join(root, dirname(document), path) : join(root, document)
      expect(existsSync(file), `${document} links to ${target}`).toBe(true)
      if (!anchor || !file.endsWith('.md')) continue
      const headings = readFileSync(file, 'utf8').split('\n').filter((line) => /^#+ /.test(line))
      const anchors = headings.map((line) => line.replace(/^#+ /, '').toLowerCase().replaceAll(/[^\w -]/g, '').replaceAll(' ', '-'))
      expect(anchors, `${document} links to ${target}`).toContain(anchor)
    }
  }
})
