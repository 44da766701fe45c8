//! A client's socket: messages in, messages out, and the knowledge whether anybody is still there.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio_util::codec::{AnyDelimiterCodec, AnyDelimiterCodecError, FramedRead};
use tokio_util::sync::{CancellationToken, PollSemaphore};

use super::intake::Intake;

use crate::protocol::MAX_MESSAGE;

/// How long a client may take no byte of what is written to it before it counts as gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// Replies are gathered up to so many bytes before they are written.
const GATHER: usize = 64 << 10;
/// Calls that a client may send ahead while a long call is under way; further ones stay in its socket. One of the
/// longest kind is the most that is kept.
const AHEAD: usize = 64;

/// The client is not there any more, or does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// What comes in.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A message.
    Message(Bytes),
    /// A message that is longer than any may be.
    TooLong,
}

/// Completes when the daemon's program is to be replaced.
pub(super) async fn leaves(leaving: &mut watch::Receiver<bool>) {
    if leaving.wait_for(|leaving| *leaving).await.is_err() {
        // Nobody can say so any more.
        std::future::pending::<()>().await;
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    frames: FramedRead<Intake<OwnedReadHalf>, AnyDelimiterCodec>,
    writer: OwnedWriteHalf,
    out: Vec<u8>,
    ahead: VecDeque<Incoming>,
    /// How many bytes of messages are kept there.
    ahead_bytes: usize,
    /// The client has sent all it will ever send.
    finished: bool,
    /// Fires when the daemon ends: nothing more is waited for.
    ending: CancellationToken,
    /// Whether the daemon's program is being replaced: what was asked is answered, and nothing more is waited for.
    leaving: watch::Receiver<bool>,
    /// Nothing more is let in for that, and whether a call was given up.
    shut: bool,
    left: bool,
}

impl Connection {
    /// A connection whose long messages take these turns.
    pub(super) fn new(
        stream: UnixStream,
        turns: PollSemaphore,
        ending: CancellationToken,
        leaving: watch::Receiver<bool>,
    ) -> Self {
        let (reader, writer) = stream.into_split();
        let codec = AnyDelimiterCodec::new_with_max_length(vec![0], vec![0], MAX_MESSAGE);
        Self {
            frames: FramedRead::new(Intake::new(reader, turns), codec),
            writer,
            out: Vec::new(),
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            finished: false,
            ending,
            leaving,
            shut: false,
            left: false,
        }
    }

    /// The next message; before waiting for it, everything gathered is written.
    pub(super) async fn next(&mut self) -> Result<Incoming, Gone> {
        loop {
            if let Some(incoming) = self.ahead.pop_front() {
                if let Incoming::Message(message) = &incoming {
                    self.ahead_bytes -= message.len();
                }
                return Ok(incoming);
            }
            if self.finished {
                self.flush().await?;
                return Err(Gone);
            }
            self.let_go();
            self.frames.get_mut().takes_turns = true;
            let frame = if let Some(frame) = self.frames.next().now_or_never() {
                frame
            } else {
                self.flush().await?;
                tokio::select! {
                    frame = self.frames.next() => frame,
                    () = self.ending.cancelled() => return Err(Gone),
                    () = leaves(&mut self.leaving), if !self.shut => {
                        self.let_nothing_in();
                        continue;
                    }
                }
            };
            self.take_in(frame);
        }
    }

    /// What the client has sent is still read; what it sends from now on it knows to be lost, and can send again.
    fn let_nothing_in(&mut self) {
        self.shut = true;
        let stream: &UnixStream = self.writer.as_ref();
        // It fails only if the client has gone.
        let _ = rustix::net::shutdown(stream, rustix::net::Shutdown::Read);
    }

    /// Whether a call was given up because the daemon's program is being replaced.
    pub(super) const fn has_left(&self) -> bool {
        self.left
    }

    /// What was read is done with, or is only streamed about from now on: others may be read, and the room that a long
    /// message took is given back.
    pub(super) fn let_go(&mut self) {
        if self.frames.get_mut().let_go() {
            let rest = BytesMut::from(self.frames.read_buffer().as_ref());
            *self.frames.read_buffer_mut() = rest;
        }
    }

    fn take_in(&mut self, frame: Option<Result<Bytes, AnyDelimiterCodecError>>) {
        let held = self.frames.read_buffer().len();
        match frame {
            Some(Ok(message)) => {
                self.frames.get_mut().complete(held);
                self.ahead_bytes += message.len();
                self.ahead.push_back(Incoming::Message(message));
            }
            Some(Err(AnyDelimiterCodecError::MaxChunkLengthExceeded)) => {
                self.ahead.push_back(Incoming::TooLong);
                self.finished = true;
            }
            Some(Err(AnyDelimiterCodecError::Io(_))) | None => self.finished = true,
        }
    }

    /// Gathers a message to be written.
    pub(super) async fn send(&mut self, message: &[u8]) -> Result<(), Gone> {
        self.out.extend_from_slice(message);
        self.out.push(0);
        if self.out.len() >= GATHER { self.flush().await } else { Ok(()) }
    }

    /// Writes everything gathered.
    pub(super) async fn flush(&mut self) -> Result<(), Gone> {
        let mut rest = self.out.as_slice();
        while !rest.is_empty() {
            let written: io::Result<usize> =
                tokio::time::timeout(PATIENCE, self.writer.write(rest)).await.map_err(|_| Gone)?;
            rest = &rest[written.map_err(|_| Gone)?..];
        }
        self.out.clear();
        if self.out.capacity() > 2 * GATHER {
            self.out.shrink_to(GATHER);
        }
        Ok(())
    }

    /// Awaits `work` unless the client goes first. Calls that it sends meanwhile are kept for later.
    pub(super) async fn unless_gone<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Gone> {
        tokio::pin!(work);
        self.frames.get_mut().takes_turns = false;
        loop {
            let room = self.ahead.len() < AHEAD && self.ahead_bytes < MAX_MESSAGE;
            let may_read = room && !self.finished;
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = self.ending.cancelled() => return Err(Gone),
                () = leaves(&mut self.leaving) => {
                    self.left = true;
                    return Err(Gone);
                }
                frame = self.frames.next(), if may_read => {
                    self.take_in(frame);
                    if self.finished {
                        return Err(Gone);
                    }
                }
            }
        }
    }
}
