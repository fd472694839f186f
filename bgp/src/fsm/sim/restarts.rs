//! Graceful restart, passive nodes, and sessions that end by errors and resets.

use std::time::Duration;

use proptest::prelude::*;

use super::properties::all_agree;
use super::world::{Fault, World};
use crate::fsm::{Cease, Config, Down, GracefulRestartConfig, Stop};
use crate::types::Family;

/// As for the other faults, with as much again for the waits after errors, which double.
const BOUND: Duration = Duration::from_secs(240);

fn graceful(config: &mut Config) {
    config.graceful_restart = Some(GracefulRestartConfig {
        restart_time: Duration::from_secs(120),
        notification: true,
        families: vec![(Family::IPV4_UNICAST, true)],
    });
}

fn fault() -> impl Strategy<Value = Fault> {
    let pair = || (0..3_usize, 0..3_usize);
    prop_oneof![
        3 => pair().prop_map(|(a, b)| Fault::Administrative(a, b)),
        3 => pair().prop_map(|(a, b)| Fault::Malformed(a, b)),
        3 => (pair(), any::<bool>()).prop_map(|((a, b), reset)| Fault::Reconfigure(a, b, reset)),
        2 => pair().prop_map(|(a, b)| Fault::Partition(a, b)),
        2 => Just(Fault::Heal),
        2 => pair().prop_map(|(a, b)| Fault::Forget(a, b)),
        2 => (0..3_usize).prop_map(Fault::Restart),
    ]
}

proptest! {
    #![proptest_config(crate::soak::cases(48))]

    #[test]
    fn a_session_comes_back_after_errors_and_resets_with_passive_nodes_and_restarts(
        seed in any::<u64>(),
        (passive, with_graceful) in any::<(bool, bool)>(),
        faults in prop::collection::vec((0..15_000_u64, fault()), 0..20),
    ) {
        // At most one end of a pair may be passive.
        let mut world = World::with(seed, &[3, 1, 2], Some(9), |node, config| {
            config.passive = passive && node == 1;
            if with_graceful {
                graceful(config);
            }
        });
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
    fn rfc_4724_5_a_node_that_restarts_is_known_by_its_new_connection(seed in any::<u64>()) {
        let mut world = World::with(seed, &[1, 2], Some(90), |_, config| graceful(config));
        world.run(Duration::from_secs(20));
        prop_assert_eq!(all_agree(&world), Ok(()));
        world.fault(Fault::Restart(0));
        world.run(Duration::from_secs(20));
        prop_assert_eq!(all_agree(&world), Ok(()));
        // The other end learns of it by the new OPEN or by a reset of the old connection, long before its hold time.
        prop_assert_eq!(world.downs.len(), 1);
        let retained = matches!(world.downs[0], Down::PeerRestarted | Down::TransportFailed);
        prop_assert!(retained, "{:?}", world.downs);
    }
}

#[test]
fn a_reset_ends_the_session_on_both_ends_once_and_it_comes_back() {
    let mut world = World::with(5, &[1, 2], Some(90), |node, config| {
        config.passive = node == 0;
    });
    world.run(Duration::from_secs(5));
    world.fault(Fault::Administrative(0, 1));
    world.run(Duration::from_secs(30));
    assert_eq!(all_agree(&world), Ok(()));
    assert_eq!((world.sessions, world.downs.len()), (4, 2));
    let ours = Down::AdministrativeStop(Stop::Cease(Cease::Reset(String::new())));
    assert_eq!(world.downs[0], ours);
    assert_eq!(
        world.downs[1].to_string(),
        "peer sent Cease/Administrative Reset"
    );
}

#[test]
fn a_new_configuration_ends_a_session_only_if_the_opens_would_differ() {
    for (reset, downs) in [(false, 0), (true, 2)] {
        let mut world = World::new(6, &[1, 2], Some(90));
        world.run(Duration::from_secs(5));
        world.fault(Fault::Reconfigure(0, 1, reset));
        world.run(Duration::from_secs(30));
        assert_eq!(all_agree(&world), Ok(()));
        assert_eq!(world.downs.len(), downs);
    }
}
