//! The files that a rule file names.

use std::sync::Arc;

use crate::diagnostics::Source;

/// Gives list files and captures by name, or says why there is none.
pub(super) type ListReader<'r> = dyn FnMut(&str) -> Result<Arc<Source>, String> + 'r;
