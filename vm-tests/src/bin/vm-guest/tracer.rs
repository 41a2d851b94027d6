//! Reads the verifier's statistics about the programs that a command loads.
//!
//! The kernel reports the number of verified instructions only since Linux 5.16, and never that of
//! states. The verifier's log has both, but a successful load does not request a log. So the
//! command is traced, and a log buffer is added to its system call on entry.

use std::{
    collections::BTreeMap, convert::Infallible, os::unix::process::CommandExt as _,
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    errno::Errno,
    sys::{
        ptrace::{self, Options},
        signal::{Signal, kill, raise},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// The argument that makes this program stop itself before it becomes another command.
pub(crate) const HOLD: &str = "hold";

/// Values of `enum bpf_cmd` (`include/uapi/linux/bpf.h`).
const BPF_MAP_CREATE: u64 = 0;
const BPF_PROG_LOAD: u64 = 5;

/// The offsets of the value size and the number of entries in the member of `union bpf_attr` for a
/// map.
const VALUE_SIZE: u64 = 8;

/// Offsets of 64-bit words in the member of `union bpf_attr` for a program: level and size of the
/// log, address of the log.
const LOG_LEVEL_AND_SIZE: u64 = 24;
const LOG_ADDRESS: u64 = 32;

/// The offset of the name of a program in the member of `union bpf_attr` for it, and its length in
/// bytes with the zero at its end (`BPF_OBJ_NAME_LEN`).
const NAME: u64 = 48;
const NAME_LENGTH: u64 = 16;

/// `BPF_LOG_STATS` (`include/linux/bpf_verifier.h`), since Linux 5.2: the statistics alone.
const LOG_STATISTICS: u64 = 4;

/// The size of the buffer in bytes, a multiple of the word size. Some kernels add lines for each
/// function of a program.
const LOG_SIZE: u64 = 32 << 10;

/// The number of bytes in use below the stack pointer (System V ABI for AMD64).
const RED_ZONE: u64 = 128;

/// A loaded program.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// Its name, which the kernel cuts to 15 bytes.
    pub(crate) name: String,
    /// The verifier's log.
    pub(crate) log: String,
}

/// Receives the events of a traced command.
pub(crate) trait Observer {
    /// The command has loaded a program.
    fn loaded(&mut self, loaded: Loaded) -> Result<()>;

    /// The command is about to create a map with values of this size in bytes.
    fn before_map(&mut self, value_bytes: u32) -> Result<()>;

    /// The kernel has answered that request.
    fn after_map(&mut self, value_bytes: u32) -> Result<()>;
}

/// Stops this process until it is traced, then executes `command`.
pub(crate) fn hold(command: &[String]) -> Result<Infallible> {
    let (program, arguments) = command.split_first().context("no command to hold")?;
    raise(Signal::SIGSTOP)?;
    Err(Command::new(program).args(arguments).exec())
        .with_context(|| format!("cannot start `{program}`"))
}

/// Starts a command that [`hold`]s, traces it to its end, and notifies the observer; returns
/// whether the command succeeded.
pub(crate) fn trace(command: &mut Command, observer: &mut impl Observer) -> Result<bool> {
    let child = command.spawn().context("cannot start a command to trace")?;
    let leader = Pid::from_raw(i32::try_from(child.id())?);
    let status = waitpid(leader, Some(WaitPidFlag::WUNTRACED))?;
    if !matches!(status, WaitStatus::Stopped(..)) {
        bail!("the command to trace did not wait: {status:?}");
    }
    let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE;
    ptrace::seize(leader, options).context("cannot trace the command")?;
    kill(leader, Signal::SIGCONT)?;
    let mut calls = Calls::default();
    loop {
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        let (thread, signal) = match waitpid(None, Some(flags))? {
            WaitStatus::PtraceSyscall(thread) => {
                calls.stopped(thread, observer)?;
                (thread, None)
            }
            WaitStatus::PtraceEvent(thread, ..) => (thread, None),
            WaitStatus::Stopped(thread, signal) => (thread, delivered(signal)),
            WaitStatus::Exited(thread, code) if thread == leader => return Ok(code == 0),
            WaitStatus::Signaled(thread, ..) if thread == leader => return Ok(false),
            WaitStatus::Exited(..)
            | WaitStatus::Signaled(..)
            | WaitStatus::Continued(_)
            | WaitStatus::StillAlive => continue,
        };
        match ptrace::syscall(thread, signal) {
            // A thread may disappear at any time.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(error).context("cannot go on with the command"),
        }
    }
}

/// The signal to deliver; stops that tracing itself causes are not delivered.
fn delivered(signal: Signal) -> Option<Signal> {
    let is_of_tracing = matches!(signal, Signal::SIGSTOP | Signal::SIGTRAP | Signal::SIGCONT);
    (!is_of_tracing).then_some(signal)
}

/// The system calls in progress, by thread.
#[derive(Default)]
struct Calls(BTreeMap<Pid, Call>);

enum Call {
    /// A program is being loaded, with a log buffer.
    Load(Load),
    /// A map is being created.
    Map { value_bytes: u32 },
}

struct Load {
    attributes: u64,
    log: u64,
}

impl Calls {
    /// Handles a thread that stopped on entry to or exit from a system call.
    fn stopped(&mut self, thread: Pid, observer: &mut impl Observer) -> Result<()> {
        let registers = ptrace::getregs(thread)?;
        if i64::try_from(registers.orig_rax) != Ok(libc::SYS_bpf) {
            return Ok(());
        }
        let result = registers.rax.cast_signed();
        // The value of the register on entry (`arch/x86/entry/entry_64.S`).
        let is_entering = result == -i64::from(libc::ENOSYS);
        match (is_entering, registers.rdi) {
            (true, BPF_PROG_LOAD) => self.enter(thread, registers.rsi, registers.rsp),
            (true, BPF_MAP_CREATE) => {
                let word = read(thread, registers.rsi + VALUE_SIZE)?;
                let value_bytes = u32::try_from(word & u64::from(u32::MAX))?;
                self.0.insert(thread, Call::Map { value_bytes });
                observer.before_map(value_bytes)
            }
            (true, _) => Ok(()),
            (false, _) => match self.0.remove(&thread) {
                Some(Call::Load(load)) => {
                    let loaded = load.leave(thread)?;
                    if result == -i64::from(libc::ENOSPC) {
                        bail!("the verifier's statistics need more than {LOG_SIZE} bytes");
                    }
                    if result >= 0 {
                        observer.loaded(loaded)?;
                    }
                    Ok(())
                }
                Some(Call::Map { value_bytes }) => observer.after_map(value_bytes),
                None => Ok(()),
            },
        }
    }

    /// Requests the statistics, with a buffer in unused memory of the thread's stack, unless the
    /// command requests a log itself.
    fn enter(&mut self, thread: Pid, attributes: u64, stack: u64) -> Result<()> {
        if read(thread, attributes + LOG_LEVEL_AND_SIZE)? != 0 {
            return Ok(());
        }
        let log = (stack - RED_ZONE - LOG_SIZE) & !0xf;
        write(thread, log, 0)?;
        write(thread, attributes + LOG_ADDRESS, log)?;
        let level_and_size = LOG_SIZE << 32 | LOG_STATISTICS;
        write(thread, attributes + LOG_LEVEL_AND_SIZE, level_and_size)?;
        self.0.insert(thread, Call::Load(Load { attributes, log }));
        Ok(())
    }
}

impl Load {
    /// Reads the log, and removes the buffer again.
    fn leave(self, thread: Pid) -> Result<Loaded> {
        let log = text(thread, self.log, LOG_SIZE)?;
        write(thread, self.attributes + LOG_LEVEL_AND_SIZE, 0)?;
        write(thread, self.attributes + LOG_ADDRESS, 0)?;
        Ok(Loaded {
            name: text(thread, self.attributes + NAME, NAME_LENGTH)?,
            log,
        })
    }
}

/// The text at an address, up to a zero byte; `length` bytes are read, a multiple of the word size.
fn text(thread: Pid, address: u64, length: u64) -> Result<String> {
    let mut bytes = Vec::new();
    for offset in (0..length).step_by(8) {
        bytes.extend(read(thread, address + offset)?.to_le_bytes());
    }
    let end = bytes.iter().position(|&byte| byte == 0);
    bytes.truncate(end.unwrap_or(bytes.len()));
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn read(thread: Pid, address: u64) -> Result<u64> {
    let word = ptrace::read(thread, pointer(address)).context("cannot read a traced thread")?;
    Ok(word.cast_unsigned())
}

fn write(thread: Pid, address: u64, word: u64) -> Result<()> {
    ptrace::write(thread, pointer(address), word.cast_signed())
        .context("cannot write to a traced thread")
}

/// An address in another process, which must not be dereferenced in this one.
fn pointer(address: u64) -> ptrace::AddressType {
    std::ptr::without_provenance_mut(address as usize)
}
