//! What the errors of the kernel's side say to the user. They stand here since that side knows
//! nothing above it.

use crate::{
    error::UserError,
    kernel::{
        counters::CountersError, events::EventsError, flows::FlowsError, host::HostError,
        info::InfoError, program::LoadError,
    },
};

impl UserError for HostError {
    fn help(&self) -> Option<String> {
        self.help()
    }
}

impl UserError for LoadError {
    fn help(&self) -> Option<String> {
        self.help()
    }
}

impl UserError for CountersError {}

impl UserError for FlowsError {}

impl UserError for EventsError {}

impl UserError for InfoError {}
