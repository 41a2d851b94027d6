//! Diagnostics: what is wrong with a rule file, as values.
//!
//! This module owns what a diagnostic says and where it points. How it looks is the concern of
//! [`render()`]; what is wrong is the concern of whoever reports it.

mod render;
mod source;

pub use self::{
    render::render,
    source::{Source, Span},
};

use std::sync::Arc;

use crate::ruleset::Place;

/// One finding about a rule file or about a list file that it names.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Which kind of finding.
    pub code: Code,
    /// What is wrong, in one line without a final period.
    pub message: String,
    /// Where it is wrong.
    pub primary: Label,
    /// What else there is to know, in order.
    pub notes: Vec<Note>,
    /// How to put it right.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A diagnostic that points at `span` of `source` and has neither notes nor help.
    #[must_use]
    pub fn new(code: Code, source: &Arc<Source>, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            primary: Label {
                source: Arc::clone(source),
                span,
                text: String::new(),
            },
            notes: Vec::new(),
            help: None,
        }
    }

    /// Whether the finding prevents loading.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// The name of the file concerned.
    #[must_use]
    pub fn file(&self) -> &str {
        self.primary.source.name()
    }

    /// The place of the first character concerned.
    #[must_use]
    pub fn place(&self) -> Place {
        self.primary.source.place(self.primary.span.start)
    }

    /// Puts a text beside the place.
    pub fn label(&mut self, text: impl Into<String>) -> &mut Self {
        self.primary.text = text.into();
        self
    }

    /// Adds a note without a place.
    pub fn note(&mut self, message: impl Into<String>) -> &mut Self {
        self.notes.push(Note {
            message: message.into(),
            label: None,
        });
        self
    }

    /// Adds a note that points at `span` of the file concerned.
    pub fn note_at(&mut self, span: Span, message: impl Into<String>) -> &mut Self {
        self.notes.push(Note {
            message: message.into(),
            label: Some(Label {
                source: Arc::clone(&self.primary.source),
                span,
                text: String::new(),
            }),
        });
        self
    }

    /// Says how to put it right.
    pub fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }
}

/// A stretch of a file with a text beside it.
#[derive(Clone, Debug)]
pub struct Label {
    /// The file.
    pub source: Arc<Source>,
    /// The stretch.
    pub span: Span,
    /// The text; may be empty.
    pub text: String,
}

/// A secondary remark.
#[derive(Clone, Debug)]
pub struct Note {
    /// The remark, in one line.
    pub message: String,
    /// The place that it is about.
    pub label: Option<Label>,
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The rules can be loaded, but may not do what was meant.
    Warning,
    /// Nothing is loaded.
    Error,
}

impl Severity {
    /// The word that stands before a message.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $severity:ident;)*) => {
        /// The kind of a finding.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name of the code, which never changes once released.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// How grave findings of this kind are.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity,)*
                }
            }
        }
    };
}

codes! {
    /// The rule file is not UTF-8.
    NotUtf8 = "not-utf-8", Error;
    /// The rule file is not TOML.
    Toml = "toml-syntax", Error;
    /// A key is given twice.
    DuplicateKey = "duplicate-key", Error;
    /// A key that the language does not have.
    UnknownKey = "unknown-key", Error;
    /// A key of the language that this version cannot serve yet.
    UnsupportedKey = "unsupported-key", Error;
    /// A required key is absent.
    MissingKey = "missing-key", Error;
    /// A value of the wrong TOML type.
    WrongType = "wrong-type", Error;
    /// A name that cannot be one.
    InvalidName = "invalid-name", Error;
    /// A name that another rule has.
    DuplicateName = "duplicate-name", Error;
    /// A value that its key does not take.
    InvalidValue = "invalid-value", Error;
    /// A list without values.
    EmptyList = "empty-list", Error;
    /// A set without members.
    EmptySet = "empty-set", Error;
    /// A set of both addresses and ports.
    MixedSet = "mixed-set", Error;
    /// A reference to a set that is not defined.
    UnknownSet = "unknown-set", Error;
    /// A reference to a set whose members its key does not take.
    WrongSet = "wrong-set", Error;
    /// A list file that could not be read.
    UnreadableFile = "unreadable-file", Error;
    /// An ICMP type number without a hint whether ICMP or ICMPv6 is meant.
    AmbiguousIcmpType = "ambiguous-icmp-type", Error;
    /// Fields that no packet has together.
    Contradiction = "contradiction", Error;
    /// A packet of a test that cannot be read.
    InvalidPacket = "invalid-packet", Error;
    /// A reference to a rule that is not defined.
    UnknownRule = "unknown-rule", Error;
    /// A test with another outcome than it expects.
    FailedTest = "failed-test", Error;
    /// A set that no rule uses.
    UnusedSet = "unused-set", Warning;
    /// A rule that no packet can match.
    NeverMatches = "never-matches", Warning;
    /// A rule that drops what a link does not work without.
    DropsNeighbours = "drops-neighbours", Warning;
}

/// The findings about one rule file as they are made.
#[derive(Debug)]
pub(crate) struct Report {
    source: Arc<Source>,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// A report about `source`, without findings.
    pub(crate) fn new(source: &Arc<Source>) -> Self {
        Self {
            source: Arc::clone(source),
            diagnostics: Vec::new(),
        }
    }

    /// Adds a finding about the rule file, to be elaborated by the caller.
    pub(crate) fn add(
        &mut self,
        code: Code,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let diagnostic = Diagnostic::new(code, &self.source, span, message);
        self.diagnostics.push_mut(diagnostic)
    }

    /// Adds findings about another file.
    pub(crate) fn extend(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        self.diagnostics.extend(diagnostics);
    }

    /// Whether a finding so far is an error.
    pub(crate) fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|diagnostic| diagnostic.severity() == Severity::Error)
    }

    /// The findings: those about the rule file by place, then those about other files as added.
    pub(crate) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut diagnostics = self.diagnostics;
        diagnostics.sort_by_key(|diagnostic| {
            let foreign = !Arc::ptr_eq(&diagnostic.primary.source, &self.source);
            let at = if foreign {
                0
            } else {
                diagnostic.primary.span.start
            };
            (foreign, at)
        });
        diagnostics
    }
}

/// `text` in backticks for a message, with control characters made visible and a long tail cut.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 72;
    let mut shown = String::with_capacity(text.len().min(LONGEST) + 2);
    shown.push('`');
    for (index, c) in text.chars().enumerate() {
        if index == LONGEST {
            shown.push('…');
            break;
        }
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown.push('`');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_distinct_names() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn quoted_text_cannot_reach_the_terminal() {
        assert_eq!(quoted("a\u{1b}[2Jb"), "`a\\u{1b}[2Jb`");
        assert_eq!(quoted(&"x".repeat(100)), format!("`{}…`", "x".repeat(72)));
    }
}
