//! Rolls completed steps back when a later one fails.

use std::error::Error;

type Action = Box<dyn FnOnce() -> Result<(), Box<dyn Error>>>;

/// Undoes the completed steps, last step first, if it is dropped before [`Undo::commit`].
#[derive(Default)]
pub(crate) struct Undo {
    steps: Vec<(String, Action)>,
}

impl Undo {
    /// Adds a step; `what` describes `action` in the log.
    pub(crate) fn push<E: Error + 'static>(
        &mut self,
        what: impl Into<String>,
        action: impl FnOnce() -> Result<(), E> + 'static,
    ) {
        self.steps
            .push((what.into(), Box::new(|| action().map_err(Into::into))));
    }

    /// Makes everything final.
    pub(crate) fn commit(mut self) {
        self.steps.clear();
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        for (what, action) in self.steps.drain(..).rev() {
            match action() {
                Ok(()) => tracing::debug!(event = "undone", step = what, "undone: {what}"),
                Err(error) => {
                    tracing::error!(
                        event = "undo_failed",
                        step = what,
                        error,
                        "could not {what}"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, convert::Infallible, rc::Rc};

    use super::*;

    fn undone(commit: bool) -> Vec<u32> {
        let done = Rc::new(RefCell::new(Vec::new()));
        let mut undo = Undo::default();
        for step in 1..=3 {
            let done = Rc::clone(&done);
            undo.push("count down", move || {
                done.borrow_mut().push(step);
                Ok::<_, Infallible>(())
            });
        }
        if commit {
            undo.commit();
        } else {
            drop(undo);
        }
        done.take()
    }

    #[test]
    fn steps_are_taken_back_in_reverse_unless_final() {
        assert_eq!(undone(false), [3, 2, 1]);
        assert_eq!(undone(true), Vec::<u32>::new());
    }
}
