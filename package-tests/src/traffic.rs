//! What is on the wire while the package changes: packets that must be dropped, at a steady rate, and a connection that
//! must go on.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use benches::{
    mix::{Flow, Mix},
    network::Network,
    traffic::{Limit, Receiver, Sender, Sent},
};

/// The port that a rule drops packets to.
pub(crate) const FLOOD_PORT: u16 = 9;

/// The source that is banned.
pub(crate) const BANNED: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);

/// The port of the peer's service.
const SERVICE_PORT: u16 = 7;

/// How long an answer may take, with some retransmissions.
const PATIENCE: Duration = Duration::from_secs(10);

/// At most as long packets are sent.
const LONGEST: Duration = Duration::from_secs(600);

/// The flows of packets that must be dropped: to the port, and of the banned source.
fn mix(network: &Network) -> Mix {
    let link = network.link();
    Mix::new(
        1,
        [
            Flow::new("flood").packet(link.ipv4().udp(40_000, FLOOD_PORT)),
            Flow::new("banned").packet(link.ipv4_from(BANNED).udp(40_000, 53)),
        ],
    )
}

/// Sends as many such packets, and returns how many of them arrive.
pub(crate) fn arriving(network: &Network, count: u64) -> Result<u64> {
    let link = network.link();
    let mut mix = mix(network);
    let receiver = Receiver::start(&network.host, &link.host, mix.len())?;
    let mut sender = Sender::open(&network.peer, &link.peer)?;
    let stop = AtomicBool::new(false);
    sender.run(&mut mix, 2_000, Limit::Packets(count), &stop)?;
    Ok(receiver.finish()?.total())
}

/// The packets that must be dropped, while they are sent.
pub(crate) struct Flood {
    stop: Arc<AtomicBool>,
    sending: JoinHandle<Result<Sent>>,
    receiver: Receiver,
}

/// What came of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Those sent to the port.
    pub(crate) flood: u64,
    /// Those of the banned source.
    pub(crate) banned: u64,
    /// Those of both that got through.
    pub(crate) through: u64,
}

impl Flood {
    /// Starts to send so many a second, and to count what gets through.
    pub(crate) fn start(network: &Network, rate: u32) -> Result<Self> {
        let link = network.link();
        let mut mix = mix(network);
        let receiver = Receiver::start(&network.host, &link.host, mix.len())?;
        let mut sender = Sender::open(&network.peer, &link.peer)?;
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let sending = thread::Builder::new()
            .name("flood".to_owned())
            .spawn(move || sender.run(&mut mix, rate, Limit::Time(LONGEST), &flag))?;
        Ok(Self {
            stop,
            sending,
            receiver,
        })
    }

    /// Stops.
    pub(crate) fn finish(self) -> Result<Outcome> {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sending.join();
        let sent = sent.map_err(|_| anyhow!("the sender panicked"))??;
        ensure!(sent.elapsed < LONGEST, "the packets ended before the test");
        let [flood, banned] = sent.packets[..] else {
            return Err(anyhow!("two flows are sent"));
        };
        Ok(Outcome {
            flood,
            banned,
            through: self.receiver.finish()?.total(),
        })
    }
}

/// A TCP connection from the host to the peer, which answers by itself.
pub(crate) struct Conversation {
    host: TcpStream,
    peer: TcpStream,
    turn: u64,
}

impl Conversation {
    /// Connects.
    pub(crate) fn begin(network: &Network) -> Result<Self> {
        let address = (network.link().peer.ipv4, SERVICE_PORT);
        let listener = network.peer.run(|| TcpListener::bind(address))??;
        let host = network
            .host
            .run(|| TcpStream::connect_timeout(&address.into(), PATIENCE))??;
        let (peer, _) = listener.accept()?;
        for end in [&host, &peer] {
            end.set_read_timeout(Some(PATIENCE))?;
            end.set_nodelay(true)?;
        }
        Ok(Self {
            host,
            peer,
            turn: 0,
        })
    }

    /// The peer speaks first, so that only a known flow lets it in, and the host answers.
    pub(crate) fn go_on(&mut self) -> Result<()> {
        self.turn += 1;
        let words = self.turn.to_be_bytes();
        let (host, peer) = (&self.host, &self.peer);
        for (mut from, mut to) in [(peer, host), (host, peer)] {
            from.write_all(&words)?;
            let mut heard = [0; 8];
            to.read_exact(&mut heard)
                .with_context(|| format!("turn {} of the connection is lost", self.turn))?;
            ensure!(heard == words, "another turn of the connection was heard");
        }
        Ok(())
    }
}
