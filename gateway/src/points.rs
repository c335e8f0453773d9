//! Places that the simulation knows by name: where it lets a process crash and where it plants a
//! bug, to see that it is found. They exist in its own test build only; in every other build a
//! crash point is no code at all, and no bug is ever planted.

/// A place at which a simulated process may crash. It stands where dying leaves the most behind.
macro_rules! crash_point {
    ($name:literal) => {
        #[cfg(all(test, feature = "simulation"))]
        crate::simulation::reach($name).await;
    };
}
pub(crate) use crash_point;

/// Whether the simulation planted the bug `name`.
#[cfg(not(all(test, feature = "simulation")))]
pub(crate) const fn is_planted(_name: &str) -> bool {
    false
}

/// Whether a simulation runs on this thread.
#[cfg(not(all(test, feature = "simulation")))]
pub(crate) const fn is_simulated() -> bool {
    false
}

/// Keeps a task within the process that started it, where there are several.
#[cfg(not(all(test, feature = "simulation")))]
pub(crate) fn in_process<F>(work: F) -> F {
    work
}

#[cfg(all(test, feature = "simulation"))]
pub(crate) use crate::simulation::{in_process, is_planted, is_simulated};
