//! One connection to the daemon.

use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::net::UnixStream;
use tokio_util::codec::{AnyDelimiterCodec, AnyDelimiterCodecError, Framed};

use super::error::{CallError, ConnectError};
use crate::protocol::{Error, MAX_MESSAGE, Method, Reply, ReplyError, encode};

/// How often a full line of waiting connections is tried again, and how long each time is waited: the
/// kernel answers at once instead of letting an asynchronous connect wait. Ten seconds in all.
const FULL_TRIES: u32 = 2_000;
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// How often a call is sent again that was not taken.
const UNTAKEN_TRIES: u32 = 3;

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    frames: Framed<UnixStream, AnyDelimiterCodec>,
    /// Where the daemon listens, if that is known.
    path: Option<PathBuf>,
}

/// The replies of one call, which has used up its connection. Dropping it ends the call.
#[derive(Debug)]
pub struct Replies<M> {
    client: Client,
    ended: bool,
    method: PhantomData<M>,
}

impl Client {
    /// Connects to the daemon that listens at `path`.
    pub async fn connect(path: &Path) -> Result<Self, ConnectError> {
        let mut tries = 0;
        loop {
            match UnixStream::connect(path).await {
                Ok(stream) => {
                    return Ok(Self { path: Some(path.to_owned()), ..Self::over(stream) });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries < FULL_TRIES => {
                    tries += 1;
                    tokio::time::sleep(FULL_PAUSE).await;
                }
                Err(error) => return Err(refused(path, error)),
            }
        }
    }

    /// Talks over a stream that is connected already.
    pub fn over(stream: UnixStream) -> Self {
        let codec = AnyDelimiterCodec::new_with_max_length(vec![0], vec![0], MAX_MESSAGE);
        Self { frames: Framed::new(stream, codec), path: None }
    }

    /// Calls a method that answers once.
    pub async fn call<M: Method>(
        &mut self,
        parameters: &M::Parameters,
    ) -> Result<M::Reply, CallError> {
        let mut tries = 0;
        loop {
            let taken = self.send::<M>(parameters, false).await?;
            match self.receive::<M>().await {
                Err(CallError::Closed) if !taken && tries < UNTAKEN_TRIES => {
                    tries += 1;
                    self.connect_again().await?;
                }
                result => return result.map(|(reply, _)| reply),
            }
        }
    }

    /// Calls a method that answers any number of times.
    pub async fn stream<M: Method>(
        mut self,
        parameters: &M::Parameters,
    ) -> Result<Replies<M>, CallError> {
        let mut tries = 0;
        while !self.send::<M>(parameters, true).await? && tries < UNTAKEN_TRIES {
            tries += 1;
            if self.connect_again().await.is_err() {
                break;
            }
        }
        Ok(Replies { client: self, ended: false, method: PhantomData })
    }

    /// Waits until the daemon closes the connection, which it does at its end.
    pub async fn closed(mut self) {
        while let Some(Ok(_)) = self.frames.next().await {}
    }

    /// A new connection to the same daemon, or to the program that has taken its place.
    async fn connect_again(&mut self) -> Result<(), CallError> {
        let path = self.path.as_deref().ok_or(CallError::Closed)?;
        *self = Self::connect(path).await.map_err(|_| CallError::Closed)?;
        Ok(())
    }

    /// Sends a call. `false` when the daemon had hung up: it can't have taken it as a whole, so it did nothing of it.
    async fn send<M: Method>(
        &mut self,
        parameters: &M::Parameters,
        more: bool,
    ) -> Result<bool, CallError> {
        let method = format!("{}.{}", crate::INTERFACE, M::NAME);
        let message = encode::call(&method, parameters, more)?;
        if message.len() > MAX_MESSAGE {
            return Err(CallError::TooLong(message.len()));
        }
        let text = String::from_utf8(message).map_err(io::Error::other)?;
        match self.frames.send(text).await {
            // A daemon that refuses early says why before it hangs up: that answer is still to be read.
            Err(error) if !hung_up(&error) => Err(broken(error)),
            sent => Ok(sent.is_ok()),
        }
    }

    async fn receive<M: Method>(&mut self) -> Result<(M::Reply, bool), CallError> {
        let frame = match self.frames.next().await {
            None => return Err(CallError::Closed),
            Some(Err(error)) if hung_up(&error) => return Err(CallError::Closed),
            Some(frame) => frame.map_err(broken)?,
        };
        understand::<M>(&frame)
    }
}

impl<M: Method> Replies<M> {
    /// The next reply; `None` after the last. Can be dropped at any time without losing a reply.
    pub async fn next(&mut self) -> Option<Result<M::Reply, CallError>> {
        if self.ended {
            return None;
        }
        let result = self.client.receive::<M>().await;
        self.ended = !matches!(result, Ok((_, true)));
        Some(result.map(|(reply, _)| reply))
    }
}

fn understand<M: Method>(frame: &Bytes) -> Result<(M::Reply, bool), CallError> {
    let reply: Reply<'_> = serde_json::from_slice(frame)?;
    let text = reply.parameters.map_or("{}", |raw| raw.get());
    let Some(name) = reply.error else {
        return Ok((serde_json::from_str(text)?, reply.continues));
    };
    let told = ReplyError { name: name.into_owned(), parameters: serde_json::from_str(text)? };
    Err(match Error::from_reply(&told) {
        Some(error) => CallError::Refused(error),
        None => CallError::Varlink { name: told.name, parameters: told.parameters },
    })
}

fn refused(path: &Path, source: io::Error) -> ConnectError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            ConnectError::Nobody { path, stale: false }
        }
        io::ErrorKind::ConnectionRefused => ConnectError::Nobody { path, stale: true },
        io::ErrorKind::PermissionDenied => ConnectError::Denied { path },
        _ => ConnectError::Io { path, source },
    }
}

