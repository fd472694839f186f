//! What holds whatever the network does.

use std::time::Duration;

use proptest::prelude::*;

use super::world::{Fault, World};
use crate::fsm::Down;

/// From the last fault until everybody has a session with everybody: the longest wait after errors (60 s), TCP's own
/// patience with a connection whose other end is gone (20 s), and a hold time (9 s), with some to spare.
const BOUND: Duration = Duration::from_secs(120);

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => (0..4_usize, 0..4_usize).prop_map(|(a, b)| Fault::Partition(a, b)),
        2 => Just(Fault::Heal),
        3 => (0..4_usize, 0..4_usize).prop_map(|(a, b)| Fault::Reset(a, b)),
        2 => (0..4_usize, 0..4_usize).prop_map(|(a, b)| Fault::Forget(a, b)),
        2 => (0..4_usize).prop_map(Fault::Restart),
    ]
}

pub(super) fn all_agree(world: &World) -> Result<(), String> {
    for &(a, b) in world.peers.keys() {
        let (ours, theirs) = (world.session((a, b)), world.session((b, a)));
        if ours.is_none() || ours != theirs {
            let states = (world.peers[&(a, b)].state(), world.peers[&(b, a)].state());
            return Err(format!(
                "{a} to {b}: {ours:?}, back {theirs:?}, states {states:?}"
            ));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(crate::soak::cases(64))]

    #[test]
    fn who_can_reach_each_other_has_one_session_again_within_a_bound_and_keeps_it(
        seed in any::<u64>(),
        ids in prop_oneof![Just(vec![1, 2]), Just(vec![9, 9]), Just(vec![3, 1, 2]), Just(vec![5, 4, 7, 4])],
        faults in prop::collection::vec((0..15_000_u64, fault()), 0..25),
    ) {
        let mut world = World::new(seed, &ids, Some(9));
        for (pause, fault) in faults {
            world.run(Duration::from_millis(pause));
            world.fault(fault);
        }
        world.fault(Fault::Heal);
        world.run(BOUND);
        prop_assert_eq!(all_agree(&world), Ok(()));
        let sessions = world.sessions;
        world.run(Duration::from_secs(600));
        prop_assert_eq!(all_agree(&world), Ok(()));
        prop_assert_eq!(world.sessions, sessions, "a session fell on a quiet network");
    }

    #[test]
    fn a_mesh_that_starts_at_once_is_up_in_seconds_and_loses_no_session_to_a_collision(seed in any::<u64>()) {
        let mut world = World::new(seed, &[4, 2, 3, 1], Some(90));
        world.run(Duration::from_secs(5));
        prop_assert_eq!(all_agree(&world), Ok(()));
        prop_assert_eq!(world.sessions, 12);
        prop_assert_eq!(&world.downs[..], &[]);
    }

    #[test]
    fn a_hold_time_of_zero_never_expires(seed in any::<u64>(), silence in 300..100_000_u64) {
        let mut world = World::new(seed, &[1, 2], None);
        world.run(Duration::from_secs(10));
        prop_assert_eq!(all_agree(&world), Ok(()));
        world.fault(Fault::Partition(0, 1));
        world.run(Duration::from_secs(silence));
        prop_assert_eq!(all_agree(&world), Ok(()));
        prop_assert_eq!(world.sessions, 2);
    }
}

#[test]
fn silence_ends_a_session_after_the_hold_time_on_both_ends() {
    let mut world = World::new(1, &[1, 2], Some(9));
    world.run(Duration::from_secs(10));
    world.fault(Fault::Partition(0, 1));
    world.run(Duration::from_secs(10));
    let expired = Down::HoldTimerExpired(Duration::from_secs(9));
    assert_eq!(world.downs, [expired.clone(), expired]);
}
