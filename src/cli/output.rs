//! Where a command writes to: results on standard output, everything about them on standard error.
//!
//! Invariant: standard output holds nothing but what was asked for, so that scripts can use it.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

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

/// The most bytes that a pipe with any room takes without making the writer wait.
const PIECE: usize = 4096;
/// No time at all.
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// The longest that a slow reader can hold up the end of the process.
const A_WHILE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

type Sink = Rc<RefCell<Box<dyn Write>>>;

/// Both outputs of a command.
pub(super) struct Output {
    out: Sink,
    err: Sink,
    style: Style,
    /// Whether these are the process's own, which can make a writer wait.
    real: bool,
}

/// Both outputs as a job's output needs them: everything goes out at once, and a reader that is slow
/// holds up nobody but the job's output.
pub(super) struct Streams {
    out: Sink,
    err: Sink,
    real: bool,
}

impl Output {
    /// The process's own outputs.
    pub(super) fn standard(json: bool, quiet: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let style =
            Style { json, quiet, width: terminal_width(terminal), colour: terminal && !plain };
        let out: Box<dyn Write> = match own_stdout() {
            Ok(file) => Box::new(BufWriter::new(file)),
            Err(_) => Box::new(io::stdout()),
        };
        Self { out: sink(out), err: sink(Box::new(io::stderr())), style, real: true }
    }

    /// Outputs of one's own.
    #[cfg(test)]
    pub(super) fn to(out: Box<dyn Write>, err: Box<dyn Write>, style: Style) -> Self {
        Self { out: sink(out), err: sink(err), style, real: false }
    }

    /// How results are written.
    pub(super) const fn style(&self) -> Style {
        self.style
    }

    /// Writes a line of a result.
    pub(super) fn line(&mut self, text: impl std::fmt::Display) -> Result<(), Error> {
        Ok(writeln!(self.out.borrow_mut(), "{text}")?)
    }

    /// Writes a part of a result as it is.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Error> {
        Ok(self.out.borrow_mut().write_all(text.as_bytes())?)
    }

    /// Writes one value as a line of JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Error> {
        let mut out = self.out.borrow_mut();
        serde_json::to_writer(&mut *out, value).map_err(io::Error::from)?;
        Ok(out.write_all(b"\n")?)
    }

    /// The same outputs for a job's output.
    pub(super) fn streams(&self) -> Streams {
        Streams { out: Rc::clone(&self.out), err: Rc::clone(&self.err), real: self.real }
    }

    /// Sends out what has been written so far.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        Ok(self.out.borrow_mut().flush()?)
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
        let _ = self.out.borrow_mut().flush();
        if self.style.json {
            let told = serde_json::json!({ "notice": text.to_string() });
            let _ = writeln!(self.err.borrow_mut(), "{told}");
        } else {
            let _ = writeln!(self.err.borrow_mut(), "{}: {text}", crate::NAME);
        }
    }

    /// Tells why the command failed.
    pub(super) fn fail(&mut self, error: &Error) {
        let _ = self.out.borrow_mut().flush();
        if error.is_quiet() {
            return;
        }
        if self.style.json {
            let _ = writeln!(self.err.borrow_mut(), "{}", error.to_json());
        } else {
            let _ = writeln!(self.err.borrow_mut(), "{}: {error}", crate::NAME);
        }
    }

    /// Asks a question whose answer is typed on the terminal.
    pub(super) fn ask(&mut self, question: &str) -> Result<bool, Error> {
        let _ = write!(self.err.borrow_mut(), "{question} [y/N] ");
        let _ = self.err.borrow_mut().flush();
        let mut answer = String::new();
        let input = |source| Error::Input { name: "the answer".to_owned(), source };
        io::stdin().read_line(&mut answer).map_err(input)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

impl Streams {
    /// Writes bytes of a job's standard output.
    pub(super) async fn out(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let stdout = io::stdout();
        write_patiently(&self.out, bytes, self.real.then(|| stdout.as_fd())).await
    }

    /// Writes bytes of a job's standard error.
    pub(super) async fn err(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let stderr = io::stderr();
        write_patiently(&self.err, bytes, self.real.then(|| stderr.as_fd())).await
    }
}

/// Standard output without the standard library's handle, which writes line by line: output of jobs is
/// to go out in pieces.
///
/// A daemon that is started meanwhile must not keep it open: `id=$(twolane submit …)` would not end.
fn own_stdout() -> io::Result<File> {
    Ok(File::from(rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3)?))
}

fn sink(writer: Box<dyn Write>) -> Sink {
    Rc::new(RefCell::new(writer))
}

/// Writes piece by piece, each only when it does not make the whole process wait.
async fn write_patiently(
    sink: &Sink,
    bytes: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> Result<(), Error> {
    for piece in bytes.chunks(PIECE) {
        if let Some(descriptor) = descriptor.filter(|&descriptor| !takes_more(descriptor, &AT_ONCE))
        {
            until_writable(descriptor).await?;
        }
        let mut sink = sink.borrow_mut();
        sink.write_all(piece)?;
        sink.flush()?;
    }
    Ok(())
}

/// Whether a write goes through at once, or will within `patience`; an error is for the write to find.
fn takes_more(descriptor: BorrowedFd<'_>, patience: &Timespec) -> bool {
    poll(&mut [PollFd::from_borrowed_fd(descriptor, PollFlags::OUT)], Some(patience)) != Ok(0)
}

/// Waits on a thread of its own: this one has signals to hear.
async fn until_writable(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        let own = descriptor.try_clone_to_owned()?;
        let waited = tokio::task::spawn_blocking(move || takes_more(own.as_fd(), &A_WHILE));
        if waited.await.map_err(io::Error::other)? {
            return Ok(());
        }
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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use rustix::io::{FdFlags, fcntl_getfd};

    use super::*;

    #[test]
    fn a_daemon_that_is_started_does_not_keep_standard_output_open() {
        let file = own_stdout().unwrap();
        assert!(fcntl_getfd(&file).unwrap().contains(FdFlags::CLOEXEC));
    }

    #[tokio::test]
    async fn a_slow_reader_holds_up_its_writer_alone() {
        let (mut reader, writer) = io::pipe().unwrap();
        let sink = sink(Box::new(writer.try_clone().unwrap()));
        let bytes = vec![7; 1 << 20];
        let writing = write_patiently(&sink, &bytes, Some(writer.as_fd()));
        let mut writing = std::pin::pin!(writing);
        // The pipe is full long before the end, and the writer waits without holding up this thread.
        assert!(
            std::future::poll_fn(|context| std::task::Poll::Ready(writing.as_mut().poll(context)))
                .await
                .is_pending()
        );
        let reading = tokio::task::spawn_blocking(move || {
            let mut read = vec![0; 1 << 20];
            reader.read_exact(&mut read).map(|()| read)
        });
        writing.await.unwrap();
        assert_eq!(reading.await.unwrap().unwrap(), vec![7; 1 << 20]);
    }
}
