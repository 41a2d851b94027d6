//! The origin and number of the rules and packets of a case.

use std::{collections::HashSet, fmt};

use serde::{Deserialize, Serialize};

use super::case::Case;
use crate::rulesets::Origin;

/// The origin and number of the rules and packets of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// Where the rules come from.
    pub rules: Origin,
    /// Where the packets come from.
    pub packets: Origin,
    /// The number of packets in the series.
    pub count: usize,
    /// The number of distinct packets.
    pub distinct: usize,
}

impl Data {
    /// The data of a case.
    #[must_use]
    pub fn of(case: &Case) -> Self {
        let different: HashSet<_> = case.packets.iter().collect();
        Self {
            rules: case.rules_from,
            packets: case.packets_from,
            count: case.packets.len(),
            distinct: different.len(),
        }
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rules,
            packets,
            count,
            distinct,
        } = self;
        write!(
            f,
            "{} rules; {count} {} packets, ",
            rules.name(),
            packets.name()
        )?;
        if distinct == count {
            write!(f, "all distinct")
        } else {
            write!(f, "{distinct} of them distinct")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cost::{case::Rules, drawing::any_packets},
        rulesets::Family,
    };

    #[test]
    fn packets_that_come_again_are_counted_once() {
        let mut case = Case {
            name: String::new(),
            description: String::new(),
            packets: any_packets(&[Family::V4], 100, 1),
            packets_from: Origin::Generated,
            rules: Rules::File(String::new()),
            rules_from: Origin::Given,
        };
        let all = "given rules; 100 generated packets, all distinct";
        assert_eq!(Data::of(&case).to_string(), all);
        case.packets.extend(case.packets.clone());
        let half = "given rules; 200 generated packets, 100 of them distinct";
        assert_eq!(Data::of(&case).to_string(), half);
    }
}
