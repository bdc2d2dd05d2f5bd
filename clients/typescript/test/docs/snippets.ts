/** The code in the documents, as files. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The documents that have code. */
export const DOCUMENTS = ['README.md', 'docs/from-fetch-and-polling.md', 'docs/from-socket-io.md']

export interface Snippet {
  language: string
  /** Where it belongs, where its first line says so. */
  file: string | undefined
  text: string
  /** What stands after the language: `before` is code that a reader has, and that is not ours. */
  note: string
}

export function read(document: string): string {
  return readFileSync(fileURLToPath(new URL(`../../${document}`, import.meta.url)), 'utf8')
}

export function snippets(document: string): Snippet[] {
  return [...read(document).matchAll(/^```(\w*) ?(.*)\n([\s\S]*?)^```$/gm)].map(([, language, note, text]) => ({
    language: language!,
    note: note!,
    file: /^\/\/ (src\/\S+)\n/.exec(text!)?.[1],
    text: text!,
  }))
}
