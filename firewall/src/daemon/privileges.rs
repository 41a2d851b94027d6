//! Reduces the capabilities of the daemon to those that it needs.
//!
//! `docs/privileges.md` has the reason for each. The steps that need more privileges come before
//! [`reduce`]: taking over images, which the kernel opens by number for `CAP_SYS_ADMIN` alone, learning
//! the names of other programs, and lifting the limit of locked memory.

use std::{fs, io};

use procfs::process::Process;
use rustix::{
    io::Errno,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
        remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
    },
};

use crate::error::UserError;

/// The capabilities that the daemon keeps, if it has them.
const KEPT: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::NET_ADMIN)
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::DAC_READ_SEARCH);

/// Where the threads of this process are listed.
const THREADS: &str = "/proc/self/task";

/// Why capabilities were not given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivilegesError {
    /// The kernel refused.
    #[error("cannot give up capabilities")]
    Refused(#[from] Errno),
    /// Threads cannot be listed.
    #[error("cannot read `{THREADS}`")]
    Threads(#[source] io::Error),
    /// Capabilities belong to threads, and other threads would keep theirs.
    #[error("cannot give up capabilities of {0} threads at once")]
    Late(usize),
}

impl UserError for PrivilegesError {}

/// Gives up all capabilities but those that the daemon keeps, for this process and what it may ever
/// execute. Every thread that it starts afterwards has the same.
///
/// # Errors
///
/// When there are other threads already, or the kernel refuses.
pub(crate) fn reduce() -> Result<(), PrivilegesError> {
    let threads = fs::read_dir(THREADS).map_err(PrivilegesError::Threads)?;
    match threads.count() {
        1 => {}
        more => return Err(PrivilegesError::Late(more)),
    }
    let before = capabilities(None)?;
    let kept = before.permitted & KEPT;
    clear_ambient_capability_set()?;
    if before.effective.contains(CapabilitySet::SETPCAP) {
        bound(kept)?;
    } else {
        // Not fatal: dropped capabilities cannot be regained without this either.
        tracing::debug!(
            event = "bounding_set_stays",
            "without CAP_SETPCAP the bounding set stays as it is"
        );
    }
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets)?;
    set_no_new_privs(true)?;
    Ok(())
}

/// The effective capabilities of a process, as names in lower case without `CAP_`; none when it is
/// gone.
pub(crate) fn of(process: u32) -> Vec<String> {
    let process = i32::try_from(process).map_or_else(|_| None, |id| Process::new(id).ok());
    let status = process.and_then(|process| process.status().ok());
    let effective = CapabilitySet::from_bits_retain(status.map_or(0, |status| status.capeff));
    let names = effective.iter_names();
    names.map(|(name, _)| name.to_ascii_lowercase()).collect()
}

/// Takes all but `kept` out of the bounding set.
fn bound(kept: CapabilitySet) -> Result<(), Errno> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            // Beyond the last one that this kernel knows.
            Err(Errno::INVAL) => break,
            answer => answer?,
        }
    }
    Ok(())
}
