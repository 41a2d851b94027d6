//! The control socket and the right to be the daemon of an instance.

pub(crate) mod captures;
pub(crate) mod client;
pub(crate) mod connections;
#[cfg(test)]
mod documented;
pub(crate) mod in_force;
pub(crate) mod lock;
pub(crate) mod protocol;
pub(crate) mod readers;
pub(crate) mod reports;
pub(crate) mod role;
pub(crate) mod server;
pub(crate) mod service;
