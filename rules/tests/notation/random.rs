//! Random lines of the notation.

use std::net::{Ipv4Addr, Ipv6Addr};

use rules::{evaluator::decode, notation::read};
use rules_testing::Random;

use crate::{dissector::accept, fields::agree};

/// The number of lines in the default run.
const LINES: usize = 50_000;

#[test]
fn every_frame_is_one_that_a_stack_would_send() {
    let mut random = Random::new(0x006e_6f74_6174_696f);
    for _ in 0..LINES {
        let line = line(&mut random);
        let packet = read(&line).unwrap_or_else(|fault| panic!("{line}: {fault:?}"));
        accept(&packet.frame, &line);
        let fields = decode(&packet.frame).unwrap_or_else(|reason| panic!("{line}: {reason:?}"));
        agree(&packet.frame, &fields);
        if let Some((_, length)) = line.split_once(" length ") {
            let length = length.split(' ').next().unwrap().parse().ok();
            assert_eq!(fields.length, length, "{line}");
        }
    }
}

#[test]
fn a_packet_in_a_session_is_the_same_but_for_the_headers_before_it() {
    let mut random = Random::new(0x0073_6573_7369_6f6e);
    for _ in 0..LINES / 10 {
        let line = line(&mut random);
        let outside = read(&line).unwrap().frame;
        let inside = read(&format!("{line} pppoe 7")).unwrap().frame;
        let length = decode(&outside).unwrap().length.unwrap() as usize;
        // What the EtherType of IP is behind: addresses and tags.
        let link = outside.len() - length - 2;
        let (start, rest) = inside.split_at(link);
        let (session, packet) = rest.split_at(10);
        assert_eq!(start, &outside[..link], "{line}");
        assert_eq!(packet, &outside[link + 2..], "{line}");
        assert_eq!(session[..6], [0x88, 0x64, 0x11, 0, 0, 7], "{line}");
        let length = usize::from(u16::from_be_bytes([session[6], session[7]]));
        assert_eq!(length, packet.len() + 2, "{line}");
        assert_eq!(decode(&inside), decode(&outside), "{line}");
        agree(&inside, &decode(&inside).unwrap());
    }
}

/// A valid line whose extension headers are in an order that etherparse accepts.
fn line(random: &mut Random) -> String {
    let is_v6 = random.percent(50);
    let later = random.percent(10);
    let with_ports = random.percent(60);
    let name = if with_ports {
        random.pick(["tcp", "tcp", "udp", "udp", "udplite", "sctp", "dccp"])
    } else if is_v6 {
        random.pick(["icmpv6", "icmpv6", "gre", "esp", "253", "59"])
    } else {
        random.pick(["icmp", "icmp", "gre", "esp", "253", "ipip"])
    };
    let ports = with_ports && !later;
    let src = endpoint(random, is_v6, ports);
    let dst = endpoint(random, is_v6, ports);
    let mut words = vec![name.to_owned(), src, ">".to_owned(), dst];
    if name == "tcp" && random.percent(80) {
        words.push(
            random
                .pick([
                    "syn",
                    "syn,ack",
                    "ack psh",
                    "fin,urg",
                    "rst cwr,ece",
                    "null",
                ])
                .to_owned(),
        );
    }
    if name.starts_with("icmp") && !later && random.percent(80) {
        words.push(message(random, is_v6));
    }
    options(random, is_v6, later, &mut words);
    // The length of a DATA chunk is a multiple of 4 bytes, and a time stamp message has a fixed
    // size.
    let has_any_size = name != "sctp" && !words.iter().any(|word| word.starts_with("timestamp"));
    if has_any_size && random.percent(30) {
        let size = random.pick(["payload", "length"]);
        words.push(format!("{size} {}", random.within(400, 1500)));
    }
    words.join(" ")
}

fn endpoint(random: &mut Random, is_v6: bool, with_port: bool) -> String {
    let port = random.half();
    match (is_v6, with_port) {
        (true, true) => format!("[{}]:{port}", Ipv6Addr::from(random.wide_bits())),
        (true, false) => Ipv6Addr::from(random.wide_bits()).to_string(),
        (false, with_port) => {
            let address = Ipv4Addr::from(u32::from(random.half()) << 16 | u32::from(port));
            if with_port {
                format!("{address}:{port}")
            } else {
                address.to_string()
            }
        }
    }
}

fn message(random: &mut Random, is_v6: bool) -> String {
    let name = if is_v6 {
        random.pick([
            "echo-reply",
            "packet-too-big",
            "time-exceeded",
            "redirect",
            "143",
        ])
    } else {
        random.pick([
            "echo-reply",
            "destination-unreachable",
            "timestamp-request",
            "5",
            "200",
        ])
    };
    if random.percent(50) {
        format!("{name}/{}", random.below(4))
    } else {
        name.to_owned()
    }
}

fn options(random: &mut Random, is_v6: bool, later: bool, words: &mut Vec<String>) {
    if is_v6 {
        let before = ["hop-by-hop", "destination", "routing"];
        words.extend(
            before
                .into_iter()
                .filter(|_| random.percent(20))
                .map(str::to_owned),
        );
    }
    if !is_v6 && random.percent(20) {
        let options = ["nop", "rr", "lsrr,nop", "router-alert,eol", "200,68,1,0"];
        words.push(format!("ip_option {}", random.pick(options)));
    }
    if later {
        let offset = random.within(1, 8191) * 8;
        words.push(format!("fragment {offset}{}", random.pick(["", "+"])));
    } else if random.percent(10) {
        words.push("fragment 0+".to_owned());
    }
    if is_v6 && !later && random.percent(20) {
        words.push("ah".to_owned());
    }
    for _ in 0..random.below(4) {
        let kind = random.pick(["", "0x8100/", "0x88a8/", "0x9100/"]);
        words.push(format!("vlan {kind}{}", random.within(0, 4095)));
    }
    if random.percent(20) {
        words.push(format!("ttl {} dscp {}", random.byte(), random.below(64)));
    }
}
