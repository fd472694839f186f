//! How much is looked at in one step: whoever has the plan keeps commands, probes and the cut of a lost router waiting, so that no step may
//! depend on how many next hops or routes there are. What is left is looked at in the next step, which comes at once ([`Plan::is_walking`](super::Plan::is_walking)).

/// Sets, groups, members and prefixes that are looked at in one step, and some more: one of them is not left half way. Each takes
/// 50 to 500 ns. Tests have few, and have to be interrupted.
pub(super) const LOOKS: usize = if cfg!(test) { 16 } else { 2048 };

/// What is left of a step.
#[derive(Debug)]
pub(super) struct Work {
    left: usize,
}

impl Work {
    /// A whole step.
    pub(super) const fn step() -> Self {
        Self { left: LOOKS }
    }

    /// A smaller one, for what a step does besides and that must not take what the rest of it needs.
    pub(super) const fn part() -> Self {
        Self { left: LOOKS / 4 }
    }

    /// So much was looked at.
    pub(super) const fn done(&mut self, looks: usize) {
        self.left = self.left.saturating_sub(looks);
    }

    /// Whether the rest has to wait for the next step.
    pub(super) const fn is_over(&self) -> bool {
        self.left == 0
    }
}
