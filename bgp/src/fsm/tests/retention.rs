//! What retains the routes of a peer.

use std::time::Duration;

use super::{config, graceful};
use crate::fsm::negotiate::open;
use crate::fsm::{Cease, Config, Down, Stop, negotiate};
use crate::types::{Asn, BgpIdentifier};
use crate::wire::{Notification, NotificationCode as Code};

#[test]
fn rfc_4724_and_rfc_8538_decide_what_retains_routes() {
    let agreed = |local: bool, remote: bool| {
        negotiate(
            &graceful(local),
            &open(
                &Config {
                    local_asn: Asn(2),
                    local_id: BgpIdentifier(2),
                    ..graceful(remote)
                },
                false,
            ),
        )
        .unwrap()
    };
    let plain = agreed(true, false);
    let with_n = agreed(true, true);
    let without = negotiate(&config(1, 1), &open(&config(2, 2), false)).unwrap();
    let cease = Notification::new(Code::OTHER_CONFIGURATION_CHANGE);
    let stop = |cease| Down::AdministrativeStop(Stop::Cease(cease));
    for (down, plainly, notified) in [
        (Down::TransportFailed, true, true),
        (Down::PeerRestarted, true, true),
        (Down::HoldTimerExpired(Duration::from_secs(9)), false, true),
        (Down::NotificationReceived(cease.clone()), false, true),
        (Down::NotificationSent(cease.clone()), false, true),
        (
            Down::NotificationReceived(cease.into_hard_reset()),
            false,
            false,
        ),
        (stop(Cease::Deconfigured), false, false),
        (stop(Cease::Reset(String::new())), false, true),
        // RFC 5882 4.3.
        (stop(Cease::BfdDown { retain: false }), false, false),
        (stop(Cease::BfdDown { retain: true }), true, true),
        (Down::AdministrativeStop(Stop::Silent), false, false),
    ] {
        assert_eq!(down.retains_routes(&plain), plainly, "{down}");
        assert_eq!(down.retains_routes(&with_n), notified, "{down}");
        assert!(!down.retains_routes(&without), "{down}");
    }
}
