//! The control socket, `<run folder>/<instance>.sock`: how commands reach the daemon.
//!
//! A client connects, writes one [`Request`] as a line of JSON of at most [`MAX_REQUEST`] bytes
//! within [`PATIENCE`], and reads one [`Answer`] as a line of JSON; then the daemon waits for
//! another line, or the end of the connection.
//! `docs/control.md` is for those who write clients.
//!
//! ```text
//! {"command":"ping"}                               {"answer":"alive","pid":4711,"generation":2,"times":{...}}
//! {"command":"apply","file":"/etc/rules.toml"}     {"answer":"done","message":"..."}
//! {"command":"reload"}                             {"answer":"failed","message":"..."}
//! {"command":"confirm"}                            {"answer":"done","message":"..."}
//! {"command":"rollback"}                           {"answer":"done","message":"..."}
//! {"command":"unload"}                             {"answer":"done","message":"..."}
//! {"command":"ban","bans":[{"prefix":"..."}]}      {"answer":"bans","added":1,...}
//! {"command":"unban","prefixes":["..."]}           {"answer":"bans","removed":1,...}
//! {"command":"unban","reason":"..."}               {"answer":"bans","removed":9,...}
//! {"command":"addresses"}                          {"answer":"addresses","own":[...],"gateways":[...]}
//! {"command":"capture","rules":["..."]}            {"answer":"capturing","rules":["..."]}, and packets
//! ```
//!
//! `apply` takes `confirm_ms`, after which the previous rules come back unless `confirm` was
//! received. `apply`, `reload` and `rollback` take `force`, and `caller` with the ends `peer` and
//! `local` of an SSH session that must not be cut off.
//!
//! After `capture` the connection stays, and the daemon writes packets as they come ([`captures`]).
//!
//! A daemon that ends before it has begun what is asked answers `{"answer":"ending"}`. Messages are
//! for people. The socket has mode 0600, and users other than root and the daemon's own, as the
//! kernel reports them, are refused with a message. All requests but `ping`, `ban`, `unban`,
//! `addresses` and `capture` are carried out one after the other; those are answered meanwhile.

use std::{
    fs::Permissions,
    io,
    os::{fd::AsFd as _, unix::fs::PermissionsExt as _},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream, unix::SocketAddr},
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    bans::{
        error::BansError,
        guard::{self, MachineAddresses},
        service::BanService,
    },
    config::RunFiles,
    control::{
        captures::{self, MAX_CAPTURES},
        connections::{Connection, Connections, GRACE},
        in_force::InForce,
        lock::LockError,
        protocol::{Answer, PATIENCE, Request, read_bytes},
        service::{Order, Service},
    },
    lockout,
    packet_log::relay::Relay,
};

/// The maximum length of a request in bytes, with its line feed.
const MAX_REQUEST: u64 = 64 << 10;

/// How long the shutdown waits for clients to read their answers.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The maximum number of orders that wait or are carried out at a time.
const MAX_ORDERS: usize = 16;

/// Creates the socket, in place of one left by a killed daemon. The caller must hold the lock of
/// the instance.
///
/// # Errors
///
/// When the socket cannot be made.
pub(crate) fn listen(places: &RunFiles) -> Result<UnixListener, LockError> {
    let failed = || LockError::new(&places.socket);
    match std::fs::remove_file(&places.socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed()(error)),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&places.socket).map_err(failed())?;
    std::fs::set_permissions(&places.socket, Permissions::from_mode(0o600)).map_err(failed())?;
    Ok(listener)
}

/// The running server.
pub(crate) struct Server {
    accepting: JoinHandle<()>,
    /// Takes a socket in place of the one before.
    listeners: mpsc::Sender<UnixListener>,
    /// Ends captures.
    ending: watch::Sender<bool>,
    /// Receives nothing; closed once every connection is.
    closed: mpsc::Receiver<()>,
}

