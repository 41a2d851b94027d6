//! The listing of a rule file.

use super::sets::Sets;
use crate::{
    language::{
        listing::{ListedField, ListedLog, ListedRule, ListedSet, ListedTerms, Listing},
        syntax::{self, Members, Term},
    },
    model::LogLimit,
};

/// The listing of a file without errors whose sets are these; `limits` are those of the rules that log, by the
/// positions of the rules in the file.
pub(super) fn listing(
    file: &syntax::File<'_>,
    sets: &Sets<'_>,
    limits: &[Option<LogLimit>],
) -> Listing {
    let limits = limits.iter().copied().chain(std::iter::repeat(None));
    let rules = file.rules.iter().zip(limits).map(|(rule, limit)| {
        let fields = rule.fields.iter().map(|field| ListedField {
            field: field.name.as_str().to_owned(),
            terms: terms(&field.terms, Listing::MAX_TERMS),
        });
        ListedRule {
            enabled: rule.is_enabled,
            fields: fields.collect(),
            log: limit.map(|limit| ListedLog {
                rate: limit.to_string(),
                burst: limit.burst.get(),
            }),
        }
    });
    let sets = file.sets.iter().filter_map(|set| {
        let name = set.name.value;
        let (kind, ranges) = sets.size_of_used(name)?;
        let (members, files) = match set.members.as_ref()? {
            Members::Inline(members) => (Some(terms(members, Listing::MAX_MEMBERS)), Vec::new()),
            Members::Files(files) => {
                let names = files.files.iter().map(|file| file.text.as_ref().to_owned());
                (None, names.collect())
            }
        };
        Some(ListedSet {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ranges,
            members,
            files,
        })
    });
    Listing {
        rules: rules.collect(),
        sets: sets.collect(),
    }
}

fn terms(terms: &[Term<'_>], most: usize) -> ListedTerms {
    let shown = terms.iter().take(most);
    ListedTerms {
        terms: shown.map(|term| term.text.as_ref().to_owned()).collect(),
        more: terms.len().saturating_sub(most),
    }
}
