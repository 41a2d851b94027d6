//! Selects the interfaces of a rule file among the existing ones, and decides whether missing or
//! unsuitable ones are an error, without I/O.

use std::collections::BTreeSet;

use rules::{compiler::InterfaceIndex, field::InterfacePattern};

use crate::interfaces::list::{Interface, InterfaceError, LinkLayer};

/// The interfaces that a rule file selects.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// The interfaces to attach to, by index.
    pub(crate) interfaces: Vec<Interface>,
    /// The names and globs that match no interface yet.
    pub(crate) waiting: Vec<String>,
    /// The interfaces that cannot be filtered.
    pub(crate) refused: Vec<(Interface, InterfaceError)>,
    /// The interfaces that rules name as those on which packets arrived, selected or not.
    pub(crate) origins: Vec<(InterfaceIndex, String)>,
}

impl Selection {
    /// The indexes of the interfaces that may refuse without an error.
    pub(crate) fn optional(&self, accepted: &Accepted) -> BTreeSet<InterfaceIndex> {
        let indexes = self.interfaces.iter().map(|interface| interface.index);
        indexes.filter(|&index| accepted.refusal(index)).collect()
    }

    /// The indexes and names of the interfaces that an image depends on.
    pub(crate) fn dependencies(&self) -> Vec<(InterfaceIndex, String)> {
        let mut all = self.names();
        all.extend(self.origins.iter().cloned());
        all.sort();
        all.dedup();
        all
    }

    /// The indexes and names of the interfaces, as of [`Interface::names`].
    pub(crate) fn names(&self) -> Vec<(InterfaceIndex, String)> {
        let interfaces = self.interfaces.iter();
        interfaces.flat_map(Interface::names).collect()
    }
}

/// The deviations from the rule file to tolerate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accepted {
    anything: bool,
    absent: bool,
    names: Vec<InterfacePattern>,
    refused: BTreeSet<InterfaceIndex>,
}

impl Accepted {
    /// Tolerates everything: the same rules were in force before, and no user would see an error.
    pub(crate) fn anything() -> Self {
        Self {
            anything: true,
            ..Self::default()
        }
    }

    /// Names that have been in `interfaces` before, and interfaces that could not be filtered
    /// before.
    pub(crate) fn before(names: &[InterfacePattern], refused: BTreeSet<InterfaceIndex>) -> Self {
        Self {
            names: names.to_vec(),
            refused,
            ..Self::default()
        }
    }

    /// Also tolerates names that match no interface yet, if `absent`.
    pub(crate) fn with_absent(self, absent: bool) -> Self {
        Self { absent, ..self }
    }

    /// Whether a failure to attach to this interface is tolerated.
    pub(crate) fn refusal(&self, interface: InterfaceIndex) -> bool {
        self.anything || self.refused.contains(&interface)
    }

    /// Whether a pattern may match no interface: a glob may match any number, but a name that never
    /// existed may be a typing error.
    fn absence(&self, pattern: &InterfacePattern) -> bool {
        pattern.is_glob() || self.anything || self.absent || self.names.contains(pattern)
    }
}

