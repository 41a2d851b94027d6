//! The threads that commands run on.

use tokio::runtime::Runtime;

use crate::error::Error;

/// Does work on as many threads as there are CPUs.
pub(crate) fn on_threads<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = Runtime::new().map_err(Error::system("cannot start threads"))?;
    let outcome = runtime.block_on(work);
    // An abandoned compilation must not block the exit of the process.
    runtime.shutdown_background();
    outcome
}
