//! A process that is killed right before a chosen one of its steps: the system calls by which it
//! changes what outlives it, pins and maps and links.
//!
//! Between two steps nothing changes for anybody else, so that a death at any moment is one of
//! these. Calls that go on in a row on one map, as when many counters are set, are one step.

use std::{
    collections::BTreeSet,
    fs, io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        ptrace::{self, Options},
        signal::Signal,
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::Pid,
};

/// Commands of `enum bpf_cmd` (`include/uapi/linux/bpf.h`) that change something that outlives the
/// process, and their names.
const COMMANDS: [(u64, &str); 6] = [
    (UPDATE, "update an element"),
    (3, "delete an element"),
    (6, "pin"),
    (LINK_CREATE, "create a link"),
    (29, "update a link"),
    (34, "detach a link"),
];

/// The same of other system calls.
const CALLS: [(i64, &str); 7] = [
    (libc::SYS_rename, "rename"),
    (libc::SYS_renameat, "rename"),
    (libc::SYS_renameat2, "rename"),
    (libc::SYS_unlink, "remove"),
    (libc::SYS_unlinkat, "remove"),
    (libc::SYS_mkdir, "make a folder"),
    (libc::SYS_rmdir, "remove a folder"),
];

/// `BPF_MAP_UPDATE_ELEM` and `BPF_LINK_CREATE` of `enum bpf_cmd`.
const UPDATE: u64 = 2;
const LINK_CREATE: u64 = 28;

/// `BPF_XDP`, `BPF_TCX_INGRESS` and `BPF_TCX_EGRESS` of `enum bpf_attach_type`.
const HOOKS: [u64; 3] = [37, 46, 47];

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_micros(200);

/// A step.
#[derive(Clone, Copy)]
struct Step {
    what: &'static str,
    /// The descriptor of the map whose element it updates.
    map: Option<u64>,
}

impl Step {
    /// Whether it goes on with what another began.
    fn continues(self, last: Option<Self>) -> bool {
        self.map.is_some() && last.is_some_and(|last| last.map == self.map)
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was killed before this step.
    Killed(&'static str),
    /// It had fewer steps, and goes on or has ended.
    Survived,
}

/// Traces the threads of `process` from now on while `work` goes on, and kills it when it is about
/// to do step `number`, counted from 0. When `work` is done before, it is left to itself.
pub(crate) fn kill_at(process: u32, number: usize, work: impl FnOnce() + Send) -> End {
    let leader = Pid::from_raw(process.try_into().unwrap());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // All calls of ptrace must come from the thread that traces.
        let (begun, has_begun) = std::sync::mpsc::channel();
        let tracing = scope.spawn({
            let done = &done;
            move || {
                let threads = seize(leader);
                begun.send(()).unwrap();
                Tracer { leader, threads }.run(number, done)
            }
        });
        has_begun.recv().unwrap();
        work();
        done.store(true, Ordering::Relaxed);
        tracing.join().unwrap()
    })
}

fn seize(leader: Pid) -> BTreeSet<Pid> {
    let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE;
    let mut threads = BTreeSet::new();
    // Threads may begin meanwhile: until all are known.
    loop {
        let before = threads.len();
        for entry in fs::read_dir(format!("/proc/{leader}/task")).unwrap() {
            let name = entry.unwrap().file_name();
            let thread = Pid::from_raw(name.to_str().unwrap().parse().unwrap());
            if threads.contains(&thread) {
                continue;
            }
            match ptrace::seize(thread, options) {
                Ok(()) => {
                    ptrace::interrupt(thread).unwrap();
                    threads.insert(thread);
                }
                // It is traced since the one that began it is, or has ended.
                Err(Errno::EPERM | Errno::ESRCH) => {}
                Err(error) => panic!("{error}"),
            }
        }
        if threads.len() == before {
            return threads;
        }
    }
}

struct Tracer {
    leader: Pid,
    threads: BTreeSet<Pid>,
}

