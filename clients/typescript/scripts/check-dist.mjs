/** Holds what is built to its promises: nothing evaluates text, and only what package.json declares is imported. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const { dependencies, peerDependencies } = JSON.parse(readFileSync('package.json', 'utf8'))
const declared = new Set(Object.keys({ ...dependencies, ...peerDependencies }))
const wrong = []
for (const file of readdirSync('dist', { recursive: true }).filter((name) => name.endsWith('.js'))) {
  const text = readFileSync(join('dist', file), 'utf8')
  if (/\beval\s*\(|\bnew Function\b/.test(text)) wrong.push(`${file} evaluates text: a strict content security policy refuses it`)
  for (const [, name] of text.matchAll(/^(?:import|export)[^'"]*from\s*['"]([^'"]+)['"]/gm)) {
    const from = name.split('/').slice(0, name.startsWith('@') ? 2 : 1).join('/')
    if (!name.startsWith('.') && !declared.has(from)) wrong.push(`${file} imports ${name}, which package.json does not declare`)
  }
}
if (wrong.length > 0) {
  console.error(wrong.join('\n'))
  process.exit(1)
}
