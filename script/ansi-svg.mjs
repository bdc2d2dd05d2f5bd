// Reads what a program wrote to a terminal and writes an SVG of what stood there at the end:
//   node script/ansi-svg.mjs COLUMNS TITLE [FROM TO]… <typescript >picture.svg
// FROM TO are regular expressions: from the first line that FROM matches up to the next one that TO matches, which stays, only a ⋮ is shown.
import { readFileSync } from 'node:fs'

const [columns, title, ...cuts] = process.argv.slice(2)
const CELL = { width: 8.4, height: 19 }
const EDGE = { x: 18, top: 46, bottom: 18 }
const PLAIN = { ink: '#d4d7dd', paper: '#16181d', bar: '#22252c', dim: 0.62 }
// The eight colours of a terminal and their bright ones, with a contrast of at least 4.5 on PLAIN.paper.
const COLOURS = ['#8b93a1', '#f07178', '#9ece6a', '#e0af68', '#7aa2f7', '#bb9af7', '#7dcfff', '#d4d7dd',
  '#9aa3b2', '#ff8f95', '#b4e080', '#f2c782', '#9bbcff', '#d0b4ff', '#a3e0ff', '#ffffff']

/** The terminal's lines, each an array of cells `{char, style}`. */
function play(text) {
  const lines = [[]]
  let [row, column, style] = [0, 0, {}]
  const line = () => { while (lines.length <= row) lines.push([]); return lines[row] }
  const tokens = text.matchAll(/\x1b\[([?\d;]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|([^])/gu)
  for (const [, parameters, command, char] of tokens) {
    const count = Number(parameters || 1)
    if (command === 'm') style = styled(style, parameters)
    else if (command === 'K') parameters === '2' ? line().splice(0) : line().splice(column)
    else if (command === 'A') row = Math.max(0, row - count)
    else if (command === 'B') row += count
    else if (command === 'G') column = count - 1
    else if (command === 'J') { line().splice(column); lines.splice(row + 1) }
    else if (char === '\n') { row += 1; line() }
    else if (char === '\r') column = 0
    else if (char && char >= ' ') {
      if (column === Number(columns)) { row += 1; column = 0 }
      const cells = line()
      while (cells.length < column) cells.push({ char: ' ', style: {} })
      cells[column] = { char, style }
      column += 1
    }
  }
  while (lines.length && lines.at(-1).every(cell => cell.char === ' ')) lines.pop()
  return lines
}

/** The lines without what each pair of `cuts` takes out, one after the other. One that is not found would show something else than was meant. */
function excerpt(lines, cuts) {
  const text = lines.map(cells => cells.map(cell => cell.char).join(''))
  const find = (pattern, after) => {
    const found = text.findIndex((line, row) => row >= after && new RegExp(pattern).test(line))
    if (found < 0) throw new Error(`no line matches /${pattern}/ after line ${after}`)
    return found
  }
  const kept = []
  let shown = 0
  for (let i = 0; i < cuts.length; i += 2) {
    const from = find(cuts[i], shown)
    const indent = text[from].length - text[from].trimStart().length
    kept.push(...lines.slice(shown, from), [...' '.repeat(indent), '⋮'].map(char => ({ char, style: { dim: true } })))
    shown = find(cuts[i + 1], from + 1)
  }
  return [...kept, ...lines.slice(shown)]
}

/** The style after an SGR sequence. */
function styled(style, parameters) {
  const codes = (parameters || '0').split(';').map(Number)
  let next = { ...style }
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]
    if (code === 0) next = {}
    else if (code === 1) next.bold = true
    else if (code === 2) next.dim = true
    else if (code === 3) next.italic = true
    else if (code === 4) next.underline = true
    else if (code === 22) { delete next.bold; delete next.dim }
    else if (code === 23) delete next.italic
    else if (code === 24) delete next.underline
    else if (code >= 30 && code <= 37) next.colour = COLOURS[code - 30]
    else if (code >= 90 && code <= 97) next.colour = COLOURS[code - 82]
    else if (code === 39) delete next.colour
    else if (code === 38 && codes[i + 1] === 5) { next.colour = COLOURS[codes[i + 2]] ?? PLAIN.ink; i += 2 }
    else if (code === 38 && codes[i + 1] === 2) { next.colour = `rgb(${codes.slice(i + 2, i + 5)})`; i += 4 }
  }
  return next
}

/** Words of one style that stand together. Where two blanks follow each other a new span begins, since pictures are shown with and without them. */
function spans(cells) {
  const found = []
  let open = null
  cells.forEach(({ char, style }, column) => {
    const blank = char === ' ' && !style.underline
    if (blank && (cells[column + 1]?.char ?? ' ') === ' ') open = null
    else if (open && JSON.stringify(open.style) === JSON.stringify(style)) open.text += char
    else if (blank) open = null
    else found.push(open = { column, style, text: char })
  })
  return found.map(span => ({ ...span, text: span.text.trimEnd() }))
}

const escape = text => text.replace(/[&<>"]/g, c => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c])

function drawn(span, row) {
  const { bold, dim, italic, underline, colour } = span.style
  const attributes = [
    `x="${(EDGE.x + span.column * CELL.width).toFixed(1)}" y="${EDGE.top + (row + 1) * CELL.height - 5}"`,
    // Whatever font is there, columns stay columns.
    `textLength="${([...span.text].length * CELL.width).toFixed(1)}"`,
    bold && 'font-weight="700"', italic && 'font-style="italic"', underline && 'text-decoration="underline"',
    dim && `opacity="${PLAIN.dim}"`, colour && `fill="${colour}"`,
  ]
  return `<text ${attributes.filter(Boolean).join(' ')}>${escape(span.text)}</text>`
}

const lines = excerpt(play(readFileSync(0, 'utf8')), cuts)
const [width, height] = [Math.ceil(EDGE.x * 2 + columns * CELL.width), EDGE.top + lines.length * CELL.height + EDGE.bottom]
process.stdout.write(`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)}">
<title>${escape(title)}</title>
<rect width="${width}" height="${height}" rx="9" fill="${PLAIN.paper}"/>
<path d="M0 9a9 9 0 0 1 9-9h${width - 18}a9 9 0 0 1 9 9v23H0z" fill="${PLAIN.bar}"/>
<circle cx="18" cy="16" r="5.5" fill="#f07178"/><circle cx="36" cy="16" r="5.5" fill="#e0af68"/><circle cx="54" cy="16" r="5.5" fill="#9ece6a"/>
<text x="${width / 2}" y="20" text-anchor="middle" font-family="ui-sans-serif, system-ui, sans-serif" font-size="12" fill="#9aa3b2">${escape(title)}</text>
<g font-family="ui-monospace, 'SF Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="14" fill="${PLAIN.ink}">
${lines.flatMap((cells, row) => spans(cells).map(span => drawn(span, row))).join('\n')}
</g>
</svg>
`)
