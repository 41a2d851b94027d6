//! Lists of addresses and prefixes, such as blocklists.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::{AddressRange, Family, Fault, Prefix, ReadError, family::number, text::read};

/// Addresses, prefixes and ranges in any order, of either family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressList {
    /// The members; they may overlap.
    pub members: Vec<AddressRange>,
}

impl AddressList {
    /// Reads a list file, plain or compressed with gzip: an address, a prefix or a range
    /// `first-last` per line; `#` and `;` begin a comment.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or a line contains anything else.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        Self::parse(&read(path)?, path)
    }

    /// Reads the text of a list file; errors name it `path`.
    ///
    /// # Errors
    ///
    /// If a line contains anything that [`Self::read`] does not accept.
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
                    *previous = previous.until(member.last());
                }
                Some(_) | None => members.push(member),
            }
        }
        Self { members }
    }
}

/// Whether `next`, which does not begin before `range`, overlaps it or adjoins it.
fn joins(range: AddressRange, next: AddressRange) -> bool {
    range.family() == next.family()
        && number(next.first()) <= number(range.last()).saturating_add(1)
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
