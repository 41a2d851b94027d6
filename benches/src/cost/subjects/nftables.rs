//! nftables, at the ingress hook of the interface or at the prerouting hook.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::cost::{
    case::{Case, Rules},
    loading::Loading,
    site::Site,
    subject::{Entry, Subject},
    subject_kind::SubjectKind,
    testbed::Testbed,
    tool,
    verdicts::Verdicts,
};
use crate::rulesets::write::nftables::{self, Counters, Hook};

struct Nftables {
    kind: SubjectKind,
    command: PathBuf,
    version: String,
    testbed: Testbed,
    loading: Loading,
    site: Site,
}

/// Loads the script.
pub(in crate::cost) fn set_up(kind: SubjectKind, case: &Case, site: &Site) -> Result<Entry> {
    let testbed = Testbed::new()?;
    let device = &testbed.host().interface;
    let hook = if kind == SubjectKind::NftInet {
        Hook::Prerouting
    } else {
        Hook::Ingress { device }
    };
    let (script, command) = match (script(case, hook), tool::find("nft", "nftables")) {
        (Ok(script), Ok(command)) => (script, command),
        (Err(reason), _) | (_, Err(reason)) => return Ok(Entry::unable(kind, reason)),
    };
    let host = &testbed.network().host;
    let version = tool::version(host, &command, &["--version"], site)?;
    let (loading, _) = tool::loading(|| tool::run(host, &command, &["-f", "-"], &script, site))?;
    Ok(Entry::Ready(Box::new(Nftables {
        kind,
        command,
        version,
        testbed,
        loading,
        site: site.clone(),
    })))
}

/// The rules of a case, each with a counter, because those of the other firewalls always count.
fn script(case: &Case, hook: Hook<'_>) -> Result<String, String> {
    let counters = Counters::PerRuleAndRest;
    match &case.rules {
        Rules::Set(set) => {
            tool::check_linear(set.rules.len())?;
            Ok(nftables::linear(set, hook, counters))
        }
        Rules::List(list, policy) => Ok(nftables::addresses(list, *policy, hook, counters)),
        Rules::File(_) => Err(tool::NO_FILE.to_owned()),
    }
}

impl Subject for Nftables {
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
            &self.command,
            &["-j", "-t", "list", "ruleset"],
            "",
            &self.site,
        )?;
        let value = serde_json::from_str(&text).context("`nft -j` printed no JSON")?;
        Ok(Some(read(&value)))
    }
}

/// Adds up the counters of the rules that decide.
fn read(value: &Value) -> Verdicts {
    let mut verdicts = Verdicts::default();
    let objects = value.get("nftables").and_then(Value::as_array);
    for object in objects.into_iter().flatten() {
        let expressions = object.pointer("/rule/expr").and_then(Value::as_array);
        let Some(expressions) = expressions else {
            continue;
        };
        let has = |key| expressions.iter().any(|one| one.get(key).is_some());
        let packets: u64 = expressions
            .iter()
            .filter_map(|one| one.pointer("/counter/packets")?.as_u64())
            .sum();
        match (has("drop"), has("accept")) {
            (true, _) => verdicts.dropped += packets,
            (false, true) => verdicts.passed += packets,
            (false, false) => continue,
        }
        // Only a counter and a verdict, without a condition.
        if expressions.len() <= 2 {
            verdicts.unmatched += packets;
        }
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counters_are_added_up_by_verdict() {
        let counter = |packets: u64| json!({"counter": {"packets": packets, "bytes": 0}});
        let value = json!({"nftables": [
            {"metainfo": {}},
            {"rule": {"expr": [{"match": {}}, counter(3), {"drop": null}]}},
            {"rule": {"expr": [{"match": {}}, counter(4), {"accept": null}]}},
            {"rule": {"expr": [counter(9)]}},
            {"rule": {"expr": [counter(5), {"drop": null}]}},
        ]});
        assert_eq!(
            read(&value),
            Verdicts {
                passed: 4,
                dropped: 8,
                unmatched: 5
            }
        );
    }
}
