//! One scenario, many pairs: the subject under test against each other speaker.

/// Makes a test of a scenario `fn(&Lab, subject: Kind, peer: Kind) -> Result<()>` for each subject and each peer, named
/// `<claim>::<subject>::with_<peer>`. Subjects and peers are named as [`Kind`](crate::Kind) displays them; without a
/// list, the peers are all other kinds.
///
/// ```no_run
/// use anyhow::Result;
/// use interop_lab::{Kind, Lab, pairs};
///
/// fn a_scenario(_lab: &Lab, _subject: Kind, _peer: Kind) -> Result<()> {
///     Ok(())
/// }
/// pairs!(a_session_comes_up: a_scenario, [bird2 frr8]);
/// pairs!(a_password_works: a_scenario, [bird2], [frr8 frr10]);
/// ```
#[macro_export]
macro_rules! pairs {
    ($claim:ident: $scenario:ident, [$($subject:ident)+]) => {
        mod $claim {
            $($crate::pairs!(@subject $scenario, $subject, [bird2 bird3 frr8 frr10 gobgp openbgpd]);)+
        }
    };
    ($claim:ident: $scenario:ident, [$($subject:ident)+], $peers:tt) => {
        mod $claim {
            $($crate::pairs!(@subject $scenario, $subject, $peers);)+
        }
    };
    (@subject $scenario:ident, $subject:ident, [$($peer:ident)+]) => {
        mod $subject {
            $($crate::pairs!(@peer $scenario, $subject, $peer);)+
        }
    };
    (@peer $scenario:ident, $subject:ident, bird2) => { $crate::pairs!(@test with_bird2, $scenario, $subject, bird2); };
    (@peer $scenario:ident, $subject:ident, bird3) => { $crate::pairs!(@test with_bird3, $scenario, $subject, bird3); };
    (@peer $scenario:ident, $subject:ident, frr8) => { $crate::pairs!(@test with_frr8, $scenario, $subject, frr8); };
    (@peer $scenario:ident, $subject:ident, frr10) => { $crate::pairs!(@test with_frr10, $scenario, $subject, frr10); };
    (@peer $scenario:ident, $subject:ident, gobgp) => { $crate::pairs!(@test with_gobgp, $scenario, $subject, gobgp); };
    (@peer $scenario:ident, $subject:ident, openbgpd) => {
        $crate::pairs!(@test with_openbgpd, $scenario, $subject, openbgpd);
    };
    (@peer $scenario:ident, $subject:ident, routelet) => {
        $crate::pairs!(@test with_routelet, $scenario, $subject, routelet);
    };
    (@test $name:ident, $scenario:ident, $subject:ident, $peer:ident) => {
        #[test]
        fn $name() {
            let (subject, peer) = ($crate::pairs!(@kind $subject), $crate::pairs!(@kind $peer));
            $crate::run(
                &[$crate::Need::Speaker(subject), $crate::Need::Speaker(peer)],
                |lab| super::super::$scenario(lab, subject, peer),
            );
        }
    };
    (@kind bird2) => { $crate::Kind::Bird2 };
    (@kind bird3) => { $crate::Kind::Bird3 };
    (@kind frr8) => { $crate::Kind::Frr8 };
    (@kind frr10) => { $crate::Kind::Frr10 };
    (@kind gobgp) => { $crate::Kind::GoBgp };
    (@kind openbgpd) => { $crate::Kind::OpenBgpd };
    (@kind routelet) => { $crate::Kind::Routelet };
}
