//! Long work that asks whether it should go on.

use std::ops::ControlFlow;

use crate::{Error, Result};

/// Asked now and then, from any thread, whether work should go on. Once it breaks it must break every
/// time: some of the work may have been left out then.
pub type GoOn<'a> = &'a (dyn Fn() -> ControlFlow<()> + Sync);

/// Work that nobody stops.
pub(crate) const ALWAYS: GoOn<'static> = &|| ControlFlow::Continue(());

/// Goes on unless the answer is no.
///
/// # Errors
/// [`Error::Interrupted`].
pub(crate) fn ask(go_on: GoOn<'_>) -> Result<()> {
    match go_on() {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Interrupted),
    }
}