impl Tracer {
    fn run(mut self, number: usize, done: &AtomicBool) -> End {
        let mut steps = 0;
        let mut last: Option<Step> = None;
        // Threads that stopped on the way into a call, and not yet on the way out.
        let mut inside: BTreeSet<Pid> = BTreeSet::new();
        loop {
            if done.load(Ordering::Relaxed) {
                self.let_go();
                return End::Survived;
            }
            let Some(status) = self.next() else {
                return End::Survived;
            };
            let (thread, signal) = match status {
                WaitStatus::PtraceSyscall(thread) => {
                    if inside.remove(&thread) {
                        (thread, None)
                    } else {
                        inside.insert(thread);
                        if let Some(step) = step(thread)
                            && !step.continues(last.replace(step))
                        {
                            if steps == number {
                                return self.kill(step.what);
                            }
                            steps += 1;
                        }
                        (thread, None)
                    }
                }
                WaitStatus::PtraceEvent(thread, ..) => (thread, None),
                WaitStatus::Stopped(thread, signal) => {
                    let is_own = matches!(signal, Signal::SIGSTOP | Signal::SIGTRAP);
                    (thread, (!is_own).then_some(signal))
                }
                WaitStatus::Exited(thread, _) | WaitStatus::Signaled(thread, ..) => {
                    self.threads.remove(&thread);
                    continue;
                }
                WaitStatus::Continued(_) | WaitStatus::StillAlive => {
                    thread::sleep(PAUSE);
                    continue;
                }
            };
            self.threads.insert(thread);
            match ptrace::syscall(thread, signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Kills the process while a thread is about to make a call, which it then never makes
    /// (`ptrace_report_syscall_entry`, `include/linux/ptrace.h`). The tracing ends with this
    /// thread, and the process is left to its parent.
    fn kill(&self, what: &'static str) -> End {
        nix::sys::signal::kill(self.leader, Signal::SIGKILL).unwrap();
        End::Killed(what)
    }

    /// What a thread did, if one did anything; `None` once the process has ended, which is left to
    /// its parent to see.
    fn next(&self) -> Option<WaitStatus> {
        let of_this_thread = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD | WaitPidFlag::WNOHANG;
        let peek =
            of_this_thread | WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
        match waitid(Id::All, peek) {
            Ok(WaitStatus::Exited(thread, _) | WaitStatus::Signaled(thread, ..))
                if thread == self.leader =>
            {
                None
            }
            Ok(status) => match status.pid() {
                Some(thread) => Some(waitpid(thread, Some(of_this_thread)).unwrap()),
                None => Some(WaitStatus::StillAlive),
            },
            Err(Errno::ECHILD) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Ends the tracing; the threads must be stopped for that.
    fn let_go(mut self) {
        for thread in &self.threads {
            // One that has ended needs nothing.
            let _ = ptrace::interrupt(*thread);
        }
        while !self.threads.is_empty() {
            match self.next() {
                None => return,
                Some(WaitStatus::Exited(thread, _) | WaitStatus::Signaled(thread, ..)) => {
                    self.threads.remove(&thread);
                }
                Some(WaitStatus::Stopped(thread, signal)) => {
                    let is_own = matches!(signal, Signal::SIGSTOP | Signal::SIGTRAP);
                    let _ = ptrace::detach(thread, (!is_own).then_some(signal));
                    self.threads.remove(&thread);
                }
                Some(WaitStatus::PtraceSyscall(thread) | WaitStatus::PtraceEvent(thread, ..)) => {
                    let _ = ptrace::detach(thread, None);
                    self.threads.remove(&thread);
                }
                Some(WaitStatus::Continued(_) | WaitStatus::StillAlive) => thread::sleep(PAUSE),
            }
        }
    }
}

/// The step that a thread is about to do, if its call is one.
fn step(thread: Pid) -> Option<Step> {
    let registers = ptrace::getregs(thread).ok()?;
    let call = i64::try_from(registers.orig_rax).ok()?;
    if call == libc::SYS_bpf {
        let (_, what) = COMMANDS
            .iter()
            .find(|(number, _)| *number == registers.rdi)?;
        // Of a link, what it is attached to: others are made to find out what the kernel can do.
        if registers.rdi == LINK_CREATE
            && !HOOKS.contains(&(word(thread, registers.rsi + 8).ok()? & 0xffff_ffff))
        {
            return None;
        }
        // The first word of the attributes of an update is the map.
        let is_update = registers.rdi == UPDATE;
        let map = is_update.then(|| word(thread, registers.rsi).unwrap_or_default() & 0xffff_ffff);
        return Some(Step { what, map });
    }
    let (_, what) = CALLS.iter().find(|(number, _)| *number == call)?;
    Some(Step { what, map: None })
}

fn word(thread: Pid, address: u64) -> io::Result<u64> {
    let pointer = std::ptr::without_provenance_mut(usize::try_from(address).unwrap());
    Ok(ptrace::read(thread, pointer)?.cast_unsigned())
}