impl Server {
    /// Starts to serve: requests go to `orders`, those for bans to `bans`; `relay` has the packets
    /// for captures, and `in_force` the current result for `ping`.
    pub(crate) fn begin(
        listener: Option<UnixListener>,
        orders: mpsc::Sender<Order>,
        in_force: watch::Receiver<Option<InForce>>,
        bans: BanService,
        relay: Relay,
    ) -> Self {
        let (open, closed) = mpsc::channel(1);
        let ending = watch::Sender::new(false);
        let service = Service {
            orders,
            places: Arc::new(Semaphore::new(MAX_ORDERS)),
            in_force,
            bans,
            relay,
            captures: Arc::new(Semaphore::new(MAX_CAPTURES)),
            ending: ending.subscribe(),
            _open: open,
        };
        let (listeners, next) = mpsc::channel(1);
        let accepting = tokio::spawn(accept(listener, next, service));
        Self {
            accepting,
            listeners,
            ending,
            closed,
        }
    }

    /// Where a socket goes that is to take the place of the one before, which was removed.
    pub(crate) fn listeners(&self) -> mpsc::Sender<UnixListener> {
        self.listeners.clone()
    }

    /// Accepts no more connections, ends captures with the packets so far, and waits until all
    /// clients have their answers.
    pub(crate) async fn end(mut self) {
        self.accepting.abort();
        // The socket is closed once the task is gone.
        let _ = self.accepting.await;
        self.ending.send_replace(true);
        // A client that does not read its answer loses it.
        let _ = timeout(LAST_WORDS, self.closed.recv()).await;
    }
}

/// The turn of a connection: orders are carried out in the order in which their clients connected, even if many have
/// while this process was stopped.
struct Turn {
    /// The end of the turn before, and the time after which it is not waited for.
    before: Option<(oneshot::Receiver<()>, Instant)>,
    /// Dropped at the end of this turn.
    _end: oneshot::Sender<()>,
}

impl Turn {
    /// Waits for the turn before, unless its client is slow to send its request.
    async fn wait(&mut self) {
        if let Some((before, until)) = self.before.take() {
            // It ends by a drop, which is an error to the receiver.
            let _ = timeout_at(until, before).await;
        }
    }
}

