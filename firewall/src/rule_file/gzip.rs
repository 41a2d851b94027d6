//! Files compressed with gzip, known by how they begin and not by their names.
//!
//! What a file becomes is bounded before it is made: a few kilobytes can stand for gigabytes.

use std::io::{self, Read as _};

use flate2::read::MultiGzDecoder;

/// How a gzip file begins: its identification and the only method there is (RFC 1952, section 2.3.1).
const MAGIC: &[u8] = &[0x1f, 0x8b, 8];

/// How files begin that other programs compress.
const OTHERS: &[(&[u8], &str)] = &[
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz"),
    (b"PK\x03\x04", "zip"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (b"BZh", "bzip2"),
    (&[b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c], "7z"),
    (&[0x04, 0x22, 0x4d, 0x18], "lz4"),
];

/// Whether a file that starts with these bytes is compressed with gzip.
pub(crate) fn begins(start: &[u8]) -> bool {
    start.starts_with(MAGIC)
}

/// The contents of a file: what is compressed in it, or itself.
///
/// # Errors
///
/// When it is damaged, holds more than `limit` bytes, or is compressed in another way.
pub(super) fn contents(file: Vec<u8>, limit: u64) -> io::Result<Vec<u8>> {
    if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| file.starts_with(magic)) {
        let message = format!("it is compressed with {name}; only gzip is read");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    if !begins(&file) {
        return Ok(file);
    }
    let mut contents = Vec::new();
    MultiGzDecoder::new(file.as_slice())
        .take(limit.saturating_add(1))
        .read_to_end(&mut contents)
        .map_err(|error| {
            let message = format!("its gzip data is damaged: {error}");
            io::Error::new(io::ErrorKind::InvalidData, message)
        })?;
    if contents.len() as u64 > limit {
        let message = format!("longer than {limit} bytes when decompressed");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn compressed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_compressed_is_decompressed_and_all_else_left() {
        assert_eq!(
            contents(b"192.0.2.1\n".to_vec(), 100).unwrap(),
            b"192.0.2.1\n"
        );
        assert_eq!(contents(Vec::new(), 100).unwrap(), b"");
        let list = compressed(b"192.0.2.1\n");
        assert_eq!(contents(list.clone(), 10).unwrap(), b"192.0.2.1\n");
        // Several in one file, as `cat` makes it.
        let two = [list.clone(), list].concat();
        assert_eq!(contents(two, 100).unwrap(), b"192.0.2.1\n192.0.2.1\n");
    }

    #[test]
    fn a_file_that_becomes_too_large_is_refused_before_it_is_made() {
        let bomb = compressed(&vec![0; 1 << 24]);
        assert!(bomb.len() < 1 << 16);
        let error = contents(bomb, 1000).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn what_other_programs_compress_is_named_and_refused() {
        for (file, name) in [
            (b"\xfd7zXZ\0\0\x04" as &[u8], "xz"),
            (b"PK\x03\x04\x14", "zip"),
            (b"\x28\xb5\x2f\xfd\x24", "zstd"),
            (b"BZh91AY", "bzip2"),
        ] {
            let error = contents(file.to_vec(), 100).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("it is compressed with {name}; only gzip is read")
            );
        }
    }

    #[test]
    fn a_damaged_file_is_refused_and_not_read_in_part() {
        let mut list = compressed(&b"192.0.2.1\n".repeat(1000));
        list.truncate(list.len() - 4);
        assert!(contents(list.clone(), 1 << 20).is_err());
        list.truncate(8);
        assert!(contents(list, 1 << 20).is_err());
    }
}
