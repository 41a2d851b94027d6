//! Lists of addresses and prefixes, as blocklists are.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::{Family, Fault, Prefix, ReadError, family::number, text::read};

/// Addresses of one family from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

/// Addresses, prefixes and ranges in any order, of either family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressList {
    /// The members; they may overlap.
    pub members: Vec<AddressRange>,
}

impl AddressRange {
    /// The range of these ends; `None` when they differ in family or the last is below the first.
    #[must_use]
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        let is_one = Family::of(first) == Family::of(last) && first <= last;
        is_one.then_some(Self { first, last })
    }

    /// The range of one address.
    #[must_use]
    pub const fn single(address: IpAddr) -> Self {
        Self {
            first: address,
            last: address,
        }
    }

    /// The first address.
    #[must_use]
    pub const fn first(self) -> IpAddr {
        self.first
    }

    /// The last address.
    #[must_use]
    pub const fn last(self) -> IpAddr {
        self.last
    }

    /// The family of the addresses.
    #[must_use]
    pub const fn family(self) -> Family {
        Family::of(self.first)
    }

    /// Whether the range holds `address`.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.family() == Family::of(address) && self.first <= address && address <= self.last
    }

    /// The prefix that is this range, if there is one.
    #[must_use]
    pub fn as_prefix(self) -> Option<Prefix> {
        let differing = number(self.first) ^ number(self.last);
        let open = u128::BITS - differing.leading_zeros();
        let length = self.family().bits().checked_sub(u8::try_from(open).ok()?)?;
        let prefix = Prefix::new(self.first, length)?;
        (prefix.first() == self.first && prefix.last() == self.last).then_some(prefix)
    }

    /// The fewest prefixes that together are this range, in ascending order.
    #[must_use]
    pub fn prefixes(self) -> Vec<Prefix> {
        let family = self.family();
        let last = number(self.last);
        let mut prefixes = Vec::new();
        let mut next = Some(number(self.first));
        while let Some(first) = next.filter(|first| *first <= last) {
            // As long as the bits behind the prefix are all clear in its first address and the
            // last one is not beyond that of the range.
            let prefix = (0..=family.bits())
                .filter_map(|length| Prefix::new(family.address(first), length))
                .find(|prefix| {
                    prefix.first() == family.address(first) && prefix.last() <= self.last
                });
            next = prefix.and_then(|prefix| number(prefix.last()).checked_add(1));
            prefixes.extend(prefix);
        }
        prefixes
    }
}

impl From<Prefix> for AddressRange {
    fn from(prefix: Prefix) -> Self {
        Self {
            first: prefix.first(),
            last: prefix.last(),
        }
    }
}

/// The form of list files: an address, a prefix, or else `first-last`.
impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_prefix() {
            Some(prefix) if prefix.is_host() => write!(f, "{}", self.first),
            Some(prefix) => write!(f, "{prefix}"),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl AddressList {
    /// Reads a list file, plain or compressed with gzip: an address, a prefix or a range
    /// `first-last` a line; `#` and `;` begin a comment.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or a line holds anything else.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        Self::parse(&read(path)?, path)
    }

    /// Reads the text of a list file; `path` is what errors call it.
    ///
    /// # Errors
    ///
    /// When a line holds anything but what [`Self::read`] takes.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ReadError> {
        let mut members = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let content = text.split(['#', ';']).next().unwrap_or_default().trim();
            if content.is_empty() {
                continue;
            }
            let member = member(content).map_err(|fault| ReadError::Line {
                path: PathBuf::from(path),
                line,
                fault,
            })?;
            members.push(member);
        }
        Ok(Self { members })
    }

    /// The families of the members.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        [Family::V4, Family::V6]
            .into_iter()
            .filter(|family| self.of_family(*family).next().is_some())
            .collect()
    }

    /// The members of one family.
    pub fn of_family(&self, family: Family) -> impl Iterator<Item = AddressRange> {
        let members = self.members.iter().copied();
        members.filter(move |member| member.family() == family)
    }

    /// The same addresses in ascending order, IPv4 first, where no member overlaps another or
    /// adjoins it.
    #[must_use]
    pub fn merged(&self) -> Self {
        let mut sorted = self.members.clone();
        sorted.sort_unstable();
        let mut members: Vec<AddressRange> = Vec::with_capacity(sorted.len());
        for member in sorted {
            match members.last_mut() {
                Some(previous) if joins(*previous, member) => {
                    previous.last = previous.last.max(member.last);
                }
                Some(_) | None => members.push(member),
            }
        }
        Self { members }
    }
}

