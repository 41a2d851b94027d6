//! The parts of the program, by the files of its source.

/// A part of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Headers,
    Bans,
    Search,
    SmallFields,
    Decision,
    Counting,
    Telling,
    Rest,
}

/// The folder of the source in the paths that the compiler was given.
const SOURCE: &str = "firewall-ebpf/src/";

impl Part {
    /// What it does.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Headers => "reading headers",
            Self::Bans => "asking for bans",
            Self::Search => "searching both addresses",
            Self::SmallFields => "small fields",
            Self::Decision => "cells, grid, pairs or rows",
            Self::Counting => "counting",
            Self::Telling => "telling of packets",
            Self::Rest => "all else",
        }
    }

    /// The part that a file is of; `None` when several parts use what is in it.
    pub(super) fn of(file: &str) -> Option<Self> {
        let (_, file) = file.rsplit_once(SOURCE)?;
        Some(match file {
            "headers.rs" | "packet.rs" | "kernel/frame.rs" => Self::Headers,
            "bans.rs" | "kernel/bans.rs" => Self::Bans,
            "search.rs" => Self::Search,
            "details.rs" | "walk/upper.rs" => Self::SmallFields,
            "walk.rs" | "walk/pairs.rs" | "walk/rows.rs" => Self::Decision,
            "abi.rs" | "kernel/counters.rs" => Self::Counting,
            "events.rs" | "kernel/events.rs" => Self::Telling,
            "hash.rs" | "image.rs" | "image/memory.rs" | "kernel/image.rs" => return None,
            _ => Self::Rest,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn files_are_of_parts() {
        assert_eq!(
            Part::of("/a/firewall-ebpf/src/walk/upper.rs"),
            Some(Part::SmallFields)
        );
        assert_eq!(Part::of("/a/firewall-ebpf/src/main.rs"), Some(Part::Rest));
        assert_eq!(Part::of("/a/firewall-ebpf/src/hash.rs"), None);
        assert_eq!(Part::of("/a/core/src/cmp.rs"), None);
    }

    /// Or else a new file would go unseen into what is left over.
    #[test]
    fn every_file_of_the_source_has_a_part() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firewall-ebpf/src");
        for folder in ["", "image", "walk", "kernel"].map(|folder| source.join(folder)) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                if name == "main.rs" || name == "lib.rs" || name == "kernel.rs" || path.is_dir() {
                    continue;
                }
                let path = format!("/{SOURCE}{}", path.strip_prefix(&source).unwrap().display());
                assert_ne!(Part::of(&path), Some(Part::Rest), "{path}");
            }
        }
    }
}
