//! The packets that are to be explained, and the report on them.

use crate::{
    commands::{
        explain::{
            capture::{CaptureReport, ReportForm},
            explained::Explained,
            explainer::Explainer,
            packets::Packet,
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

/// The packets, of which one that is written has been read.
pub(super) enum Asking {
    Written(Packet),
    Captured(CaptureReport),
}

impl Asked {
    /// Has packets that name no interface arrive on the usual one.
    pub(super) fn on_usual_interface(mut self, usual: Option<&str>) -> Self {
        let usual = self.interface.take().or(usual.map(str::to_owned));
        if let Asking::Written(packet) = &mut self.source {
            let own = &mut packet.context.interface;
            *own = own.take().or_else(|| usual.clone());
        }
        Self {
            interface: usual,
            ..self
        }
    }

    /// The interfaces on which packets arrive, as far as they are known before.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = &str> {
        let (own, origin) = match &self.source {
            Asking::Written(packet) => {
                let named = packet.named();
                (named.interface, named.in_interface.flatten())
            }
            Asking::Captured(_) => (None, None),
        };
        let named = [own, origin, self.interface.as_deref()];
        named.into_iter().flatten()
    }

    /// Prints what becomes of the packets; again from where it stopped at an unknown interface.
    pub(super) fn print(&mut self, explainer: &Explainer<'_>) -> Result<Explained, Error> {
        let packet = match &mut self.source {
            Asking::Written(packet) => packet.clone(),
            Asking::Captured(capture) => {
                return capture.explain(self.interface.as_deref(), explainer, self.form);
            }
        };
        let classified = explainer.classify(&packet)?;
        let shown = explainer.full(packet, classified);
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
