//! Colours, or none: every piece of text that has one goes through here.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether and how text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// For a terminal that shows colours.
    Coloured,
    /// For pipes, files, and who asked for none.
    Plain,
}

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Strong,
    Faint,
    Slanted,
    Name,
    Good,
    Bad,
    Warning,
}

impl Ink {
    const fn code(self) -> &'static str {
        match self {
            Self::Strong => "\x1b[1m",
            Self::Faint => "\x1b[2m",
            Self::Slanted => "\x1b[3m",
            Self::Name => "\x1b[1;36m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
            Self::Warning => "\x1b[33m",
        }
    }
}

impl Style {
    /// The text in this ink.
    pub(crate) fn paint(self, ink: Ink, text: &str) -> String {
        match self {
            Self::Coloured if !text.is_empty() => format!("{}{text}{}", self.on(ink), self.off()),
            Self::Coloured | Self::Plain => text.to_owned(),
        }
    }
    /// Begins an ink.
    pub(crate) const fn on(self, ink: Ink) -> &'static str {
        match self {
            Self::Coloured => ink.code(),
            Self::Plain => "",
        }
    }
    /// Ends every ink.
    pub(crate) const fn off(self) -> &'static str {
        match self {
            Self::Coloured => "\x1b[0m",
            Self::Plain => "",
        }
    }
}

/// Columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// What a peer's text may show on a terminal: no control character, which could move the cursor or change the title.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The text in at most this many columns, with `…` where something is left out.
pub(crate) fn shortened(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut taken = 1;
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        if taken > columns {
            break;
        }
        short.push(c);
    }
    short.push('…');
    short
}

/// The text's words in lines of at most this many columns; a word that is longer is cut.
pub(crate) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        for piece in pieces(word, columns) {
            let line = lines.len() - 1;
            let taken = width(&lines[line]);
            if taken > 0 && taken + 1 + width(piece) > columns {
                lines.push(piece.to_owned());
            } else {
                if taken > 0 {
                    lines[line].push(' ');
                }
                lines[line].push_str(piece);
            }
        }
    }
    lines
}

/// A word in pieces of at most this many columns.
pub(crate) fn pieces(word: &str, columns: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut taken) = (0, 0);
    for (at, c) in word.char_indices() {
        let wide = c.width().unwrap_or(0);
        if taken + wide > columns && at > start {
            pieces.push(&word[start..at]);
            (start, taken) = (at, 0);
        }
        taken += wide;
    }
    pieces.push(&word[start..]);
    pieces
}
