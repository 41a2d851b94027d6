//! Follows changes of interfaces: attaches to new ones, drops those that are gone, and keeps track
//! of refusals.
//!
//! The rules stay those that were read before: a change of interfaces reads nothing from the disk.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use rules::{compiler::InterfaceIndex, field::InterfacePattern, model::Ruleset};
use tokio::{task, time::Instant};

use crate::{
    daemon::{
        apply::FileOptions,
        current::Current,
        state::Daemon,
        switch::occupied_by,
        trigger::{Cause, Trigger},
    },
    doctor::Examined,
    error::Error,
    filter::{
        plan::{self, Occupied, ProgramStep, Wanted},
        transaction::Filter,
    },
    generation::confirmation::Condition,
    interfaces::{
        link_events::Touched,
        list::{self, Interface},
        selection::{self, Accepted, Selection},
        unattached::{Reason, Refusal, Retry, Unattached},
    },
    kernel::info,
    logging::diagnostics,
    logging::progress::{Progress, log_progress},
    rule_file::load::RuleFile,
    text::causes::Causes,
};

impl Daemon {
    /// The time of the next check of the interfaces in the absence of events.
    pub(super) fn retry(&self) -> Option<Instant> {
        let refusals = self.refusals.iter().map(Refusal::due);
        refusals
            .chain(self.compile_again)
            .min()
            .max(self.resting_until)
    }

