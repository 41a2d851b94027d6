//! Captures: with the frames of the tables, with random and with damaged ones, and those with which other
//! projects test their decoders, if present.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use firewall_ebpf::{abi::Reason, parse::parse};
use rules::{
    captures::{self, CaptureError},
    evaluator::decode,
};
use rules_testing::{Random, damage, recipe};

use super::{agree, fixtures};

/// The captures, which are not part of the repository: below the folder that `FIREWALL_DATA`
/// names, or beside the repository.
fn folder() -> PathBuf {
    let data = match env::var_os("FIREWALL_DATA") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
    };
    data.join("pcaps")
}

/// The contents of a capture file.
struct Capture {
    /// Its path below the folder.
    name: String,
    /// The Ethernet frames up to the first fault of the file.
    frames: Vec<Vec<u8>>,
    /// The fault because of which it cannot be read to its end.
    fault: Option<CaptureError>,
}

/// The captures that are made here, and those of other projects, if present.
fn all() -> Vec<Capture> {
    let mut all = published();
    all.extend(generated());
    all
}

/// Captures with the frames of the tables, with random frames, and with damaged ones.
fn generated() -> [Capture; 3] {
    /// The frames of a kind.
    const FRAMES: usize = 500;
    let mut random = Random::new(0x0066_7261_6d65_7334);
    let whole: Vec<Vec<u8>> = (0..FRAMES).map(|_| recipe(&mut random).bytes()).collect();
    let mut damaged = whole.clone();
    for frame in &mut damaged {
        damage(&mut random, frame);
    }
    [
        ("tables", tables()),
        ("random", whole),
        ("damaged", damaged),
    ]
    .map(|(name, frames)| {
        let capture = read(name.to_owned(), &classic(&frames));
        assert!(
            capture.frames == frames && capture.fault.is_none(),
            "{name}"
        );
        capture
    })
}

/// The frames of the tables.
fn tables() -> Vec<Vec<u8>> {
    let fixtures = [fixtures::table(), fixtures::details()].concat();
    fixtures.into_iter().map(|fixture| fixture.frame).collect()
}

/// A capture file in the classic format.
fn classic(frames: &[Vec<u8>]) -> Vec<u8> {
    let head = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1];
    let mut bytes = head.map(u32::to_le_bytes).concat();
    for frame in frames {
        let length = frame.len() as u32;
        bytes.extend([0, 0, length, length].map(u32::to_le_bytes).concat());
        bytes.extend(frame);
    }
    bytes
}

/// The captures of other projects.
#[expect(clippy::expect_used, reason = "how a test fails")]
fn published() -> Vec<Capture> {
    let folder = folder();
    if !folder.is_dir() {
        return Vec::new();
    }
    let files = files(&folder).expect("the folder is readable");
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&folder).unwrap_or(&path);
        let bytes = fs::read(&path).expect("the capture is readable");
        read(name.to_string_lossy().into_owned(), &bytes)
    };
    files.into_iter().map(read).collect()
}

fn read(name: String, bytes: &[u8]) -> Capture {
    let mut capture = Capture {
        name,
        frames: Vec::new(),
        fault: None,
    };
    let all = captures::frames(bytes).map_or_else(|error| vec![Err(error)], Iterator::collect);
    for read in all {
        match read {
            Ok(frame) => capture.frames.push(frame.bytes),
            Err(CaptureError::NotEthernet { .. }) => {}
            Err(
                fault @ (CaptureError::NoCapture
                | CaptureError::Damaged { .. }
                | CaptureError::Unreadable { .. }),
            ) => capture.fault = Some(fault),
        }
    }
    capture
}

#[test]
#[cfg_attr(miri, ignore = "thousands of frames")]
fn parser_and_decoder_agree_on_captures_whole_cut_off_and_damaged() {
    let mut random = Random::new(0x0066_7261_6d65_7333);
    let (mut frames, mut well_formed) = (0, 0);
    let captures = all();
    let count = captures.len();
    for Capture {
        name, frames: all, ..
    } in captures
    {
        for mut frame in all {
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
    println!("{count} captures, {frames} frames, {well_formed} of them well-formed");
    assert!(frames >= tables().len());
}

/// How many frames are read, and how many have each reason not to be.
type Classes = BTreeMap<&'static str, usize>;

fn classes(frames: impl IntoIterator<Item = Result<(), Reason>>) -> Classes {
    let mut classes = Classes::new();
    for read in frames {
        let class = read.map_or_else(Reason::name, |()| "read");
        *classes.entry(class).or_default() += 1;
    }
    classes
}

/// The classes of frames as the parser sees them.
fn parsed(frames: &[Vec<u8>]) -> Classes {
    classes(frames.iter().map(|frame| parse(&**frame).map(drop)))
}

#[test]
#[cfg_attr(miri, ignore = "thousands of frames")]
fn the_frames_of_each_capture_are_of_the_known_classes() {
    let fixtures = [fixtures::table(), fixtures::details()].concat();
    let known = classes(
        fixtures
            .into_iter()
            .map(|fixture| fixture.expected.map(drop)),
    );
    assert_eq!(parsed(&tables()), known);
    assert_eq!(known.len(), 5, "{known:?}");
    for Capture { name, frames, .. } in generated() {
        let known = classes(frames.iter().map(|frame| decode(frame).map(drop)));
        assert_eq!(parsed(&frames), known, "{name}");
    }
    // Those of other projects are not part of the repository; what is in them is above, too.
    if folder().is_dir() {
        assert_published(published());
    }
}

#[test]
fn a_capture_that_is_cut_off_has_the_frames_before() {
    let tables = tables();
    let bytes = classic(&tables);
    let cut = read("cut off".to_owned(), &bytes[..bytes.len() - 1]);
    let (_, whole) = tables.split_last().unwrap();
    assert_eq!(cut.frames, whole);
    let number = whole.len();
    assert_eq!(cut.fault, Some(CaptureError::Damaged { number }));
}

/// The captures of other projects have the classes that were looked through.
fn assert_published(captures: Vec<Capture>) {
    let mut table = String::new();
    for Capture {
        name,
        frames,
        fault,
    } in captures
    {
        let counts = parsed(&frames).into_iter();
        let counts = counts.map(|(class, count)| format!(" {class} {count}"));
        let fault = fault.map_or_else(String::new, |fault| format!("; {fault}"));
        let _ = writeln!(table, "{name}:{}{fault}", counts.collect::<String>());
    }
    insta::assert_snapshot!("published", table);
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
