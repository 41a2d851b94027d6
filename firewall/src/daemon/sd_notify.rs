//! What the service manager is told: that rules are in force, that others are being brought into
//! force, and that the daemon ends (`sd_notify(3)`). Without a manager that wants to know, nothing is.

use sd_notify::NotifyState;

/// Rules are in force, those that were to come or, when that failed, those before.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Others are being brought into force: `ready` follows, whatever comes of it.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        // With the time, by which `Type=notify-reload` knows that this answers its signal.
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => {
            tracing::debug!(event = "no_clock", %error, "no clock");
            tell(&[NotifyState::Reloading]);
        }
    }
}

/// The daemon unloads and ends.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// What `systemctl status` shows, in one line.
pub(crate) fn status(words: &str) {
    tell(&[NotifyState::Status(&words.replace('\n', " "))]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(
            event = "manager_not_told",
            %error,
            "the service manager cannot be told"
        );
    }
}
