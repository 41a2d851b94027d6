//! iptables with its own tables in the kernel (`iptables-legacy`), before connection tracking,
//! with and without ipset.

use std::path::PathBuf;

use anyhow::Result;

use crate::{
    cost::{
        case::{Case, Rules},
        loading::Loading,
        site::Site,
        subject::{Entry, Subject},
        subject_kind::SubjectKind,
        testbed::Testbed,
        tool,
        verdicts::Verdicts,
    },
    rulesets::{
        Family, RuleSet,
        write::{ipset, iptables},
    },
};

const PACKAGE: &str = "iptables";

struct Iptables {
    kind: SubjectKind,
    save: PathBuf,
    version: String,
    testbed: Testbed,
    loading: Loading,
    site: Site,
}

/// Restores the sets, if any, and the rules.
pub(in crate::cost) fn set_up(kind: SubjectKind, case: &Case, site: &Site) -> Result<Entry> {
    let config = match config(kind, case) {
        Ok(config) => config,
        Err(reason) => return Ok(Entry::unable(kind, reason)),
    };
    let testbed = Testbed::new()?;
    let host = &testbed.network().host;
    let mut version = tool::version(host, &config.restore, &["--version"], site)?;
    if let Some((ipset, _)) = &config.sets {
        let sets = tool::version(host, ipset, &["--version"], site)?;
        version = format!("{version}, {sets}");
    }
    let (loading, ()) = tool::loading(|| {
        if let Some((ipset, sets)) = &config.sets {
            tool::run(host, ipset, &["restore"], sets, site)?;
        }
        tool::run(host, &config.restore, &["-w"], &config.rules, site)?;
        Ok(())
    })?;
    Ok(Entry::Ready(Box::new(Iptables {
        kind,
        save: config.save,
        version,
        testbed,
        loading,
        site: site.clone(),
    })))
}

/// The input to load, and the commands.
struct Config {
    restore: PathBuf,
    save: PathBuf,
    rules: String,
    sets: Option<(PathBuf, String)>,
}

fn config(kind: SubjectKind, case: &Case) -> Result<Config, String> {
    let [family] = case.rules.families()[..] else {
        return Err("its tables are for one family".to_owned());
    };
    let (restore, save) = match family {
        Family::V4 => ("iptables-legacy-restore", "iptables-legacy-save"),
        Family::V6 => ("ip6tables-legacy-restore", "ip6tables-legacy-save"),
    };
    let (rules, sets) = if kind == SubjectKind::IpSet {
        let (rules, sets) = with_sets(case, family)?;
        (rules, Some((tool::find("ipset", "ipset")?, sets)))
    } else {
        (one_by_one(case, family)?, None)
    };
    Ok(Config {
        restore: tool::find(restore, PACKAGE)?,
        save: tool::find(save, PACKAGE)?,
        rules,
        sets,
    })
}

fn one_by_one(case: &Case, family: Family) -> Result<String, String> {
    let of_list;
    let set = match &case.rules {
        Rules::Set(set) => set,
        Rules::List(list, policy) => {
            tool::check_linear(list.members.len())?;
            of_list = RuleSet::of_list(list, *policy);
            &of_list
        }
        Rules::File(_) => return Err(tool::NO_FILE.to_owned()),
    };
    tool::check_linear(set.rules.len())?;
    iptables::rules(set, family).map_err(|unknown| unknown.to_string())
}

/// The rules and the sets.
fn with_sets(case: &Case, family: Family) -> Result<(String, String), String> {
    match &case.rules {
        Rules::List(list, policy) => Ok((
            iptables::list(family, *policy),
            ipset::addresses(list, family),
        )),
        Rules::Set(_) => Err("it is no list".to_owned()),
        Rules::File(_) => Err(tool::NO_FILE.to_owned()),
    }
}

impl Subject for Iptables {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn testbed(&self) -> &Testbed {
        &self.testbed
    }

    fn loading(&self) -> Loading {
        self.loading
    }

    fn verdicts(&self) -> Result<Option<Verdicts>> {
        let text = tool::run(
            &self.testbed.network().host,
            &self.save,
            &["-c", "-t", "raw"],
            "",
            &self.site,
        )?;
        Ok(Some(read(&text)))
    }
}

/// Adds up the counters of the chain `PREROUTING`: `:PREROUTING DROP [packets:bytes]` for its
/// policy, `[packets:bytes] -A PREROUTING ... -j DROP` for a rule.
fn read(text: &str) -> Verdicts {
    let mut verdicts = Verdicts::default();
    for line in text.lines() {
        let policy = line.strip_prefix(":PREROUTING ");
        let is_rule = line.contains(" -A PREROUTING ");
        if policy.is_none() && !is_rule {
            continue;
        }
        let packets = line
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(':'))
            .and_then(|(packets, _)| packets.parse().ok())
            .unwrap_or(0);
        let drops = policy.map_or_else(
            || line.ends_with(" -j DROP"),
            |policy| policy.starts_with("DROP "),
        );
        let passes = policy.map_or_else(
            || line.ends_with(" -j ACCEPT"),
            |policy| policy.starts_with("ACCEPT "),
        );
        if drops {
            verdicts.dropped += packets;
        } else if passes {
            verdicts.passed += packets;
        }
        if policy.is_some() {
            verdicts.unmatched += packets;
        }
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_added_up_by_verdict() {
        let text = "\
*raw
:PREROUTING DROP [7:364]
:OUTPUT ACCEPT [100:5200]
[3:156] -A PREROUTING -s 192.0.2.0/24 -j DROP
[4:208] -A PREROUTING -d 192.0.2.0/24 -p tcp -m tcp --dport 80 -j ACCEPT
COMMIT
";
        assert_eq!(
            read(text),
            Verdicts {
                passed: 4,
                dropped: 10,
                unmatched: 7
            }
        );
    }
}
