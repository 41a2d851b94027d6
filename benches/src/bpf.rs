//! The system call `bpf`, for commands that the libraries in use do not support.

#![expect(
    unsafe_code,
    reason = "the system call takes a raw block of attributes"
)]

use aya_obj::generated::bpf_cmd;
use nix::errno::Errno;

/// Makes the system call, and returns its result.
///
/// # Safety
///
/// `T` has the first members of `union bpf_attr` for the command, any bytes are values of it, and
/// where it has the address of a buffer, that is live and as long as it says.
pub(crate) unsafe fn bpf<T>(command: bpf_cmd, attributes: &mut T) -> Result<libc::c_long, Errno> {
    // SAFETY: the kernel reads and writes `size_of::<T>()` bytes at the pointer, which is to a live
    // value; for the rest the caller answers.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            std::ptr::from_mut(attributes),
            size_of::<T>(),
        )
    };
    Errno::result(answer)
}
