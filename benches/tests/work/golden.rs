//! The file of counts: one line for each rule set, with its name, the size of its image in bytes,
//! and the maximum number of loads of a packet.

use std::{collections::BTreeMap, error::Error, fmt::Write as _, fs, path::PathBuf};

/// The counts of a rule set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    /// The bytes of the image.
    pub(crate) bytes: usize,
    /// The maximum number of loads from the image for one packet.
    pub(crate) loads: usize,
}

/// The contents of the file.
pub(crate) struct Golden(BTreeMap<String, Work>);

impl Golden {
    /// Reads the file.
    pub(crate) fn read() -> Result<Self, Box<dyn Error>> {
        let text = fs::read_to_string(path())?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(line)
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "`{}` has a line that is not `name bytes loads`",
                    path().display()
                )
                .into()
            })
    }

    /// Rewrites the file.
    pub(crate) fn write(found: &[(&str, Work)]) -> Result<(), Box<dyn Error>> {
        let mut text = "# rule set, bytes of the image, most loads for a packet; written by\n\
                        # FIREWALL_RENEW=1 cargo test -p benches --test work\n"
            .to_owned();
        for (name, Work { bytes, loads }) in found {
            writeln!(text, "{name:32} {bytes:>10} {loads:>5}")?;
        }
        Ok(fs::write(path(), text)?)
    }

    /// The counts of a rule set.
    pub(crate) fn work(&self, name: &str) -> Option<Work> {
        self.0.get(name).copied()
    }

    /// The rule sets of the file.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

fn path() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/work/golden.txt"
    ))
}

fn line(line: &str) -> Option<(String, Work)> {
    let mut words = line.split_whitespace();
    let name = words.next()?.to_owned();
    let mut number = || words.next()?.parse().ok();
    let work = Work {
        bytes: number()?,
        loads: number()?,
    };
    Some((name, work))
}
