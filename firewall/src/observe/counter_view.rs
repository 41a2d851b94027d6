//! A part of all counters, in an order of choice, and its sum.

use rules::text::nearest;

use crate::{
    error::UserError,
    observe::counters::{CounterRow, CounterSnapshot, CounterTotal},
};

/// What is wanted of the counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CounterView {
    /// The names of the rules; empty for all, and what decides besides.
    pub rules: Vec<String>,
    /// Only what has counted something; with rates, something since the snapshot before.
    pub nonzero: bool,
    /// The order, the largest first; `None` for that of the rules.
    pub sort: Option<CounterOrder>,
    /// Whether the sum is wanted.
    pub total: bool,
}

/// An order of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterOrder {
    /// By packets; with rates, by packets since the snapshot before.
    Packets,
    /// By bytes; with rates, by bytes since the snapshot before.
    Bytes,
}

/// A rule was named that is not in force.
#[derive(Debug, thiserror::Error)]
#[error("there is no rule `{name}` in force")]
pub struct UnknownRule {
    name: String,
    meant: Option<String>,
}

impl UserError for UnknownRule {
    fn help(&self) -> Option<String> {
        let meant = self.meant.as_ref();
        meant.map(|meant| format!("did you mean `{meant}`?"))
    }
}

impl CounterView {
    /// Leaves of a snapshot what is wanted.
    ///
    /// # Errors
    ///
    /// When a rule is neither in force nor disabled.
    pub fn apply(&self, snapshot: &mut CounterSnapshot) -> Result<(), UnknownRule> {
        if !self.rules.is_empty() {
            for name in &self.rules {
                self.require(name, snapshot)?;
            }
            let is_named = |row: &CounterRow| self.rules.contains(&row.name);
            snapshot.rules.retain(is_named);
            snapshot.disabled.retain(is_named);
            snapshot.reasons.clear();
            snapshot.bans.clear();
            snapshot.flows = None;
        }
        snapshot.total = self.total.then(|| CounterTotal::of(snapshot));
        let all = [
            &mut snapshot.rules,
            &mut snapshot.disabled,
            &mut snapshot.reasons,
            &mut snapshot.bans,
        ];
        for rows in all {
            if self.nonzero {
                rows.retain(|row| CounterOrder::Packets.amount(row) > 0.0);
            }
            if let Some(order) = self.sort {
                order.sort(rows, |row| row);
            }
        }
        Ok(())
    }

    fn require(&self, name: &str, snapshot: &CounterSnapshot) -> Result<(), UnknownRule> {
        let rows = snapshot.rules.iter().chain(&snapshot.disabled);
        let mut names = rows.map(|row| row.name.as_str());
        if names.clone().any(|known| known == name) {
            return Ok(());
        }
        Err(UnknownRule {
            name: name.to_owned(),
            meant: nearest(name, &mut names).map(str::to_owned),
        })
    }
}

impl CounterOrder {
    /// Sorts what has a row of counters, the largest first. Those that are equal stay in their order.
    pub(crate) fn sort<T>(self, all: &mut [T], row: impl Fn(&T) -> &CounterRow) {
        all.sort_by(|one, other| self.amount(row(other)).total_cmp(&self.amount(row(one))));
    }

    /// What a row has counted; with rates, since the snapshot before.
    fn amount(self, row: &CounterRow) -> f64 {
        match (self, &row.rate) {
            (Self::Packets, Some(rate)) => rate.packets_per_second,
            (Self::Bytes, Some(rate)) => rate.bytes_per_second,
            (Self::Packets, None) => row.count.packets as f64,
            (Self::Bytes, None) => row.count.bytes as f64,
        }
    }
}

impl CounterTotal {
    /// The sum of what decides packets: rules that only count do not, and bans are among the reasons.
    fn of(snapshot: &CounterSnapshot) -> Self {
        let rows = snapshot.rules.iter().chain(&snapshot.disabled);
        let mut total = Self::default();
        for row in rows.chain(&snapshot.reasons) {
            match row.action.as_str() {
                "pass" => total.pass = total.pass.plus(row.count),
                "drop" => total.drop = total.drop.plus(row.count),
                _ => {}
            }
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{counters::Count, generation::Generation, slot::Slot};

    fn row(name: &str, action: &str, packets: u64, bytes: u64) -> CounterRow {
        CounterRow {
            name: name.to_owned(),
            direction: "in".to_owned(),
            action: action.to_owned(),
            in_force: true,
            slot: Some(Slot::new(64)),
            count: Count { packets, bytes },
            rate: None,
            log: None,
            comment: None,
        }
    }

    fn snapshot() -> CounterSnapshot {
        CounterSnapshot {
            generation: Generation::FIRST,
            rules: vec![
                row("a", "pass", 1, 900),
                row("b", "drop", 0, 0),
                row("c", "count", 7, 70),
                row("d", "drop", 5, 50),
            ],
            disabled: vec![row("off", "drop", 2, 20)],
            reasons: vec![row("policy", "pass", 3, 30), row("banned", "drop", 4, 40)],
            bans: vec![row("sshd", "drop", 4, 40)],
            flows: None,
            total: None,
        }
    }

    fn names(rows: &[CounterRow]) -> Vec<&str> {
        rows.iter().map(|row| row.name.as_str()).collect()
    }

    #[test]
    fn counters_are_sorted_and_those_of_nothing_left_out() {
        let sorted = |sort, nonzero| {
            let mut snapshot = snapshot();
            let view = CounterView {
                sort: Some(sort),
                nonzero,
                ..CounterView::default()
            };
            view.apply(&mut snapshot).unwrap();
            snapshot
        };
        let by_packets = sorted(CounterOrder::Packets, false);
        assert_eq!(names(&by_packets.rules), ["c", "d", "a", "b"]);
        assert_eq!(names(&by_packets.reasons), ["banned", "policy"]);
        let by_bytes = sorted(CounterOrder::Bytes, true);
        assert_eq!(names(&by_bytes.rules), ["a", "c", "d"]);
    }

    #[test]
    fn only_the_rules_that_are_named_are_left() {
        let mut some = snapshot();
        let view = |rules: &[&str]| CounterView {
            rules: rules.iter().map(|&name| name.to_owned()).collect(),
            total: true,
            ..CounterView::default()
        };
        view(&["d", "off"]).apply(&mut some).unwrap();
        assert_eq!(names(&some.rules), ["d"]);
        assert_eq!(names(&some.disabled), ["off"]);
        assert!(some.reasons.is_empty() && some.bans.is_empty());
        let total = some.total.unwrap();
        assert_eq!((total.pass.packets, total.drop.packets), (0, 7));
        let unknown = view(&["of"]).apply(&mut snapshot()).unwrap_err();
        assert_eq!(unknown.to_string(), "there is no rule `of` in force");
        assert_eq!(unknown.help().as_deref(), Some("did you mean `off`?"));
    }

    #[test]
    fn the_sum_is_of_what_decides() {
        let mut all = snapshot();
        let view = CounterView {
            total: true,
            nonzero: true,
            ..CounterView::default()
        };
        view.apply(&mut all).unwrap();
        let (packets, bytes) = (4, 930);
        let pass = Count { packets, bytes };
        let (packets, bytes) = (11, 110);
        let drop = Count { packets, bytes };
        assert_eq!(all.total, Some(CounterTotal { pass, drop }));
    }
}
