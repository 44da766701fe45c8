//! Where a command writes to: results on standard output, everything about them on standard error.
//!
//! Invariant: standard output holds nothing but what was asked for, so that scripts can use it.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};

use serde::Serialize;

use super::error::Error;

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    /// As JSON instead of for people.
    pub(super) json: bool,
    /// Without notices.
    pub(super) quiet: bool,
    /// How many columns a line has; none when the output is no terminal.
    pub(super) width: Option<usize>,
    /// With colours.
    pub(super) colour: bool,
}

/// Both outputs of a command.
pub(super) struct Output {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    style: Style,
}

impl Output {
    /// The process's own outputs.
    pub(super) fn standard(json: bool, quiet: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let style =
            Style { json, quiet, width: terminal_width(terminal), colour: terminal && !plain };
        // The standard library's own handle writes line by line; output of jobs is to go out in pieces.
        let out: Box<dyn Write> = match rustix::io::dup(io::stdout()) {
            Ok(descriptor) => Box::new(BufWriter::new(File::from(descriptor))),
            Err(_) => Box::new(io::stdout()),
        };
        Self { out, err: Box::new(io::stderr()), style }
    }

    /// Outputs of one's own.
    #[cfg(test)]
    pub(super) fn to(out: Box<dyn Write>, err: Box<dyn Write>, style: Style) -> Self {
        Self { out, err, style }
    }

    /// How results are written.
    pub(super) const fn style(&self) -> Style {
        self.style
    }

    /// Writes a line of a result.
    pub(super) fn line(&mut self, text: impl std::fmt::Display) -> Result<(), Error> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Writes a part of a result as it is.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Error> {
        Ok(self.out.write_all(text.as_bytes())?)
    }

    /// Writes one value as a line of JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Error> {
        serde_json::to_writer(&mut self.out, value).map_err(io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }

    /// Writes bytes of a job's standard output, at once.
    pub(super) fn out_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes)?;
        Ok(self.out.flush()?)
    }

    /// Writes bytes of a job's standard error, at once.
    pub(super) fn err_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.err.write_all(bytes)?;
        Ok(self.err.flush()?)
    }

    /// Sends out what has been written so far.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        Ok(self.out.flush()?)
    }

    /// Says something beside the result, unless the caller wants quiet.
    pub(super) fn notice(&mut self, text: impl std::fmt::Display) {
        if !self.style.quiet {
            self.say(text);
        }
    }

    /// Says something that the caller has to know.
    pub(super) fn say(&mut self, text: impl std::fmt::Display) {
        // Results come before what is said about them, as on a terminal.
        let _ = self.out.flush();
        let _ = writeln!(self.err, "{}: {text}", crate::NAME);
    }

    /// Tells why the command failed.
    pub(super) fn fail(&mut self, error: &Error) {
        let _ = self.out.flush();
        if error.is_quiet() {
            return;
        }
        if self.style.json {
            let _ = writeln!(self.err, "{}", error.to_json());
        } else {
            let _ = writeln!(self.err, "{}: {error}", crate::NAME);
        }
    }

    /// Asks a question whose answer is typed on the terminal.
    pub(super) fn ask(&mut self, question: &str) -> Result<bool, Error> {
        let _ = write!(self.err, "{question} [y/N] ");
        let _ = self.err.flush();
        let mut answer = String::new();
        let input = |source| Error::Input { name: "the answer".to_owned(), source };
        io::stdin().read_line(&mut answer).map_err(input)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

/// The width of the terminal, or what `COLUMNS` says about it.
fn terminal_width(terminal: bool) -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    if !terminal {
        return None;
    }
    let asked = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col.into());
    columns.or(asked).filter(|&width| width > 0)
}
