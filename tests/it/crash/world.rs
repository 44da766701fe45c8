//! One state directory and the lives that daemons lead in it.

use std::os::unix::process::ExitStatusExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::breaking::FULL;
use super::dice::Dice;
use super::judge::judge;
use super::point::Point;
use super::record::Record;
use super::users::User;
use super::victim::Victim;

/// Clients of a life, and how much each asks for.
const USERS: u64 = 3;
const REQUESTS: u64 = 20;

/// How a life is to end.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The daemon kills itself when it has passed the point so often.
    At(Point, u64),
    /// It is killed a moment after so many replies.
    Replied(u64, Duration),
    /// It is told to end.
    InOrder,
}

/// A state directory over several lives.
pub(super) struct World {
    seed: u64,
    dice: Dice,
    folder: TempDir,
    record: Arc<Mutex<Record>>,
    died: Vec<Point>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        // In memory where that is possible: what a sync costs is no part of these tests.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let dice = Dice::new(seed);
        Self { seed, dice, folder, record: Arc::default(), died: Vec::new() }
    }

    /// Plays the world to its end; tells where its daemons died.
    pub(super) async fn play(mut self) -> Vec<Point> {
        for end in self.plan() {
            self.life(end).await;
        }
        let mut last = Victim::start(self.folder.path(), None);
        assert!(last.is_ready(), "world {}: the last daemon did not start", self.seed);
        let mut record = std::mem::take(&mut *self.record.lock().unwrap());
        judge(self.folder.path(), &mut record).await;
        last.signal(Signal::TERM);
        assert!(last.child.wait().unwrap().success(), "world {}", self.seed);
        self.died
    }

    /// How the lives end: one at the point that is this world's own, others as chance wants.
    fn plan(&mut self) -> Vec<End> {
        let point = Point::ALL[(self.seed % Point::ALL.len() as u64) as usize];
        let own = End::At(point, 1 + self.dice.roll(point.passes()));
        // A point of the start is of interest when there is something left of another life.
        let mut ends = if point.is_at_start() { vec![self.killed(), own] } else { vec![own] };
        for _ in 0..=self.dice.roll(2) {
            let end = match self.dice.roll(4) {
                // After an orderly end starts are not awaited, as they are for a while after a crash.
                0 => End::InOrder,
                1 => self.killed(),
                _ => {
                    let point = self.dice.pick(&Point::ALL).unwrap();
                    End::At(point, 1 + self.dice.roll(point.passes()))
                }
            };
            ends.push(end);
        }
        ends
    }

    fn killed(&mut self) -> End {
        let replies = 1 + self.dice.roll(USERS * REQUESTS / 2);
        End::Replied(replies, Duration::from_micros(self.dice.roll(5_000)))
    }

    async fn life(&mut self, end: End) {
        let at = if let End::At(point, passes) = end { Some((point, passes)) } else { None };
        let mut daemon = Victim::start(self.folder.path(), at);
        let closes =
            matches!(end, End::InOrder) || matches!(end, End::At(point, _) if point.is_at_end());
        let mut died = !daemon.is_ready();
        if !died {
            died = self.users(end, daemon.pid()).await;
            daemon.signal(if closes { Signal::TERM } else { Signal::KILL });
        }
        let status = daemon.child.wait().unwrap();
        // Whoever filled the disk may have gone before it was emptied again.
        let _ = std::fs::remove_file(self.folder.path().join(FULL));
        let killed_itself = closes && status.signal() == Some(Signal::KILL.as_raw());
        if let End::At(point, _) = end
            && (died || killed_itself)
        {
            self.died.push(point);
        } else if matches!(end, End::InOrder) {
            assert!(status.success(), "world {}: {status}", self.seed);
        }
    }

    /// Has clients ask for things; tells whether the daemon died meanwhile.
    async fn users(&mut self, end: End, daemon: Pid) -> bool {
        self.record.lock().unwrap().replies = 0;
        let users = (0..USERS).map(|_| {
            let replied = move |replies| {
                if let End::Replied(count, moment) = end
                    && replies == count
                {
                    let until = Instant::now() + moment;
                    while Instant::now() < until {
                        std::thread::yield_now();
                    }
                    let _ = kill_process(daemon, Signal::KILL);
                }
            };
            let user = User {
                dice: self.dice.split(),
                folder: self.folder.path().to_owned(),
                record: Arc::clone(&self.record),
                replied: Box::new(replied),
            };
            tokio::spawn(user.lives(REQUESTS))
        });
        let mut gone = false;
        for user in users.collect::<Vec<_>>() {
            gone |= user.await.unwrap();
        }
        gone
    }
}
