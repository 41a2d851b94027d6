//! The packets that are to be explained, and the report on them.

use rules::field::State;

use crate::{
    commands::{
        explain::{
            capture::{CaptureReport, ReportForm},
            explained::Explained,
            explainer::Explainer,
            packets::WrittenSequence,
            report::Report,
        },
        output::{json, print},
    },
    error::Error,
};

/// The packets, and how they are shown.
pub(super) struct Asked {
    pub(super) source: Asking,
    /// The interface of packets that name none: as given or, later, the usual one.
    pub(super) interface: Option<String>,
    pub(super) form: ReportForm,
}

/// The packets, of which those that are written have been read.
pub(super) enum Asking {
    Written(WrittenSequence),
    Captured(CaptureReport),
}

impl Asked {
    /// Has packets that name no interface arrive on the usual one.
    pub(super) fn on_usual_interface(mut self, usual: Option<&str>) -> Self {
        let usual = self.interface.take().or(usual.map(str::to_owned));
        if let Asking::Written(sequence) = &mut self.source {
            let WrittenSequence { given, packet, .. } = sequence;
            for packet in given.iter_mut().chain([packet]) {
                let own = &mut packet.context.interface;
                *own = own.take().or_else(|| usual.clone());
            }
        }
        Self {
            interface: usual,
            ..self
        }
    }

    /// The interfaces on which packets arrive, as far as they are known before.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = &str> {
        let written = match &self.source {
            Asking::Written(sequence) => Some(sequence.all()),
            Asking::Captured(_) => None,
        };
        let named = written.into_iter().flatten().flat_map(|packet| {
            let named = packet.named();
            [named.interface, named.in_interface.flatten()]
        });
        named.chain([self.interface.as_deref()]).flatten()
    }

    /// Prints what becomes of the packets; again from where it stopped at an unknown interface.
    pub(super) fn print(&mut self, explainer: &Explainer<'_>) -> Result<Explained, Error> {
        let sequence = match &mut self.source {
            Asking::Written(sequence) => sequence.clone(),
            Asking::Captured(capture) => {
                return capture.explain(self.interface.as_deref(), explainer, self.form);
            }
        };
        let seen = explainer.see(&sequence)?;
        let mut packet = sequence.packet;
        packet.context.state = seen.as_ref().map_or(State::New, |(state, _)| *state);
        let classified = explainer.classify(&packet)?;
        let shown = explainer
            .full(packet, classified)
            .with_state(seen.map(|(_, shown)| shown));
        let is_defect = shown.is_defect();
        let report = Report {
            packets: vec![shown],
        };
        print(&if self.form.json {
            json(&report)?
        } else {
            report.to_text()
        })?;
        Ok(Explained::of(is_defect))
    }
}
