//! What text goes to: a terminal with a line that is redrawn in place, or a pipe that gets the text alone.

use std::io::{self, ErrorKind, IsTerminal, Write};

use super::{
    Failure,
    show::{Style, shortened},
};

/// Columns where there is no terminal to ask.
const COLUMNS: usize = 80;

/// Standard output, as far as it is one for people.
pub(crate) struct Screen {
    is_terminal: bool,
    pub(crate) style: Style,
    pub(crate) columns: usize,
    /// Whether the last thing shown ended its line.
    at_line_start: bool,
    /// Whether the standing line is there now.
    stands: bool,
}

impl Screen {
    pub(crate) fn standard() -> Self {
        let is_terminal = io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        // https://no-color.org
        let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let style = if is_terminal && !wants_none { Style::Coloured } else { Style::Plain };
        let columns = if is_terminal { terminal_size::terminal_size().map(|(width, _)| width.0.into()) } else { None };
        Self { is_terminal, style, columns: columns.filter(|columns| *columns > 0).unwrap_or(COLUMNS), at_line_start: true, stands: false }
    }
    /// Whether the last line is whole.
    pub(crate) fn is_at_line_start(&self) -> bool {
        self.at_line_start
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
            out.push_str(&self.style.paint(super::show::Ink::Faint, &shortened(standing, self.columns - 1)));
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
