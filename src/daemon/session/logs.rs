//! A job's output, as it is and as it comes.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::captured::{Captured, printed_by};
use super::super::event::Ask;
use super::super::instance::make_dir;
use super::Session;
use super::call::Manner;
use super::connection::Gone;
use super::follow::{Begin, Changed, Changes, Growing, Piece};
use super::wait::Watching;
use crate::handlers::{Placeholders, expand_output};
use crate::job::{AttemptRecord, Job};
use crate::protocol::{Error, Finished, Logs, LogsReply, Position, Stream, finished_to_wire};

/// What is read of one job.
struct Reading {
    job: Job,
    logs: Logs,
    captured: Captured,
    /// The attempts that have files, as far as is known.
    printed: BTreeSet<u32>,
    /// The attempt whose files are open, and the last that is to be read.
    attempt: u32,
    files: Vec<Growing>,
}

impl Session {
    pub(super) async fn logs(&mut self, logs: Logs, manner: Manner) -> Result<(), Gone> {
        if !manner.more {
            return self.expected_more(manner).await;
        }
        let (job, attempts) = match self.own_job(logs.id).await {
            Ok(found) => found,
            Err(error) => return self.finish::<LogsReply>(Err(error), manner).await,
        };
        let mut reading = match self.reading(job, &attempts, logs) {
            Ok(reading) => reading,
            Err(error) => return self.finish::<LogsReply>(Err(error), manner).await,
        };
        if reading.logs.follow && !reading.job.state.is_final() {
            return self.follow(&mut reading, manner).await;
        }
        reading.look();
        self.send_new(&mut reading, manner).await?;
        let finished = final_word(&reading.job);
        self.last_piece(&reading, finished, manner).await
    }

    fn reading(&self, job: Job, attempts: &[AttemptRecord], logs: Logs) -> Result<Reading, Error> {
        if let Some(asked) = logs.attempt
            && !(1..=job.attempts).contains(&asked)
        {
            let message =
                format!("job {} has had {} attempts, not {asked}", job.id, attempts.len());
            return Err(Error::InvalidValue { field: "attempt".to_owned(), message });
        }
        let captured = self.hub.captured.clone();
        let from = logs.from;
        let attempt = logs.attempt.unwrap_or(job.attempts).max(1);
        let attempt = from.map_or(attempt, |from| from.attempt.max(1));
        let (printed, files) = (BTreeSet::new(), Vec::new());
        let mut reading = Reading { job, logs, captured, printed, attempt, files };
        let tail = reading.logs.tail.map_or(Begin::Start, Begin::Tail);
        reading.open(|stream| match (from, stream) {
            (None, _) => tail,
            (Some(from), Stream::Out) => Begin::At(from.out),
            (Some(from), Stream::Err) => Begin::At(from.err),
        });
        Ok(reading)
    }

    /// Sends what is there and what comes, until the job is final.
    async fn follow(&mut self, reading: &mut Reading, manner: Manner) -> Result<(), Gone> {
        let watching = match self.watch_ends(vec![reading.job.id]).await {
            Ok(watching) => watching,
            Err(error) => return self.finish::<LogsReply>(Err(error), manner).await,
        };
        let id = watching.id;
        let result = self.follow_until_end(reading, watching, manner).await;
        // The loop is gone only when the daemon is ending, and everything with it.
        let _ = self.hub.tell(Ask::Unwait(id)).await;
        result
    }

    async fn follow_until_end(
        &mut self,
        reading: &mut Reading,
        mut watching: Watching,
        manner: Manner,
    ) -> Result<(), Gone> {
        let mut watch = None;
        let mut finished = watching.ended.pop();
        while finished.is_none() {
            let watched = match &mut watch {
                Some(watched) => watched,
                None => match reading.watch() {
                    Ok(watched) => watch.insert(watched),
                    Err(message) => {
                        let error = Error::Internal { message };
                        return self.finish::<LogsReply>(Err(error), manner).await;
                    }
                },
            };
            self.send_new(reading, manner).await?;
            self.connection.flush().await?;
            let next = async {
                tokio::select! {
                    ended = watching.coming.recv() => ended.ok_or(Gone).map(|one| (Some(one), None)),
                    news = watched.next(|name| reading.concerns(name)) => Ok((None, Some(news))),
                }
            };
            let (ended, news) = self.connection.unless_gone(next).await??;
            finished = ended;
            match news {
                Some(Ok(Changed::Named(names))) => reading.note(names.iter()),
                Some(_) => watch = None,
                None => {}
            }
        }
        let news = watch.map(|watched| watched.so_far(|name| reading.concerns(name)));
        match news {
            Some(Ok(Changed::Named(names))) => reading.note(names.iter()),
            _ => reading.look(),
        }
        self.send_new(reading, manner).await?;
        self.last_piece(reading, finished, manner).await
    }

    /// Sends everything that was written since the last time, attempt after attempt.
    async fn send_new(&mut self, reading: &mut Reading, manner: Manner) -> Result<(), Gone> {
        loop {
            for at in 0..reading.files.len() {
                loop {
                    let file = &mut reading.files[at];
                    let (data, cut) = match file.read() {
                        Ok(Piece::Bytes(bytes)) if bytes.is_empty() => break,
                        Ok(Piece::Bytes(bytes)) => (STANDARD.encode(bytes), None),
                        Ok(Piece::Cut(length)) => (String::new(), Some(length)),
                        Err(error) => {
                            tracing::warn!(job = %reading.job.id, "output can't be read: {error}");
                            break;
                        }
                    };
                    let stream = file.stream;
                    let reply = LogsReply {
                        attempt: reading.attempt,
                        stream,
                        data,
                        at: Some(reading.position()),
                        cut,
                        finished: None,
                    };
                    self.reply(&reply, true, manner).await?;
                }
            }
            if !reading.turn_to_next() {
                return Ok(());
            }
        }
    }