/// Selects the interfaces that match the patterns.
///
/// # Errors
///
/// When a name matches none, or an interface with a link layer that is not understood, unless that
/// is tolerated.
pub(crate) fn select(
    patterns: &[InterfacePattern],
    interfaces: Vec<Interface>,
    accepted: &Accepted,
) -> Result<Selection, InterfaceError> {
    let is_absent = |pattern: &&InterfacePattern| {
        !interfaces
            .iter()
            .any(|interface| pattern.selects(&interface.name))
    };
    let absent: Vec<&InterfacePattern> = patterns.iter().filter(is_absent).collect();
    if let Some(pattern) = absent.iter().find(|pattern| !accepted.absence(pattern)) {
        return Err(InterfaceError::Unknown {
            name: pattern.to_string(),
            there_are: interfaces
                .into_iter()
                .map(|interface| interface.name)
                .collect(),
        });
    }
    let mut selection = Selection {
        waiting: absent.into_iter().map(ToString::to_string).collect(),
        ..Selection::default()
    };
    for interface in interfaces {
        if !patterns.iter().any(|p| p.selects(&interface.name)) {
            continue;
        }
        match interface.link_layer {
            LinkLayer::Ethernet | LinkLayer::Bare => {
                selection.interfaces.push(interface);
                continue;
            }
            LinkLayer::Other => {}
        }
        let error = InterfaceError::LinkLayer {
            name: interface.name.clone(),
        };
        if !accepted.refusal(interface.index) {
            return Err(error);
        }
        selection.refused.push((interface, error));
    }
    Ok(selection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::UserError as _;

    fn interfaces(names: &[&str]) -> Vec<Interface> {
        (1..)
            .zip(names)
            .map(|(index, name)| Interface {
                index: InterfaceIndex(index),
                name: (*name).to_owned(),
                link_layer: match *name {
                    "tun0" => LinkLayer::Bare,
                    "can0" => LinkLayer::Other,
                    _ => LinkLayer::Ethernet,
                },
                programs: Vec::new(),
                bonded: Vec::new(),
            })
            .collect()
    }

    fn patterns(patterns: &[&str]) -> Vec<InterfacePattern> {
        patterns
            .iter()
            .map(|text| InterfacePattern::parse(text).unwrap())
            .collect()
    }

    fn selected(
        names: &[&str],
        there: &[&str],
        accepted: &Accepted,
    ) -> Result<Selection, InterfaceError> {
        select(&patterns(names), interfaces(there), accepted)
    }

    fn names(selection: &Selection) -> Vec<&str> {
        selection.interfaces.iter().map(|i| &*i.name).collect()
    }

    #[test]
    fn globs_select_each_interface_once() {
        let there = ["lo", "eth1", "eth0"];
        let selection = selected(&["eth*", "eth0"], &there, &Accepted::default()).unwrap();
        assert_eq!(names(&selection), ["eth1", "eth0"]);
    }

    #[test]
    fn the_loopback_interface_is_selected_by_its_name_only() {
        let there = ["lo", "eth0"];
        let selection = selected(&["*", "l*"], &there, &Accepted::default()).unwrap();
        assert_eq!(names(&selection), ["eth0"]);
        assert_eq!(selection.waiting, ["l*"]);
        let selection = selected(&["lo", "*"], &there, &Accepted::default()).unwrap();
        assert_eq!(names(&selection), ["lo", "eth0"]);
    }

    #[test]
    fn a_name_that_fits_none_is_an_error_that_names_what_there_is() {
        let unknown = selected(&["lo", "eth0"], &["lo", "wan"], &Accepted::default()).unwrap_err();
        assert_eq!(unknown.to_string(), "no interface is called `eth0`");
        assert!(unknown.help().unwrap().contains("there are `lo`, `wan`"));
    }

    #[test]
    fn globs_and_names_known_before_are_waited_for() {
        let before = Accepted::before(&patterns(&["eth0"]), BTreeSet::new());
        let selection = selected(&["lo", "wan*", "eth0"], &["lo"], &before).unwrap();
        assert_eq!(names(&selection), ["lo"]);
        assert_eq!(selection.waiting, ["wan*", "eth0"]);
        assert!(selected(&["eth1"], &["lo"], &before).is_err());
        for all in [before.with_absent(true), Accepted::anything()] {
            assert_eq!(
                selected(&["eth1"], &["lo"], &all).unwrap().waiting,
                ["eth1"]
            );
        }
    }

    #[test]
    fn interfaces_whose_packets_are_not_understood_are_refused_however_they_are_named() {
        let there = ["eth0", "can0"];
        for pattern in ["can0", "*"] {
            let refused = selected(&[pattern], &there, &Accepted::default()).unwrap_err();
            let message =
                "the packets on interface `can0` begin with neither an Ethernet nor an IP header";
            assert_eq!(refused.to_string(), message);
        }
        let selection = selected(&["eth*"], &there, &Accepted::default()).unwrap();
        assert_eq!(names(&selection), ["eth0"]);
        let there_is = selected(&["*"], &["eth0", "tun0"], &Accepted::default()).unwrap();
        assert_eq!(names(&there_is), ["eth0", "tun0"]);
        let accepted = Accepted::before(&[], BTreeSet::from([InterfaceIndex(2)]));
        let selection = selected(&["*"], &there, &accepted).unwrap();
        assert_eq!(names(&selection), ["eth0"]);
        assert_eq!(selection.refused[0].0.name, "can0");
    }
}
