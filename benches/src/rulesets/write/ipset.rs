//! Input of `ipset restore`.

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
};

use crate::rulesets::{AddressList, Family, Prefix};

/// The name of the set of a family.
#[must_use]
pub const fn set_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "listed4",
        Family::V6 => "listed6",
    }
}

/// The members of one family as a set: `hash:ip` if all are single addresses, otherwise `hash:net`
/// with the minimum list of prefixes.
#[must_use]
pub fn addresses(list: &AddressList, family: Family) -> String {
    let single = list
        .of_family(family)
        .all(|member| member.first() == member.last());
    let prefixes: BTreeSet<Prefix> = if single {
        list.of_family(family)
            .map(|member| Prefix::host(member.first()))
            .collect()
    } else {
        let merged = list.merged();
        let ranges = merged.of_family(family);
        // The kernel does not accept a prefix of length 0.
        ranges
            .flat_map(|range| range.prefixes())
            .flat_map(halves)
            .collect()
    };
    let mut text = String::with_capacity(prefixes.len() * 30);
    // Writing to a string cannot fail.
    let _ = write_set(&mut text, family, single, &prefixes);
    text
}

/// A prefix; for one of length 0, both halves.
fn halves(prefix: Prefix) -> Vec<Prefix> {
    if !prefix.is_any() {
        return vec![prefix];
    }
    let ends = [prefix.first(), prefix.last()];
    ends.into_iter()
        .filter_map(|end| Prefix::new(end, 1))
        .collect()
}

fn write_set(
    text: &mut String,
    family: Family,
    single: bool,
    prefixes: &BTreeSet<Prefix>,
) -> fmt::Result {
    let name = set_name(family);
    let kind = if single { "hash:ip" } else { "hash:net" };
    let family = match family {
        Family::V4 => "inet",
        Family::V6 => "inet6",
    };
    let buckets = prefixes.len().next_power_of_two().max(1024);
    let most = prefixes.len().max(1);
    writeln!(
        text,
        "create {name} {kind} family {family} hashsize {buckets} maxelem {most}"
    )?;
    for prefix in prefixes {
        if single {
            writeln!(text, "add {name} {}", prefix.first())?;
        } else {
            writeln!(text, "add {name} {prefix}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn each_family_has_the_set_that_it_needs() {
        let text = "192.0.2.2\n192.0.2.1\n192.0.2.1\n2001:db8::1-2001:db8::4\n";
        let list = AddressList::parse(text, Path::new("list")).unwrap();
        let v4 = "create listed4 hash:ip family inet hashsize 1024 maxelem 2\n\
                  add listed4 192.0.2.1\nadd listed4 192.0.2.2\n";
        assert_eq!(addresses(&list, Family::V4), v4);
        let v6 = "create listed6 hash:net family inet6 hashsize 1024 maxelem 3\n\
                  add listed6 2001:db8::1/128\nadd listed6 2001:db8::2/127\n\
                  add listed6 2001:db8::4/128\n";
        assert_eq!(addresses(&list, Family::V6), v6);
    }

    #[test]
    fn everything_is_two_halves() {
        let list = AddressList {
            members: vec![Prefix::any(Family::V4).into()],
        };
        let text = addresses(&list, Family::V4);
        assert!(
            text.ends_with("add listed4 0.0.0.0/1\nadd listed4 128.0.0.0/1\n"),
            "{text}"
        );
    }
}
