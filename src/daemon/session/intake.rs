//! How much of what clients send is held at once.
//!
//! A short message is read whoever sends it. A longer one takes its turn: so many are read and answered at once, the
//! others stay in their clients' sockets, so that no crowd of clients makes the daemon grow. Invariant: who has a turn
//! gives it back when its call is answered, when it begins to stream, or when its message takes too long to arrive.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_util::sync::PollSemaphore;

/// What a message may have without a turn, in bytes: a job with a full environment.
const SHORT: usize = 16 << 10;
/// Long messages that are read and answered at once: at most so many times
/// [`MAX_MESSAGE`](crate::protocol::MAX_MESSAGE) are held, and what is made of them.
pub(super) const LONG_AT_ONCE: usize = 16;
/// How long a message may take to arrive once it has its turn: the longest one through a slow line.
const ARRIVES: Duration = Duration::from_secs(60);

/// A client's messages, of which long ones wait for their turn.
#[derive(Debug)]
pub(super) struct Intake<R> {
    inner: R,
    turns: PollSemaphore,
    /// How much of an unfinished message has been read.
    held: usize,
    turn: Option<OwnedSemaphorePermit>,
    late: Option<Pin<Box<Sleep>>>,
    /// Whether a turn is taken; otherwise what is long stays where it is.
    pub(super) takes_turns: bool,
}

impl<R> Intake<R> {
    pub(super) fn new(inner: R, turns: PollSemaphore) -> Self {
        Self { inner, turns, held: 0, turn: None, late: None, takes_turns: true }
    }

    /// A message is complete, and so much of the next one has been read.
    pub(super) fn complete(&mut self, held: usize) {
        self.held = held;
        self.late = None;
    }

    /// Gives the turn back, unless the next message needs it; says whether there was one.
    pub(super) fn let_go(&mut self) -> bool {
        self.held < SHORT && self.turn.take().is_some()
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Intake<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.held >= SHORT && this.turn.is_none() {
            if !this.takes_turns {
                return Poll::Pending;
            }
            this.turn = ready!(this.turns.poll_acquire(context));
        }
        if this.held >= SHORT {
            let late = this.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(ARRIVES)));
            if late.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
        this.held += buffer.filled().len() - before;
        Poll::Ready(Ok(()))
    }
}
