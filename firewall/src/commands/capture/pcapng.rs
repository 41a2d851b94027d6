//! Capture files of the form pcapng (draft-ietf-opsawg-pcapng), as `pcap-parser` writes their blocks.
//!
//! This module knows the file, and nothing of who reads it.

use std::{
    borrow::Cow,
    collections::HashMap,
    env::consts::ARCH,
    io::{self, Write},
};

use firewall_ebpf::packet_log::SNAP_LEN;
use nix::sys::utsname::uname;
use pcap_parser::{
    BOM_MAGIC, EPB_MAGIC, EnhancedPacketBlock, IDB_MAGIC, InterfaceDescriptionBlock, Linktype,
    OptionCode, PcapNGOption, SHB_MAGIC, SectionHeaderBlock, ToVec,
};
use rules::model::RuleAction;

use crate::packet_log::LoggedPacket;

/// Times are counted in 10^-9 of a second.
const NANOSECONDS: u8 = 9;

/// How long the section is: it ends with the file.
const UNKNOWN_LENGTH: i64 = -1;

/// Options of an enhanced packet block that `pcap-parser` has no names for.
const EPB_FLAGS: OptionCode = OptionCode(2);
const EPB_QUEUE: OptionCode = OptionCode(6);
const EPB_VERDICT: OptionCode = OptionCode(7);

/// The flags of a packet that was received, and of one that is sent.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// The kind of a verdict that a program of traffic control returned, and of one of an XDP program; it follows in 64 bits.
const TC_VERDICT: u8 = 1;
const XDP_VERDICT: u8 = 2;

/// `enum xdp_action` (`include/uapi/linux/bpf.h`).
const XDP_DROP: u64 = 1;
const XDP_PASS: u64 = 2;

/// `include/uapi/linux/pkt_cls.h`; -1 has packets go on to the next program.
const TC_ACT_UNSPEC: u64 = -1_i64 as u64;
const TC_ACT_SHOT: u64 = 2;

/// A file that is being written.
pub(super) struct Writer<W> {
    out: W,
    /// The number of each interface that the file has named.
    interfaces: HashMap<String, u32>,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    pub(super) fn begin(out: W) -> io::Result<Self> {
        let system = uname().map_or_else(
            |_| "Linux".to_owned(),
            |name| {
                let (system, release) = (name.sysname(), name.release());
                format!("{} {}", system.to_string_lossy(), release.to_string_lossy())
            },
        );
        let software = concat!("firewall ", env!("CARGO_PKG_VERSION"));
        let mut writer = Self {
            out,
            interfaces: HashMap::new(),
        };
        writer.block(&mut SectionHeaderBlock {
            block_type: SHB_MAGIC,
            block_len1: 0,
            bom: BOM_MAGIC,
            major_version: 1,
            minor_version: 0,
            section_len: UNKNOWN_LENGTH,
            options: vec![
                option(OptionCode::ShbHardware, ARCH.as_bytes())?,
                option(OptionCode::ShbOs, system.as_bytes())?,
                option(OptionCode::ShbUserAppl, software.as_bytes())?,
            ],
            block_len2: 0,
        })?;
        writer.out.flush()?;
        Ok(writer)
    }

    /// Writes a packet, behind its interface when that is a new one, and has it there to be read.
    pub(super) fn packet(&mut self, packet: &LoggedPacket) -> io::Result<()> {
        let interface = self.interface(&packet.interface)?;
        let leaves = packet.leaves();
        let place = if leaves {
            packet.direction.clone()
        } else {
            format!("queue {}", packet.queue)
        };
        let ban = packet.ban.as_ref();
        let ban = ban.map_or_else(String::new, |ban| format!(" for `{ban}`"));
        let comment = format!("{}{ban}, {}, {place}", packet.decider(), packet.action);
        let flags = if leaves { OUTBOUND } else { INBOUND };
        let mut options = vec![
            option(OptionCode::Comment, comment.as_bytes())?,
            option(EPB_FLAGS, &flags.to_le_bytes())?,
        ];
        if !leaves {
            options.push(option(EPB_QUEUE, &packet.queue.to_le_bytes())?);
        }
        let verdict = match packet.action() {
            Some(RuleAction::Drop) if leaves => Some((TC_VERDICT, TC_ACT_SHOT)),
            Some(RuleAction::Pass) if leaves => Some((TC_VERDICT, TC_ACT_UNSPEC)),
            Some(RuleAction::Drop) => Some((XDP_VERDICT, XDP_DROP)),
            Some(RuleAction::Pass) => Some((XDP_VERDICT, XDP_PASS)),
            // What becomes of it is for another rule to say.
            Some(RuleAction::Count) | None => None,
        };
        if let Some((kind, action)) = verdict {
            let verdict = [&[kind], &action.to_le_bytes()[..]].concat();
            options.push(option(EPB_VERDICT, &verdict)?);
        }
        self.block(&mut EnhancedPacketBlock {
            block_type: EPB_MAGIC,
            block_len1: 0,
            if_id: interface,
            ts_high: (packet.time_ns >> 32) as u32,
            ts_low: packet.time_ns as u32,
            caplen: u32::try_from(packet.frame.len()).map_err(io::Error::other)?,
            origlen: packet.length,
            data: &packet.frame,
            options,
            block_len2: 0,
        })?;
        self.out.flush()
    }

