//! Address lists as sets.

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
};

use super::table::{Counters, Hook, table, word};
use crate::rulesets::{AddressList, AddressRange, Family, ListPolicy};

/// The script of a list.
///
/// Each family of the list becomes a set: of hashed addresses if all members are single ones,
/// otherwise of disjoint intervals.
#[must_use]
pub fn addresses(
    list: &AddressList,
    policy: ListPolicy,
    hook: Hook<'_>,
    counters: Counters,
) -> String {
    let merged = list.merged();
    let families = list.families();
    let mut sets = String::new();
    for family in &families {
        // Writing to a string cannot fail.
        let _ = write_set(&mut sets, list, &merged, *family);
    }
    table(hook, policy.others, counters, &sets, |text| {
        families.iter().try_for_each(|family| {
            let (ip, set) = names(*family);
            let (count, verdict) = (counters.statement(), word(policy.listed));
            writeln!(text, "{ip} saddr @{set} {count}{verdict}")
        })
    })
}

/// The names of a family and of its set.
const fn names(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::V4 => ("ip", "listed4"),
        Family::V6 => ("ip6", "listed6"),
    }
}

fn write_set(
    text: &mut String,
    list: &AddressList,
    merged: &AddressList,
    family: Family,
) -> fmt::Result {
    let kind = match family {
        Family::V4 => "ipv4_addr",
        Family::V6 => "ipv6_addr",
    };
    let is_single = |member: &AddressRange| member.first() == member.last();
    writeln!(text, "set {} {{\ntype {kind};", names(family).1)?;
    let members: Vec<AddressRange> = if list.of_family(family).all(|member| is_single(&member)) {
        let different: BTreeSet<_> = list.of_family(family).collect();
        different.into_iter().collect()
    } else {
        text.push_str("flags interval;\n");
        merged.of_family(family).collect()
    };
    text.push_str("elements = {\n");
    for member in members {
        writeln!(text, "{member},")?;
    }
    text.push_str("}\n}\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn each_family_has_the_set_that_it_needs() {
        let text = "192.0.2.2\n192.0.2.1\n192.0.2.1\n2001:db8::/32\n2001:db8::1\n";
        let list = AddressList::parse(text, Path::new("list")).unwrap();
        let script = "table netdev bench {
set listed4 {
type ipv4_addr;
elements = {
192.0.2.1,
192.0.2.2,
}
}
set listed6 {
type ipv6_addr;
flags interval;
elements = {
2001:db8::/32,
}
}
chain rules {
type filter hook ingress device \"eth0\" priority 0; policy accept;
ip saddr @listed4 drop
ip6 saddr @listed6 drop
}
}
";
        assert_eq!(
            addresses(
                &list,
                ListPolicy::BLOCKLIST,
                Hook::Ingress { device: "eth0" },
                Counters::None
            ),
            script
        );
    }
}
