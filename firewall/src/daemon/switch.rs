//! The only way into force: start, reload, takeover and rollback differ only in the current state
//! ([`Current`]) and in the next generation ([`Next`]).

use std::{collections::BTreeSet, error::Error as StdError, path::Path, sync::Arc};

use rules::{
    compiler::{self, InterfaceIndex},
    model::{Flows, Mode, Ruleset},
};
use tokio::task;

use crate::{
    candidate::{
        budget::Budget,
        changes::{Changes, RulesBefore},
        compile::Candidate,
    },
    control::in_force::InForce,
    daemon::{
        current::Current,
        decisions,
        outcome::{Outcome, Stages},
        request::Requester,
        state::{Daemon, KnownRules},
    },
    doctor::Examined,
    error::{Error, UserError},
    filter::{
        error::{FilterError, FlowsTooLargeError, OccupiedError, UnsuitableError},
        plan::{self, AttachTarget, Occupied, Plan, Present, Wanted},
        transaction::{Filter, Timing},
    },
    generation::{
        confirmation::Condition,
        in_force::Loaded,
        loadable::Loadable,
        metadata::Metadata,
        pinned::{self, Revived},
        succession::{CommitTerms, Succession},
    },
    interfaces::{
        list::{self, Interface},
        selection::Selection,
    },
    kernel::{generation::Generation, info, max_bans::MaxBans},
    logging::progress::Progress,
    rule_file::{input::RuleInput, load::RuleFile},
};

/// The progress message of long work in the kernel.
const LOADING: &str = "loading the image and, if needed, the program";

/// The generation to bring into force.
pub(super) enum Next {
    /// A rule file that was compiled.
    File {
        /// The result.
        candidate: Box<Candidate>,
        /// The file, without its warnings.
        source: Box<RuleFile>,
        /// The times of the previous stages.
        stages: Stages,
    },
    /// A generation whose image is in the kernel.
    Pinned {
        /// The generation under its new number.
        again: Box<Revived>,
        /// Its previous number.
        was: Generation,
    },
}

impl Next {
    /// The input for the kernel.
    pub(super) fn loadable(&self) -> Loadable<'_> {
        match self {
            Self::File { candidate, .. } => candidate.loadable(),
            Self::Pinned { again, .. } => again.loadable(),
        }
    }

    fn metadata(&self) -> &Metadata {
        self.loadable().metadata
    }

    /// The number that a generation had that comes back, and the stages that a rule file went through.
    fn origin(&mut self) -> (Option<Generation>, Stages) {
        match self {
            Self::File { stages, .. } => (None, std::mem::take(stages)),
            Self::Pinned { was, .. } => (Some(*was), Stages::default()),
        }
    }

    fn mode(&self) -> Mode {
        match self {
            Self::File { candidate, .. } => candidate.ruleset().settings.mode,
            Self::Pinned { again, .. } => again.mode,
        }
    }

    /// The rules; unknown of an image, which does not have them.
    fn ruleset(&self) -> Option<&Ruleset> {
        match self {
            Self::File { candidate, .. } => Some(candidate.ruleset()),
            Self::Pinned { .. } => None,
        }
    }
}

/// The circumstances under which rules come into force.
pub(super) struct Targets {
    /// The interfaces, with those that wait or are refused.
    pub(super) selection: Selection,
    /// Those of them that may refuse without an error.
    pub(super) optional: BTreeSet<InterfaceIndex>,
    /// The largest memory for an image map.
    pub(super) budget: Budget,
    /// The condition, if there is one.
    pub(super) condition: Option<Condition>,
    /// The fate of the generation in force; `None` derives it from the change of rules.
    pub(super) succession: Option<Succession>,
    /// The requester, if there is one.
    pub(super) requester: Option<Requester>,
    /// Where the progress of long work is reported.
    pub(super) progress: Progress,
}

impl Targets {
    /// The interfaces as the kernel describes them now, less those that have gone or changed their
    /// names since they were selected: an event follows for these.
    async fn at_present(&self) -> Result<Vec<Interface>, Error> {
        let mut interfaces = list::list().await?;
        interfaces.retain(|now| {
            let mut selected = self.selection.interfaces.iter();
            selected.any(|selected| (selected.index, &selected.name) == (now.index, &now.name))
        });
        Ok(interfaces)
    }
}

