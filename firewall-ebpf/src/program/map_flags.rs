//! Flags that maps are created with.

/// `BPF_F_MMAPABLE` (`include/uapi/linux/bpf.h`), since Linux 5.5.
pub(super) const MMAPABLE: usize = 1 << 10;
