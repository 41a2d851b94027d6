//! The captures that other projects test their decoders with.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use pcap_parser::{
    Block, Linktype, PcapBlockOwned, PcapError, create_reader, traits::PcapNGPacketBlock,
};
use rules::testing::{Random, damage};

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
        let capture = read(&fs::read(&path).expect("the capture is readable"));
        if let Some(problem) = capture.problem {
            let count = capture.frames.len();
            println!("{name}: read up to frame {count}: {problem}");
        }
        captures += 1;
        for mut frame in capture.frames {
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

#[derive(Default)]
struct Capture {
    /// The Ethernet frames, as far as the file can be read.
    frames: Vec<Vec<u8>>,
    /// Why the file cannot be read to its end.
    problem: Option<String>,
}

fn read(bytes: &[u8]) -> Capture {
    let mut capture = Capture::default();
    let mut reader = match create_reader(bytes.len().max(1 << 16), bytes) {
        Ok(reader) => reader,
        Err(error) => {
            capture.problem = Some(format!("{error:?}"));
            return capture;
        }
    };
    let mut links = Vec::new();
    let mut more = true;
    loop {
        match reader.next() {
            Ok((offset, block)) => {
                capture.frames.extend(ethernet_frame(&block, &mut links));
                reader.consume(offset);
            }
            Err(PcapError::Eof) => return capture,
            Err(PcapError::Incomplete(_)) if more => {
                more = reader.refill().is_ok() && !reader.reader_exhausted();
            }
            Err(error) => {
                capture.problem = Some(format!("{error:?}").chars().take(60).collect());
                return capture;
            }
        }
    }
}

/// The frame in a block. `links` are the link types of the interfaces that the file has named.
fn ethernet_frame(block: &PcapBlockOwned<'_>, links: &mut Vec<Linktype>) -> Option<Vec<u8>> {
    let (interface, data) = match block {
        PcapBlockOwned::LegacyHeader(header) => {
            links.push(header.network);
            return None;
        }
        PcapBlockOwned::Legacy(packet) => (0, packet.data),
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            links.clear();
            return None;
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
            links.push(interface.linktype);
            return None;
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => (packet.if_id, packet.packet_data()),
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => (0, packet.packet_data()),
        PcapBlockOwned::NG(
            Block::NameResolution(_)
            | Block::InterfaceStatistics(_)
            | Block::SystemdJournalExport(_)
            | Block::DecryptionSecrets(_)
            | Block::ProcessInformation(_)
            | Block::Custom(_)
            | Block::Unknown(_),
        ) => return None,
    };
    let link = links.get(usize::try_from(interface).ok()?)?;
    (*link == Linktype::ETHERNET).then(|| data.to_vec())
}
