//! Reading typed values from the tables of a TOML tree.
//!
//! This module owns the TOML types of keys and the reports about wrong ones. It does not know which
//! keys exist, nor what their values mean.

use std::borrow::Cow;

use toml::{
    Spanned,
    de::{DeInteger, DeString, DeTable, DeValue},
};

use super::{
    foreign_keys,
    tree::{At, Term},
};
use crate::{
    diagnostics::{Code, Diagnostic, Report, Span, suggest},
    text::{is_hidden, quoted},
};

type Value<'a> = Spanned<DeValue<'a>>;

/// The word for a table `[[rule]]`.
pub(super) const RULE: &str = "a rule";

/// A table, with its name in messages and the place to point at if a key is missing.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    pub(super) entries: &'a DeTable<'a>,
    pub(super) span: Span,
    pub(super) what: &'static str,
}

/// A key with its value.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) key: At<&'a str>,
    pub(super) value: &'a Value<'a>,
}

impl<'a> Table<'a> {
    /// The entries in alphabetical order.
    pub(super) fn iter(self) -> impl Iterator<Item = Entry<'a>> {
        self.entries
            .iter()
            .map(|(key, value)| Entry::new(key, value))
    }

    /// The entry under `key`.
    pub(super) fn entry(self, key: &str) -> Option<Entry<'a>> {
        let (key, value) = self.entries.get_key_value(key)?;
        Some(Entry::new(key, value))
    }

    /// The entry under `key`; its absence is an error.
    pub(super) fn required(self, key: &str, report: &mut Report) -> Option<Entry<'a>> {
        let entry = self.entry(key);
        if entry.is_none() {
            report.add(
                Code::MissingKey,
                self.span,
                format!("{} has no `{key}`", self.what),
            );
        }
        entry
    }

    /// Reports the keys that are not `known`.
    pub(super) fn check_keys(self, known: &[&str], report: &mut Report) {
        for Entry { key, .. } in self.iter() {
            if !known.contains(&key.value) {
                let message = format!("unknown key {} in {}", quoted(key.value), self.what);
                let diagnostic = report.add(Code::UnknownKey, key.span, message);
                match foreign_keys::help(key.value) {
                    Some(help) if self.what == RULE => {
                        diagnostic.help(help);
                    }
                    Some(_) | None => suggest(diagnostic, key.value, known.iter().copied()),
                }
            }
        }
    }
}

impl<'a> Entry<'a> {
    fn new(key: &'a Spanned<DeString<'a>>, value: &'a Value<'a>) -> Self {
        let key = At {
            span: key.span().into(),
            value: key.get_ref().as_ref(),
        };
        Self { key, value }
    }

