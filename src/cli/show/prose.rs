//! A model's words as they come: wrapped, with the little Markdown that models write made readable. Only whole words are given out,
//! and a table when it is whole; everything else streams.

use super::style::{Ink, Style, pieces, width, wrapped};

/// Text that is still being written.
pub(crate) struct Prose {
    style: Style,
    /// Columns of the whole line.
    columns: usize,
    indent: usize,
    /// Columns taken on the current line; `None`: it is not begun.
    taken: Option<usize>,
    /// Whether the line, as far as it has come, needs no space before its next word.
    spaced: bool,
    word: String,
    /// What stands under a line's mark when the line goes on below.
    hang: &'static str,
    /// The current line's kind, once its first word is known.
    line: Line,
    strong: bool,
    slanted: bool,
    table: Vec<Vec<String>>,
    /// Whether the last line given out was empty; nothing begins with an empty line.
    blank: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    /// No word of it is known yet.
    Begun,
    Words,
    Heading,
    /// A table's row, as far as it has come.
    Row(String),
    /// A line of a code block, as far as it has come.
    Code(String),
    /// The line that opens or closes a code block.
    Fence {
        opens: bool,
    },
}

impl Prose {
    pub(crate) fn new(style: Style, columns: usize, indent: usize) -> Self {
        Self {
            style,
            columns: columns.max(indent + 10),
            indent,
            taken: None,
            spaced: true,
            word: String::new(),
            hang: "",
            line: Line::Begun,
            strong: false,
            slanted: false,
            table: Vec::new(),
            blank: true,
        }
    }
    /// Takes more text; gives what can be shown of it.
    pub(crate) fn push(&mut self, text: &str) -> String {
        let mut out = String::new();
        for c in text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()) {
            match (&mut self.line, c) {
                (_, '\n') => self.end_line(&mut out),
                (Line::Row(line) | Line::Code(line), c) => line.push(c),
                (Line::Fence { .. }, _) => {}
                (Line::Begun, '|') if self.word.is_empty() => self.line = Line::Row("|".into()),
                (_, c) if c.is_whitespace() => self.end_word(&mut out),
                (_, c) => self.word.push(c),
            }
        }
        out
    }
    /// The rest. The text ends with the end of a line, unless nothing was shown.
    pub(crate) fn finish(&mut self) -> String {
        let mut out = String::new();
        if self.taken.is_some() || !self.word.is_empty() || matches!(self.line, Line::Row(_) | Line::Code(_)) {
            self.end_line(&mut out);
        }
        self.end_table(&mut out);
        out
    }

    fn end_word(&mut self, out: &mut String) {
        let word = std::mem::take(&mut self.word);
        if word.is_empty() {
            return;
        }
        if self.line == Line::Begun {
            self.end_table(out);
            self.line = Line::Words;
            match mark(&word) {
                Mark::None => {}
                Mark::Fence => return self.line = Line::Fence { opens: true },
                Mark::Heading => {
                    self.line = Line::Heading;
                    out.push_str(self.style.on(Ink::Strong));
                    if self.style == Style::Coloured {
                        return;
                    }
                }
                Mark::Begins(shown, hang) => {
                    self.begin(out);
                    out.push_str(&self.style.paint(Ink::Faint, shown));
                    self.taken = self.taken.map(|taken| taken + width(shown));
                    self.hang = hang;
                    return;
                }
                Mark::Number(hang) => self.hang = hang,
            }
        }
        let room = self.columns - self.indent - width(self.hang);
        for piece in pieces(&word, room) {
            self.put(piece, out);
        }
    }
    /// Puts a word on the line, or on the next.
    fn put(&mut self, word: &str, out: &mut String) {
        let shown = self.inked(word);
        let wide = width(&unmarked(word));
        self.begin(out);
        let gap = usize::from(!self.spaced);
        if self.taken.is_some_and(|taken| taken + gap + wide > self.columns) && !self.spaced {
            out.push('\n');
            out.push_str(&" ".repeat(self.indent));
            out.push_str(&self.style.paint(Ink::Faint, self.hang));
            if self.strong || self.line == Line::Heading {
                out.push_str(self.style.on(Ink::Strong));
            }
            self.taken = Some(self.indent + width(self.hang));
        } else {
            out.push_str(&" ".repeat(gap));
            self.taken = self.taken.map(|taken| taken + gap);
        }
        out.push_str(&shown);
        (self.taken, self.spaced) = (self.taken.map(|taken| taken + wide), false);
    }
    fn begin(&mut self, out: &mut String) {
        if self.taken.is_none() {
            out.push_str(&" ".repeat(self.indent));
            (self.taken, self.spaced) = (Some(self.indent), true);
        }
    }
    /// The word with its stars turned into ink.
    fn inked(&mut self, word: &str) -> String {
        let mut shown = String::new();
        for piece in emphasis(word) {
            match piece {
                Emphasis::Text(text) => shown.push_str(text),
                Emphasis::Strong => self.strong = !self.strong,
                Emphasis::Slanted => self.slanted = !self.slanted,
            }
            if !matches!(piece, Emphasis::Text(_)) {
                shown.push_str(self.style.off());
                for (on, ink) in [(self.strong || self.line == Line::Heading, Ink::Strong), (self.slanted, Ink::Slanted)] {
                    shown.push_str(if on { self.style.on(ink) } else { "" });
                }
            }
        }
        shown
    }
    fn end_line(&mut self, out: &mut String) {
        self.end_word(out);
        let line = std::mem::replace(&mut self.line, Line::Begun);
        match line {
            Line::Row(row) => {
                let cells = row.trim().trim_matches('|').split('|').map(|cell| unmarked(cell.trim())).collect();
                return self.table.push(cells);
            }
            Line::Code(code) if code.trim_start().starts_with("```") => return,
            Line::Code(code) => {
                out.push_str(&format!("{}{}\n", " ".repeat(self.indent), self.style.paint(Ink::Name, &code)));
                (self.blank, self.line) = (false, Line::Code(String::new()));
                return;
            }
            Line::Fence { opens: true } => return self.line = Line::Code(String::new()),
            Line::Begun | Line::Words | Line::Heading | Line::Fence { .. } => {}
        }
        self.end_table(out);
        if self.strong || self.slanted || line == Line::Heading {
            out.push_str(self.style.off());
        }
        if self.taken.is_some() || !self.blank {
            out.push('\n');
        }
        self.blank = self.taken.is_none();
        (self.taken, self.hang, self.strong, self.slanted) = (None, "", false, false);
    }
    fn end_table(&mut self, out: &mut String) {
        let table = std::mem::take(&mut self.table);
        if table.is_empty() {
            return;
        }
        let is_rule = |row: &[String]| row.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| matches!(c, '-' | ':')));
        let headed = table.get(1).is_some_and(|row| is_rule(row));
        let rows: Vec<_> = table.into_iter().filter(|row| !is_rule(row)).collect();
        out.push_str(&columns(&rows, headed, self.style, self.columns, self.indent));
        self.blank = false;
    }
}

