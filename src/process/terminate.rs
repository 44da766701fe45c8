//! Ends a child and everything in its group: politely, then not.

use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout_at};

use super::child::Child;
use super::exit::Exit;
use super::leftovers::{Owner, kill_named};

/// How soon an emptied group is noticed at first, and at most, once its leader is gone: the members
/// are nobody's children that we could wait for.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(50);

/// How long killed stragglers are waited for. They run no instruction of their own any more; what is
/// waited for is that the kernel and their new parent have cleared them away.
const KILL_WAIT: Duration = Duration::from_secs(1);

/// Asks the tree to end (TERM), gives it `grace`, then kills it. Members that outlive the leader are
/// given the rest of the grace and are killed too. So are, where orphans come to this process,
/// processes of the same attempt that left the group; a job that merely *ends* may leave such daemons
/// behind, one that is terminated may not. Completes when all that is done.
///
/// Giving it up halfway leaves the tree with the signals sent so far.
pub async fn terminate(child: &Child, grace: Duration) -> Exit {
    let deadline = Instant::now() + grace;
    // A signal that can't be sent (another user's process) leaves only waiting, here and below.
    let _ = child.end_tree(Signal::TERM);
    finish_by(child, deadline.into_std()).await
}

/// The rest of [`terminate`] for a tree that was asked to end already and has its grace until this moment.
pub async fn finish_by(child: &Child, deadline: std::time::Instant) -> Exit {
    let deadline = Instant::from_std(deadline);
    if timeout_at(deadline, child.exited()).await.is_err() {
        let _ = child.end_tree(Signal::KILL);
    }
    let exit = child.exited().await;
    if !emptied_by(child, deadline).await {
        kill_stragglers(child).await;
    }
    kill_escaped(child).await;
    exit
}

impl Child {
    /// Ends what a child that has exited left behind in its group: TERM, `grace`, KILL. True when
    /// nobody is left; false while the leader lives, or if someone could not be killed.
    pub async fn end_stragglers(&self, grace: Duration) -> bool {
        if self.exit().is_none() {
            return false;
        }
        let deadline = Instant::now() + grace;
        let _ = self.end_tree(Signal::TERM);
        emptied_by(self, deadline).await || kill_stragglers(self).await
    }
}

/// Kills the orphans that carry the attempt's token. Reading `/proc` blocks, so it happens on a
/// blocking thread, and only on one at a time however many trees are being terminated.
async fn kill_escaped(child: &Child) {
    static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);
    let (Some(reaper), Some(token)) = (child.reaper(), child.attempt()) else { return };
    if !reaper.adopts_orphans() {
        return;
    }
    let Ok(_turn) = ONE_AT_A_TIME.acquire().await else { return };
    let token = token.to_owned();
    let search = move || kill_named(Owner::Attempt(&token), || reaper.strangers());
    // A search that panicked or was cut off by the runtime's end has killed what it found.
    let _ = spawn_blocking(search).await;
}

async fn kill_stragglers(child: &Child) -> bool {
    let _ = child.end_tree(Signal::KILL);
    emptied_by(child, Instant::now() + KILL_WAIT).await
}

/// Waits until nobody of the group is left; false at the deadline.
async fn emptied_by(child: &Child, deadline: Instant) -> bool {
    let mut pause = FIRST_LOOK;
    while child.stragglers() {
        child.hurry_reaper();
        if Instant::now() >= deadline {
            return !child.stragglers();
        }
        sleep(pause.min(deadline - Instant::now())).await;
        pause = (pause * 2).min(LAST_LOOK);
    }
    true
}
