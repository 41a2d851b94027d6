//! What `firewall ban` and `firewall unban` read from the command line or stdin, and how it goes to
//! the daemon.

mod requests;

pub(super) use self::requests::{BanDocument, BanRequests};
