//! The log of this process on stderr, and the format of its lines.
//!
//! Every event has a stable name, the first field of each macro, and a message for people. As text
//! a line is the message, followed by the error unless the message contains it; as JSON it is an
//! object of name, message and all fields. `docs/logs.md` lists all events.
//!
//! ```text
//! tracing::info!(event = "attached", interface = name, %mode, "attached to `{name}` in {mode} mode");
//! ```

use std::{
    env,
    error::Error as StdError,
    fmt::{self, Write as _},
    io,
    os::fd::AsFd,
    sync::{
        OnceLock,
        atomic::{AtomicU8, Ordering},
    },
};

use nix::sys::stat::fstat;
use rules::text::{escaped_json, escaped_lines, without_error_number};
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    EnvFilter,
    field::{RecordFields, VisitOutput as _},
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{DefaultVisitor, Writer},
        time::{FormatTime as _, SystemTime},
    },
    registry::LookupSpan,
};

use crate::{
    logging::{colors, output},
    text::{causes::Causes, format::counted},
};

/// The format of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What stderr is, as far as the form of lines depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum LogSink {
    /// Anything that takes lines as they are.
    Plain,
    /// The journal: lines begin with a priority, which it strips (`sd-daemon(3)`).
    Journal,
    /// The socket of syslog: each write is a message with priority and name (RFC 3164).
    Syslog,
}

/// The format of this process, once the log is set up.
static FORMAT: OnceLock<Format> = OnceLock::new();

/// The [`LogSink`] as a number: a daemon in the background changes it once.
static SINK: AtomicU8 = AtomicU8::new(LogSink::Plain as u8);

/// Starts to write the events that `levels` selects to stderr; `is_detached` if that is a terminal only for now.
pub(crate) fn begin(format: Format, levels: &str, is_detached: bool) {
    let stderr = io::stderr();
    let format = *FORMAT.get_or_init(|| format);
    if is_journal(&stderr) {
        use_sink(LogSink::Journal);
    }
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(levels))
        .with_target(false)
        // Its report of a closed stderr would go to stderr, and panic.
        .log_internal_errors(false)
        .with_ansi(colors::are_for(&stderr) && !is_detached)
        .with_writer(|| ToOutput);
    match format {
        Format::Text => builder
            .fmt_fields(MessageAndError)
            .map_event_format(|lines| Text { lines, sink })
            .init(),
        Format::Json => builder.event_format(Json).init(),
    }
}

/// Writes further lines in the form of a sink.
pub(super) fn use_sink(sink: LogSink) {
    SINK.store(sink as u8, Ordering::Relaxed);
}

fn sink() -> LogSink {
    let number = SINK.load(Ordering::Relaxed);
    let mut sinks = [LogSink::Journal, LogSink::Syslog].into_iter();
    sinks
        .find(|sink| *sink as u8 == number)
        .unwrap_or(LogSink::Plain)
}

/// Whether the log is JSON.
pub(crate) fn is_json() -> bool {
    FORMAT.get() == Some(&Format::Json)
}

/// Prints a message for the user of a command, at any log level. As text it is the message
/// alone.
pub(crate) fn tell(event: &str, message: &str) {
    if is_json() {
        tell_event(Level::INFO, event, message, &Fields::default());
    } else {
        write(&colors::painted_for(
            &io::stderr(),
            format!("{}\n", escaped_lines(message)),
        ));
    }
}

/// Prints the current step of a command's work.
pub(crate) fn tell_progress(what: &str) {
    tell("progress", what);
}

/// Prints an error report as text.
pub(crate) fn tell_error(report: &str) {
    let text = format!("{}\n", escaped_lines(report.trim_end()));
    match sink() {
        LogSink::Plain => write(&colors::painted_for(&io::stderr(), text)),
        sink @ (LogSink::Journal | LogSink::Syslog) => {
            write(&with_priority(&text, Level::ERROR, sink));
        }
    }
}

/// Prints an event as JSON, at any log level.
pub(crate) fn tell_event(level: Level, event: &str, message: &str, fields: &Fields) {
    write(&json_line(level, event, message, &fields.0));
}

/// Fields of an event of types that tracing has no values for: the members of a serializable
/// object.
///
/// Apart from numbers and text, tracing passes only errors on unchanged. That is why this type is
/// an error, from which [`Visit::record_error`] extracts the fields.
#[derive(Clone, Debug, Default, PartialEq, thiserror::Error)]
#[error("fields of an event")]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// The fields of `object`; none when it is not serialized as an object.
    pub(crate) fn of(object: &impl Serialize) -> Self {
        match serde_json::to_value(object) {
            Ok(Value::Object(fields)) => Self(fields),
            Ok(_) | Err(_) => Self::default(),
        }
    }

    /// The value for a macro of tracing, of a field with any name except `error`.
    pub(crate) fn as_value(&self) -> &(dyn StdError + 'static) {
        self
    }
}