impl Daemon {
    /// Brings `next` into force. When that fails, what was in force stays.
    pub(super) async fn switch(
        &mut self,
        mut next: Next,
        targets: Targets,
    ) -> Result<Outcome, Error> {
        self.require_own()?;
        let changes = self.changes(&next);
        let present = self.current.present()?;
        let plan = self.plan(&present, &next, &targets.at_present().await?, &targets)?;
        require_no_gap(&plan, targets.requester)?;
        let needed = self.guard(&next, &present, &targets).await?;
        self.relay.expect(next.metadata());
        targets.progress.at(LOADING);
        let examined = examine(&plan, next.ruleset()).await;
        let terms = self.terms(&next, &targets);
        let timing = task::block_in_place(|| self.commit(&next.loadable(), &plan, terms))
            .map_err(|error| explained(error, &examined, next.ruleset()))?;
        let (was, stages) = next.origin();
        let outcome =
            Outcome::new(next.loadable(), was, changes, stages, (terms, timing)).with(needed);
        self.budget = targets.budget;
        self.follow_rules(next, &targets.selection, &outcome);
        self.record(targets.selection, plan.occupied, &BTreeSet::new())
            .await;
        Ok(outcome)
    }

    fn plan(
        &self,
        present: &Present,
        next: &Next,
        interfaces: &[Interface],
        targets: &Targets,
    ) -> Result<Plan, Error> {
        let interfaces: Vec<&Interface> = interfaces.iter().collect();
        let loadable = next.loadable();
        let in_force = self.current.metadata().and_then(Metadata::mode);
        let wanted = Wanted {
            size: loadable.size,
            most: targets.budget.largest_map(),
            capacity: loadable.assignment.capacity,
            mode: next.mode(),
            // A rollback ends the mode that the rules after it asked for.
            seeks_best_mode: matches!(next, Next::Pinned { .. }) && in_force == Some(Mode::Generic),
            interfaces: &interfaces,
            optional: &targets.optional,
            egress: loadable.metadata.egress,
            flows: loadable.metadata.flows.as_ref().map(|flows| flows.max),
        };
        plan::plan(present, &wanted).map_err(occupied_by(&self.config.bpffs))
    }

    /// The changes of `next` against the rules in force, if there are any.
    fn changes(&self, next: &Next) -> Option<Changes> {
        let names = |metadata: &Metadata| -> Vec<String> {
            let rules = metadata.rules.iter();
            rules.map(|rule| rule.name.clone()).collect()
        };
        let before = names(self.current.metadata()?);
        // The rules that come back are those before, if this process compiled them.
        let previous = self.previous.as_ref();
        let previous = previous.map(|known| &**known.compiled.ruleset());
        let changes = match next.ruleset().or(previous) {
            Some(after) => {
                let known = self.rules.as_ref();
                let before = RulesBefore {
                    names: before.iter().map(String::as_str).collect(),
                    ruleset: known.map(|known| &**known.compiled.ruleset()),
                };
                Changes::between(&before, after)
            }
            None => Changes::of_names(&before, &names(next.metadata())),
        };
        let in_force = self.current.metadata()?;
        let is_same = in_force.is_alike(next.metadata()) && self.is_same(next.loadable().image);
        Some(changes.unless_same(is_same))
    }

    fn terms(&self, next: &Next, targets: &Targets) -> CommitTerms {
        let condition = targets.condition;
        let by_rules = || {
            let in_force = self.current.metadata();
            let is_same = in_force.is_some_and(|in_force| in_force.is_alike(next.metadata()))
                && self.is_same(next.loadable().image);
            decisions::succession(
                targets.requester.is_some(),
                is_same,
                self.current.can_come_back(),
                condition,
            )
        };
        CommitTerms {
            succession: targets.succession.unwrap_or_else(by_rules),
            condition,
        }
    }

    /// Whether the image in force classifies and counts every packet as `image` does.
    fn is_same(&self, image: &[u8]) -> bool {
        match &self.rules {
            Some(known) => compiler::is_same(known.compiled.image().bytes(), image),
            None => {
                let in_force = self.current.image();
                in_force.is_some_and(|in_force| pinned::classifies_as(in_force, image))
            }
        }
    }

