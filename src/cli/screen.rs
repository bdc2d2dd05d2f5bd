//! What text goes to: a terminal with a line that is redrawn in place, or a pipe that gets the text alone.

use std::io::{self, ErrorKind, IsTerminal, Write};

use super::{
    Failure,
    show::{Ink, Room, Style, shortened},
};

/// Columns and lines where there is no terminal to ask.
const COLUMNS: usize = 80;
const LINES: usize = 24;

/// Standard output, as far as it is one for people.
pub(crate) struct Screen {
    is_terminal: bool,
    pub(crate) style: Style,
    pub(crate) columns: usize,
    /// Whether the last thing shown ended its line.
    at_line_start: bool,
    /// Whether the standing line is there now.
    stands: bool,
    /// Lines of the block that was shown last.
    drawn: usize,
}

impl Screen {
    pub(crate) fn standard() -> Self {
        let is_terminal = io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        // https://no-color.org
        let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let style = if is_terminal && !wants_none { Style::Coloured } else { Style::Plain };
        let columns = if is_terminal { terminal_size::terminal_size().map(|(width, _)| width.0.into()) } else { None };
        Self {
            is_terminal,
            style,
            columns: columns.filter(|columns| *columns > 0).unwrap_or(COLUMNS),
            at_line_start: true,
            stands: false,
            drawn: 0,
        }
    }
    /// Whether the last line is whole.
    pub(crate) fn is_at_line_start(&self) -> bool {
        self.at_line_start
    }
    /// Whoever sits there has ended the line below with what they typed.
    pub(crate) const fn line_was_ended(&mut self) {
        (self.stands, self.at_line_start) = (false, true);
    }
    /// Whether there is one to draw on.
    pub(crate) const fn is_terminal(&self) -> bool {
        self.is_terminal
    }
    /// How much a block may take now, the line below it left out: people make terminals larger and smaller.
    pub(crate) fn room(&self) -> Room {
        let size = terminal_size::terminal_size().map(|(width, height)| (usize::from(width.0), usize::from(height.0)));
        let (columns, lines) = size.filter(|(columns, lines)| *columns > 0 && *lines > 0).unwrap_or((COLUMNS, LINES));
        // One of each less than there are: a full line would wrap, and a full screen scroll.
        Room { columns: columns.saturating_sub(1).max(1), lines: lines.saturating_sub(2).max(1) }
    }
    /// Shows a block, and below it where things stand, in the place of the block that was shown last.
    pub(crate) fn replace(&mut self, block: &str, standing: &str) -> Result<(), Failure> {
        let room = self.room();
        let up = if self.drawn > 0 { format!("\x1b[{}A\r\x1b[J", self.drawn) } else { String::new() };
        let standing = self.style.paint(Ink::Faint, &shortened(standing, room.columns));
        self.drawn = block.lines().count() + 1;
        print(&format!("{up}{block}{standing}\n"))
    }
    /// Adds text, and shows where things stand below it while no line is being written.
    pub(crate) fn add(&mut self, text: &str, standing: &str) -> Result<(), Failure> {
        let mut out = String::new();
        if self.stands {
            out.push_str("\r\x1b[2K");
            self.stands = false;
        }
        out.push_str(text);
        if let Some(last) = text.chars().next_back() {
            self.at_line_start = last == '\n';
        }
        if self.is_terminal && self.at_line_start && !standing.is_empty() {
            // One column less than there are: a full line would wrap, and could not be taken back.
            out.push_str(&self.style.paint(Ink::Faint, &shortened(standing, self.columns - 1)));
            self.stands = true;
        }
        print(&out)
    }
}

/// Writes to standard output. A reader that has closed it has seen enough: that ends the program as if it was done.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::Usage(format!("standard output can't be written: {error}"))),
    }
}
