//! The parts of the program, by the files of its source.

/// A part of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Headers,
    Bans,
    Flows,
    Search,
    NarrowFields,
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
            Self::Flows => "finding and tracking flows",
            Self::Search => "searching both addresses",
            Self::NarrowFields => "narrow fields",
            Self::Decision => "cells, grid, pairs or rows",
            Self::Counting => "counting",
            Self::Telling => "telling of packets",
            Self::Rest => "all else",
        }
    }

    /// The part to which a file belongs; `None` if several parts use its contents.
    pub(super) fn of(file: &str) -> Option<Self> {
        let (_, file) = file.rsplit_once(SOURCE)?;
        Some(match file {
            "packet.rs" | "program/frame.rs" | "program/skb.rs" => Self::Headers,
            "bans.rs" | "program/bans.rs" => Self::Bans,
            "state.rs" | "program/errors.rs" | "program/flows.rs" | "walk/reverse.rs"
            | "program/track.rs" => Self::Flows,
            "walk/search.rs"
            | "walk/search_tree.rs"
            | "walk/trie.rs"
            | "walk/uniform.rs"
            | "walk/multibit.rs"
            | "walk/hash.rs" => Self::Search,
            "parse/details.rs" | "walk/reduction.rs" | "walk/lookup.rs" => Self::NarrowFields,
            "walk/classify.rs"
            | "walk/counts.rs"
            | "walk/direct_table.rs"
            | "walk/entry.rs"
            | "walk/fields.rs"
            | "walk/found.rs"
            | "walk/grid.rs"
            | "walk/leaves.rs"
            | "walk/pairs.rs"
            | "walk/records.rs"
            | "walk/rows.rs" => Self::Decision,
            "abi.rs" | "program/counters.rs" => Self::Counting,
            "drop_capture.rs" | "packet_log.rs" | "program/drops.rs" | "program/packet_log.rs" => {
                Self::Telling
            }
            "field.rs" | "hash.rs" | "walk/branchless.rs" | "walk/hook.rs" | "program/image.rs" => {
                return None;
            }
            _ if file.starts_with("flows/") => Self::Flows,
            _ if file.starts_with("parse/") => Self::Headers,
            _ if file.starts_with("image/") => return None,
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
            Part::of("/a/firewall-ebpf/src/walk/reduction.rs"),
            Some(Part::NarrowFields)
        );
        assert_eq!(
            Part::of("/a/firewall-ebpf/src/program/xdp.rs"),
            Some(Part::Rest)
        );
        assert_eq!(Part::of("/a/firewall-ebpf/src/hash.rs"), None);
        assert_eq!(Part::of("/a/core/src/cmp.rs"), None);
    }

    /// Otherwise, a new file would silently be attributed to the rest.
    #[test]
    fn every_file_of_the_source_has_a_part() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firewall-ebpf/src");
        for folder in
            ["", "flows", "image", "parse", "walk", "program"].map(|folder| source.join(folder))
        {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                let is_rest = ["main.rs", "xdp.rs", "tc.rs", "map_flags.rs"].contains(&name);
                if is_rest || name == "lib.rs" || name == "mod.rs" || path.is_dir() {
                    continue;
                }
                let path = format!("/{SOURCE}{}", path.strip_prefix(&source).unwrap().display());
                assert_ne!(Part::of(&path), Some(Part::Rest), "{path}");
            }
        }
    }
}
