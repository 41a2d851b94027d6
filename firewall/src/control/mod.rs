//! The control socket and the right to be the daemon of an instance.

pub(crate) mod captures;
pub(crate) mod client;
pub(crate) mod connections;
pub(crate) mod in_force;
pub(crate) mod lock;
pub(crate) mod protocol;
pub(crate) mod server;
pub(crate) mod service;