/// Rows in columns as wide as their cells; the last one takes what is left and wraps.
pub(super) fn columns(rows: &[Vec<String>], headed: bool, style: Style, columns: usize, indent: usize) -> String {
    const GAP: usize = 2;
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let room = columns.saturating_sub(indent);
    let most = (room / count.max(1)).max(8);
    let mut widths: Vec<usize> =
        (0..count).map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0)).collect();
    let last = count.saturating_sub(1);
    for wide in widths.iter_mut().take(last) {
        *wide = (*wide).min(most.max(24).min(room / 2));
    }
    let before: usize = widths.iter().take(last).map(|wide| wide + GAP).sum();
    if let Some(wide) = widths.last_mut() {
        *wide = (*wide).min(room.saturating_sub(before).max(8));
    }
    let mut out = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<Vec<String>> =
            widths.iter().enumerate().map(|(at, wide)| wrapped(row.get(at).map_or("", |cell| cell), *wide)).collect();
        for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let mut text = String::new();
            for (at, cell) in cells.iter().enumerate() {
                let cell = cell.get(line).map_or("", |cell| cell);
                let ink = if headed && number == 0 { Some(Ink::Strong) } else { (at == 0 && count > 1).then_some(Ink::Faint) };
                let pad = if at == last { 0 } else { widths[at] + GAP - width(cell) };
                text.push_str(&ink.map_or(cell.to_owned(), |ink| style.paint(ink, cell)));
                text.push_str(&" ".repeat(pad));
            }
            out.push_str(&format!("{}{}\n", " ".repeat(indent), text.trim_end()));
        }
    }
    out
}