async fn accept(
    mut listener: Option<UnixListener>,
    mut next: mpsc::Receiver<UnixListener>,
    service: Service,
) {
    let connections = Connections::default();
    let mut before = None;
    let mut is_failing = false;
    loop {
        let accepted = tokio::select! {
            Some(another) = next.recv() => {
                listener = Some(another);
                continue;
            }
            accepted = accepted(listener.as_ref()) => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => {
                is_failing = false;
                stream
            }
            Err(error) => {
                // Most likely out of descriptors until other connections close.
                if !is_failing {
                    tracing::warn!(
                        event = "connection_not_accepted",
                        %error,
                        "a control connection was not accepted; the next failures in a row are not logged"
                    );
                }
                is_failing = true;
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let user = match stream.peer_cred() {
            Ok(peer) if may_ask(peer.uid()) => peer.uid(),
            Ok(peer) => {
                refuse(&stream, peer.uid());
                continue;
            }
            Err(error) => {
                tracing::warn!(
                    event = "user_unknown",
                    %error,
                    "it is not known who asks: not answered"
                );
                continue;
            }
        };
        let service = service.clone();
        let (end, ended) = oneshot::channel();
        let turn = Turn {
            before: before.replace((ended, Instant::now() + GRACE)),
            _end: end,
        };
        let serving = connections.serve(|connection| async move {
            if let Err(error) = converse(stream, user, &service, &connection, turn).await {
                tracing::debug!(
                    event = "connection_broken",
                    uid = user,
                    %error,
                    "a control connection broke off"
                );
            }
        });
        serving.await;
    }
}

/// The next connection; none ever without a socket.
async fn accepted(listener: Option<&UnixListener>) -> io::Result<(UnixStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

fn may_ask(user: u32) -> bool {
    user == 0 || user == nix::unistd::geteuid().as_raw()
}

/// Refuses a user without waiting.
fn refuse(stream: &UnixStream, user: u32) {
    tracing::debug!(
        event = "user_refused",
        uid = user,
        "user {user} was refused at the control socket"
    );
    let answer = Answer::refused(format!(
        "error: the daemon takes orders from root only, not from user {user}"
    ));
    if let Ok(line) = serde_json::to_string(&answer) {
        // The line fits the buffer of a new connection; a client that is gone misses it.
        let _ = stream.try_write((line + "\n").as_bytes());
    }
}

async fn converse(
    mut stream: UnixStream,
    user: u32,
    service: &Service,
    connection: &Connection,
    turn: Turn,
) -> io::Result<()> {
    let mut turn = Some(turn);
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    let mut line = timeout(PATIENCE, read_bytes(&mut reader, MAX_REQUEST)).await??;
    loop {
        let request = Request::read(&line);
        if !request.as_ref().is_ok_and(Request::is_order) {
            turn = None;
        }
        let answer = match request {
            Ok(Request::Ping {}) => Answer::alive(service.in_force.borrow().as_ref()),
            Ok(Request::Ban { bans: asked }) => service.bans.ban(&asked).await.into(),
            Ok(Request::Unban(asked)) => service.bans.unban(&asked).await.into(),
            Ok(Request::Addresses {}) => addresses().await,
            Ok(Request::Capture(chosen)) => {
                return captures::serve(chosen, service, connection, reader, writer).await;
            }
            Ok(request) => {
                let client = Requesting {
                    user,
                    stream: writer.as_ref(),
                    connection,
                };
                carry_out(request, &client, service, turn.take()).await
            }
            Err(message) => Answer::refused(format!("error: {message}")),
        };
        let answer = serde_json::to_string(&answer)? + "\n";
        timeout(PATIENCE, writer.write_all(answer.as_bytes())).await??;
        connection.wait_again();
        if !continues(&mut reader, service).await? {
            return writer.shutdown().await;
        }
        line = timeout(PATIENCE, read_bytes(&mut reader, MAX_REQUEST)).await??;
    }
}

/// Waits for more from a client that was answered; `false` when there is nothing more.
async fn continues(
    reader: &mut (impl AsyncBufRead + Unpin),
    service: &Service,
) -> io::Result<bool> {
    let mut ending = service.ending.clone();
    tokio::select! {
        // What has arrived is answered, whatever else has happened.
        biased;
        more = timeout(PATIENCE, reader.fill_buf()) => Ok(!more??.is_empty()),
        _ = ending.wait_for(|&ending| ending) => Ok(false),
    }
}

/// What a ban should not cover, in the network namespace of this process.
async fn addresses() -> Answer {
    let found = match guard::own_addresses() {
        Ok(own) => lockout::gateways()
            .await
            .map(|gateways| MachineAddresses { own, gateways })
            .map_err(BansError::Gateways),
        Err(error) => Err(error),
    };
    match found {
        Ok(found) => Answer::Addresses(found),
        Err(error) => Answer::failed(&error.into()),
    }
}

/// Passes an order to the daemon, unless too many wait already. From then on the connection is
/// kept, however many new ones arrive.
async fn carry_out(
    request: Request,
    client: &Requesting<'_>,
    service: &Service,
    mut turn: Option<Turn>,
) -> Answer {
    let Ok(_place) = service.places.try_acquire() else {
        return Answer::refused(format!(
            "error: {MAX_ORDERS} orders wait already\nhelp: ask again later"
        ));
    };
    client.connection.keep();
    let connection = match client.stream.as_fd().try_clone_to_owned() {
        Ok(connection) => connection,
        Err(error) => return Answer::refused(format!("error: {error}\nhelp: ask again later")),
    };
    let (answer, answered) = oneshot::channel();
    let order = Order {
        request,
        user: client.user,
        answer,
        connection,
    };
    if let Some(turn) = &mut turn {
        turn.wait().await;
    }
    let sent = service.orders.send(order);
    tokio::pin!(sent);
    // After the first poll the order has its place in the queue, even if that is full.
    let is_sent = polled(&mut sent).await;
    drop(turn);
    let sent = match is_sent {
        Some(sent) => sent,
        None => sent.await,
    };
    match sent {
        Ok(()) => answered.await.unwrap_or(Answer::Ending),
        Err(_ended) => Answer::Ending,
    }
}

/// Polls a future once.
async fn polled<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        Poll::Ready(match Pin::new(&mut *future).poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// The client of an order.
struct Requesting<'a> {
    user: u32,
    stream: &'a UnixStream,
    connection: &'a Connection,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        control::{
            client::{Client, ControlError, MAX_ANSWER, ask},
            in_force::{InForce, Times},
            protocol::{CaptureFilter, CaptureLine, read_line},
        },
        kernel::generation::Generation,
    };

    struct Served {
        _folder: tempfile::TempDir,
        config: Config,
        orders: mpsc::Receiver<Order>,
        server: Server,
    }

    const IN_FORCE: InForce = InForce {
        generation: Generation::FIRST,
        times: Times::ZERO,
        unattached: Vec::new(),
        faults: Vec::new(),
        last_good: None,
    };

    const RELOAD: Request = Request::Reload {
        force: false,
        caller: None,
    };

    fn served() -> Served {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::new(folder.path().join("bpf"), folder.path(), "test".into());
        let (sender, orders) = mpsc::channel(1);
        let (_, in_force) = watch::channel(Some(IN_FORCE));
        let listener = listen(&config.run).unwrap();
        let server = Server::begin(
            Some(listener),
            sender,
            in_force,
            BanService::new(),
            Relay::new(),
        );
        Served {
            _folder: folder,
            config,
            orders,
            server,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_ping_is_answered_while_an_order_is_carried_out() {
        let mut served = served();
        let config = served.config.clone();
        let reload = tokio::spawn(async move { ask(&config, &RELOAD).await });
        let order = served.orders.recv().await.unwrap();
        assert_eq!(order.request, RELOAD);
        let alive = ask(&served.config, &Request::Ping {}).await.unwrap();
        assert_eq!(alive, Answer::alive(Some(&IN_FORCE)));
        let done = Answer::Done {
            message: "2\nlines".into(),
            rules: None,
        };
        order.answer.send(done.clone()).unwrap();
        assert_eq!(reload.await.unwrap().unwrap(), done);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_not_understood_is_answered_and_what_is_too_long_is_not() {
        let served = served();
        let mut stream = UnixStream::connect(&served.config.run.socket)
            .await
            .unwrap();
        stream
            .write_all(b"{\"command\":\"format\"}\n")
            .await
            .unwrap();
        let line = read_line(&mut BufReader::new(stream), MAX_ANSWER)
            .await
            .unwrap();
        assert!(line.contains("not understood"), "{line}");

        let mut stream = UnixStream::connect(&served.config.run.socket)
            .await
            .unwrap();
        let long = vec![b' '; MAX_REQUEST as usize + 1];
        // The daemon may close before all is written.
        let _ = stream.write_all(&long).await;
        assert!(
            read_line(&mut BufReader::new(stream), MAX_ANSWER)
                .await
                .is_err()
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn requests_after_a_bad_one_are_answered() {
        let served = served();
        let mut stream = UnixStream::connect(&served.config.run.socket)
            .await
            .unwrap();
        stream
            .write_all(b"{\"command\":\"format\"}\n\xff\n{\"command\":\"ping\"}\n")
            .await
            .unwrap();
        let mut stream = BufReader::new(stream);
        for expected in ["not understood", "invalid utf-8", "\"answer\":\"alive\""] {
            let line = read_line(&mut stream, MAX_ANSWER).await.unwrap();
            assert!(line.contains(expected), "{line}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_line_of_a_connection_is_answered() {
        let mut served = served();
        let mut stream = UnixStream::connect(&served.config.run.socket)
            .await
            .unwrap();
        let lines = b"{\"command\":\"ping\"}\n{\"command\":\"reload\"}\n{\"command\":\"ping\"}\n";
        stream.write_all(lines).await.unwrap();
        let order = served.orders.recv().await.unwrap();
        assert_eq!(order.request, RELOAD);
        order.answer.send(Answer::Ending).unwrap();
        let mut stream = BufReader::new(stream);
        for expected in ["alive", "ending", "alive"] {
            let line = read_line(&mut stream, MAX_ANSWER).await.unwrap();
            assert!(line.contains(expected), "{line}");
        }
        // A client that waits does not delay the end.
        served.server.end().await;
        assert!(read_line(&mut stream, MAX_ANSWER).await.is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn another_socket_takes_the_place_of_one_that_was_removed() {
        let served = served();
        std::fs::remove_file(&served.config.run.socket).unwrap();
        let ping = Request::Ping {};
        assert!(ask(&served.config, &ping).await.is_err());
        let another = listen(&served.config.run).unwrap();
        served.server.listeners().send(another).await.unwrap();
        let alive = ask(&served.config, &ping).await.unwrap();
        assert_eq!(alive, Answer::alive(Some(&IN_FORCE)));
    }

    #[tokio::test]
    async fn an_error_is_one_line_with_its_help_beside_it() {
        let refused = Answer::refused("error: no\nhelp: yes".to_owned());
        assert_eq!(
            serde_json::to_string(&refused).unwrap(),
            "{\"answer\":\"failed\",\"message\":\"no\",\"help\":\"yes\"}"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn orders_that_are_not_begun_at_the_end_are_told_so() {
        let served = served();
        let config = served.config.clone();
        let unload = tokio::spawn(async move { ask(&config, &Request::Unload {}).await });
        while served.orders.is_empty() {
            tokio::task::yield_now().await;
        }
        drop(served.orders);
        served.server.end().await;
        assert_eq!(unload.await.unwrap().unwrap(), Answer::Ending);
        let late = ask(&served.config, &Request::Ping {}).await;
        assert!(
            matches!(late, Err(ControlError::NoDaemon { .. })),
            "{late:?}"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn there_are_only_so_many_captures_and_they_end_with_the_server() {
        let served = served();
        let request = Request::Capture(CaptureFilter::default());
        let begun = Answer::Capturing {
            rules: Vec::new(),
            reasons: Vec::new(),
        };
        let mut captures = Vec::new();
        for _ in 0..MAX_CAPTURES {
            let mut client = Client::connect(&served.config).await.unwrap();
            assert_eq!(client.ask(&request).await.unwrap(), begun);
            captures.push(client);
        }
        let refused = ask(&served.config, &request).await.unwrap();
        let Answer::Failed(failure) = refused else {
            panic!("{refused:?}");
        };
        assert!(
            failure
                .message()
                .starts_with("there are 16 captures already")
        );
        // One that ends makes way.
        drop(captures.pop());
        loop {
            let mut client = Client::connect(&served.config).await.unwrap();
            if client.ask(&request).await.unwrap() == begun {
                captures.push(client);
                break;
            }
        }
        let named = Request::Capture(CaptureFilter {
            drops: None,
            rules: ["ssh".to_owned()].into(),
        });
        drop(captures.pop());
        let refused = loop {
            let answer = ask(&served.config, &named).await.unwrap();
            let full = |message: &str| message.contains("already");
            if !matches!(&answer, Answer::Failed(failure) if full(failure.message())) {
                break answer;
            }
        };
        assert!(
            matches!(&refused, Answer::Failed(failure) if failure.message().contains("`ssh`")),
            "{refused:?}"
        );
        served.server.end().await;
        for mut client in captures {
            let line = client.receive_line().await.unwrap().unwrap();
            assert_eq!(
                client.understood(&line).unwrap(),
                CaptureLine::Ends(Answer::Ending)
            );
            assert_eq!(client.receive_line().await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn the_socket_is_for_its_owner() {
        let served = served();
        let mode = std::fs::metadata(&served.config.run.socket)
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
