//! The balance of one stage: the packets sent must equal those that arrived and those that were
//! dropped, and each packet must be in the counter of the rule that decided it.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use benches::traffic::{Arrivals, FlowArrivals, Sent};

use crate::{
    firewall::{Count, Counts},
    flows::{ALL_UDP, Fate, FlowCase},
    table::Table,
};

/// The rules in force during a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The original rules.
    Before,
    /// First the original rules, then the edited ones.
    Change,
    /// The edited rules.
    After,
}

/// The observations of one stage.
pub(crate) struct Ledger<'a> {
    pub(crate) stage: Stage,
    pub(crate) cases: &'a [FlowCase],
    /// The number of packets of each flow sent before the stage.
    pub(crate) sent_before: &'a [u64],
    pub(crate) sent: &'a Sent,
    pub(crate) arrived: &'a Arrivals,
    /// The counters at the beginning of the stage.
    pub(crate) earlier: &'a Counts,
    /// The counters at its end.
    pub(crate) later: &'a Counts,
}

/// One flow in one stage.
struct Line<'a> {
    case: &'a FlowCase,
    sent_before: u64,
    sent: u64,
    /// The length of each of its frames.
    frame_len: u64,
    arrived: FlowArrivals,
}

impl Line<'_> {
    fn dropped(&self) -> u64 {
        self.sent.saturating_sub(self.arrived.packets)
    }

    /// The fates that packets may have in this stage, in this order.
    fn fates(&self, stage: Stage) -> Vec<Fate> {
        let mut fates = match stage {
            Stage::Before => vec![self.case.before],
            Stage::Change => vec![self.case.before, self.case.after],
            Stage::After => vec![self.case.after],
        };
        fates.dedup();
        fates
    }

    /// The packets and bytes with this fate.
    fn share(&self, fate: Fate) -> Count {
        self.count(if fate.is_pass() {
            self.arrived.packets
        } else {
            self.dropped()
        })
    }

    fn count(&self, packets: u64) -> Count {
        Count {
            packets,
            bytes: packets * self.frame_len,
        }
    }

    /// The discrepancy of the flow, if any.
    fn fault(&self, stage: Stage) -> Option<String> {
        let arrived = self.arrived;
        if arrived.packets > self.sent {
            return Some("more arrived than was sent".to_owned());
        }
        if arrived.gaps > 0 {
            return Some(format!("what arrived has {} gaps", arrived.gaps));
        }
        let fates = self.fates(stage);
        let passes: Vec<_> = fates.iter().map(|fate| fate.is_pass()).collect();
        let end = self.sent_before + self.sent;
        let is_right = match passes.as_slice() {
            [false] => arrived.packets == 0,
            [true] | [true, true] => arrived.packets == self.sent,
            // The change must fall within the stage, or the stage shows nothing.
            [true, false] => {
                self.dropped() > 0 && arrived.first.map(u64::from) == Some(self.sent_before)
            }
            _ => self.dropped() > 0 && arrived.last.map(|last| u64::from(last) + 1) == Some(end),
        };
        (!is_right).then(|| {
            format!(
                "of its packets {} to {end} arrived {}, from {:?} to {:?}",
                self.sent_before, arrived.packets, arrived.first, arrived.last
            )
        })
    }
}