/// Writes one or several lines in one step.
fn write(text: &str) {
    output::write(text.as_bytes(), lost_lines);
}

/// The line about lines that were lost.
fn lost_lines(lost: u64) -> String {
    let lines = counted(lost, "line");
    let message = format!("{lines} of the log lost: nobody read them in time");
    if is_json() {
        let mut fields = Map::new();
        fields.insert("lost".to_owned(), lost.into());
        return json_line(Level::WARN, "log_lost", &message, &fields);
    }
    with_priority(&format!("{message}\n"), Level::WARN, sink())
}

/// Where tracing writes the lines of an event, all in one step.
struct ToOutput;

impl io::Write for ToOutput {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        output::write(lines, lost_lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether `output` is connected to the journal, as the service manager reports by number of device
/// and file (`systemd.exec(5)`, `$JOURNAL_STREAM`).
fn is_journal(output: &impl AsFd) -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else {
        return false;
    };
    fstat(output.as_fd())
        .is_ok_and(|status| stream == format!("{}:{}", status.st_dev, status.st_ino))
}

/// Prefixes each line of a text with the priority of a level, in the form of a sink.
fn with_priority(text: &str, level: Level, sink: LogSink) -> String {
    /// The facility of system daemons, as part of a priority.
    const DAEMON: u8 = 3 << 3;
    if sink == LogSink::Plain {
        return text.to_owned();
    }
    let priority = match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    };
    let id = std::process::id();
    let lines = text.lines();
    lines.fold(String::with_capacity(text.len() + 32), |mut all, line| {
        // Writing to a string has no failure.
        let _ = match sink {
            LogSink::Plain => writeln!(all, "{line}"),
            LogSink::Journal => writeln!(all, "<{priority}>{line}"),
            LogSink::Syslog if all.is_empty() => {
                write!(all, "<{}>firewall[{id}]: {line}", DAEMON | priority)
            }
            LogSink::Syslog => write!(all, "\n{line}"),
        };
        all
    })
}

/// Parses the filter for the log. A word that is no level would select a module by name, which is
/// not supported.
pub(crate) fn levels(text: &str) -> Result<String, String> {
    const EXPECTED: &str = "expected error, warn, info, debug, trace or off, or levels by module \
                            such as `warn,firewall::control=debug`";
    let text = text.trim();
    if text.is_empty() {
        return Ok("info".into());
    }
    let mut parts = text.split(',').map(str::trim);
    let is_known =
        parts.all(|part| part.contains(['=', '[']) || part.parse::<LevelFilter>().is_ok());
    if is_known && EnvFilter::builder().parse(text).is_ok() {
        Ok(text.to_owned())
    } else {
        Err(EXPECTED.into())
    }
}

/// Formats events as text lines by `lines`, with a priority if the sink needs one.
struct Text<L> {
    lines: L,
    sink: fn() -> LogSink,
}

impl<S, N, L> FormatEvent<S, N> for Text<L>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    L: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let sink = (self.sink)();
        if sink == LogSink::Plain {
            return self.lines.format_event(context, writer, event);
        }
        let mut text = String::new();
        self.lines
            .format_event(context, Writer::new(&mut text), event)?;
        writer.write_str(&with_priority(&text, *event.metadata().level(), sink))
    }
}

/// The message and the error among the fields of an event.
struct MessageAndError;

impl<'writer> FormatFields<'writer> for MessageAndError {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut chosen = ChosenFields {
            written: DefaultVisitor::new(writer, true),
            message: String::new(),
        };
        fields.record(&mut chosen);
        chosen.written.finish()
    }
}

struct ChosenFields<'writer> {
    written: DefaultVisitor<'writer>,
    message: String,
}

/// What is written of a text from elsewhere.
fn printable(text: &str) -> String {
    escaped_lines(without_error_number(text))
}

impl ChosenFields<'_> {
    fn is_told_already(&self, error: &str) -> bool {
        self.message.contains(error)
    }
}