enum Mark {
    None,
    Heading,
    Fence,
    /// Is shown as the first, and what follows below stands under the second.
    Begins(&'static str, &'static str),
    /// Is shown as it is.
    Number(&'static str),
}

fn mark(word: &str) -> Mark {
    match word {
        "-" | "*" | "+" => Mark::Begins("• ", "  "),
        ">" => Mark::Begins("│ ", "│ "),
        _ if word.starts_with("```") => Mark::Fence,
        _ if word.len() <= 6 && word.bytes().all(|b| b == b'#') => Mark::Heading,
        _ => match word.strip_suffix('.') {
            Some(digits) if digits.len() == 1 && digits.bytes().all(|b| b.is_ascii_digit()) => Mark::Number("   "),
            Some(digits) if digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit()) => Mark::Number("    "),
            _ => Mark::None,
        },
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Emphasis<'a> {
    Text(&'a str),
    Strong,
    Slanted,
}

/// A word's text, and the stars in it that begin or end an emphasis; a star between letters or alone is text.
fn emphasis(word: &str) -> Vec<Emphasis<'_>> {
    let mut pieces = Vec::new();
    let mut rest = word;
    let mut text_from = 0;
    let mut at = 0;
    while let Some(star) = rest.find('*') {
        let (from, double) = (at + star, rest[star..].starts_with("**"));
        let to = from + if double { 2 } else { 1 };
        let before = word[..from].chars().next_back().is_some_and(char::is_alphanumeric);
        let after = word[to..].chars().next().is_some_and(char::is_alphanumeric);
        let alone = word.bytes().all(|b| b == b'*');
        if !alone && (double || !(before && after)) {
            if from > text_from {
                pieces.push(Emphasis::Text(&word[text_from..from]));
            }
            pieces.push(if double { Emphasis::Strong } else { Emphasis::Slanted });
            text_from = to;
        }
        (at, rest) = (to, &word[to..]);
    }
    if text_from < word.len() {
        pieces.push(Emphasis::Text(&word[text_from..]));
    }
    pieces
}

fn unmarked(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        let text = emphasis(word).into_iter().map(|piece| if let Emphasis::Text(text) = piece { text } else { "" });
        text.collect::<String>()
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Review of page.html\n\n\n> Simulated: no model is configured, so these words come from a template.\n\nIt has **three \
        things** that *matter*, 2*3 of them, and one address https://example.com/a/very/long/path/that/does/not/fit/anywhere.\n\n\
        | measure | value |\n| --- | --- |\n| title | Hello |\n| reading **ease** | 61.2, which is plain English and takes more than one line |\n\n\
        - one that is so long that it has to go on below where it began\n- two\n1. first\n\n```\ncode  stays   as it is\n```\nend";

    fn shown(style: Style, step: usize) -> String {
        let mut prose = Prose::new(style, 46, 2);
        let letters: Vec<char> = TEXT.chars().collect();
        let mut out: String = letters.chunks(step).map(|chunk| prose.push(&chunk.iter().collect::<String>())).collect();
        out.push_str(&prose.finish());
        out
    }

    #[test]
    fn markdown_reads_well_without_colour_in_few_columns() {
        let expected = "  # Review of page.html

  │ Simulated: no model is configured, so
  │ these words come from a template.

  It has three things that matter, 2*3 of
  them, and one address
  https://example.com/a/very/long/path/that/do
  es/not/fit/anywhere.

  measure       value
  title         Hello
  reading ease  61.2, which is plain English
                and takes more than one line

  • one that is so long that it has to go on
    below where it began
  • two
  1. first

  code  stays   as it is
  end
";
        assert_eq!(shown(Style::Plain, 1_000), expected);
    }

    #[test]
    fn it_does_not_matter_in_which_pieces_words_come() {
        for step in 1..8 {
            assert_eq!(shown(Style::Plain, step), shown(Style::Plain, 1_000));
            assert_eq!(shown(Style::Coloured, step), shown(Style::Coloured, 1_000));
        }
    }

    #[test]
    fn colours_change_nothing_but_ink() {
        let mut coloured = shown(Style::Coloured, 3);
        while let Some(from) = coloured.find('\x1b') {
            let to = from + coloured[from..].find('m').unwrap();
            coloured.replace_range(from..=to, "");
        }
        assert_eq!(coloured, shown(Style::Plain, 3).replace("# Review", "Review"));
    }

    #[test]
    fn no_control_character_reaches_the_terminal() {
        let mut prose = Prose::new(Style::Plain, 40, 0);
        assert_eq!(prose.push("\x1b[2Jhello\x07 \u{9b}there\r\n"), "[2Jhello there\n");
    }
}
