//! How QEMU runs a guest's code.

use std::{
    fmt,
    fs::{self, File},
};

const KVM: &str = "/dev/kvm";

/// How QEMU runs a guest's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accelerator {
    /// Directly on the processor.
    Kvm,
    /// Translated, for the reason given.
    Tcg(&'static str),
}

impl Accelerator {
    /// Detects the accelerator of this machine. The device alone proves nothing: a virtual machine
    /// may have it without a processor that supports it.
    pub(crate) fn of_this_machine() -> Self {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        if !is_virtualizing(&cpus) {
            Self::Tcg("the processor shows neither vmx nor svm")
        } else if File::options().read(true).write(true).open(KVM).is_err() {
            Self::Tcg("/dev/kvm cannot be opened")
        } else {
            Self::Kvm
        }
    }

    /// The value of QEMU's `-accel`. With several translation threads, guests that patch their own
    /// code have crashed.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg(_) => "tcg,thread=single",
        }
    }

    /// The value of QEMU's `-cpu`.
    pub(crate) fn cpu(self) -> &'static str {
        match self {
            Self::Kvm => "host",
            Self::Tcg(_) => "max",
        }
    }
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kvm => f.write_str("KVM"),
            Self::Tcg(reason) => write!(f, "TCG, since {reason}"),
        }
    }
}

fn is_virtualizing(cpus: &str) -> bool {
    cpus.lines()
        .filter_map(|line| line.strip_prefix("flags"))
        .flat_map(str::split_whitespace)
        .any(|flag| flag == "vmx" || flag == "svm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtualization_is_told_by_the_flags() {
        assert!(is_virtualizing("flags\t\t: fpu svm sse\n"));
        assert!(!is_virtualizing("flags\t\t: fpu svm_lock\nbugs\t: svm\n"));
        assert!(!is_virtualizing(""));
    }
}
