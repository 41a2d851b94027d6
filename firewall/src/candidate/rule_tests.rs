//! The tests of a rule file: run on a compiled rule set before it is brought into force, in user
//! space and, where there are privileges, on the program in the kernel.
//!
//! This module owns the comparison of both results. It brings nothing into force.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
};

use rules::{
    Context,
    analysis::state_without_flows,
    compiler::InterfaceIndex,
    diagnostics::Diagnostic,
    language::{RuleTest, TestPacket},
    model::{Direction, Verdict},
    walker::{Decided, Walk},
};

use crate::{
    candidate::compile::Candidate,
    error::{ExitStatus, UserError},
    generation::classifier::{self, Classifier, NOWHERE},
    interfaces::list::Interface,
    kernel::{
        pins::{self, PinnedObject as Pinned, Pins},
        program::ObjectFile,
        slot::Slot,
        trial::{LOOPBACK, Run, Sent, Trial, TrialError},
        undo::Undo,
    },
    text::format::counted,
};

/// Interfaces that tests name and that are not there have numbers from here on; no interface of
/// the kernel has (`int ifindex`, `include/linux/netdevice.h`).
const FIRST_ABSENT: u32 = 1 << 31;

/// Why a rule set is not brought into force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TestsError {
    /// Tests fail.
    #[error("`{}`: {}", path.display(), in_words(*failed, *tests))]
    Failed {
        /// The rule file.
        path: PathBuf,
        /// The number of failed tests.
        failed: usize,
        /// The number of tests.
        tests: usize,
        /// The packets whose outcome differs from the expected one.
        failures: Vec<Diagnostic>,
    },
    /// The program cannot be tested.
    #[error("the tests of the rule file cannot be run in the kernel")]
    Trial(#[from] TrialError),
    /// The program and the walker in user space disagree.
    #[error(
        "internal error: the program in the kernel and its copy in user space disagree on the test `{test}`, \
         {packet}: {kernel} in the kernel, {walk:?} in user space"
    )]
    Disagreement {
        /// The name of the test.
        test: String,
        /// The packet.
        packet: String,
        /// The result of the program in the kernel.
        kernel: String,
        /// The result of the walker.
        walk: Box<Walk>,
    },
}

impl UserError for TestsError {
    fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Failed { failures, .. } => failures,
            Self::Trial(_) | Self::Disagreement { .. } => &[],
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Failed { .. } => None,
            Self::Trial(error) => error.help(),
            Self::Disagreement { .. } => {
                Some("nothing was changed; please report this, with the rule file".into())
            }
        }
    }

    fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Failed { .. } => ExitStatus::BadRules,
            Self::Trial(_) | Self::Disagreement { .. } => ExitStatus::Refused,
        }
    }
}

/// The number of failed tests, in words.
fn in_words(failed: usize, tests: usize) -> String {
    format!("{failed} of {tests} tests failed")
}

/// `interfaces`, and those of `named` that are not among them, under numbers that no interface
/// has: rules about them are compiled and can be tested where they are not.
pub(crate) fn with_absent<'n>(
    mut interfaces: Vec<Interface>,
    named: impl IntoIterator<Item = &'n str>,
) -> Vec<Interface> {
    let mut known: HashSet<String> = interfaces
        .iter()
        .map(|interface| interface.name.clone())
        .collect();
    let mut numbers = FIRST_ABSENT..;
    for name in named {
        if known.insert(name.to_owned())
            && let Some(number) = numbers.next()
        {
            interfaces.push(Interface::absent(InterfaceIndex(number), name));
        }
    }
    interfaces
}

/// The interfaces named in tests.
pub(crate) fn named(tests: &[RuleTest]) -> impl Iterator<Item = &str> {
    let packets = tests.iter().flat_map(|test| &test.packets);
    packets.flat_map(|packet| {
        let Context {
            interface,
            in_interface,
            ..
        } = packet.context.as_ref();
        [
            interface.as_deref(),
            in_interface.and_then(Option::as_deref),
        ]
        .into_iter()
        .flatten()
    })
}

