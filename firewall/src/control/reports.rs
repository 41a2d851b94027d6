//! Reports about what is loaded, for clients that cannot read the pins.

use futures::future::BoxFuture;
use serde_json::Value;

use crate::{control::protocol::ReportRequest, error::Error};

/// Makes reports: what commands print with `--json`.
pub(crate) trait Reports: Send + Sync {
    /// Makes a report.
    fn make<'a>(&'a self, request: &'a ReportRequest) -> BoxFuture<'a, Result<Value, Error>>;
}