    /// The value as a table; `form` shows in a message how it is written.
    pub(super) fn table(
        self,
        what: &'static str,
        form: &str,
        report: &mut Report,
    ) -> Option<Table<'a>> {
        table(self.value, what).or_else(|| {
            self.wrong_type(self.value, "a table", report)
                .help(format!("write {form}"));
            None
        })
    }

    /// The value as an array of tables; `form` shows in a message how it is written.
    pub(super) fn tables(
        self,
        what: &'static str,
        form: &str,
        report: &mut Report,
    ) -> Vec<Table<'a>> {
        let DeValue::Array(items) = self.value.get_ref() else {
            self.wrong_type(self.value, "an array of tables", report)
                .help(format!("write {form}"));
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(items.len());
        for item in items {
            match table(item, what) {
                Some(table) => tables.push(table),
                None => {
                    self.wrong_type(item, "a table", report)
                        .help(format!("write {form}"));
                }
            }
        }
        tables
    }

    /// The value as a string.
    pub(super) fn text(self, report: &mut Report) -> Option<At<&'a str>> {
        let DeValue::String(text) = self.value.get_ref() else {
            self.wrong_type(self.value, "a string", report);
            return None;
        };
        Some(At {
            span: self.value.span().into(),
            value: text.as_ref(),
        })
    }

    /// The value as a string or a number, or an array of them that is not empty.
    pub(super) fn terms(self, report: &mut Report) -> Option<Vec<Term<'a>>> {
        if let DeValue::Array(items) = self.value.get_ref() {
            self.elements(items, report)
        } else {
            let term = self.term(self.value, "a string, a number or an array of them", report)?;
            Some(vec![term])
        }
    }

    /// The value as a string or a number.
    pub(super) fn single(self, report: &mut Report) -> Option<Term<'a>> {
        self.term(self.value, "a string or a number", report)
    }

    /// The value as a boolean.
    pub(super) fn boolean(self, report: &mut Report) -> Option<bool> {
        let value = self.value.get_ref().as_bool();
        if value.is_none() {
            self.wrong_type(self.value, "`true` or `false`", report);
        }
        value
    }

    /// The value as a boolean, as a term.
    pub(super) fn flag(self, report: &mut Report) -> Option<Vec<Term<'a>>> {
        let value = self.boolean(report)?;
        Some(vec![Term {
            span: self.value.span().into(),
            text: Cow::Borrowed(if value { "true" } else { "false" }),
            is_number: false,
        }])
    }

    /// The value as an array of strings and numbers that is not empty.
    pub(super) fn array(self, report: &mut Report) -> Option<Vec<Term<'a>>> {
        let DeValue::Array(items) = self.value.get_ref() else {
            let help = match self.value.get_ref() {
                DeValue::String(text)
                    if !text.contains(is_hidden) && !text.contains(['"', '\\']) =>
                {
                    format!("write `{} = [\"{text}\"]`", self.key.value)
                }
                DeValue::String(_)
                | DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_)
                | DeValue::Array(_)
                | DeValue::Table(_) => "write the value between `[` and `]`".to_owned(),
            };
            self.wrong_type(self.value, "an array", report).help(help);
            return None;
        };
        self.elements(items, report)
    }

    fn elements(self, items: &'a [Value<'a>], report: &mut Report) -> Option<Vec<Term<'a>>> {
        if items.is_empty() {
            let message = format!("`{}` is an empty list", self.key.value);
            report.add(Code::EmptyList, self.value.span().into(), message);
            return None;
        }
        let terms: Vec<_> = items
            .iter()
            .filter_map(|item| self.term(item, "a string or a number", report))
            .collect();
        (terms.len() == items.len()).then_some(terms)
    }

    fn term(self, value: &'a Value<'a>, wanted: &str, report: &mut Report) -> Option<Term<'a>> {
        let text = match value.get_ref() {
            DeValue::String(text) => Cow::Borrowed(text.as_ref()),
            DeValue::Integer(number) => decimal(number),
            DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => {
                self.wrong_type(value, wanted, report);
                return None;
            }
        };
        Some(Term {
            span: value.span().into(),
            text,
            is_number: value.get_ref().is_integer(),
        })
    }

    /// Reports that `value`, which is this entry's or an element of it, is not what is `wanted`.
    pub(super) fn wrong_type<'r>(
        self,
        value: &Value<'_>,
        wanted: &str,
        report: &'r mut Report,
    ) -> &'r mut Diagnostic {
        let found = value.get_ref().type_str();
        let article = if found.starts_with(['a', 'i']) {
            "an"
        } else {
            "a"
        };
        let message = format!("{} takes {wanted}", quoted(self.key.value));
        report
            .add(Code::WrongType, value.span().into(), message)
            .label(format!("this is {article} {found}"))
    }
}

fn table<'a>(value: &'a Value<'a>, what: &'static str) -> Option<Table<'a>> {
    Some(Table {
        entries: value.get_ref().as_table()?,
        span: value.span().into(),
        what,
    })
}

/// The number as decimal text, so that all further reading is of text.
fn decimal<'a>(number: &'a DeInteger<'a>) -> Cow<'a, str> {
    let text = number.as_str();
    if number.radix() == 10 {
        return Cow::Borrowed(text.strip_prefix('+').unwrap_or(text));
    }
    // What exceeds even 128 bits is refused wherever a number is read, so that it may stay.
    u128::from_str_radix(text, number.radix()).map_or_else(
        |_| Cow::Owned(number.to_string()),
        |value| Cow::Owned(value.to_string()),
    )
}
