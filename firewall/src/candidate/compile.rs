//! A compiled rule set that is not in force yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use firewall_ebpf::abi::MAX_IMAGE_SIZE;
use rules::{
    compiler::{CompileError, Compiled, Image, InterfaceIndex, Stage, Target},
    language::RuleTest,
    model::Ruleset,
};

use crate::{
    candidate::budget::Budget,
    error::{ExitStatus, UserError},
    generation::{
        classifier::{Classifier, NOWHERE},
        loadable::Loadable,
        metadata::{Metadata, MetadataError},
        slots::{self, Assignment, TooManyRules},
    },
    interfaces::list::Interface,
    kernel::{generation::Generation, image_size::ImageSize, slot::Slot},
    logging::progress::Progress,
    rule_file::load::RuleFile,
};

/// A compiled rule set.
pub(crate) struct Candidate {
    /// Its metadata.
    pub(crate) metadata: Metadata,
    /// The counter slots of its rules.
    pub(crate) assignment: Assignment,
    /// The compilation: its source and its image.
    pub(crate) compiled: Arc<Compiled>,
    /// The smallest length of a map that holds the image.
    pub(crate) size: ImageSize,
    /// The interfaces that it was compiled for.
    pub(crate) interfaces: Vec<(InterfaceIndex, String)>,
    /// The tests of its file.
    pub(crate) tests: Arc<[RuleTest]>,
    /// The time of the compilation.
    pub(crate) compile: Duration,
}

impl Candidate {
    /// The rule set that it was compiled from.
    pub(crate) fn ruleset(&self) -> &Arc<Ruleset> {
        self.compiled.ruleset()
    }

    /// The input for the kernel.
    pub(crate) fn loadable(&self) -> Loadable<'_> {
        Loadable {
            metadata: &self.metadata,
            assignment: &self.assignment,
            image: self.image().bytes(),
            size: self.size,
        }
    }

    /// Its image.
    pub(crate) fn image(&self) -> &Image {
        self.compiled.image()
    }

    /// The candidate as a classifier of frames.
    pub(crate) fn classifier(&self) -> Classifier<'_> {
        Classifier::new(self.image().bytes(), self.assignment.slots.iter().copied())
    }

    /// The number of the interface called `name`, or of none.
    pub(crate) fn interface(&self, name: Option<&str>) -> InterfaceIndex {
        let mut known = self.interfaces.iter();
        known
            .find(|(_, known)| Some(known.as_str()) == name)
            .map_or(NOWHERE, |(index, _)| *index)
    }

    /// Whether the image was made by patching the previous one.
    pub(crate) fn is_incremental(&self) -> bool {
        self.compiled.updates() > 0
    }
}

/// Why a rule set has no image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CandidateError {
    /// It cannot be compiled.
    #[error("the rules cannot be compiled")]
    Compile(#[from] CompileError),
    /// It has more rules than there are counters.
    #[error("the rules cannot be compiled")]
    Slots(#[from] TooManyRules),
    /// Its metadata cannot be written.
    #[error("the rules cannot be compiled")]
    Metadata(#[from] MetadataError),
}

impl UserError for CandidateError {
    fn exit_status(&self) -> ExitStatus {
        ExitStatus::BadRules
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Compile(CompileError::TooLarge { allowed, .. })
                if *allowed < MAX_IMAGE_SIZE as usize =>
            {
                Some("`--max-memory` allows more, or fewer addresses need less".into())
            }
            Self::Compile(CompileError::TooLarge { .. }) => {
                Some("fewer addresses, or ranges in place of single ones, need less".into())
            }
            Self::Compile(
                CompileError::TooMuchWork { .. }
                | CompileError::TooManyRules { .. }
                | CompileError::TooManyCombinations { .. },
            )
            | Self::Slots(_) => {
                Some("fewer rules, or fewer that differ in many fields at once, need less".into())
            }
            Self::Metadata(_) => None,
        }
    }
}

/// The state that a compiled rule file replaces.
#[derive(Clone, Default)]
pub(crate) struct Predecessor {
    /// The slots of the rules in force.
    pub(crate) slots: BTreeMap<String, Slot>,
    /// The slots of rules that may come back.
    pub(crate) held: BTreeSet<Slot>,
    /// The compilation of the rules in force, if this process did it.
    pub(crate) compiled: Option<Arc<Compiled>>,
}

/// Compiles a rule file as this generation for packets that arrive on `interfaces`; no image map may be larger than
/// `budget`.
pub(crate) fn compile(
    file: &RuleFile,
    interfaces: &[Interface],
    generation: Generation,
    before: &Predecessor,
    budget: Budget,
    progress: &Progress,
) -> Result<Candidate, CandidateError> {
    let begin = Instant::now();
    let ruleset = Arc::clone(&file.ruleset);
    let names: Vec<&str> = ruleset.names().collect();
    let assignment = slots::assign(&names, &before.slots, &before.held)?;
    let metadata = Metadata::new(
        generation,
        file.input.path(),
        &file.sha256,
        &ruleset,
        &file.listing,
        &assignment.slots,
    );
    let names: Vec<(InterfaceIndex, String)> =
        interfaces.iter().flat_map(Interface::names).collect();
    let slots = assignment.slots.iter().take(ruleset.rules.len());
    let numbers: Vec<u32> = slots.map(|slot| slot.number()).collect();
    let max_bytes = budget.largest_map().bytes() as usize;
    let metadata_bytes = metadata.to_bytes()?;
    let target = Target {
        interfaces: &names,
        slots: &numbers,
        metadata: &metadata_bytes,
        max_bytes,
    };
    let updated = before.compiled.as_deref();
    let updated = updated.and_then(|before| update(before, &ruleset, &target));
    let compiled = match updated {
        Some(updated) => updated,
        None => {
            let progress = progress.clone();
            Compiled::new(ruleset, &target, move |stage| progress.at_stage(stage))?
        }
    };
    let length = compiled.image().bytes().len();
    let size = ImageSize::for_length(length).ok_or(CompileError::TooLarge {
        needed: length,
        allowed: max_bytes,
        stage: Stage::Frame,
        names: String::new(),
    })?;
    Ok(Candidate {
        metadata,
        assignment,
        compiled: Arc::new(compiled),
        size,
        interfaces: names,
        tests: Arc::clone(&file.tests),
        compile: begin.elapsed(),
    })
}

/// Compiles the rule set by patching the previous one, if possible and if the image fits its map.
fn update(before: &Compiled, ruleset: &Arc<Ruleset>, target: &Target<'_>) -> Option<Compiled> {
    let size = ImageSize::for_length(before.image().bytes().len())?;
    let target = Target {
        max_bytes: size.bytes() as usize,
        ..*target
    };
    before
        .update(Arc::clone(ruleset), &target)
        .inspect_err(|obstacle| {
            tracing::debug!(
                event = "compiling_as_a_whole",
                %obstacle,
                "compiling as a whole: {obstacle}"
            );
        })
        .ok()
}
