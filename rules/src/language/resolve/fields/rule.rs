//! All fields of one rule.

use std::{collections::HashMap, sync::Arc};

use super::{
    family::family,
    icmp,
    interface::interface,
    link,
    mark::marks,
    network::{self, numbers},
    protocol::protocols,
    state::states,
    tcp_flags::tcp_flags,
    terms::{combine, has_positive},
};
use crate::{
    diagnostics::Report,
    field::{AddressSet, Form, RangeSet, Ranges},
    language::{
        resolve::{
            literal::{address, port},
            sets::Sets,
        },
        syntax::{Field, Operand, WrittenRule},
    },
    model::Matches,
};

/// State shared by the fields of all rules.
pub(crate) struct RuleFields<'a> {
    sets: Sets<'a>,
    /// The address sets of fields by their terms as written. A field that names the same sets as
    /// another shares its set, however large they are.
    known: HashMap<Vec<&'a str>, Arc<AddressSet>>,
}

impl<'a> RuleFields<'a> {
    pub(crate) fn new(sets: Sets<'a>) -> Self {
        Self {
            sets,
            known: HashMap::new(),
        }
    }

    pub(crate) fn sets(&self) -> &Sets<'a> {
        &self.sets
    }

    pub(crate) fn into_sets(self) -> Sets<'a> {
        self.sets
    }

    /// The conditions of a rule; `None` if a field is wrong, which is reported.
    pub(crate) fn resolve(
        &mut self,
        rule: &'a WrittenRule<'a>,
        report: &mut Report,
    ) -> Option<Matches> {
        let mut matches = Matches::default();
        let mut is_whole = !rule.is_partial;
        for field in &rule.fields {
            is_whole &= match field.name.form() {
                Form::Interface => store(&mut matches.interface, interface(field, report)),
                Form::InInterface => store(&mut matches.in_interface, interface(field, report)),
                Form::Forwarded => store(&mut matches.forwarded, network::flag(field)),
                Form::Mark => store(&mut matches.mark, marks(field, report)),
                Form::Family => store(&mut matches.family, family(field, report)),
                Form::Src => store(&mut matches.src, self.addresses(field, report)),
                Form::Dst => store(&mut matches.dst, self.addresses(field, report)),
                Form::Proto => store(&mut matches.proto, protocols(field, report)),
                Form::Sport => store(&mut matches.sport, self.ports(field, report)),
                Form::Dport => store(&mut matches.dport, self.ports(field, report)),
                Form::TcpFlags => store(&mut matches.tcp_flags, tcp_flags(field, report)),
                Form::Ethertype => store(&mut matches.ethertype, link::types(field, report)),
                Form::Vlan => store(&mut matches.vlan, link::vlans(field, report)),
                Form::SrcMac => store(&mut matches.src_mac, link::addresses(field, report)),
                Form::DstMac => store(&mut matches.dst_mac, link::addresses(field, report)),
                Form::Length(number) | Form::Number(number) | Form::Options(number) => {
                    numbers(number, field, report)
                        .is_some_and(|numbers| matches.set_numbers(field.name, &numbers))
                }
                Form::Fragment => store(&mut matches.fragment, network::flag(field)),
                Form::State => store(&mut matches.state, states(field, report)),
                Form::Icmp => {
                    // A wrong field might have determined the family.
                    let families = if is_whole {
                        icmp::families(&matches)
                    } else {
                        None
                    };
                    store(&mut matches.icmp, icmp::messages(field, families, report))
                }
            };
        }
        is_whole.then_some(matches)
    }

    fn addresses(&mut self, field: &'a Field<'a>, report: &mut Report) -> Option<Arc<AddressSet>> {
        if let [term] = field.terms.as_slice()
            && let (false, Operand::Set(name)) = term.split()
        {
            return self.sets.addresses(name, field, term, report).cloned();
        }
        let key: Vec<_> = field.terms.iter().map(|term| term.text.as_ref()).collect();
        if let Some(set) = self.known.get(&key) {
            return Some(Arc::clone(set));
        }
        let (mut positive, mut negative) = (Ranges::default(), Ranges::default());
        let mut is_whole = true;
        for term in &field.terms {
            let (negated, operand) = term.split();
            let side = if negated {
                &mut negative
            } else {
                &mut positive
            };
            is_whole &= match operand {
                Operand::Literal(text) => match address(term, text, report) {
                    Some(range) => {
                        side.push(range);
                        true
                    }
                    None => self.sets.suggest(text, report),
                },
                Operand::Set(name) => self
                    .sets
                    .addresses(name, field, term, report)
                    .map(|set| side.extend(set))
                    .is_some(),
            };
        }
        let any = has_positive(field);
        let set = is_whole.then(|| AddressSet {
            v4: combine(positive.v4, negative.v4, any),
            v6: combine(positive.v6, negative.v6, any),
        })?;
        let set = Arc::new(set);
        self.known.insert(key, Arc::clone(&set));
        Some(set)
    }

    fn ports(&mut self, field: &Field<'_>, report: &mut Report) -> Option<RangeSet<u16>> {
        let (mut positive, mut negative) = (Vec::new(), Vec::new());
        let mut is_whole = true;
        for term in &field.terms {
            let (negated, operand) = term.split();
            let side = if negated {
                &mut negative
            } else {
                &mut positive
            };
            is_whole &= match operand {
                Operand::Literal(text) => match port(term, text, report) {
                    Some(range) => {
                        side.push(range);
                        true
                    }
                    None => self.sets.suggest(text, report),
                },
                Operand::Set(name) => self
                    .sets
                    .ports(name, field, term, report)
                    .map(|set| side.extend_from_slice(set.ranges()))
                    .is_some(),
            };
        }
        is_whole.then(|| combine(positive, negative, has_positive(field)))
    }
}

/// Stores the result of resolving a field, and returns whether it succeeded.
fn store<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    *slot = value;
    slot.is_some()
}
