//! The tests of a rule file: run on a compiled rule set before it is brought into force, in user
//! space and, where there are privileges, on the program in the kernel.
//!
//! This module owns the comparison of both results. It brings nothing into force.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    time::Duration,
};

use rules::{
    Context,
    compiler::InterfaceIndex,
    diagnostics::Diagnostic,
    evaluator::flows::Tracker,
    field::State,
    language::{RuleTest, TestPacket},
    model::{Direction, FlowNeeds, Flows, Ruleset, Verdict},
    walker::{Decided, Walk},
};

use crate::{
    candidate::compile::Candidate,
    error::{ExitStatus, UserError},
    generation::{
        classifier::{self, Classifier, NOWHERE},
        flows::time_of_test,
    },
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
        /// The packets whose outcome differs from the expected one, and those that had to pass before.
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
    let packets = tests.iter().flat_map(RuleTest::sequence);
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
        failures.extend(failures_of(test, candidate, &classifier));
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

/// The failures of a test: of its packets, or of one that had to pass before them.
fn failures_of(
    test: &RuleTest,
    candidate: &Candidate,
    classifier: &Classifier<'_>,
) -> Vec<Diagnostic> {
    let ruleset = candidate.ruleset();
    let mut flows = Tracker::new(ruleset);
    let mut failures = Vec::new();
    let classify = |packet: &TestPacket, flows: &mut Tracker<'_>| {
        let (context, state) = context(candidate, packet, flows);
        let found = classifier.classify(&packet.frame, context);
        if found.verdict == Verdict::Pass {
            flows.passed(&packet.frame, &names(packet).in_state(context.state));
        }
        (found, state)
    };
    for packet in &test.given {
        let (found, state) = classify(packet, &mut flows);
        if found.verdict == Verdict::Drop {
            return vec![test.given_failure(packet, &found, state, ruleset)];
        }
    }
    flows.wait(test.after);
    for packet in &test.packets {
        let (found, state) = classify(packet, &mut flows);
        if !test.expected.is_met(&found) {
            failures.push(test.failure(packet, &found, state, ruleset));
        }
    }
    failures
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
    let longest = candidate.tests.iter().map(|test| test.sequence().count());
    let longest = u32::try_from(longest.max().unwrap_or(0)).unwrap_or(u32::MAX);
    // No flow gives way to another.
    let slots = longest.saturating_mul(8).clamp(Flows::FEWEST, Flows::MOST);
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
        candidate
            .metadata
            .flows
            .is_some()
            .then(|| slots.next_power_of_two()),
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
        comparison.run_test(test, candidate, knows_loopback)?;
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

/// The context of a packet, as the candidate knows it, and its state, if it has any, by the flows that are known.
fn context(
    candidate: &Candidate,
    packet: &TestPacket,
    flows: &mut Tracker<'_>,
) -> (Context<InterfaceIndex>, Option<State>) {
    let context = names(packet).map(|name| candidate.interface(name));
    let seen = flows.see(&packet.frame, &names(packet));
    let state = seen.map(|seen| seen.state);
    (context.in_state(state.unwrap_or(State::New)), state)
}

/// Whether packets of a direction make flows.
fn makes_flows(ruleset: &Ruleset, direction: Direction) -> bool {
    direction == Direction::Out || ruleset.flow_needs() >= FlowNeeds::Incoming
}

/// The context of a packet, with the names of interfaces.
fn names(packet: &TestPacket) -> Context<Option<&str>> {
    packet.context.as_ref().map(Option::as_deref)
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
    /// Runs the sequence of packets of a test. What follows a packet that cannot be run is left out, too, if flows of which
    /// the kernel does not know could make a difference.
    fn run_test(
        &mut self,
        test: &RuleTest,
        candidate: &Candidate,
        knows_loopback: bool,
    ) -> Result<(), TestsError> {
        let ruleset = candidate.ruleset();
        let kept = &ruleset.settings.flows.timeouts;
        let mut flows = Tracker::new(ruleset);
        self.trial.begin(&time_of_test(kept, Duration::ZERO))?;
        for (index, packet) in test.sequence().enumerate() {
            if index == test.given.len() {
                flows.wait(test.after);
                self.trial.set_time(&time_of_test(kept, test.after))?;
            }
            let (context, _) = context(candidate, packet, &mut flows);
            let interface = match context.interface {
                // The loopback interface stands for no interface in an image that does not name it.
                NOWHERE if !knows_loopback => Some(InterfaceIndex(LOOPBACK)),
                NOWHERE => None,
                InterfaceIndex(number) if number >= FIRST_ABSENT => None,
                index => Some(index),
            };
            // Where no rule needs it, there is no program for packets out.
            let has_program = context.direction == Direction::In || candidate.metadata.egress;
            let interface = interface.filter(|_| has_program);
            let ran = interface.map(|interface| {
                let context = Context {
                    interface,
                    ..context
                };
                self.check(test, packet, context)
            });
            match ran.transpose()?.flatten() {
                Some(Verdict::Pass) => {
                    flows.passed(&packet.frame, &names(packet).in_state(context.state));
                }
                Some(Verdict::Drop) => {}
                None if ruleset.asks_for_states()
                    && (makes_flows(ruleset, context.direction) || !flows.is_empty()) =>
                {
                    self.left_out += test.sequence().count() - index;
                    break;
                }
                None => self.left_out += 1,
            }
        }
        Ok(())
    }

    /// Compares what the program says of a packet with what the walker says; returns the verdict, or `None` if the kernel
    /// does not take the packet.
    fn check(
        &mut self,
        test: &RuleTest,
        packet: &TestPacket,
        context: Context<InterfaceIndex>,
    ) -> Result<Option<Verdict>, TestsError> {
        let Some((passes, context)) = self.run(&packet.frame, context)? else {
            return Ok(None);
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
            return Ok(Some(verdict));
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