impl Ledger<'_> {
    /// Prints both tables, and fails if the numbers do not add up.
    pub(crate) fn close(&self) -> Result<()> {
        let lines: Vec<_> = self
            .cases
            .iter()
            .zip(self.sent_before)
            .zip(self.sent.packets.iter().zip(&self.sent.bytes))
            .zip(&self.arrived.flows)
            .map(|(((case, sent_before), (sent, bytes)), arrived)| Line {
                case,
                sent_before: *sent_before,
                sent: *sent,
                frame_len: bytes.checked_div(*sent).unwrap_or(0),
                arrived: *arrived,
            })
            .collect();
        let mut faults = Vec::new();
        self.print_flows(&lines, &mut faults);
        self.print_rules(&lines, &mut faults);
        if self.arrived.unmarked > 0 {
            faults.push(format!(
                "{} frames arrived that nobody sent",
                self.arrived.unmarked
            ));
        }
        if faults.is_empty() {
            return Ok(());
        }
        bail!("the numbers do not add up:\n  {}", faults.join("\n  "));
    }

    fn print_flows(&self, lines: &[Line<'_>], faults: &mut Vec<String>) {
        let mut table = Table::new([
            "flow",
            "#sent",
            "#arrived",
            "#dropped",
            "verdict",
            "decided by",
        ]);
        let mut sums = [0; 3];
        for line in lines {
            let fates = line.fates(self.stage);
            let words = |word: fn(Fate) -> &'static str| {
                let mut words: Vec<_> = fates.iter().map(|fate| word(*fate)).collect();
                words.dedup();
                words.join(", then ")
            };
            let numbers = [line.sent, line.arrived.packets, line.dropped()];
            let [sent, arrived, dropped] = numbers.map(|number| number.to_string());
            for (sum, number) in sums.iter_mut().zip(numbers) {
                *sum += number;
            }
            table.row([
                line.case.name.to_owned(),
                sent,
                arrived,
                dropped,
                words(Fate::verdict),
                words(Fate::by),
            ]);
            if let Some(fault) = line.fault(self.stage) {
                faults.push(format!("flow `{}`: {fault}", line.case.name));
            }
        }
        let [sent, arrived, dropped] = sums.map(|sum| sum.to_string());
        table.row([
            "all".to_owned(),
            sent,
            arrived,
            dropped,
            String::new(),
            String::new(),
        ]);
        table.print();
    }

    fn print_rules(&self, lines: &[Line<'_>], faults: &mut Vec<String>) {
        let mut table = Table::new([
            "rule or reason",
            "#should count",
            "#counted",
            "#bytes",
            "#since apply",
            "",
        ]);
        let expected = self.expected(lines);
        let mut decided = 0;
        // The rules in the order in which the flows name them, then any others with counts.
        for name in self.names(lines) {
            let expected = expected.get(name).copied().unwrap_or_default();
            let later = self.later.get(name).copied();
            let earlier = self.earlier.get(name).copied().unwrap_or_default();
            let counted = later.map(|later| later.since(earlier));
            let remark = match counted {
                // The counter of a rule disappears with the rule.
                None if self.stage == Stage::Change => "the rule is gone",
                None => "there is no such counter",
                Some(_) if name == ALL_UDP => "counts on the way",
                Some(_) if !self.earlier.contains_key(name) => "new",
                Some(_) => "",
            };
            let is_wrong = match counted {
                Some(counted) => counted != expected,
                None => self.stage != Stage::Change,
            };
            if is_wrong {
                faults.push(format!(
                    "`{name}` counted {counted:?} instead of {expected:?}"
                ));
            }
            if name != ALL_UDP {
                decided += counted.unwrap_or(expected).packets;
            }
            let number = |count: Option<Count>, number: fn(Count) -> u64| {
                count.map_or_else(|| "-".to_owned(), |count| number(count).to_string())
            };
            table.row([
                name.to_owned(),
                expected.packets.to_string(),
                number(counted, |count| count.packets),
                number(counted, |count| count.bytes),
                number(later, |count| count.packets),
                remark.to_owned(),
            ]);
        }
        table.print();
        let sent = self.sent.total();
        if decided != sent {
            faults.push(format!("{sent} packets were sent, {decided} decided"));
        }
    }

    /// The expected counts of each rule and reason.
    fn expected(&self, lines: &[Line<'_>]) -> BTreeMap<&'static str, Count> {
        let mut expected: BTreeMap<_, Count> = BTreeMap::new();
        for line in lines {
            let on_the_way = line.case.is_udp.then(|| (ALL_UDP, line.count(line.sent)));
            let fates = line.fates(self.stage);
            let decided = fates.iter().map(|fate| (fate.by(), line.share(*fate)));
            for (name, count) in on_the_way.into_iter().chain(decided) {
                let sum = expected.entry(name).or_default();
                sum.packets += count.packets;
                sum.bytes += count.bytes;
            }
        }
        expected
    }

    fn names(&self, lines: &[Line<'_>]) -> Vec<&str> {
        let mut names: Vec<&str> = vec![ALL_UDP];
        let fates = lines.iter().flat_map(|line| line.fates(self.stage));
        let others = self.later.iter().filter(|(name, count)| {
            let earlier = self.earlier.get(*name).map_or(0, |count| count.packets);
            count.packets > earlier
        });
        for name in fates
            .map(|fate| -> &str { fate.by() })
            .chain(others.map(|(name, _)| name.as_str()))
        {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A stage of two flows of 10 packets of 100 bytes: one passed throughout, the other passed
    /// by `web` and then dropped by `ban`, after the fourth packet in the stage of change.
    struct Example {
        cases: Vec<FlowCase>,
        sent: Sent,
        arrived: Arrivals,
        earlier: Counts,
        later: Counts,
    }

    fn example() -> Example {
        let case = |name, after| FlowCase {
            name,
            is_udp: name == "steady",
            before: Fate::Pass("web"),
            after,
            packets: Vec::new(),
        };
        let arrivals = |packets: u32| FlowArrivals {
            packets: packets.into(),
            bytes: u64::from(packets) * 100,
            first: Some(0),
            last: Some(packets - 1),
            gaps: 0,
        };
        let counts = |entries: &[(&str, u64)]| {
            let count = |packets| Count {
                packets,
                bytes: packets * 100,
            };
            let entries = entries.iter();
            entries
                .map(|(name, packets)| ((*name).to_owned(), count(*packets)))
                .collect()
        };
        Example {
            cases: vec![
                case("steady", Fate::Pass("web")),
                case("changing", Fate::Drop("ban")),
            ],
            sent: Sent {
                packets: vec![10, 10],
                bytes: vec![1000, 1000],
                elapsed: Duration::ZERO,
            },
            arrived: Arrivals {
                flows: vec![arrivals(10), arrivals(4)],
                unmarked: 0,
            },
            earlier: counts(&[("web", 5), (ALL_UDP, 1)]),
            later: counts(&[("web", 19), ("ban", 6), (ALL_UDP, 11)]),
        }
    }

    fn close(example: &Example) -> Result<(), String> {
        let ledger = Ledger {
            stage: Stage::Change,
            cases: &example.cases,
            sent_before: &[0, 0],
            sent: &example.sent,
            arrived: &example.arrived,
            earlier: &example.earlier,
            later: &example.later,
        };
        ledger.close().map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_that_add_up_are_accepted() {
        assert_eq!(close(&example()), Ok(()));
    }

    #[test]
    fn every_number_that_is_off_by_one_is_found() {
        let spoil: [fn(&mut Example); 9] = [
            |example| example.sent.packets[0] += 1,
            |example| example.arrived.flows[0].packets -= 1,
            |example| example.arrived.flows[1].packets += 1,
            |example| example.arrived.unmarked += 1,
            |example| example.later.get_mut("web").unwrap().packets -= 1,
            |example| example.later.get_mut("ban").unwrap().bytes += 1,
            |example| example.later.get_mut(ALL_UDP).unwrap().packets += 1,
            |example| example.earlier.get_mut("web").unwrap().packets += 1,
            |example| {
                let one = Count {
                    packets: 1,
                    bytes: 1,
                };
                example.later.insert("policy".to_owned(), one);
            },
        ];
        for (index, spoil) in spoil.into_iter().enumerate() {
            let mut example = example();
            spoil(&mut example);
            assert!(close(&example).is_err(), "{index}");
        }
    }

    #[test]
    fn a_flow_that_changes_its_verdict_twice_or_never_is_found() {
        let spoil: [fn(&mut FlowArrivals); 3] = [
            |flow| flow.gaps = 1,
            |flow| flow.first = Some(1),
            |flow| *flow = FlowArrivals::default(),
        ];
        for spoil in spoil {
            let mut example = example();
            spoil(&mut example.arrived.flows[1]);
            let message = close(&example).unwrap_err();
            assert!(message.contains("flow `changing`"), "{message}");
        }
    }
}
