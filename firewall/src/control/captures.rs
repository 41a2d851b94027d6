//! Captures: logged packets, streamed over the control socket until the client disconnects.
//!
//! A client that reads too slowly loses packets, and the stream reports how many. Neither the
//! daemon nor another client waits for it.

use std::{io, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{
        broadcast::{
            Receiver,
            error::{RecvError, TryRecvError},
        },
        watch,
    },
    time::timeout,
};

use crate::{
    control::{
        connections::Connection,
        protocol::{Answer, CaptureFilter, CaptureLine, PATIENCE},
        service::Service,
    },
    packet_log::{LoggedPacket, drop_captures::DropCapture, relay::Relay},
};

/// The maximum number of concurrent captures.
pub(super) const MAX_CAPTURES: usize = 16;

/// How long a client may read nothing: a user may have stopped its output.
const STALLED: Duration = Duration::from_secs(60);

/// Serves a capture until the client disconnects or stalls, or the daemon ends.
pub(super) async fn serve(
    asked: CaptureFilter,
    service: &Service,
    connection: &Connection,
    reader: impl AsyncBufRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let place = service.captures.try_acquire();
    // Before the answer, so that no packet after it is missed.
    let packets = match &asked.drops {
        None => service.relay.listen(),
        Some(_) => service.relay.listen_to_drops(),
    };
    let begun = match &place {
        Err(_) => Err(Answer::refused(format!(
            "error: there are {MAX_CAPTURES} captures already\nhelp: end one of them"
        ))),
        Ok(_) => begin(asked, service).await,
    };
    let (chosen, begun) = match begun {
        Ok(begun) => begun,
        Err(answer) => {
            send(&mut writer, &answer, PATIENCE).await?;
            return writer.shutdown().await;
        }
    };
    send(&mut writer, &begun, PATIENCE).await?;
    connection.keep();
    let mut stream = Stream {
        chosen,
        writer: &mut writer,
    };
    let ending = service.ending.clone();
    stream.run(packets, ending, reader, &service.relay).await?;
    writer.shutdown().await
}

/// Begins a capture; with the answer that says what it is about.
async fn begin(asked: CaptureFilter, service: &Service) -> Result<(Chosen, Answer), Answer> {
    let mut in_force = service.in_force.clone();
    let first = async { in_force.wait_for(Option::is_some).await.is_ok() };
    match timeout(PATIENCE, first).await {
        Ok(true) => {}
        Ok(false) => return Err(Answer::Ending),
        Err(_elapsed) => {
            return Err(Answer::refused(
                "error: no rules are in force yet\nhelp: try again later".to_owned(),
            ));
        }
    }
    let names = service.relay.names();
    let Some(drops) = &asked.drops else {
        let rules = asked.among(&names).map_err(Answer::refused)?;
        let reasons = match asked.rules.is_empty() {
            true => names.logging_reasons().to_vec(),
            false => Vec::new(),
        };
        return Ok((Chosen::Logged(asked), Answer::Capturing { rules, reasons }));
    };
    let begun = Answer::Capturing {
        rules: drops.rules.iter().cloned().collect(),
        reasons: drops.reasons.iter().cloned().collect(),
    };
    let matcher = drops.matcher(&names).map_err(Answer::refused)?;
    let capture = service.relay.drop_captures().begin(matcher);
    let capture = capture.ok_or_else(|| {
        Answer::refused(
            "error: dropped packets cannot be captured\nhelp: the log of the daemon says why"
                .to_owned(),
        )
    })?;
    Ok((Chosen::Drops(Box::new(capture)), begun))
}

/// The packets of a capture.
enum Chosen {
    /// Packets that rules log.
    Logged(CaptureFilter),
    /// Packets that are dropped.
    Drops(Box<DropCapture>),
}

/// The output of a capture.
struct Stream<'a, W> {
    chosen: Chosen,
    writer: &'a mut W,
}

