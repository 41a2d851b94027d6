//! The groups of the process at the other end of a socket.

#![expect(unsafe_code, reason = "the libraries have no call for this option")]

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

/// The most groups of a process: `NGROUPS_MAX` (`include/uapi/linux/limits.h`).
const MOST: usize = 65_536;

/// The supplementary groups that the process had when it connected (`SO_PEERGROUPS`, Linux 4.13).
///
/// # Errors
///
/// When the kernel does not tell.
pub(crate) fn groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; 32];
    loop {
        let mut length = libc::socklen_t::try_from(size_of_val(groups.as_slice()))
            .map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the kernel writes at most `length` bytes to the buffer, which has as many, and the length of what it
        // wrote, or would have written, to `length`; both live until the call returns.
        let answer = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let number = length as usize / size_of::<u32>();
        if answer == 0 {
            groups.truncate(number);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) || number <= groups.len() || number > MOST {
            return Err(error);
        }
        groups.resize(number, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::{fd::AsFd as _, unix::net::UnixStream};

    use super::*;

    #[test]
    fn the_groups_of_this_process_are_those_of_its_sockets() {
        let (one, _other) = UnixStream::pair().unwrap();
        let mut own: Vec<u32> = nix::unistd::getgroups()
            .unwrap()
            .into_iter()
            .map(nix::unistd::Gid::as_raw)
            .collect();
        let mut found = groups(one.as_fd()).unwrap();
        own.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, own);
    }
}
