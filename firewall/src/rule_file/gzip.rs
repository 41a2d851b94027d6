//! Files compressed with gzip, known by how they begin and not by their names.
//!
//! What a file becomes is bounded before it is made: a few kilobytes can stand for gigabytes.

use std::io::{self, Read as _};

use flate2::read::MultiGzDecoder;

/// How a gzip file begins: its identification and the only method there is (RFC 1952, section 2.3.1).
const MAGIC: &[u8] = &[0x1f, 0x8b, 8];

/// The contents of a file: what is compressed in it, or itself.
///
/// # Errors
///
/// When it is damaged, or holds more than `limit` bytes.
pub(super) fn contents(file: Vec<u8>, limit: u64) -> io::Result<Vec<u8>> {
    if !file.starts_with(MAGIC) {
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
    fn a_damaged_file_is_refused_and_not_read_in_part() {
        let mut list = compressed(&b"192.0.2.1\n".repeat(1000));
        list.truncate(list.len() - 4);
        assert!(contents(list.clone(), 1 << 20).is_err());
        list.truncate(8);
        assert!(contents(list, 1 << 20).is_err());
    }
}
