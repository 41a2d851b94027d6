//! Failures for want of something that the machine may have later.

use std::{error::Error, io, iter};

use nix::errno::Errno;

/// Whether a failure says that the machine has too little of something: space, memory, descriptors, or a file
/// system that can be written to.
pub(crate) fn is_lack(error: &io::Error) -> bool {
    error
        .raw_os_error()
        .is_some_and(|number| names_lack(Errno::from_raw(number)))
}

/// Whether a cause of an error is such a failure.
pub(super) fn is_caused_by_lack(error: &(dyn Error + 'static)) -> bool {
    let mut causes = iter::successors(Some(error), |&error| error.source());
    causes.any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(is_lack)
            || cause
                .downcast_ref::<Errno>()
                .is_some_and(|&errno| names_lack(errno))
    })
}

fn names_lack(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::ENOSPC
            | Errno::EDQUOT
            | Errno::EROFS
            | Errno::ENOMEM
            | Errno::ENOBUFS
            | Errno::EMFILE
            | Errno::ENFILE
    )
}
