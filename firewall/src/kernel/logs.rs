//! Messages that the XDP program writes with `aya-log`, forwarded to the log of this process.

#![expect(unsafe_code, reason = "a descriptor is registered with the runtime")]

use aya::Ebpf;
use aya_log::{EbpfLogger, Level};
use tokio::{
    io::{Interest, unix::AsyncFd},
    runtime::Handle,
    task::AbortHandle,
};

/// The level down to which the program writes messages. Unless this process is asked for debug
/// messages it writes only of defects: a flood of broken frames must not become a flood of messages.
pub(super) fn level() -> u8 {
    let level = if tracing::enabled!(tracing::Level::DEBUG) {
        Level::Debug
    } else {
        Level::Warn
    };
    level as u8
}

/// Forwards messages until dropped.
pub(crate) struct Logs(AbortHandle);

impl Logs {
    /// Starts forwarding; `None` when the program writes no messages or there is no runtime to
    /// forward them.
    pub(super) fn forward(ebpf: &mut Ebpf) -> Option<Self> {
        let runtime = Handle::try_current().ok()?;
        let logger = match EbpfLogger::init(ebpf) {
            Ok(logger) => logger,
            Err(aya_log::Error::MapNotFound) => return None,
            Err(error) => {
                tracing::warn!(
                    event = "program_messages_lost",
                    %error,
                    "messages of the XDP program will not be shown"
                );
                return None;
            }
        };
        let task = runtime.spawn(async move {
            // SAFETY: the logger owns its descriptor and keeps it until dropped.
            let logger = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) };
            let Ok(mut logger) = logger else {
                return;
            };
            while let Ok(mut ready) = logger.readable_mut().await {
                ready.get_inner_mut().flush();
                ready.clear_ready();
            }
        });
        Some(Self(task.abort_handle()))
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.0.abort();
    }
}
