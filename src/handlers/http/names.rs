//! Name look-ups, at most so many at once.
//!
//! The system's resolver blocks its thread, and it knows every source that the machine is set up for
//! (`/etc/hosts`, mDNS, LDAP), so it is kept. Its threads are the runtime's, which also open and write
//! files: without a bound, a thousand requests to a slow name server would take them all. Invariant: a
//! look-up that nobody waits for any more still counts until its thread is free.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

type Lookup = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// The bounded resolver.
pub(super) struct Names {
    permits: Arc<Semaphore>,
    look_up: Arc<Lookup>,
}

impl Names {
    /// At most `most` look-ups at once, and at least one.
    pub(super) fn new(most: usize) -> Self {
        Self::with(most, Arc::new(system))
    }

    fn with(most: usize, look_up: Arc<Lookup>) -> Self {
        let permits = most.clamp(1, Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(permits)), look_up }
    }
}

/// Port 0 is replaced by the address's own.
fn system(host: &str) -> io::Result<Vec<SocketAddr>> {
    (host, 0).to_socket_addrs().map(Iterator::collect)
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let (permits, look_up) = (Arc::clone(&self.permits), Arc::clone(&self.look_up));
        Box::pin(async move {
            let permit = permits.acquire_owned().await?;
            let look_up = move || {
                let addresses = look_up(name.as_str());
                drop(permit);
                addresses
            };
            let addresses = tokio::task::spawn_blocking(look_up).await??;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::super::tests::bounded;
    use super::*;

    #[tokio::test]
    async fn look_ups_run_side_by_side_up_to_their_bound() {
        const BOUND: usize = 2;
        let (now, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        // Each look-up waits for a second one, so the test also fails if they ran one by one.
        let (seen, pair) = (Arc::clone(&most), Barrier::new(BOUND));
        let look_up = move |_: &str| {
            seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            pair.wait();
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(Vec::new())
        };
        let names = Names::with(BOUND, Arc::new(look_up));
        let asked = (0..6).map(|_| tokio::spawn(names.resolve("host".parse().unwrap())));
        for answer in asked.collect::<Vec<_>>() {
            assert!(bounded(answer).await.unwrap().is_ok());
        }
        assert_eq!(most.load(Ordering::SeqCst), BOUND);
    }

    #[tokio::test]
    async fn a_failed_look_up_says_why() {
        let look_up = |_: &str| Err(io::Error::other("no such host"));
        let names = Names::with(1, Arc::new(look_up));
        let error = bounded(names.resolve("host".parse().unwrap())).await.err().unwrap();
        assert!(error.to_string().contains("no such host"));
    }
}
