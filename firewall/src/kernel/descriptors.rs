//! The limit of open files, and the descriptors that links must leave to others.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The descriptors that links leave to connections, captures and the work of the daemon itself:
/// without them nobody could ask why an interface is not filtered.
const RESERVED: u64 = 128;

/// Raises the limit of open files to the highest that this process may have: each link takes a
/// descriptor. A failure is no error: links then meet the limit.
pub(crate) fn raise_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(now, most)| {
        if now < most {
            setrlimit(Resource::RLIMIT_NOFILE, most, most)
        } else {
            Ok(())
        }
    });
    if let Err(error) = raised {
        tracing::debug!(
            event = "file_limit_stays",
            %error,
            "the limit of open files stays"
        );
    }
}

/// Whether a new descriptor is one of those that links must leave to others. The kernel gives out the
/// lowest free number (`open(2)`), so that a high one means that few are left.
pub(crate) fn is_reserved(descriptor: BorrowedFd<'_>) -> bool {
    let Ok((limit, _)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return false;
    };
    u64::try_from(descriptor.as_raw_fd()).is_ok_and(|number| number >= usable(limit))
}

/// How many descriptors links may use.
fn usable(limit: u64) -> u64 {
    limit - RESERVED.min(limit / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_limit_leaves_most_to_links() {
        assert_eq!(usable(0), 0);
        assert_eq!(usable(64), 48);
        assert_eq!(usable(1024), 896);
        assert_eq!(usable(libc::RLIM_INFINITY), libc::RLIM_INFINITY - 128);
    }
}
