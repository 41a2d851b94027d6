//! Notifications to the service manager (`sd_notify(3)`): rules are in force, others are coming
//! into force, the daemon ends. Without such a manager they do nothing.

use rules::text::escaped;
use sd_notify::NotifyState;

/// Reports that rules are in force: the new ones or, after a failure, the previous ones.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Reports that rules are coming into force; `ready` follows in any case.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        // `Type=notify-reload` needs the time to match this to its signal.
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => {
            tracing::debug!(event = "no_clock", %error, "no clock");
            notify(&[NotifyState::Reloading]);
        }
    }
}

/// Reports that the daemon unloads and ends.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Sets the line that `systemctl status` shows.
pub(crate) fn status(words: &str) {
    notify(&[NotifyState::Status(&escaped(&words.replace('\n', " ")))]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(
            event = "manager_not_told",
            %error,
            "the service manager cannot be notified"
        );
    }
}
