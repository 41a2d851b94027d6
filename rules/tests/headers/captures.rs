//! The captures that other projects test their decoders with.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rules::{
    captures::{self, CaptureError, Frame},
    testing::{Random, damage},
};

use super::agree;

/// Where the captures are, seen from the repository; they are not part of it.
const FOLDER: &str = "../shared/data/pcaps";

#[test]
fn parser_and_decoder_agree_on_captures_whole_cut_off_and_damaged() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(FOLDER);
    if !folder.is_dir() {
        println!("skipped: there are no captures in {FOLDER}");
        return;
    }
    let mut random = Random::new(0x0066_7261_6d65_7333);
    let (mut captures, mut frames, mut well_formed) = (0, 0, 0);
    for path in files(&folder).expect("the folder is readable") {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let bytes = fs::read(&path).expect("the capture is readable");
        captures += 1;
        for read in read(&bytes) {
            let mut frame = match read {
                Ok(frame) => frame.bytes,
                Err(CaptureError::NotEthernet { .. }) => continue,
                Err(error) => {
                    println!("{name}: {error}");
                    continue;
                }
            };
            frames += 1;
            well_formed += usize::from(agree(&frame, &name));
            for length in 0..frame.len().min(120) {
                agree(&frame[..length], &name);
            }
            for _ in 0..8 {
                damage(&mut random, &mut frame);
                agree(&frame, &name);
            }
        }
    }
    println!("{captures} captures, {frames} frames, {well_formed} of them well-formed");
    assert!(
        frames > 0,
        "the captures in {FOLDER} hold no Ethernet frame"
    );
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read(bytes: &[u8]) -> Vec<Result<Frame, CaptureError>> {
    captures::frames(bytes).map_or_else(|error| vec![Err(error)], Iterator::collect)
}
