//! The files that a rule file names.

use std::sync::Arc;

use crate::diagnostics::Source;

/// Returns list files and captures by name, or an error.
pub(super) type ListReader<'r> = dyn FnMut(&str) -> Result<Arc<Source>, String> + 'r;
