//! Talking to the service manager. Without one (`$NOTIFY_SOCKET` not set) nothing happens.

use sd_notify::NotifyState;

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the service manager could not be told: {error}");
    }
}

/// The daemon answers on its socket.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// How the daemon is, in words.
pub(super) fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The daemon reads its config again.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("the clock can't be read: {error}"),
    }
}

/// The daemon is about to end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}
