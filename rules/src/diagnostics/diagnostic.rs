//! A finding with its places, notes and help.

use std::sync::Arc;

use super::{
    code::{Code, Severity},
    source::{Source, Span},
};
use crate::model::Place;

/// One finding about a rule file or about a list file that it names.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// The kind of finding.
    pub code: Code,
    /// What is wrong, in one line without a final period.
    pub message: String,
    /// Where it is wrong.
    pub primary: Label,
    /// Further information, in order.
    pub notes: Vec<Note>,
    /// How to fix it.
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

    /// Sets the text beside the place.
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

    /// Sets the text on how to fix it.
    pub fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }
}

/// A span of a file with a text beside it.
#[derive(Clone, Debug)]
pub struct Label {
    /// The file.
    pub source: Arc<Source>,
    /// The span.
    pub span: Span,
    /// The text, which may be empty.
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