impl<W: AsyncWrite + Unpin> Stream<'_, W> {
    async fn run(
        &mut self,
        mut packets: Receiver<Arc<LoggedPacket>>,
        mut ending: watch::Receiver<bool>,
        mut reader: impl AsyncBufRead + Unpin,
        relay: &Relay,
    ) -> io::Result<()> {
        let ends = loop {
            let received = tokio::select! {
                received = packets.recv() => received,
                () = ends(&mut ending) => break true,
                // Its end, or input, which is not part of a capture.
                () = hears(&mut reader) => break false,
            };
            match received {
                Ok(packet) => self.packet(&packet).await?,
                Err(RecvError::Lagged(lost)) => self.lost(lost).await?,
                Err(RecvError::Closed) => break true,
            }
        };
        match &self.chosen {
            Chosen::Logged(_) if !ends => return Ok(()),
            Chosen::Logged(_) => {}
            Chosen::Drops(capture) => {
                capture.end();
                relay.flush_drops().await;
            }
        }
        // The packets before the end.
        loop {
            match packets.try_recv() {
                Ok(packet) => self.packet(&packet).await?,
                Err(TryRecvError::Lagged(lost)) => self.lost(lost).await?,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if let Chosen::Drops(capture) = &self.chosen
            && let Some(tally) = capture.tally()
        {
            self.line(&CaptureLine::Tally { tally }).await?;
        }
        if ends {
            self.line(&Answer::Ending).await?;
        }
        Ok(())
    }

    async fn packet(&mut self, packet: &Arc<LoggedPacket>) -> io::Result<()> {
        let shown = match &mut self.chosen {
            Chosen::Logged(filter) => filter
                .takes(packet.rule.as_deref())
                .then(|| Arc::clone(packet)),
            Chosen::Drops(capture) => capture.shown(packet),
        };
        match shown {
            Some(packet) => self.line(&*packet).await,
            None => Ok(()),
        }
    }

    async fn lost(&mut self, lost: u64) -> io::Result<()> {
        self.line(&CaptureLine::Lost { lost }).await
    }

    async fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        send(self.writer, line, STALLED).await
    }
}

async fn ends(ending: &mut watch::Receiver<bool>) {
    // A dropped server also ends captures.
    let _ = ending.wait_for(|&ending| ending).await;
}

async fn hears(reader: &mut (impl AsyncBufRead + Unpin)) {
    let _ = reader.fill_buf().await;
}

