//! What an object keeps of what the linker wrote: code, maps and BTF, and neither debug information
//! nor the folders of the machine that built it.
//!
//! The compiler's `--remap-path-prefix` would take the source lines out of BTF, which the verifier
//! shows: LLVM reads them from the files whose paths it is given.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use object::{
    build::elf::{Builder, SectionData},
    elf::SHT_STRTAB,
};

/// The first bytes of BTF (`struct btf_header`, `include/uapi/linux/btf.h`).
const MAGIC: u16 = 0xeb9f;

/// Returns the object without debug information, of which the linker has made BTF, and with paths
/// in BTF that begin below the folders.
pub(crate) fn stripped(object: &[u8], folders: &[PathBuf]) -> Result<Vec<u8>> {
    let mut builder = Builder::read(object)?;
    for section in &mut builder.sections {
        let name = section.name.as_slice();
        section.delete = name.starts_with(b".debug_") || name.starts_with(b".rel.debug_");
        if name == b".BTF" {
            let SectionData::Data(btf) = &section.data else {
                bail!("the section .BTF holds no data");
            };
            let mut btf = btf.as_slice().to_vec();
            shorten_paths(&mut btf, folders)?;
            section.data = SectionData::Data(btf.into());
        }
    }
    // The linker keeps the names of sections and of symbols in one table, the builder in two.
    let mut sections = builder.sections.iter();
    if !sections.any(|section| matches!(section.data, SectionData::SectionString)) {
        let names = builder.sections.add();
        names.name = ".shstrtab".into();
        names.sh_type = SHT_STRTAB;
        names.sh_addralign = 1;
        names.data = SectionData::SectionString;
    }
    builder.delete_orphan_symbols();
    builder.delete_orphan_relocations();
    builder.set_section_sizes();
    let mut stripped = Vec::new();
    builder.write(&mut stripped)?;
    Ok(stripped)
}

/// Takes the folders off the strings of BTF that begin with one. A string keeps its offset, by
/// which others refer to it: what it is shorter is made up by empty strings after it.
fn shorten_paths(btf: &mut [u8], folders: &[PathBuf]) -> Result<()> {
    for string in strings_mut(btf)?.split_mut(|byte| *byte == 0) {
        let Some(start) = folders.iter().find_map(|folder| {
            let below = string.strip_prefix(folder.as_os_str().as_encoded_bytes())?;
            let path = below.strip_prefix(b"/")?;
            Some(string.len() - path.len())
        }) else {
            continue;
        };
        string.rotate_left(start);
        let kept = string.len() - start;
        string[kept..].fill(0);
    }
    Ok(())
}

/// The strings, each of which ends in a zero.
fn strings_mut(btf: &mut [u8]) -> Result<&mut [u8]> {
    let word = |at: usize| -> Option<usize> {
        let bytes = btf.get(at..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    };
    let magic = btf.first_chunk().map(|bytes| u16::from_le_bytes(*bytes));
    ensure!(magic == Some(MAGIC), "the section .BTF holds no BTF");
    let range = (|| {
        let start = word(4)?.checked_add(word(16)?)?;
        Some(start..start.checked_add(word(20)?)?)
    })();
    range
        .and_then(|range| btf.get_mut(range))
        .context("the header of BTF is cut off")
}

#[cfg(test)]
mod tests {
    use object::{
        Endianness,
        elf::{EM_BPF, ET_REL, SHT_PROGBITS},
    };

    use super::*;

    /// BTF with one word of types and these strings.
    fn btf(strings: &[u8]) -> Vec<u8> {
        let mut btf = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, 4, 4, strings.len() as u32] {
            btf.extend(u32::to_le_bytes(word));
        }
        btf.extend(*b"/a/b");
        btf.extend(strings);
        btf
    }

    fn folders() -> Vec<PathBuf> {
        ["/a/b", "/c"].map(PathBuf::from).into()
    }

    #[test]
    fn paths_begin_below_the_folders_and_every_string_keeps_its_offset() {
        let mut found =
            btf(b"\0int\0/a/b/src/a.rs\0let a = \"/a/b/c\";\0/a/bc.rs\0/a/b\0/c/d.rs\0");
        shorten_paths(&mut found, &folders()).unwrap();
        let wanted =
            btf(b"\0int\0src/a.rs\0\0\0\0\0\0let a = \"/a/b/c\";\0/a/bc.rs\0/a/b\0d.rs\0\0\0\0");
        assert_eq!(
            found.escape_ascii().to_string(),
            wanted.escape_ascii().to_string()
        );
    }

    #[test]
    fn what_is_no_btf_is_refused() {
        let whole = btf(b"\0int\0");
        for len in 0..whole.len() {
            assert!(strings_mut(&mut whole[..len].to_vec()).is_err(), "{len}");
        }
        let mut other = whole.clone();
        other[0] = 0;
        assert!(strings_mut(&mut other).is_err());
        let mut far = whole.clone();
        far[16..20].fill(0xff);
        assert!(strings_mut(&mut far).is_err());
        assert!(strings_mut(&mut whole.clone()).is_ok());
    }

    #[test]
    fn code_and_btf_stay_and_debug_information_goes() {
        let mut builder = Builder::new(Endianness::Little, true);
        builder.header.e_type = ET_REL;
        builder.header.e_machine = EM_BPF;
        for (name, data) in [
            ("xdp", b"code".to_vec()),
            (".debug_str", b"/a/b/c.rs".to_vec()),
            (".BTF", btf(b"\0/a/b/c.rs\0")),
        ] {
            let section = builder.sections.add();
            section.name = name.into();
            section.sh_type = SHT_PROGBITS;
            section.sh_addralign = 1;
            section.data = SectionData::Data(data.into());
        }
        let names = builder.sections.add();
        names.name = ".shstrtab".into();
        names.sh_type = SHT_STRTAB;
        names.sh_addralign = 1;
        names.data = SectionData::SectionString;
        builder.set_section_sizes();
        let mut object = Vec::new();
        builder.write(&mut object).unwrap();

        let stripped = stripped(&object, &folders()).unwrap();
        let found: Vec<(String, Vec<u8>)> = Builder::read(&stripped[..])
            .unwrap()
            .sections
            .iter()
            .filter_map(|section| {
                let SectionData::Data(data) = &section.data else {
                    return None;
                };
                Some((section.name.to_string(), data.as_slice().to_vec()))
            })
            .collect();
        let wanted = [
            ("xdp".to_owned(), b"code".to_vec()),
            (".BTF".to_owned(), btf(b"\0c.rs\0\0\0\0\0\0")),
        ];
        assert_eq!(found, wanted);
    }
}