    /// Executes the steps in the kernel. The first success also opens the maps that outlive
    /// programs.
    fn commit(
        &mut self,
        next: &Loadable<'_>,
        plan: &Plan,
        terms: CommitTerms,
    ) -> Result<Timing, FilterError> {
        let left = match &mut self.current {
            Current::Running(filter) => return filter.change(&self.object, next, plan, terms),
            Current::Left(left) => std::mem::take(&mut **left),
        };
        let pins = self.config.pins.clone();
        let most = self.max_bans.unwrap_or(MaxBans::DEFAULT);
        let (filter, timing) = Filter::start(pins, &self.object, left, next, plan, terms, most)?;
        self.current = Current::Running(Box::new(filter));
        self.bans.open(&self.config.pins, self.max_bans);
        self.relaying = self.relay.open(&self.config.pins);
        Ok(timing)
    }

    /// Records that `next` is in force.
    fn follow_rules(&mut self, next: Next, selection: &Selection, outcome: &Outcome) {
        let path = next.metadata().file.clone();
        let rules = match next {
            Next::File {
                candidate, source, ..
            } => Some(KnownRules {
                compiled: candidate.compiled,
                interfaces: selection.dependencies(),
                source: *source,
            }),
            Next::Pinned { .. } => self.previous.clone(),
        };
        let known = rules.as_ref().map(|rules| rules.source.input.clone());
        self.input = known.unwrap_or(RuleInput::File(path));
        let before = std::mem::replace(&mut self.rules, rules);
        self.previous = outcome.succession.previous(before, self.previous.take());
        self.confirm_by = outcome.confirm_by;
        if let Some(filter) = self.filter() {
            self.relay.follow(filter.metadata(), filter.previous());
        }
        self.in_force.send_replace(Some(InForce {
            generation: outcome.generation,
            times: outcome.times,
            unattached: Vec::new(),
            faults: Vec::new(),
            last_good: self.last_good().cloned(),
            loaded: self.loaded(),
        }));
    }
}

impl Daemon {
    /// What the image in force says of itself, for those who ask for it.
    fn loaded(&self) -> Option<Arc<Loaded>> {
        let filter = self.filter()?;
        let loaded = Loaded::held(filter.metadata(), filter.image());
        let loaded = loaded.inspect_err(|error| {
            let error: &dyn StdError = error;
            tracing::warn!(
                event = "image_unreadable",
                error,
                "the image in force cannot be read"
            );
        });
        loaded.ok().map(Arc::new)
    }
}

/// A change of the mode takes the program off an interface and attaches it in the other mode.
#[derive(Debug, thiserror::Error)]
#[error("`{interface}` is not filtered while its mode changes")]
pub(crate) struct GapError {
    interface: String,
}

impl UserError for GapError {
    fn help(&self) -> Option<String> {
        Some("`--force` changes the mode; packets pass the interface for about 10 ms".into())
    }
}

/// Fails when packets would pass an interface unfiltered for a moment, unless the requester accepts that.
fn require_no_gap(plan: &Plan, requester: Option<Requester>) -> Result<(), GapError> {
    match (plan.reattached().next(), requester) {
        (Some(interface), Some(requester)) if !requester.force => Err(GapError {
            interface: interface.to_owned(),
        }),
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

/// Examines the interfaces to attach to, and logs warnings.
async fn examine(plan: &Plan, ruleset: Option<&Ruleset>) -> Examined {
    let targets: Vec<&AttachTarget> = plan.targets().collect();
    let Some(target) = targets.first() else {
        return Examined::default();
    };
    let names: Vec<&str> = targets.iter().map(|target| &*target.name).collect();
    let examined = Examined::of(&names).await;
    let mut rules = ruleset.into_iter().flat_map(|ruleset| &ruleset.rules);
    let ask_for_tags = rules.any(|rule| rule.matches.vlan.is_some());
    examined.log_warnings(target.modes, ask_for_tags);
    examined
}

/// Adds the findings about the interface to the error, or where the rule file asks for what is too large.
fn explained(error: FilterError, examined: &Examined, ruleset: Option<&Ruleset>) -> Error {
    if let Some(ruleset) = ruleset.filter(|_| error.is_about_flows()) {
        let Flows { max, max_place, .. } = ruleset.settings.flows;
        return FlowsTooLargeError {
            error,
            place: max_place,
            max,
        }
        .into();
    }
    let obstacles = error
        .unsuitable()
        .and_then(|interface| examined.obstacles(interface));
    match obstacles {
        Some(obstacles) => UnsuitableError { error, obstacles }.into(),
        None => error.into(),
    }
}

/// The error about an interface that has another program.
pub(super) fn occupied_by(bpffs: &Path) -> impl FnOnce(Occupied) -> Error {
    move |occupied| {
        OccupiedError {
            program: info::program_words(occupied.program, bpffs),
            occupied,
        }
        .into()
    }
}