impl Visit for ChosenFields<'_> {
    fn record_error(&mut self, field: &Field, value: &(dyn StdError + 'static)) {
        if field.name() == "error" && !self.is_told_already(&printable(&value.to_string())) {
            let text = escaped_lines(&Causes(value).to_string());
            self.written.record_debug(field, &format_args!("{text}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = printable(&format!("{value:?}"));
        let is_written = match field.name() {
            "message" => {
                self.message.clone_from(&text);
                true
            }
            "error" => !self.is_told_already(&text),
            _ => false,
        };
        if is_written {
            self.written.record_debug(field, &format_args!("{text}"));
        }
    }
}

/// One JSON object a line.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut all = All::default();
        event.record(&mut all);
        let level = *event.metadata().level();
        writer.write_str(&json_line(level, all.event(), &all.message, &all.fields))
    }
}

/// All fields of an event.
#[derive(Default)]
struct All {
    event: Option<String>,
    message: String,
    fields: Map<String, Value>,
}

/// The target of messages from the XDP program.
const PROGRAM: &str = "firewall_xdp";

impl All {
    /// The name of the event. Events without one come through the crate `log`, from the XDP program
    /// or a library.
    fn event(&self) -> &str {
        let is_of_program = self.fields.get("target").is_some_and(|target| {
            let target = target.as_str();
            target.is_some_and(|target| target.split("::").next() == Some(PROGRAM))
        });
        match &self.event {
            Some(event) => event,
            None if is_of_program => "program_message",
            None => "library_message",
        }
    }

    fn add(&mut self, field: &Field, value: Value) {
        match field.name() {
            "event" => self.event = value.as_str().map(str::to_owned),
            "message" => value
                .as_str()
                .unwrap_or_default()
                .clone_into(&mut self.message),
            "log.target" => drop(self.fields.insert("target".into(), value)),
            // The place in the source of a library.
            "log.module_path" | "log.file" | "log.line" => {}
            name => drop(self.fields.insert(name.to_owned(), value)),
        }
    }
}

impl Visit for All {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn StdError + 'static)) {
        match value.downcast_ref::<Fields>() {
            Some(Fields(fields)) => self.fields.extend(fields.clone()),
            None => self.add(field, Causes(value).to_string().into()),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        self.add(field, without_error_number(&text).into());
    }
}

fn json_line(level: Level, event: &str, message: &str, fields: &Map<String, Value>) -> String {
    #[derive(Serialize)]
    struct JsonLine<'a> {
        time: String,
        level: &'a str,
        event: &'a str,
        message: &'a str,
        #[serde(flatten)]
        fields: &'a Map<String, Value>,
    }
    let mut time = String::new();
    // Writing to a string has no failure.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    let line = JsonLine {
        time,
        level: match level {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        },
        event,
        message,
        fields,
    };
    // Text and values of JSON have a form as JSON.
    escaped_json(&serde_json::to_string(&line).unwrap_or_default()) + "\n"
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs, io,
        path::Path,
        sync::{Arc, Mutex},
    };

    use serde_json::json;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    /// The output of `log` as text, without the time.
    fn as_text(sink: fn() -> LogSink, log: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_target(false)
            .without_time()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .fmt_fields(MessageAndError)
            .map_event_format(|lines| Text { lines, sink })
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        written.text()
    }

    /// The output of `log` as JSON, without the time of each line.
    fn as_json(log: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let sink = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_writer(move || sink.clone())
            .event_format(Json)
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let text = written.text();
        let lines = text.lines().map(|line| {
            let mut line: Map<String, Value> = serde_json::from_str(line).unwrap();
            let time = line.remove("time").unwrap();
            let time = time.as_str().unwrap();
            assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
            Value::Object(line)
        });
        lines.collect()
    }

    #[derive(Debug, thiserror::Error)]
    #[error("it did not work")]
    struct Failed(#[source] io::Error);

    fn failed() -> Failed {
        Failed(io::Error::other("no\nreason"))
    }

    fn every_kind_of_event() {
        let error = failed();
        let fields = Fields::of(&json!({"rules_added": ["a", "b\u{1b}[31m"], "rules": 2}));
        tracing::info!(
            event = "in_force",
            fields = fields.as_value(),
            "two `{}`",
            "rules"
        );
        tracing::warn!(
            event = "refused",
            interface = "eth0",
            mode = %"native",
            tries = 3_u32,
            help = None::<&str>,
            is_last = true,
            %error,
            "`eth0`: {error}"
        );
        let error: &dyn StdError = &error;
        tracing::error!(event = "failed", error, "no program");
        tracing::debug!(event = "plain", "nothing\tmore \"to\" say");
    }

    #[test]
    fn as_text_a_line_has_the_message_and_an_error_that_is_not_in_it() {
        assert_eq!(
            as_text(|| LogSink::Plain, every_kind_of_event),
            " INFO two `rules`\n \
             WARN `eth0`: it did not work\n\
             ERROR no program error=it did not work: no\nreason\n\
             DEBUG nothing\tmore \"to\" say\n"
        );
    }

    fn hostile_event() {
        let error = io::Error::from_raw_os_error(2);
        tracing::warn!(event = "refused", %error, "`a\u{202e}b\u{1b}[2J`: {error}");
    }

    #[test]
    fn nothing_is_hidden_and_errors_are_in_words_alone() {
        assert_eq!(
            as_text(|| LogSink::Plain, hostile_event),
            " WARN `a\\u{202e}b\\u{1b}[2J`: No such file or directory\n"
        );
        let expected = json!({
            "level": "warn",
            "event": "refused",
            "message": "`a\u{202e}b\u{1b}[2J`: No such file or directory",
            "error": "No such file or directory",
        });
        assert_eq!(as_json(hostile_event), [expected]);
        let line = json_line(Level::WARN, "a", "b\u{202e}c", &Map::new());
        assert!(line.contains("\"b\\u202ec\""), "{line}");
    }

    #[test]
    fn for_the_journal_each_line_has_a_priority() {
        assert_eq!(
            as_text(|| LogSink::Journal, every_kind_of_event),
            "<6> INFO two `rules`\n\
             <4> WARN `eth0`: it did not work\n\
             <3>ERROR no program error=it did not work: no\n\
             <3>reason\n\
             <7>DEBUG nothing\tmore \"to\" say\n"
        );
    }

    #[test]
    fn as_json_a_line_has_everything() {
        let expected = json!([
            {
                "level": "info",
                "event": "in_force",
                "message": "two `rules`",
                "rules": 2,
                "rules_added": ["a", "b\u{1b}[31m"],
            },
            {
                "level": "warn",
                "event": "refused",
                "message": "`eth0`: it did not work",
                "interface": "eth0",
                "mode": "native",
                "tries": 3,
                "is_last": true,
                "error": "it did not work",
            },
            {
                "level": "error",
                "event": "failed",
                "message": "no program",
                "error": "it did not work: no\nreason",
            },
            {
                "level": "debug",
                "event": "plain",
                "message": "nothing\tmore \"to\" say",
            },
        ]);
        assert_eq!(Value::Array(as_json(every_kind_of_event)), expected);
    }

    #[test]
    fn what_is_no_event_of_ours_has_a_name_too() {
        let lines = as_json(|| tracing::info!(other = 1, "from a library"));
        let expected = json!({
            "level": "info",
            "event": "library_message",
            "message": "from a library",
            "other": 1,
        });
        assert_eq!(lines, [expected]);
        let mut all = All::default();
        for (target, event) in [
            ("firewall_xdp", "program_message"),
            ("firewall_xdp::walk", "program_message"),
            ("firewall_xdpp", "library_message"),
        ] {
            all.fields.insert("target".into(), target.into());
            assert_eq!(all.event(), event, "{target}");
        }
    }

    #[test]
    fn a_level_is_a_level_and_not_the_name_of_a_module() {
        for (text, expected) in [
            ("debug", "debug"),
            ("WARN", "WARN"),
            ("off", "off"),
            (" ", "info"),
            (
                "warn,firewall::control=debug",
                "warn,firewall::control=debug",
            ),
        ] {
            assert_eq!(levels(text).unwrap(), expected);
        }
        for bad in ["debgu", "info,firewall", "firewall=loud", "info;debug"] {
            assert!(levels(bad).is_err(), "{bad}");
        }
    }

    /// The event names after each occurrence of `begin`, in the part of a file that is not for
    /// tests.
    fn names(file: &str, begin: &str, otherwise: &mut Vec<String>) -> BTreeSet<String> {
        let code = file.split("\n#[cfg(test)]").next().unwrap();
        let mut names = BTreeSet::new();
        for rest in code.split(begin).skip(1) {
            let rest = rest.trim_start();
            let rest = rest.strip_prefix("event = ").unwrap_or(rest);
            match rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
                Some((name, _)) => drop(names.insert(name.to_owned())),
                None => otherwise.push(rest.chars().take(60).collect()),
            }
        }
        names
    }

    fn visit(folder: &Path, found: &mut dyn FnMut(&Path, &str)) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, found);
            } else {
                found(&path, &fs::read_to_string(&path).unwrap());
            }
        }
    }

    #[test]
    fn every_event_has_a_name_that_is_documented_and_no_other_is() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let docs = fs::read_to_string(root.join("../docs/logs.md")).unwrap();
        let documented: BTreeSet<String> = docs
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
            .map(|(name, _)| name.to_owned())
            .collect();
        // Those of messages that come through the crate `log`.
        let mut logged: BTreeSet<String> = ["program_message", "library_message", "log_lost"]
            .map(str::to_owned)
            .into();
        let mut nameless = Vec::new();
        visit(&root.join("src"), &mut |path, file| {
            for level in ["error", "warn", "info", "debug", "trace"] {
                let mut without = Vec::new();
                logged.extend(names(file, &format!("tracing::{level}!("), &mut without));
                let at = |rest| format!("{}: {rest}", path.display());
                nameless.extend(without.into_iter().map(at));
            }
            for begin in ["tell(", "tell_event(Level::ERROR, ", "tell_event(level, "] {
                logged.extend(names(file, begin, &mut Vec::new()));
            }
        });
        assert_eq!(nameless, Vec::<String>::new());
        assert_eq!(logged, documented);
    }
}
