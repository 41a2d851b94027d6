//! The imports of a package as text: rooms, files, imports that lead upward, and those that close
//! cycles.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use crate::{
    graph::Graph,
    imports::{Imports, is_in},
};

/// The number of names shown of an import.
const NAMES: usize = 6;

/// The graphs of a package: its files, and its rooms.
#[derive(Debug)]
pub struct Graphs<'a> {
    imports: &'a Imports,
    rooms: Vec<&'a str>,
    of_files: Graph,
    of_rooms: Graph,
}

impl<'a> Graphs<'a> {
    /// Makes the graphs of a package.
    pub fn new(imports: &'a Imports) -> Self {
        let rooms: Vec<&str> = imports.rooms().into_iter().collect();
        let index: BTreeMap<&str, usize> = rooms
            .iter()
            .enumerate()
            .map(|(index, room)| (*room, index))
            .collect();
        let mut of_files = Graph::new(imports.files.len());
        let mut of_rooms = Graph::new(rooms.len());
        for (from, file) in imports.files.iter().enumerate() {
            for to in file.imports.keys() {
                of_files.add(from, *to);
                of_rooms.add(
                    index[file.room.as_str()],
                    index[imports.files[*to].room.as_str()],
                );
            }
        }
        Self {
            imports,
            rooms,
            of_files,
            of_rooms,
        }
    }

    /// Returns a line for each cycle of files, with the imports that close it.
    pub fn cycles(&self) -> Vec<String> {
        let upward = self.of_files.upward();
        self.of_files
            .cycles()
            .iter()
            .map(|cycle| {
                let members: BTreeSet<usize> = cycle.iter().copied().collect();
                let mut text = format!("cycle of {} files:", cycle.len());
                for file in cycle {
                    let _ = write!(text, " {}", self.file(*file));
                }
                text.push_str("\n    tied by");
                for (from, to) in &upward {
                    if members.contains(from) {
                        let _ = write!(text, "\n      {}", self.import(*from, *to));
                    }
                }
                text
            })
            .collect()
    }

    /// Returns a line for each import that leads from a room to one above it.
    pub fn upward(&self) -> Vec<String> {
        self.of_rooms
            .upward()
            .into_iter()
            .map(|(from, to)| {
                let mut text = format!("{} -> {}", self.rooms[from], self.rooms[to]);
                for (index, file) in self.imports.files.iter().enumerate() {
                    for target in file.imports.keys() {
                        if file.room == self.rooms[from]
                            && self.imports.files[*target].room == self.rooms[to]
                        {
                            let _ = write!(text, "\n      {}", self.import(index, *target));
                        }
                    }
                }
                text
            })
            .collect()
    }

    /// Returns the whole report.
    pub fn report(&self) -> String {
        let upward = self.of_rooms.upward();
        let floors = self.of_rooms.floors(&upward);
        let cycles = self.cycles();
        let mut text = format!(
            "{}: {} rooms on {} floors, {} imports between rooms, {} upward; {} files, {} imports between files, {} cycles\n",
            self.imports.package,
            self.rooms.len(),
            floors.iter().max().map_or(0, |highest| highest + 1),
            self.of_rooms.arrows().count(),
            upward.len(),
            self.imports.files.len(),
            self.of_files.arrows().count(),
            cycles.len(),
        );
        let mut by_floor: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for (room, floor) in self.rooms.iter().zip(&floors) {
            by_floor.entry(*floor).or_default().push(room);
        }
        for (floor, rooms) in by_floor.iter().rev() {
            let _ = writeln!(text, "  floor {floor}: {}", rooms.join(" "));
        }
        for line in self.upward() {
            let _ = writeln!(text, "  upward: {line}");
        }
        for line in cycles {
            let _ = writeln!(text, "  {line}");
        }
        for (name, places) in self.imports.ambiguous_types() {
            let _ = writeln!(
                text,
                "  type `{name}` defined {} times: {}",
                places.len(),
                places.join(" ")
            );
        }
        text
    }

    fn file(&self, index: usize) -> String {
        self.imports.files[index].path.display().to_string()
    }

    fn import(&self, from: usize, to: usize) -> String {
        let names = &self.imports.files[from].imports[&to];
        let mut shown: Vec<&str> = names.keys().take(NAMES).map(String::as_str).collect();
        if names.len() > NAMES {
            shown.push("...");
        }
        let line = names.values().min().copied().unwrap_or(0);
        format!(
            "{}:{line} -> {}: {}",
            self.file(from),
            self.file(to),
            shown.join(", ")
        )
    }
}

/// Returns everything that the files of a part name; a part is a file or folder, without extension.
pub fn names(imports: &Imports, part: &str) -> String {
    let mut text = String::new();
    for file in imports.files.iter().filter(|file| is_in(&file.path, part)) {
        let _ = writeln!(text, "{}", file.path.display());
        for (target, names) in &file.imports {
            let names: Vec<&str> = names.keys().map(String::as_str).collect();
            let target = imports.files[*target].path.display();
            let _ = writeln!(text, "  {target}: {}", names.join(", "));
        }
        for path in file
            .outside
            .keys()
            .filter(|path| path.contains("::") || path.ends_with('!'))
        {
            let _ = writeln!(text, "  {path}");
        }
    }
    text
}
