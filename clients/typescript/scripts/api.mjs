/**
 * Writes docs/api.md from what is built: every export of every entry, with its docstring and its declaration.
 *   node scripts/api.mjs           writes it
 *   node scripts/api.mjs --check   fails where it is not up to date, or where an export has no docstring
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { SyntaxKind } from 'typescript/unstable/ast'
import { API, SymbolFlags } from 'typescript/unstable/sync'

const TARGET = 'docs/api.md'
const { name, exports } = JSON.parse(readFileSync('package.json', 'utf8'))
const entries = Object.entries(exports).filter(([, to]) => to.types)
const protocol = resolve('dist/protocol.d.ts')

const api = new API({ cwd: process.cwd() })
const [project] = api.updateSnapshot({ openProjects: [resolve('tsconfig.api.json')] }).getProjects()
const { program, checker } = project

/** Where each declaration is told: an export of a later entry that is the same is only named. */
const told = new Map()
const undocumented = []

/** The declaration as users may read it: without `export declare`, and without the docstring that stands above it. */
function declaration(node) {
  // A constant's docstring stands above its statement.
  if (node.kind === SyntaxKind.VariableDeclaration) node = node.parent.parent
  const text = node.getSourceFile().text.slice(node.pos, node.end)
  return text
    .replace(/^\s*(\/\*[\s\S]*?\*\/|\/\/.*)?\s*/, '')
    .replace(/^export (declare )?/, '')
    .replaceAll(/^ {4,}/gm, (indent) => ' '.repeat(indent.length / 2))
    .trim()
}

function section(entry, types) {
  const title = join(name, entry)
  const source = program.getSourceFile(resolve(types))
  const lines = [`## ${title}`, '']
  const [, about] = /^\/\*\*([\s\S]*?)\*\//.exec(source.text) ?? []
  if (about) lines.push(clean(about), '')
  const wire = []
  const again = []
  const symbols = checker.getExportsOfModule(checker.getSymbolAtLocation(source)).map((exported) => ({
    exported,
    symbol: exported.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported,
  }))
  // What can be called comes first.
  const place = ({ exported, symbol }) => (symbol.flags & SymbolFlags.Value ? '0' : '1') + exported.name
  for (const { exported, symbol } of symbols.sort((one, other) => (place(one) < place(other) ? -1 : 1))) {
    const node = symbol.declarations[0].resolve(project)
    const file = node.getSourceFile().fileName
    const key = `${file} ${symbol.name}`
    if (file === protocol) wire.push(`\`${exported.name}\``)
    else if (told.has(key)) again.push(`[\`${exported.name}\`](#${told.get(key)})`)
    else {
      told.set(key, exported.name.toLowerCase())
      const documentation = checker.getDocumentationCommentOfSymbol(symbol)
      if (!documentation) undocumented.push(`${title}: ${exported.name}`)
      lines.push(`### ${exported.name}`, '', documentation, '', '```ts', declaration(node), '```', '')
    }
  }
  if (wire.length) lines.push(`Of the protocol, see [its reference](../../../protocol/generated/OPERATIONS.md): ${wire.join(', ')}.`, '')
  if (again.length) lines.push(`Also here: ${again.join(', ')}.`, '')
  return lines
}

function clean(comment) {
  return comment.replaceAll(/^\s*\* ?/gm, '').trim()
}

const parts = entries.flatMap(([entry, { types }]) => section(entry, types))
api.close()
const text = [
  `# What ${name} exports`,
  '',
  'Written by `npm run api` from the docstrings in `src`: change them, not this file.',
  '',
  ...entries.map(([entry]) => `- [\`${join(name, entry)}\`](#${join(name, entry).toLowerCase().replaceAll(/[^a-z0-9-]/g, '')})`),
  '',
  ...parts,
].join('\n').replaceAll(/\n{3,}/g, '\n\n').trimEnd() + '\n'

const wrong = undocumented.map((one) => `${one} has no docstring`)
if (process.argv.includes('--check')) {
  if (readFileSync(TARGET, 'utf8') !== text) wrong.push(`${TARGET} is not up to date: npm run api`)
} else writeFileSync(TARGET, text)
if (wrong.length > 0) {
  console.error(wrong.join('\n'))
  process.exit(1)
}
