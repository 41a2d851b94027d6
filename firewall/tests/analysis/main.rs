//! What the user sees of `firewall diff` and of the analysis in `firewall check`, without root.

mod checking;
mod diffing;
mod support;
