//! Packets aimed at the bounds of a rule set: at the first and last values of its ranges, inside
//! them, and just outside.

use rules::{
    Context,
    analysis::possible_states,
    evaluator::decode,
    field::{AddressSet, Family, InterfaceMatch, MAX_MAC, MAX_VLAN, RangeSet, State, StateSet},
    model::{Direction, Matches, Ruleset},
    text::hexadecimal,
};

use super::{
    damage::damage,
    frames::{Extension, Layer3, Recipe, ip_options, recipe},
    random::Random,
    rulesets::INTERFACES,
};

/// A frame, and what else it is judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The frame, from the Ethernet header on.
    pub frame: Vec<u8>,
    /// Its direction and the indexes of its interfaces.
    pub context: Context<u32>,
}

impl Probe {
    /// The context with the names of the interfaces; `None` for what is none of [`INTERFACES`].
    #[must_use]
    pub fn named(&self) -> Context<Option<&'static str>> {
        self.context.map(|interface| {
            let mut known = INTERFACES.iter();
            let found = known.find(|(index, _)| *index == interface);
            found.map(|(_, name)| *name)
        })
    }

    /// The frame as hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        hexadecimal::digits(&self.frame)
    }
}

/// Makes a packet that is likely to match one rule of the rule set, or just miss it.
#[must_use]
pub fn probe(random: &mut Random, ruleset: &Ruleset) -> Probe {
    let open = Matches::default();
    let rule = random.element(&ruleset.rules);
    let aimed = rule.map_or(&open, |rule| &rule.matches);
    let other = random.pick(Direction::ALL);
    let direction = match rule {
        Some(rule) if random.percent(95) => rule.direction,
        Some(_) | None => other,
    };
    let mut aim = Aim {
        random,
        ruleset,
        aimed,
    };
    let context = aim.context(direction);
    let frame = aim.frame();
    let context = context.in_state(aim.state(&frame));
    Probe { frame, context }
}

struct Aim<'a> {
    random: &'a mut Random,
    ruleset: &'a Ruleset,
    aimed: &'a Matches,
}

