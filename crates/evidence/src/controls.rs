//! Positive controls for attack tests: a test build can remove exactly one named check.
//!
//! An attack test that is refused proves little unless the attack would have succeeded without the check
//! it is about. Every refusing check asks [`holds`] with its name; in a build without the feature
//! `dangerous_controls` that is the condition itself. With it, [`without`] lets one named check pass on
//! this thread while a closure runs. No shipped build has the feature (a test over the dependency graph says so).

/// The condition, unless a test build removed this very check on this thread.
#[cfg(not(feature = "dangerous_controls"))]
#[inline(always)]
#[must_use]
pub const fn holds(_name: &'static str, condition: bool) -> bool {
    condition
}

#[cfg(feature = "dangerous_controls")]
mod removed {
    use std::cell::Cell;

    thread_local!(static REMOVED: Cell<Option<&'static str>> = const { Cell::new(None) });

    /// The condition, unless [`without`] removed this very check on this thread.
    #[must_use]
    pub fn holds(name: &'static str, condition: bool) -> bool {
        condition || REMOVED.get() == Some(name)
    }

    /// Runs `attack` with the check `name` removed on this thread, and only it.
    pub fn without<T>(name: &'static str, attack: impl FnOnce() -> T) -> T {
        struct Restore;
        impl Drop for Restore {
            fn drop(&mut self) {
                REMOVED.set(None);
            }
        }
        REMOVED.set(Some(name));
        let _restore = Restore;
        attack()
    }
}
#[cfg(feature = "dangerous_controls")]
pub use removed::{holds, without};
