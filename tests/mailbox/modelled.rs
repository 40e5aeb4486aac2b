//! The mailbox on loom's atomics: each access is a point where threads may change, each load may see any value that
//! its ordering allows, and each access to a slot must happen before or after every other.

#[path = "../../src/reactor/mailbox/bell.rs"]
pub(crate) mod bell;
#[path = "../../src/reactor/mailbox/pair.rs"]
pub(crate) mod pair;
#[path = "../../src/reactor/mailbox/ring.rs"]
pub(crate) mod ring;
mod sync;

/// Explores a scene, with as many preemptions as it takes.
pub(crate) fn explore(scene: impl Fn() + Send + Sync + 'static) {
    loom::model(scene);
}

/// Explores a scene with so many preemptions at most: where a thread is stopped though it could go on.
pub(crate) fn explore_bounded(preemptions_max: usize, scene: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions_max);
    model.check(scene);
}