    /// The delay after a failure.
    pub(super) fn rest(&self) -> Duration {
        let until = self.resting_until;
        until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    /// What to tolerate when `file` is brought into force on request: names that were there before,
    /// and interfaces that could not be filtered before. A process that takes over the very file
    /// that is in force, after a crash, tolerates everything.
    pub(super) fn accepted(&self, file: &RuleFile) -> Accepted {
        let names = match &self.current {
            Current::Left(left) if left.is_of(&file.sha256) => return Accepted::anything(),
            Current::Left(_) => Vec::new(),
            Current::Running(filter) => filter.metadata().patterns(),
        };
        let refused = self.refusals.iter().map(|refusal| refusal.index).collect();
        Accepted::before(&names, refused)
    }

    /// The interfaces that patterns select now, and those that `rules` name as origins of packets.
    pub(super) async fn select(
        &self,
        patterns: &[InterfacePattern],
        rules: Option<&RuleFile>,
        accepted: &Accepted,
    ) -> Result<Selection, Error> {
        let interfaces = list::list().await?;
        let origins = rules.map(|rules| origins(&rules.ruleset, &interfaces));
        let selection = selection::select(patterns, interfaces, accepted)?;
        Ok(Selection {
            origins: origins.unwrap_or_default(),
            ..selection
        })
    }

    /// Updates the links, and if needed the rules, to the current interfaces.
    pub(super) async fn follow(&mut self, touched: &Touched) {
        for refusal in &mut self.refusals {
            refusal.note(touched);
        }
        self.compile_again = None;
        let Err(error) = self.follow_or_fail().await else {
            self.back_off.succeed();
            self.resting_until = None;
            return;
        };
        let rest = self.back_off.fail();
        diagnostics::log(error.diagnostics());
        let help = error.help();
        let error = Causes(&error);
        self.report_unfollowed(&error.to_string()).await;
        tracing::error!(
            event = "interfaces_not_followed",
            %error,
            help,
            retry_seconds = rest.as_secs(),
            "interfaces have changed, and not all are filtered as the rules say: {error}"
        );
        // Due work, and events caused by the failure itself, wait until then.
        self.resting_until = Some(Instant::now() + rest);
        self.compile_again = self.resting_until;
    }

    /// Publishes the selected interfaces that are not filtered because of a failure.
    async fn report_unfollowed(&self, error: &str) {
        let Some(metadata) = self.filter().map(Filter::metadata) else {
            return;
        };
        let (patterns, egress) = (metadata.patterns(), metadata.egress);
        let Ok(selection) = self.select(&patterns, None, &Accepted::anything()).await else {
            return;
        };
        let Some(Ok(present)) = self.filter().map(Filter::present) else {
            return;
        };
        let in_force = self.in_force.borrow().clone();
        let mut unattached = in_force.map_or_else(Vec::new, |in_force| in_force.unattached);
        for interface in selection.interfaces {
            let is_filtered = |wanted: bool| {
                let mut links = present.links.iter();
                links.any(|link| {
                    link.interface == Some(interface.index) && link.hook.is_egress() == wanted
                })
            };
            let is_filtered = is_filtered(false) && (is_filtered(true) || !egress);
            let is_known = unattached.iter().any(|one| one.name == interface.name);
            if !is_filtered && !is_known {
                unattached.push(Unattached::failed(&interface.name, error));
            }
        }
        unattached.sort_by(|one, other| one.name.cmp(&other.name));
        self.publish(unattached);
    }

    async fn follow_or_fail(&mut self) -> Result<(), Error> {
        let occasion = Trigger::now(Cause::Interfaces);
        self.require_folder()?;
        let Some(filter) = self.filter() else {
            return Ok(());
        };
        let accepted = Accepted::anything();
        let patterns = filter.metadata().patterns();
        let file = self.rules.as_ref().map(|rules| &rules.source);
        let selection = self.select(&patterns, file, &accepted).await?;
        let Some(file) = file.filter(|file| file.names_interfaces()) else {
            return self.relink(selection, Retry::Due).await;
        };
        if self.known == selection.dependencies() {
            return self.relink(selection, Retry::Due).await;
        }
        let mut again = file.clone();
        (again.read, again.parse) = (Duration::ZERO, Duration::ZERO);
        let progress = Progress::told_to(log_progress);
        let options = FileOptions {
            budget: self.budget,
            condition: self.confirm_by.map(Condition::Until),
            requester: None,
        };
        match self.apply_file(again, &accepted, options, progress).await {
            Ok(outcome) => {
                outcome.log(occasion, self.input.path());
                Ok(())
            }
            Err(error) => {
                // The rules in force fit the new interfaces except for rules that name these.
                let known = self.known.clone();
                let relinked = self.relink(selection, Retry::Due).await;
                self.known = known;
                relinked?;
                Err(error)
            }
        }
    }

    /// After a rollback to rules that were compiled earlier: compiles them again if they name
    /// interfaces and these have changed since.
    pub(super) fn look_again(&mut self) {
        let Some(rules) = &self.rules else { return };
        if rules.source.names_interfaces() && rules.interfaces != self.known {
            self.known.clone_from(&rules.interfaces);
            self.compile_again = Some(Instant::now());
        }
    }

    /// Executes the steps that only concern links.
    pub(super) async fn relink(&mut self, selection: Selection, retry: Retry) -> Result<(), Error> {
        let Current::Running(filter) = &mut self.current else {
            return Ok(());
        };
        let Some(mode) = filter.metadata().mode() else {
            return Ok(());
        };
        let now = Instant::now();
        let present = filter.present()?;
        let has_link = |index| {
            let mut links = present.links.iter();
            links.any(|link| !link.hook.is_egress() && link.interface == Some(index))
        };
        let resting: BTreeSet<InterfaceIndex> = self
            .refusals
            .iter()
            .filter(|refusal| match retry {
                Retry::Due => refusal.due() > now && !has_link(refusal.index),
                Retry::All => false,
            })
            .map(|refusal| refusal.index)
            .collect();
        let interfaces: Vec<_> = selection
            .interfaces
            .iter()
            .filter(|interface| !resting.contains(&interface.index))
            .collect();
        let (Some(size), Some(capacity)) = (present.size, present.capacity) else {
            return Ok(());
        };
        let wanted = Wanted {
            size,
            most: self.budget.largest_map(),
            capacity,
            mode,
            seeks_best_mode: false,
            interfaces: &interfaces,
            optional: &interfaces.iter().map(|interface| interface.index).collect(),
            egress: filter.metadata().egress,
            flows: present.flows,
        };
        let plan = plan::plan(&present, &wanted).map_err(occupied_by(&self.config.bpffs))?;
        debug_assert_eq!(plan.program, ProgramStep::Keep);
        if !plan.keeps_links() {
            task::block_in_place(|| filter.relink(&plan))?;
        }
        self.record(selection, plan.occupied, &resting).await;
        Ok(())
    }

    /// Records the interfaces that are not attached to, and reports new ones; `resting` were not
    /// tried.
    pub(super) async fn record(
        &mut self,
        selection: Selection,
        occupied: Vec<Occupied>,
        resting: &BTreeSet<InterfaceIndex>,
    ) {
        let names = selection.names();
        self.known = selection.dependencies();
        let refused = match &mut self.current {
            Current::Running(filter) => filter.refused(),
            Current::Left(_) => Vec::new(),
        };
        let mut reasons: Vec<(InterfaceIndex, String, Reason)> = Vec::new();
        for (interface, error) in selection.refused {
            reasons.push((interface.index, interface.name, error.into()));
        }
        for Occupied {
            interface,
            index,
            program: id,
        } in occupied
        {
            let reason = Reason::Occupied {
                interface: interface.clone(),
                program: info::program_words(id, &self.config.bpffs),
            };
            reasons.push((index, interface, reason));
        }
        for (target, error) in refused {
            let obstacles = match error.unsuitable() {
                Some(interface) => Examined::of(&[interface]).await.obstacles(interface),
                None => None,
            };
            let reason = Reason::Attach { error, obstacles };
            reasons.push((target.index, target.name, reason));
        }
        let before = std::mem::take(&mut self.refusals);
        let (resting, before): (Vec<_>, Vec<_>) = before.into_iter().partition(|refusal| {
            resting.contains(&refusal.index)
                && names.iter().any(|(index, _)| *index == refusal.index)
        });
        self.refusals = resting;
        for (index, name, reason) in reasons {
            let last = before.iter().find(|refusal| refusal.index == index);
            self.refusals
                .push(Refusal::new(index, &name, &reason, last));
        }
        let waiting = selection
            .waiting
            .iter()
            .map(|name| Unattached::waiting(name));
        let refused = self
            .refusals
            .iter()
            .map(|refusal| refusal.unattached.clone());
        let mut unattached: Vec<Unattached> = refused.chain(waiting).collect();
        unattached.sort_by(|one, other| one.name.cmp(&other.name));
        self.publish(unattached);
    }

    /// Logs the interfaces that are newly unattached, and publishes all of them for `status`.
    fn publish(&self, unattached: Vec<Unattached>) {
        self.in_force.send_if_modified(|in_force| {
            let Some(in_force) = in_force else {
                return false;
            };
            for one in &unattached {
                if !in_force.unattached.contains(one) {
                    one.log();
                }
            }
            let is_new = in_force.unattached != unattached;
            in_force.unattached = unattached;
            is_new
        });
    }
}

/// Those of the interfaces that rules name by `in_interface`, also to leave them out.
fn origins(rules: &Ruleset, interfaces: &[Interface]) -> Vec<(InterfaceIndex, String)> {
    let named = rules.rules.iter();
    let named = named.filter_map(|rule| rule.matches.in_interface.as_ref());
    let named = named.flat_map(|named| named.positives.iter().chain(&named.negatives));
    let patterns: HashSet<&InterfacePattern> = named.collect();
    let is_named = |name: &str| patterns.iter().any(|pattern| pattern.matches(name));
    let origins = interfaces
        .iter()
        .filter(|interface| is_named(&interface.name));
    origins.flat_map(Interface::names).collect()
}