/// Whether `next`, which does not begin before `range`, overlaps it or adjoins it.
fn joins(range: AddressRange, next: AddressRange) -> bool {
    range.family() == next.family() && number(next.first) <= number(range.last).saturating_add(1)
}

fn member(content: &str) -> Result<AddressRange, Fault> {
    if let Some((first, last)) = content.split_once('-') {
        let ends = (address(first.trim())?, address(last.trim())?);
        return AddressRange::new(ends.0, ends.1)
            .ok_or_else(|| Fault::invalid("range of addresses", content));
    }
    let Some((first, length)) = content.split_once('/') else {
        return Ok(AddressRange::single(address(content)?));
    };
    let first = address(first)?;
    let prefix = length
        .parse()
        .ok()
        .and_then(|length| Prefix::new(first, length))
        .ok_or_else(|| Fault::invalid("prefix length", length))?;
    if prefix.first() != first {
        return Err(Fault::HostBits(content.to_owned()));
    }
    Ok(prefix.into())
}

fn address(text: &str) -> Result<IpAddr, Fault> {
    text.parse().map_err(|_| Fault::invalid("address", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<AddressList, ReadError> {
        AddressList::parse(text, Path::new("list.txt"))
    }

    #[test]
    fn list_files_are_read_and_written() {
        let text = "192.0.2.1\n192.0.2.0/24\n192.0.2.1-192.0.2.4\n2001:db8::/32\n::1\n";
        let read = list(&format!("# one\n\n{}", text.replace('\n', " ; two\r\n"))).unwrap();
        let written: String = read.members.iter().map(|m| format!("{m}\n")).collect();
        assert_eq!(written, text);
        assert_eq!(read.families(), [Family::V4, Family::V6]);
    }

    #[test]
    fn faults_are_named_with_file_and_line() {
        for (text, message) in [
            ("\n1.2.3", "list.txt:2: `1.2.3` is no address"),
            ("1.2.3.4/33", "list.txt:1: `33` is no prefix length"),
            ("1.2.3.4/", "list.txt:1: `` is no prefix length"),
            (
                "1.2.3.4/24",
                "list.txt:1: `1.2.3.4/24` has bits set behind its length",
            ),
            ("::2-::1", "list.txt:1: `::2-::1` is no range of addresses"),
            (
                "1.1.1.1-::1",
                "list.txt:1: `1.1.1.1-::1` is no range of addresses",
            ),
        ] {
            assert_eq!(list(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn ranges_are_the_prefixes_they_are_made_of() {
        let range = |text| list(text).unwrap().members[0];
        for (text, prefixes) in [
            ("0.0.0.0-255.255.255.255", "0.0.0.0/0"),
            ("192.0.2.1-192.0.2.1", "192.0.2.1/32"),
            (
                "192.0.2.1-192.0.2.6",
                "192.0.2.1/32 192.0.2.2/31 192.0.2.4/31 192.0.2.6/32",
            ),
            ("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0"),
            ("::ffff-::1:1", "::ffff/128 ::1:0/127"),
        ] {
            let found: Vec<_> = range(text)
                .prefixes()
                .iter()
                .map(Prefix::to_string)
                .collect();
            assert_eq!(found.join(" "), prefixes);
        }
    }

    #[test]
    fn members_that_touch_are_merged() {
        let merged = |text| {
            let merged = list(text).unwrap().merged();
            let texts: Vec<_> = merged.members.iter().map(AddressRange::to_string).collect();
            texts.join(" ")
        };
        assert_eq!(merged("1.0.0.1\n1.0.0.0\n1.0.0.3"), "1.0.0.0/31 1.0.0.3");
        assert_eq!(
            merged("1.0.0.0/8\n1.2.0.0/16\n2.0.0.0/8"),
            "1.0.0.0-2.255.255.255"
        );
        assert_eq!(merged("255.255.255.255\n::\n::1"), "255.255.255.255 ::/127");
    }
}
