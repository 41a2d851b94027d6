//! Archives of the format `newc`, in which a kernel takes its initial file system
//! (`Documentation/driver-api/early-userspace/buffer-format.rst`).

use std::{collections::BTreeSet, path::Path};

/// An archive, entry by entry. Paths begin at the root, with or without a slash; parent folders are
/// added.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    entries: usize,
    folders: BTreeSet<String>,
}

/// Bits of `st_mode`.
const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;
const CHARACTERS: u32 = 0o020_600;

/// The name that ends an archive.
const END: &str = "TRAILER!!!";

impl Archive {
    /// Adds a folder, unless it exists.
    pub(crate) fn folder(&mut self, path: &str) {
        let path = path.trim_matches('/');
        if !path.is_empty() && self.folders.insert(path.to_owned()) {
            self.entry(path, FOLDER, (0, 0), &[]);
        }
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, path: &str, data: &[u8]) {
        self.entry(path, FILE, (0, 0), data);
    }

    /// Adds an executable file.
    pub(crate) fn program(&mut self, path: &str, data: &[u8]) {
        self.entry(path, PROGRAM, (0, 0), data);
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, path: &str, target: &str) {
        self.entry(path, LINK, (0, 0), target.as_bytes());
    }

    /// Adds a character device by its numbers.
    pub(crate) fn device(&mut self, path: &str, numbers: (u32, u32)) {
        self.entry(path, CHARACTERS, numbers, &[]);
    }

    /// The bytes of the archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry(END, 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, (major, minor): (u32, u32), data: &[u8]) {
        let path = path.trim_start_matches('/');
        if let Some(parent) = Path::new(path).parent().and_then(Path::to_str) {
            self.folder(parent);
        }
        self.entries += 1;
        let numbers = [
            self.entries,
            mode as usize,
            0, // user
            0, // group
            1, // links
            0, // time
            data.len(),
            0, // major and minor number of the disk
            0,
            major as usize,
            minor as usize,
            path.len() + 1,
            0, // checksum, of another format
        ];
        self.bytes.extend(b"070701");
        for number in numbers {
            self.bytes.extend(format!("{number:08x}").bytes());
        }
        self.bytes.extend(path.bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend(data);
        self.align();
    }

    fn align(&mut self) {
        let end = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(end, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_once_and_before_what_is_in_them() {
        let mut archive = Archive::default();
        archive.file("/a/b/c", b"");
        archive.program("a/b/d", b"");
        archive.folder("a");
        let text = String::from_utf8(archive.finish()).unwrap();
        let at = |name: &str| {
            let name = format!("\0{name}\0").replacen('\0', "", 1);
            text.match_indices(&name)
                .map(|(at, _)| at)
                .collect::<Vec<_>>()
        };
        assert_eq!(at("00000000a/b").len(), 1);
        assert!(at("00000000a") < at("00000000a/b"));
        assert!(at("00000000a/b") < at("00000000a/b/c"));
    }

    #[test]
    fn an_archive_is_laid_out_as_the_kernel_reads_it() {
        let mut archive = Archive::default();
        archive.file("ab", b"12345");
        let bytes = archive.finish();
        let header = "070701\
                      00000001\
                      000081a4\
                      00000000\
                      00000000\
                      00000001\
                      00000000\
                      00000005\
                      00000000\
                      00000000\
                      00000000\
                      00000000\
                      00000003\
                      00000000";
        assert_eq!(&bytes[..110], header.as_bytes());
        assert_eq!(&bytes[110..124], b"ab\x00\x00\x00\x0012345\x00\x00\x00");
        assert!(bytes[124..].starts_with(b"070701"));
        assert!(
            bytes
                .windows(END.len())
                .any(|window| window == END.as_bytes())
        );
        assert_eq!(bytes.len() % 4, 0);
    }
}