/// Runs the tests of a candidate in user space.
///
/// # Errors
///
/// [`TestsError::Failed`] with every failure.
pub(crate) fn run(candidate: &Candidate) -> Result<(), TestsError> {
    let classifier = candidate.classifier();
    let mut failures = Vec::new();
    let mut failed = 0;
    for test in &*candidate.tests {
        let before = failures.len();
        for packet in &test.packets {
            let found = classifier.classify(&packet.frame, context(candidate, packet));
            if !test.expected.is_met(&found) {
                failures.push(test.failure(packet, &found, candidate.ruleset()));
            }
        }
        failed += usize::from(failures.len() > before);
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(TestsError::Failed {
        path: candidate.metadata.file.clone(),
        failed,
        tests: candidate.tests.len(),
        failures,
    })
}

/// Runs the packets of a candidate's tests through the programs in the kernel, which must say of
/// each what user space says. What is in force is not touched, nor are its counters.
///
/// Packets that the kernel does not take, or whose interface is not there, are left out.
pub(crate) fn run_in_kernel(
    candidate: &Candidate,
    object: &ObjectFile,
    pins: &Pins,
) -> Result<(), TestsError> {
    let mut undo = Undo::default();
    if pins.create_folder().map_err(TrialError::Pin)? {
        let pins = pins.clone();
        undo.push("remove the folder of the pins", move || {
            pins.remove_folder()
        });
    }
    // If this process is killed, the pin is taken for one of a change that was interrupted.
    let pin = pins.next(candidate.metadata.generation, Pinned::Images);
    {
        let pin = pin.clone();
        undo.push("remove a pin", move || pins::unpin(&pin));
    }
    let trial = Trial::load(
        object,
        candidate.image().bytes(),
        candidate.size,
        candidate.assignment.capacity,
        &pin,
        candidate.metadata.flows.is_some(),
    );
    drop(undo);
    let mut comparison = TestRun {
        classifier: candidate.classifier(),
        trial: trial?,
        counts: BTreeMap::new(),
        packets: 0,
        left_out: 0,
    };
    let knows_loopback = candidate
        .interfaces
        .iter()
        .any(|(index, _)| index.0 == LOOPBACK);
    for test in &*candidate.tests {
        for packet in &test.packets {
            let context = context(candidate, packet);
            let interface = match context.interface {
                // The loopback interface stands for no interface in an image that does not name it.
                NOWHERE if !knows_loopback => Some(InterfaceIndex(LOOPBACK)),
                NOWHERE => None,
                InterfaceIndex(number) if number >= FIRST_ABSENT => None,
                index => Some(index),
            };
            // Where no rule needs it, there is no program for packets out.
            let has_program = context.direction == Direction::In || candidate.metadata.egress;
            match interface.filter(|_| has_program) {
                Some(interface) => {
                    let context = Context {
                        interface,
                        ..context
                    };
                    comparison.check(test, packet, context)?;
                }
                None => comparison.left_out += 1,
            }
        }
    }
    let TestRun {
        packets, left_out, ..
    } = comparison;
    let others = match left_out {
        0 => String::new(),
        count => format!("; {} were run in user space only", counted(count, "packet")),
    };
    tracing::debug!(
        event = "tests_agree",
        packets,
        left_out,
        "{} of the tests have the same result in the kernel and in user space{others}",
        counted(packets, "packet")
    );
    Ok(())
}

/// The context of a packet, as the candidate knows it.
fn context(candidate: &Candidate, packet: &TestPacket) -> Context<InterfaceIndex> {
    let named = packet.context.as_ref().map(Option::as_deref);
    let context = named.map(|name| candidate.interface(name));
    if context.direction == Direction::In && candidate.metadata.flows.is_some() {
        // The tests have no flows.
        return context.in_state(state_without_flows(&packet.frame));
    }
    context
}

/// The program in the kernel beside the walker.
struct TestRun<'a> {
    classifier: Classifier<'a>,
    trial: Trial,
    /// The counts of the walker so far.
    counts: BTreeMap<Slot, u64>,
    /// The number of packets compared.
    packets: usize,
    /// The number of packets that were run in user space only.
    left_out: usize,
}

impl TestRun<'_> {
    fn check(
        &mut self,
        test: &RuleTest,
        packet: &TestPacket,
        context: Context<InterfaceIndex>,
    ) -> Result<(), TestsError> {
        let Some((passes, context)) = self.run(&packet.frame, context)? else {
            self.left_out += 1;
            return Ok(());
        };
        let verdict = if passes { Verdict::Pass } else { Verdict::Drop };
        let walk = self.classifier.walk(&packet.frame, context);
        let decided = match walk.decided {
            Decided::Rule(slot) => slot,
            Decided::Reason(reason) => {
                reason.slot(context.direction, walk.verdict == Verdict::Drop)
            }
        };
        let mut agrees = verdict == walk.verdict;
        let slots = walk.counted.iter().copied().chain([decided]);
        for slot in slots.map(Slot::new) {
            let count = self.counts.entry(slot).or_default();
            *count += 1;
            agrees &= self.trial.packets(slot)? == *count;
        }
        if agrees {
            self.packets += 1;
            return Ok(());
        }
        Err(TestsError::Disagreement {
            test: test.name.clone(),
            packet: packet.origin.clone(),
            kernel: verdict.as_str().to_owned(),
            walk: Box::new(walk),
        })
    }

    /// Runs the program of the direction on a frame, and returns whether it passes, and the context that it had; `None`
    /// when this kernel does not take such a frame.
    fn run(
        &mut self,
        frame: &[u8],
        context: Context<InterfaceIndex>,
    ) -> Result<Option<(bool, Context<InterfaceIndex>)>, TrialError> {
        match context.direction {
            Direction::In => {
                let run = self.trial.run(frame, context.interface.0)?;
                Ok(run.map(|Run { passes, interface }| {
                    let arrived = Context::arriving(InterfaceIndex(interface));
                    (passes, arrived.in_state(context.state))
                }))
            }
            Direction::Out => {
                let numbers = classifier::numbers(context);
                let sent = Sent {
                    interface: numbers.interface,
                    in_interface: numbers.in_interface.unwrap_or(0),
                    mark: numbers.mark,
                };
                let passes = self.trial.run_out(frame, sent)?;
                Ok(passes.map(|passes| (passes, context)))
            }
        }
    }
}