    async fn last_piece(
        &mut self,
        reading: &Reading,
        finished: Option<Finished>,
        manner: Manner,
    ) -> Result<(), Gone> {
        let attempt =
            if reading.job.attempts == 0 && finished.is_none() { 0 } else { reading.attempt };
        let (stream, data) = (Stream::Out, String::new());
        let reply = LogsReply { attempt, stream, data, at: None, cut: None, finished };
        self.reply(&reply, false, manner).await
    }
}

impl Reading {
    /// How far it was read.
    fn position(&mut self) -> Position {
        let mut position = Position { attempt: self.attempt, ..Position::default() };
        for file in &mut self.files {
            match file.stream {
                Stream::Out => position.out = file.position(),
                Stream::Err => position.err = file.position(),
            }
        }
        position
    }

    /// Opens the files of the attempt.
    fn open(&mut self, begin: impl Fn(Stream) -> Begin) {
        let wanted = |stream| self.logs.stream.is_none_or(|only| only == stream);
        let mut files = Vec::new();
        if wanted(Stream::Out) {
            files.push(Growing::new(Stream::Out, self.out_path(), begin(Stream::Out)));
        }
        if wanted(Stream::Err) {
            let path = self.captured.err(self.job.id, self.attempt);
            files.push(Growing::new(Stream::Err, path, begin(Stream::Err)));
        }
        self.files = files;
    }

    fn out_path(&self) -> PathBuf {
        let captured = self.captured.out(self.job.id, self.attempt);
        let Some(template) = &self.job.spec.output else { return captured };
        let filled = Placeholders {
            job: self.job.id,
            index: self.job.place.map(|place| place.index),
            name: self.job.spec.name.as_deref(),
            attempt: self.attempt,
        };
        let path = expand_output(template, &filled);
        path.map_or(captured, |path| self.job.context.cwd.join(path))
    }

    /// Turns to the next attempt that has begun to write; those before it have then ended. An attempt that wrote
    /// nothing may have no file.
    fn turn_to_next(&mut self) -> bool {
        let Some(next) = self.later_attempt().filter(|_| self.logs.attempt.is_none()) else {
            return false;
        };
        let before = self.out_path();
        let out = self.files.drain(..).find(|file| file.stream == Stream::Out);
        self.attempt = next;
        self.open(|_| Begin::Start);
        // A user's file goes on where it is: all attempts write to it.
        if let (Some(out), true) = (out, self.out_path() == before)
            && let Some(first) = self.files.first_mut()
        {
            *first = out;
        }
        true
    }

    /// The first attempt behind this one that has a file of its own.
    fn later_attempt(&self) -> Option<u32> {
        self.printed.range(self.attempt + 1..).next().copied()
    }

    /// Looks for attempts that have files.
    fn look(&mut self) {
        self.printed = self.captured.attempts(self.job.id);
    }

    /// Whether a file of this name may be one of the job's.
    fn concerns(&self, name: &OsStr) -> bool {
        printed_by(name).is_some_and(|(job, _)| job == self.job.id)
            || self.job.spec.output.is_some() && self.out_path().file_name() == Some(name)
    }

    /// Files of these names have come or grown.
    fn note(&mut self, names: impl IntoIterator<Item = impl AsRef<OsStr>>) {
        let files = names.into_iter().filter_map(|name| printed_by(name.as_ref()));
        let mine = files.filter(|(job, _)| *job == self.job.id).map(|(_, attempt)| attempt);
        let new: BTreeSet<u32> = mine.filter(|attempt| !self.printed.contains(attempt)).collect();
        // A user's own file may have such a name, too.
        let has_files = |attempt: &u32| {
            let (out, err) = (
                self.captured.out(self.job.id, *attempt),
                self.captured.err(self.job.id, *attempt),
            );
            out.exists() || err.exists()
        };
        let printed: Vec<u32> = new.into_iter().filter(has_files).collect();
        self.printed.extend(printed);
    }

    /// Watches the folders of the output from now on, and looks at what is there already.
    fn watch(&mut self) -> Result<Changes, String> {
        let folder = self.captured.folder_of(self.job.id);
        let changes = self.changes(&folder);
        let told = |error| format!("{} can't be watched: {error}", folder.display());
        let changes = changes.map_err(told)?;
        self.look();
        Ok(changes)
    }

    /// The captured one is made if no job has made it yet.
    fn changes(&self, captured: &Path) -> io::Result<Changes> {
        make_dir(captured, 0o700)?;
        let out = self.out_path();
        let users = out.parent().filter(|folder| self.job.spec.output.is_some() && folder.is_dir());
        let folders: Vec<&Path> = [captured].into_iter().chain(users).collect();
        Changes::of(&folders)
    }
}

fn final_word(job: &Job) -> Option<Finished> {
    let is_final = job.state.is_final();
    is_final
        .then(|| finished_to_wire(job.id, job.state, job.outcome.as_ref(), job.reason.as_deref()))
}