async fn send(
    writer: &mut (impl AsyncWrite + Unpin),
    line: &impl Serialize,
    patience: Duration,
) -> io::Result<()> {
    let line = serde_json::to_string(line)? + "\n";
    timeout(patience, writer.write_all(line.as_bytes())).await?
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, BufReader, DuplexStream, duplex},
        sync::broadcast,
    };

    use super::*;
    use crate::control::protocol::Request;
    use crate::packet_log::Names;

    fn names(rules: &[(&str, bool)]) -> Names {
        Names::listing(rules)
    }

    fn packet(rule: &str, number: u64) -> Arc<LoggedPacket> {
        Arc::new(LoggedPacket {
            time_ns: number,
            rule: Some(rule.into()),
            length: 60,
            frame: vec![0; 60],
            ..LoggedPacket::sample()
        })
    }

    fn chosen(rules: &[&str]) -> CaptureFilter {
        CaptureFilter {
            rules: rules.iter().map(|&rule| rule.to_owned()).collect(),
            drops: None,
        }
    }

    #[test]
    fn a_choice_is_of_rules_that_log() {
        let names = names(&[("dns", false), ("ping", true), ("ssh", true)]);
        assert_eq!(chosen(&[]).among(&names).unwrap(), ["ping", "ssh"]);
        assert_eq!(chosen(&["ssh", "ssh"]).among(&names).unwrap(), ["ssh"]);
        assert_eq!(
            chosen(&["ssh", "dns"]).among(&names).unwrap_err(),
            "error: the rule `dns` does not log\n\
             help: add `log = true` to the rule; rules that log are `ping`, `ssh`"
        );
        assert_eq!(
            chosen(&["shs"]).among(&names).unwrap_err(),
            "error: there is no rule `shs` in force\n\
             help: rules that log are `ping`, `ssh`; did you mean `ssh`?"
        );
    }

    #[test]
    fn what_no_rule_logs_can_be_waited_for_but_not_named() {
        let names = names(&[("dns", false)]);
        assert_eq!(chosen(&[]).among(&names).unwrap(), Vec::<String>::new());
        let refused = chosen(&["elsewhere"]).among(&names).unwrap_err();
        assert_eq!(
            refused,
            "error: there is no rule `elsewhere` in force\n\
             help: no rule logs"
        );
    }

    #[test]
    fn a_misspelt_key_does_not_capture_everything() {
        let read = serde_json::from_str::<Request>;
        let request = read(r#"{"command":"capture"}"#).unwrap();
        assert_eq!(request, Request::Capture(CaptureFilter::default()));
        let error = read(r#"{"command":"capture","rule":["ssh"]}"#).unwrap_err();
        assert!(
            error.to_string().contains("unknown field `rule`"),
            "{error}"
        );
    }

    #[test]
    fn lines_are_told_apart() {
        let line = |text| serde_json::from_str::<CaptureLine>(text).unwrap();
        assert_eq!(line(r#"{"lost":7}"#), CaptureLine::Lost { lost: 7 });
        assert_eq!(
            line(r#"{"answer":"ending"}"#),
            CaptureLine::Ends(Answer::Ending)
        );
        let packet = packet("ssh", 1);
        let text = serde_json::to_string(&*packet).unwrap();
        assert_eq!(
            line(&text),
            CaptureLine::Packet(LoggedPacket::clone(&packet))
        );
    }

    struct Streamed {
        packets: broadcast::Sender<Arc<LoggedPacket>>,
        ending: watch::Sender<bool>,
        client: BufReader<DuplexStream>,
        task: tokio::task::JoinHandle<io::Result<()>>,
    }

    /// A stream to a client with a buffer of this many bytes.
    fn streamed(rules: &[&str], bytes: usize) -> Streamed {
        let packets = broadcast::Sender::new(4);
        let ending = watch::Sender::new(false);
        let (client, server) = duplex(bytes);
        let (chosen, receiver, ended) = (chosen(rules), packets.subscribe(), ending.subscribe());
        let task = tokio::spawn(async move {
            let (reader, mut writer) = tokio::io::split(server);
            let mut stream = Stream {
                chosen: Chosen::Logged(chosen),
                writer: &mut writer,
            };
            let reader = BufReader::new(reader);
            stream.run(receiver, ended, reader, &Relay::new()).await
        });
        Streamed {
            packets,
            ending,
            client: BufReader::new(client),
            task,
        }
    }

    impl Streamed {
        async fn line(&mut self) -> CaptureLine {
            let mut line = String::new();
            self.client.read_line(&mut line).await.unwrap();
            serde_json::from_str(&line).unwrap()
        }
    }

    #[tokio::test]
    async fn packets_of_chosen_rules_come_and_the_end_after_them() {
        let mut streamed = streamed(&["ssh"], 1 << 16);
        for (number, rule) in (0..).zip(["ssh", "dns", "ssh"]) {
            streamed.packets.send(packet(rule, number)).unwrap();
        }
        streamed.ending.send_replace(true);
        for number in [0, 2] {
            let expected = CaptureLine::Packet(LoggedPacket::clone(&packet("ssh", number)));
            assert_eq!(streamed.line().await, expected);
        }
        assert_eq!(streamed.line().await, CaptureLine::Ends(Answer::Ending));
        streamed.task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_slow_client_learns_how_many_packets_it_lost() {
        const SENT: u64 = 100;
        let mut streamed = streamed(&[], 256);
        for number in 0..SENT {
            streamed.packets.send(packet("ssh", number)).unwrap();
            tokio::task::yield_now().await;
        }
        streamed.ending.send_replace(true);
        let (mut came, mut missed) = (0, 0);
        loop {
            match streamed.line().await {
                CaptureLine::Packet(_) => came += 1,
                CaptureLine::Lost { lost } => missed += lost,
                CaptureLine::Tally { .. } => panic!("no capture of drops"),
                CaptureLine::Ends(_) => break,
            }
        }
        assert_eq!(came + missed, SENT);
        assert!(missed > 90, "{missed}");
    }

    #[tokio::test]
    async fn the_stream_ends_when_the_client_leaves_or_writes() {
        let gone = streamed(&[], 256);
        drop(gone.client);
        gone.task.await.unwrap().unwrap();
        let mut talks = streamed(&[], 256);
        talks.client.get_mut().write_all(b"{").await.unwrap();
        talks.task.await.unwrap().unwrap();
        let mut rest = String::new();
        talks.client.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_for_a_minute_is_dropped() {
        let stopped = streamed(&[], 16);
        stopped.packets.send(packet("ssh", 1)).unwrap();
        let begin = tokio::time::Instant::now();
        let error = stopped.task.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begin.elapsed(), STALLED);
        drop(stopped.client);
    }
}
