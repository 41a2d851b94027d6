//! What packets are to the flows that are known.

pub use firewall_ebpf::state::{State, StateSet};

/// The state of this name.
pub(crate) fn state_named(name: &str) -> Option<State> {
    State::ALL.into_iter().find(|state| state.as_str() == name)
}
