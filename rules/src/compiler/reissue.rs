//! An image that was compiled earlier, with other metadata.

use std::mem::offset_of;

use firewall_ebpf::image::{Header, MAGIC, Memory as _};

use crate::model::Direction;

/// Returns the tables of `image` with other metadata; verdicts and counts do not change. `None` if
/// the bytes are not an image.
#[must_use]
pub fn reissue(image: &[u8], metadata: &[u8]) -> Option<Vec<u8>> {
    if image.len() < size_of::<Header>() || image.u32(offset_of!(Header, magic) as u32) != MAGIC {
        return None;
    }
    let tables = image.u32(offset_of!(Header, metadata) as u32);
    let tables_length = usize::try_from(tables).ok()?;
    let mut bytes = Vec::with_capacity(tables_length + metadata.len() + 8);
    bytes.extend_from_slice(image.get(..tables_length)?);
    bytes.extend_from_slice(metadata);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let words = [
        (
            offset_of!(Header, metadata_length),
            u32::try_from(metadata.len()).ok()?,
        ),
        (offset_of!(Header, length), u32::try_from(bytes.len()).ok()?),
    ];
    for (offset, word) in words {
        let place = bytes.get_mut(offset..offset + size_of::<u32>())?;
        place.copy_from_slice(&word.to_le_bytes());
    }
    Some(bytes)
}

/// Whether two images have the same tables, byte for byte, so that verdicts and counts are equal
/// for every packet; their metadata may differ.
#[must_use]
pub fn is_same(image: &[u8], other: &[u8]) -> bool {
    let tables = |image: &[u8]| image.u32(offset_of!(Header, metadata) as u32) as usize;
    let drops = |image: &[u8]| Direction::ALL.map(|way| image.u32(Header::drops_at(way)));
    let part = |image: &'_ [u8]| -> Option<std::ops::Range<usize>> {
        let range = size_of::<Header>()..tables(image);
        image.get(range.clone()).map(|_| range)
    };
    match (part(image), part(other)) {
        (Some(range), Some(same)) => {
            drops(image) == drops(other) && range == same && image[range] == other[same]
        }
        (_, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compiler::{
            build::compile,
            target::{InterfaceIndex, Target},
        },
        diagnostics::Source,
    };

    #[test]
    fn an_image_with_other_metadata_is_what_the_compiler_makes_with_them() {
        let text = "[firewall]\ninterfaces = [\"eth0\"]\npolicy = \"drop\"\n\
            [[rule]]\nname = \"a\"\naction = \"pass\"\nsrc = \"192.0.2.0/24\"\n";
        let source = std::sync::Arc::new(Source::new("rules.toml", text.as_bytes().to_vec()));
        let no_list = |_: &str| Err::<Source, std::io::Error>(std::io::ErrorKind::NotFound.into());
        let loaded = crate::language::load(&source, no_list);
        let ruleset = loaded.map_err(|_| "the rules have errors").unwrap().ruleset;
        let interfaces = [(InterfaceIndex(1), "eth0".to_owned())];
        let compiled = |metadata: &[u8]| {
            let target = Target {
                interfaces: &interfaces,
                slots: &[64],
                metadata,
                max_bytes: 1 << 20,
            };
            compile(&ruleset, &target).unwrap()
        };
        let [short, long] = [b"short".as_slice(), b"much longer metadata"];
        for (from, to) in [(short, long), (long, short)] {
            let reissued = reissue(compiled(from).bytes(), to).unwrap();
            assert_eq!(reissued, compiled(to).bytes());
        }
        assert!(is_same(compiled(short).bytes(), compiled(long).bytes()));
        let mut other = compiled(short).bytes().to_vec();
        other[offset_of!(Header, drops)] ^= 1;
        assert!(!is_same(compiled(short).bytes(), &other));
        let mut other = compiled(short).bytes().to_vec();
        other[offset_of!(Header, drops_out)] ^= 1;
        assert!(!is_same(compiled(short).bytes(), &other));
        let mut other = compiled(short).bytes().to_vec();
        other[size_of::<Header>()] ^= 1;
        assert!(!is_same(compiled(short).bytes(), &other));
        assert!(!is_same(compiled(short).bytes(), &[]));
        assert_eq!(reissue(&[0; 64], short), None);
        assert_eq!(reissue(&[], short), None);
    }
}
