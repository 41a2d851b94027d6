//! Capture files.

use pcap_parser::{
    Block, Linktype, PcapBlockOwned, PcapError, create_reader, traits::PcapNGPacketBlock,
};

/// What a capture file holds.
#[derive(Debug, Default)]
pub struct Capture {
    /// The Ethernet frames, as far as the file can be read.
    pub frames: Vec<Vec<u8>>,
    /// Why the file cannot be read to its end.
    pub problem: Option<String>,
}

/// Reads a capture file, of the classic form or pcapng.
#[must_use]
pub fn read(bytes: &[u8]) -> Capture {
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