fn hung_up(error: &AnyDelimiterCodecError) -> bool {
    matches!(error, AnyDelimiterCodecError::Io(error)
        if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset))
}

fn broken(error: AnyDelimiterCodecError) -> CallError {
    match error {
        AnyDelimiterCodecError::Io(error) => CallError::Io(error),
        AnyDelimiterCodecError::MaxChunkLengthExceeded => {
            let text = format!("an answer is longer than {MAX_MESSAGE} bytes");
            CallError::Io(io::Error::new(io::ErrorKind::InvalidData, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::protocol::{Empty, Logs, Show, call};

    async fn read_call(stream: &mut UnixStream) -> serde_json::Value {
        let mut bytes = Vec::new();
        loop {
            match stream.read_u8().await.unwrap() {
                0 => return serde_json::from_slice(&bytes).unwrap(),
                byte => bytes.push(byte),
            }
        }
    }

    #[tokio::test]
    async fn a_refusal_is_one_of_the_closed_list() {
        let (mine, mut theirs) = UnixStream::pair().unwrap();
        let answer = async {
            let call = read_call(&mut theirs).await;
            assert_eq!(call["method"], "io.twolane.Scheduler.Show");
            assert_eq!(call["parameters"]["id"], 12);
            let error = Error::NoSuchJob { id: "12".parse().unwrap(), message: "no".to_owned() };
            theirs.write_all(&encode::error(&error.to_reply()).unwrap()).await.unwrap();
            theirs.write_all(&[0]).await.unwrap();
        };
        let mut client = Client::over(mine);
        let parameters = Show { id: "12".parse().unwrap() };
        let (result, ()) = tokio::join!(client.call::<call::Show>(&parameters), answer);
        assert!(matches!(result, Err(CallError::Refused(Error::NoSuchJob { .. }))), "{result:?}");
    }

    #[tokio::test]
    async fn an_error_of_another_interface_keeps_its_name() {
        let (mine, mut theirs) = UnixStream::pair().unwrap();
        let reply =
            br#"{"error":"org.varlink.service.MethodNotFound","parameters":{"method":"x"}}"#;
        theirs.write_all(reply).await.unwrap();
        theirs.write_all(&[0]).await.unwrap();
        let result = Client::over(mine).call::<call::Stats>(&Empty {}).await;
        let Err(CallError::Varlink { name, .. }) = result else { panic!("{result:?}") };
        assert_eq!(name, "org.varlink.service.MethodNotFound");
    }

    #[tokio::test]
    async fn a_stream_ends_with_the_reply_that_says_so() {
        let (mine, mut theirs) = UnixStream::pair().unwrap();
        let piece = br#"{"parameters":{"attempt":1,"stream":"out","data":""},"continues":true}"#;
        let last = br#"{"parameters":{"attempt":1,"stream":"out","data":""}}"#;
        for message in [&piece[..], &last[..]] {
            theirs.write_all(message).await.unwrap();
            theirs.write_all(&[0]).await.unwrap();
        }
        let id = "1".parse().unwrap();
        let logs = Logs { id, attempt: None, stream: None, follow: true, tail: None, from: None };
        let mut replies = Client::over(mine).stream::<call::Logs>(&logs).await.unwrap();
        assert!(replies.next().await.unwrap().is_ok());
        assert!(replies.next().await.unwrap().is_ok());
        assert!(replies.next().await.is_none());
    }

    #[tokio::test]
    async fn a_daemon_that_hangs_up_is_told_apart_from_one_that_refuses() {
        let (mine, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let result = Client::over(mine).call::<call::Stats>(&Empty {}).await;
        assert!(matches!(result, Err(CallError::Closed)), "{result:?}");
    }

    #[tokio::test]
    async fn a_call_that_came_too_late_is_made_again_on_a_new_connection() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let mut client = Client::connect(&path).await.unwrap();
        let (first, _) = listener.accept().await.unwrap();
        rustix::net::shutdown(&first, rustix::net::Shutdown::Read).unwrap();
        let next = async {
            drop(first);
            let (mut next, _) = listener.accept().await.unwrap();
            assert_eq!(read_call(&mut next).await["method"], "io.twolane.Scheduler.Stop");
            next.write_all(b"{}\0").await.unwrap();
        };
        let stop = crate::protocol::Stop::default();
        let (result, ()) = tokio::join!(client.call::<call::Stop>(&stop), next);
        assert!(result.is_ok(), "{result:?}");
    }

    #[tokio::test]
    async fn a_call_that_no_daemon_takes_is_not_sent() {
        let (mine, _theirs) = UnixStream::pair().unwrap();
        let pause = crate::protocol::Pause { queue: "x".repeat(MAX_MESSAGE), reason: None };
        let result = Client::over(mine).call::<call::Pause>(&pause).await;
        assert!(matches!(result, Err(CallError::TooLong(_))), "{result:?}");
    }

    #[tokio::test]
    async fn an_absent_socket_and_a_stale_one_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let absent = Client::connect(&path).await.unwrap_err();
        assert!(matches!(absent, ConnectError::Nobody { stale: false, .. }), "{absent:?}");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let stale = Client::connect(&path).await.unwrap_err();
        assert!(matches!(stale, ConnectError::Nobody { stale: true, .. }), "{stale:?}");
    }
}