impl Aim<'_> {
    fn context(&mut self, direction: Direction) -> Context<u32> {
        let interface = self.interface(self.aimed.interface.as_ref());
        match direction {
            Direction::In => Context::arriving(interface),
            Direction::Out => Context {
                in_interface: self.origin(),
                mark: self.number(|rule| rule.mark.as_ref()),
                ..Context::sent(interface)
            },
        }
    }

    /// A state that the packet can have, if a rule asks for one.
    fn state(&mut self, frame: &[u8]) -> State {
        if !self.ruleset.asks_for_states() {
            return State::New;
        }
        let possible = decode(frame).map_or(StateSet::ALL, |fields| possible_states(&fields));
        let wanted = self.aimed.state.filter(|_| self.random.percent(70));
        let wanted = wanted.unwrap_or(StateSet::ALL).intersection(possible);
        let from = if wanted.is_empty() { possible } else { wanted };
        let states: Vec<State> = from.iter().collect();
        self.random.element(&states).copied().unwrap_or_default()
    }

    /// The interface on which a packet out arrived, if it is forwarded.
    fn origin(&mut self) -> Option<u32> {
        let wanted = self.aimed.in_interface.as_ref();
        let odds = match (wanted, self.aimed.forwarded) {
            (_, Some(false)) => 20,
            (Some(_), None) | (_, Some(true)) => 85,
            (None, None) => 50,
        };
        // No interface has the number 0.
        let arrived = |index: u32| if index == 0 { 4 } else { index };
        self.random
            .percent(odds)
            .then(|| arrived(self.interface(wanted)))
    }

    fn interface(&mut self, wanted: Option<&InterfaceMatch>) -> u32 {
        let any = |random: &mut Random| match random.below(12) {
            0 => random.pick([0, 4, 65_535, 65_537, 0x7fff_fffe, u32::MAX]),
            _ => random.pick(INTERFACES).0,
        };
        let Some(wanted) = wanted else {
            return any(self.random);
        };
        let fits = |wanted: &InterfaceMatch, index: u32| {
            let known = INTERFACES.iter().find(|(known, _)| *known == index);
            known.is_some_and(|(_, name)| wanted.matches(name))
        };
        let tries = if self.random.percent(85) { 6 } else { 1 };
        let mut index = any(self.random);
        for _ in 1..tries {
            if fits(wanted, index) {
                break;
            }
            index = any(self.random);
        }
        index
    }

    fn frame(&mut self) -> Vec<u8> {
        let mut recipe = recipe(self.random);
        let (family, ethertype) = self.family_and_ethertype();
        if let Some(family) = family {
            while recipe.layer3.family() != Some(family) {
                recipe.layer3 = super::frames::recipe(self.random).layer3;
            }
        } else if let Some(ethertype) = ethertype {
            recipe.layer3 = Layer3::Other { ethertype };
        }
        self.link(&mut recipe);
        let v6 = match &mut recipe.layer3 {
            Layer3::Other { .. } => false,
            Layer3::Ipv4 { src, dst, .. } => {
                *src = self.number(|rule| rule.src.as_deref().map(|set: &AddressSet| &set.v4));
                *dst = self.number(|rule| rule.dst.as_deref().map(|set: &AddressSet| &set.v4));
                false
            }
            Layer3::Ipv6 { src, dst, .. } => {
                *src = self.number(|rule| rule.src.as_deref().map(|set: &AddressSet| &set.v6));
                *dst = self.number(|rule| rule.dst.as_deref().map(|set: &AddressSet| &set.v6));
                true
            }
        };
        let icmp = if v6 { 58 } else { 1 };
        let aimed = self.aimed;
        let upper = &mut recipe.upper;
        if aimed.proto.is_some() {
            upper.protocol = self.number(|rule| rule.proto.as_ref());
        } else if self.random.percent(90) {
            if aimed.tcp_flags.is_some() {
                upper.protocol = 6;
            } else if aimed.icmp.is_some() {
                upper.protocol = icmp;
            } else if aimed.sport.is_some() || aimed.dport.is_some() {
                upper.protocol = self.random.pick([6, 6, 17, 17, 33, 132, 136]);
            }
        }
        upper.sport = self.number(|rule| rule.sport.as_ref());
        upper.dport = self.number(|rule| rule.dport.as_ref());
        upper.tcp_flags = self.number(|rule| rule.tcp_flags.as_ref());
        upper.icmp = self.number(|rule| {
            let set = rule.icmp.as_ref();
            set.map(|set| if v6 { &set.v6 } else { &set.v4 })
        });
        self.network(&mut recipe);
        let mut frame = recipe.bytes();
        if self.random.percent(3) {
            damage(self.random, &mut frame);
        }
        frame
    }

    /// The family of the frame, or its other EtherType, as far as the rule determines it.
    fn family_and_ethertype(&mut self) -> (Option<Family>, Option<u16>) {
        if let Some(family) = self.family() {
            return (Some(family), None);
        }
        if self.aimed.ethertype.is_none() {
            return (None, None);
        }
        match self.number(|rule| rule.ethertype.as_ref()) {
            0x0800 => (Some(Family::Ipv4), None),
            0x86dd => (Some(Family::Ipv6), None),
            other => (None, Some(other)),
        }
    }

    /// The addresses and the outermost tag of the Ethernet frame.
    fn link(&mut self, recipe: &mut Recipe) {
        if self.random.percent(90) {
            recipe.src_mac = self.number(|rule| rule.src_mac.as_ref()) & MAX_MAC;
            recipe.dst_mac = self.number(|rule| rule.dst_mac.as_ref()) & MAX_MAC;
        }
        let Some(wanted) = &self.aimed.vlan else {
            return;
        };
        if wanted.untagged && (wanted.ids.is_empty() || self.random.percent(50)) {
            if self.random.percent(85) {
                recipe.tags.clear();
            }
            return;
        }
        let id = self.number(|rule| rule.vlan.as_ref().map(|set| &set.ids)) & MAX_VLAN;
        // A random priority, before the identifier.
        let control = id | self.random.half() & !MAX_VLAN;
        match recipe.tags.first_mut() {
            Some(outer) => outer.1 = control,
            None => recipe
                .tags
                .push((self.random.pick([0x8100, 0x88a8, 0x9100]), control)),
        }
    }

    /// The fields of the IP header other than addresses.
    fn network(&mut self, recipe: &mut Recipe) {
        if self.aimed.ttl.is_some() {
            recipe.hop_limit = self.number(|rule| rule.ttl.as_ref());
        }
        if self.aimed.dscp.is_some() {
            let congestion = self.random.byte() & 3;
            recipe.class = self.number(|rule| rule.dscp.as_ref()) << 2 | congestion;
        }
        if self.aimed.ip_option.is_some() {
            let option: u8 = self.number(|rule| rule.ip_option.as_ref());
            let mut wanted = vec![option];
            if option > 1 {
                wanted.push(self.random.pick([2, 2, 2, 4, 1, 41]));
            }
            let mut list = ip_options(self.random);
            list.truncate(30);
            let at = self.random.pick([0, 0, list.len()]);
            list.splice(at..at, wanted);
            if let Layer3::Ipv4 { options, .. } = &mut recipe.layer3 {
                *options = list;
            }
        }
        if let Some(wanted) = self.aimed.fragment
            && self.random.percent(80)
        {
            recipe.layer3.make_fragment(self.random, wanted);
        }
        if self.aimed.length.is_some() {
            let wanted = usize::from(self.number(|rule| rule.length.as_ref()));
            let length = recipe.length();
            // Longer frames would test nothing else.
            if (length..LONGEST).contains(&wanted) {
                let more = wanted - length;
                recipe.payload.resize(recipe.payload.len() + more, 0);
            }
        }
    }

    /// The family that the rule matches, if it is only one.
    fn family(&self) -> Option<Family> {
        let of = |set: &AddressSet| match (set.v4.is_empty(), set.v6.is_empty()) {
            (false, true) => Some(Family::Ipv4),
            (true, false) => Some(Family::Ipv6),
            (_, _) => None,
        };
        let src = self.aimed.src.as_deref().and_then(of);
        let dst = self.aimed.dst.as_deref().and_then(of);
        let option = self.aimed.ip_option.as_ref().map(|_| Family::Ipv4);
        self.aimed.family.or(src).or(dst).or(option)
    }

    /// A number in or near the set of the rule aimed at, or else of another rule, or else a random
    /// one.
    fn number<T>(&mut self, set: impl Fn(&Matches) -> Option<&RangeSet<T>>) -> T
    where
        T: Copy + Default + TryFrom<u128> + Into<u128> + rules::field::Value,
    {
        let mut chosen = set(self.aimed).filter(|_| self.random.percent(96));
        if chosen.is_none() && self.random.percent(80) {
            let other = self.random.element(&self.ruleset.rules);
            chosen = other.and_then(|rule| set(&rule.matches));
        }
        let Some(&(first, last)) = chosen.and_then(|set| self.random.element(set.ranges())) else {
            let mask: u128 = T::MAX.into();
            return T::try_from(self.random.wide_bits() & mask).unwrap_or_default();
        };
        match self.random.below(20) {
            0..6 => first,
            6..12 => last,
            12..14 => first.previous().unwrap_or(last),
            14..16 => last.next().unwrap_or(first),
            _ => {
                let (low, high): (u128, u128) = (first.into(), last.into());
                let width = high.wrapping_sub(low).wrapping_add(1);
                let inside = self.random.wide_bits().checked_rem(width).unwrap_or(0);
                T::try_from(low + inside).unwrap_or_default()
            }
        }
    }
}

/// The length in bytes from which on IP packets are not extended.
const LONGEST: usize = 2048;

impl Layer3 {
    /// Makes an IP packet a first fragment or an atomic one.
    fn make_fragment(&mut self, random: &mut Random, wanted: bool) {
        const FRAGMENT: u8 = 44;
        match self {
            Self::Other { .. } => {}
            Self::Ipv4 { fragment, .. } => {
                *fragment = random.pick([0, 0x4000]) | if wanted { 0x2000 } else { 0 };
            }
            Self::Ipv6 { extensions, .. } => {
                extensions.retain(|extension| extension.number != FRAGMENT);
                if wanted {
                    extensions.truncate(7);
                    extensions.push(Extension {
                        number: FRAGMENT,
                        length: 0,
                        body: vec![0, random.pick([0, 1])],
                    });
                }
            }
        }
    }

    const fn family(&self) -> Option<Family> {
        match self {
            Self::Other { .. } => None,
            Self::Ipv4 { .. } => Some(Family::Ipv4),
            Self::Ipv6 { .. } => Some(Family::Ipv6),
        }
    }
}