    /// The number of an interface.
    fn interface(&mut self, name: &str) -> io::Result<u32> {
        if let Some(number) = self.interfaces.get(name) {
            return Ok(*number);
        }
        self.block(&mut InterfaceDescriptionBlock {
            block_type: IDB_MAGIC,
            block_len1: 0,
            linktype: Linktype::ETHERNET,
            reserved: 0,
            snaplen: SNAP_LEN,
            options: vec![
                option(OptionCode::IfName, name.as_bytes())?,
                option(OptionCode::IfTsresol, &[NANOSECONDS])?,
            ],
            block_len2: 0,
            if_tsresol: NANOSECONDS,
            if_tsoffset: 0,
        })?;
        let number = u32::try_from(self.interfaces.len()).map_err(io::Error::other)?;
        self.interfaces.insert(name.to_owned(), number);
        Ok(number)
    }

    fn block(&mut self, block: &mut impl ToVec) -> io::Result<()> {
        let bytes = block.to_vec();
        let bytes = bytes.map_err(|error| io::Error::other(format!("{error:?}")))?;
        self.out.write_all(&bytes)
    }
}

fn option(code: OptionCode, value: &[u8]) -> io::Result<PcapNGOption<'static>> {
    Ok(PcapNGOption {
        code,
        len: u16::try_from(value.len()).map_err(io::Error::other)?,
        value: Cow::Owned(value.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use pcap_parser::{
        Block, PcapBlockOwned, PcapNGReader,
        traits::{PcapNGPacketBlock as _, PcapReaderIterator as _},
    };
    use rules::captures::{Frame, frames};

    use super::*;

    fn packet(action: &str, interface: &str, frame: &[u8], length: u32) -> LoggedPacket {
        LoggedPacket {
            time_ns: 1_800_000_000_123_456_789,
            rule: Some("größer".into()),
            action: action.into(),
            interface: interface.into(),
            queue: 3,
            length,
            frame: frame.to_vec(),
            ..LoggedPacket::sample()
        }
    }

    fn written(packets: &[LoggedPacket]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::begin(&mut bytes).unwrap();
        for packet in packets {
            writer.packet(packet).unwrap();
        }
        bytes
    }

    /// What a block of a file holds.
    struct Held {
        kind: String,
        options: Vec<(u16, Vec<u8>)>,
    }

    impl Held {
        fn option(&self, code: u16) -> Option<&[u8]> {
            let mut options = self.options.iter();
            let (_, value) = options.find(|(number, _)| *number == code)?;
            Some(value)
        }

        fn text(&self, code: u16) -> &str {
            std::str::from_utf8(self.option(code).unwrap()).unwrap()
        }
    }

    fn blocks(bytes: &[u8]) -> Vec<Held> {
        let options = |options: &[PcapNGOption<'_>]| {
            let options = options.iter().filter(|option| option.code.0 != 0);
            options
                .map(|option| (option.code.0, option.as_bytes().unwrap().to_vec()))
                .collect()
        };
        let mut reader = PcapNGReader::new(1 << 16, bytes).unwrap();
        let mut blocks = Vec::new();
        while let Ok((length, block)) = reader.next() {
            let PcapBlockOwned::NG(block) = block else {
                panic!("a block of another form");
            };
            let (kind, options) = if let Block::SectionHeader(block) = &block {
                ("section".to_owned(), options(&block.options))
            } else if let Block::InterfaceDescription(block) = &block {
                let (link, resolution) = (block.linktype.0, block.if_tsresol);
                let kind = format!("interface {link} {} {resolution}", block.snaplen);
                (kind, options(&block.options))
            } else if let Block::EnhancedPacket(block) = &block {
                let time = u64::from(block.ts_high) << 32 | u64::from(block.ts_low);
                let (captured, length) = (block.packet_data().len(), block.origlen);
                let kind = format!("packet {} {time} {captured} of {length}", block.if_id);
                (kind, options(&block.options))
            } else {
                panic!("{block:?}")
            };
            blocks.push(Held { kind, options });
            reader.consume(length);
        }
        blocks
    }

    #[test]
    fn a_file_names_its_interfaces_before_their_packets() {
        let bytes = written(&[
            packet("drop", "eth0", b"fourteen bytes", 14),
            packet("pass", "eth1", &[7; 256], 1500),
            packet("count", "eth0", b"odd", 3),
        ]);
        let blocks = blocks(&bytes);
        let kinds: Vec<&str> = blocks.iter().map(|block| block.kind.as_str()).collect();
        assert_eq!(
            kinds,
            [
                "section",
                "interface 1 256 9",
                "packet 0 1800000000123456789 14 of 14",
                "interface 1 256 9",
                "packet 1 1800000000123456789 256 of 1500",
                "packet 0 1800000000123456789 3 of 3",
            ]
        );
        let section = &blocks[0];
        assert_eq!(section.text(2), ARCH);
        assert!(section.text(3).starts_with("Linux "));
        assert!(section.text(4).starts_with("firewall "));
        assert_eq!((blocks[1].text(2), blocks[3].text(2)), ("eth0", "eth1"));
        let [dropped, passed, counted] = [2, 4, 5].map(|number| &blocks[number]);
        assert_eq!(dropped.text(1), "rule `größer`, drop, queue 3");
        assert_eq!(dropped.option(2), Some(&[1, 0, 0, 0][..]));
        assert_eq!(dropped.option(6), Some(&[3, 0, 0, 0][..]));
        assert_eq!(dropped.option(7), Some(&[2, 1, 0, 0, 0, 0, 0, 0, 0][..]));
        assert_eq!(passed.option(7), Some(&[2, 2, 0, 0, 0, 0, 0, 0, 0][..]));
        assert_eq!(counted.option(7), None);
    }

    #[test]
    fn packets_out_have_the_verdicts_of_traffic_control_and_no_queue() {
        let sent = |action| LoggedPacket {
            direction: "out".into(),
            ..packet(action, "eth0", b"fourteen bytes", 14)
        };
        let blocks = blocks(&written(&[sent("drop"), sent("pass"), sent("count")]));
        let [dropped, passed, counted] = [2, 3, 4].map(|number| &blocks[number]);
        assert_eq!(dropped.text(1), "rule `größer`, drop, out");
        for packet in [dropped, passed, counted] {
            assert_eq!(packet.option(2), Some(&[2, 0, 0, 0][..]));
            assert_eq!(packet.option(6), None);
        }
        assert_eq!(dropped.option(7), Some(&[1, 2, 0, 0, 0, 0, 0, 0, 0][..]));
        let next = [&[1][..], &[0xff; 8]].concat();
        assert_eq!(passed.option(7), Some(&next[..]));
        assert_eq!(counted.option(7), None);
    }

    #[test]
    fn frames_of_every_length_come_back() {
        let frames_written: Vec<Vec<u8>> = (0..=SNAP_LEN as usize)
            .map(|length| (0..length).map(|byte| byte as u8).collect())
            .collect();
        let packets: Vec<LoggedPacket> = frames_written
            .iter()
            .map(|frame| packet("drop", "eth0", frame, 9000))
            .collect();
        let bytes = written(&packets);
        let read: Vec<Frame> = frames(&*bytes).unwrap().map(Result::unwrap).collect();
        assert_eq!(read.len(), frames_written.len());
        for (frame, written) in read.iter().zip(&frames_written) {
            assert_eq!((&frame.bytes, frame.length), (written, 9000));
        }
    }

    #[test]
    fn a_file_without_packets_is_one() {
        assert_eq!(frames(&*written(&[])).unwrap().count(), 0);
    }
}
