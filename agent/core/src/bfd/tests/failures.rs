//! What losses mean: for BGP, for stale routes, and for the nexthop groups.

use super::*;

const PATH: Level = Level::Down { retain: false };
const RESTART: Level = Level::Down { retain: true };

/// The machine with a session that is Up.
fn up(session: BgpSession) -> Owner {
    let mut owner = Owner::default();
    owner.feed(Input::View(view(true)));
    owner.want(wanted());
    owner.session(session);
    let said = owner.report(UserLevel::Up, 0, false);
    assert_eq!(said, [Action::Bgp(PEER, Level::Up)]);
    owner
}

#[test]
fn a_loss_is_one_of_the_path_unless_the_peer_may_be_restarting() {
    let (on, off) = (established("192.0.2.11"), BgpSession::Down);
    for (session, reason, independent, level, ends_retention) in [
        (on, TIMEOUT, false, PATH, false),
        (on, TIMEOUT, true, PATH, false),
        (on, RESTARTED, false, RESTART, false),
        (on, RESTARTED, true, PATH, false),
        (off, TIMEOUT, false, RESTART, false),
        (off, TIMEOUT, true, PATH, true),
        (off, RESTARTED, false, RESTART, false),
    ] {
        let mut owner = up(session);
        let said = owner.report(UserLevel::Down(reason), 1, independent);
        let mut expected = vec![Action::Bgp(PEER, level)];
        expected.extend(ends_retention.then_some(Action::EndRetention(PEER)));
        assert_eq!(said, expected, "{session:?} {reason:?} C={independent}");
        assert_eq!(owner.report(UserLevel::Down(reason), 1, independent), []);
    }
}

#[test]
fn a_failure_of_the_path_ends_retention_also_if_bgp_lost_its_session_first_and_says_so_later() {
    let mut owner = up(established("192.0.2.11"));
    owner.report(UserLevel::Down(TIMEOUT), 1, false);
    let said = owner.session(BgpSession::Down);
    assert!(said.contains(&Action::EndRetention(PEER)), "{said:?}");
    // Once for each loss: what is retained later was learned on a path that worked.
    owner.session(established("192.0.2.11"));
    let said = owner.session(BgpSession::Down);
    assert!(!said.contains(&Action::EndRetention(PEER)), "{said:?}");
}

#[test]
fn what_is_no_failure_is_none() {
    for (level, expected) in [
        (UserLevel::NotYetUp, Level::Unknown),
        (UserLevel::RemoteAdminDown, Level::AdminDown),
        (UserLevel::AdminDown, Level::AdminDown),
        (
            UserLevel::Refused(routelet_bfd::RequestError::Authentication),
            Level::Unknown,
        ),
    ] {
        let mut owner = up(established("192.0.2.11"));
        let said = owner.report(level, 0, false);
        assert_eq!(said, [Action::Bgp(PEER, expected)]);
        assert_eq!(owner.machine.show(PEER).unwrap().failure, None);
    }
}

/// A table, and the routers that are cut.
#[derive(Default)]
struct Fib {
    table: Routers,
    cut: Vec<(IpAddr, u32)>,
}

impl Fib {
    fn note(cut: &mut Vec<(IpAddr, u32)>) -> impl FnMut((IpAddr, u32), bool) {
        |router, down| {
            assert_ne!(cut.contains(&router), down, "said twice");
            cut.retain(|other| *other != router);
            if down {
                cut.push(router);
            }
        }
    }

    fn set(&mut self, user: UserId, router: Option<Router>) {
        self.table.set(user, router, Self::note(&mut self.cut));
    }

    fn follow(&mut self, state: &UserState) {
        self.table.follow(state, Self::note(&mut self.cut));
    }

    /// Carries out what concerns the table.
    fn carry_out(&mut self, out: &[Action]) {
        for action in out {
            if let Action::Route(user, router) = action {
                self.set(*user, *router);
            }
        }
    }
}

#[test]
fn a_router_is_cut_from_the_failure_of_its_path_until_that_is_over_or_its_session_gone() {
    let gateway = (ip("192.0.2.1"), 2);
    for (session, is_cut) in [(established("192.0.2.11"), true), (BgpSession::Down, false)] {
        let (mut owner, mut fib) = (Owner::default(), Fib::default());
        fib.carry_out(&owner.feed(Input::View(view(true))));
        fib.carry_out(&owner.want(wanted()));
        fib.carry_out(&owner.session(session));
        fib.follow(&owner.state(UserLevel::Up, 0, false));
        let down = owner.state(UserLevel::Down(TIMEOUT), 1, false);
        let cut = if is_cut { vec![gateway] } else { Vec::new() };
        fib.follow(&down);
        assert_eq!(fib.cut, cut);
        // The end of the BGP session, which the failure causes, changes nothing.
        fib.carry_out(&owner.session(BgpSession::Down));
        assert_eq!(fib.cut, cut);
        fib.follow(&owner.state(UserLevel::Up, 1, false));
        assert_eq!(fib.cut, []);
        fib.follow(&owner.state(UserLevel::Down(TIMEOUT), 2, true));
        assert_eq!(fib.cut, [gateway]);
        fib.carry_out(&owner.feed(Input::Removed(PEER)));
        assert_eq!(fib.cut, []);
        fib.follow(&down);
        assert_eq!(fib.cut, []);
    }
}

/// BFD was removed at the other end without a word: after `idleHold` BGP tries again, and has a session.
#[test]
fn a_router_whose_bgp_session_is_established_again_is_used_until_bfd_fails_anew() {
    let gateway = (ip("192.0.2.1"), 2);
    let (mut owner, mut fib) = (Owner::default(), Fib::default());
    fib.carry_out(&owner.feed(Input::View(view(true))));
    fib.carry_out(&owner.want(wanted()));
    fib.carry_out(&owner.session(established("192.0.2.11")));
    fib.follow(&owner.state(UserLevel::Up, 0, false));
    fib.follow(&owner.state(UserLevel::Down(TIMEOUT), 1, false));
    fib.carry_out(&owner.session(BgpSession::Down));
    assert_eq!(fib.cut, [gateway]);
    fib.carry_out(&owner.session(established("192.0.2.11")));
    assert_eq!(fib.cut, []);
    // Another report of the same loss, such as of another interval.
    fib.follow(&owner.state(UserLevel::Down(TIMEOUT), 1, false));
    assert_eq!(fib.cut, []);
    fib.follow(&owner.state(UserLevel::Up, 1, false));
    fib.follow(&owner.state(UserLevel::Down(TIMEOUT), 2, false));
    assert_eq!(fib.cut, [gateway]);
}

#[test]
fn a_router_that_another_session_has_cut_stays_so() {
    let mut owner = up(established("192.0.2.11"));
    let mut fib = Fib::default();
    let router = Router {
        address: Some((ip("192.0.2.1"), 2)),
        is_established: true,
    };
    let [one, two] = [1, 2].map(|number| {
        let mut state = owner.state(UserLevel::Down(TIMEOUT), 1, false);
        state.user.number = number;
        state
    });
    fib.set(one.user, Some(router));
    fib.set(two.user, Some(router));
    fib.table.follow(&one, |_, down| assert!(down));
    fib.table.follow(&two, |_, down| assert!(down));
    fib.table
        .set(one.user, None, |_, _| panic!("the other one is down"));
    let mut restored = 0;
    fib.table
        .set(two.user, None, |_, down| restored += u32::from(!down));
    assert_eq!(restored, 1);
    owner.feed(Input::Removed(PEER));
}

#[test]
fn a_peer_behind_a_router_cuts_nothing() {
    let mut owner = Owner::default();
    owner.feed(Input::View(view(true)));
    let mut wanted = wanted();
    wanted.remote = ip("203.0.113.1");
    wanted.bfd.distance = BfdDistance::Routed;
    owner.want(wanted);
    let said = owner.session(established("192.0.2.11"));
    let router = said.iter().find_map(|action| match action {
        Action::Route(_, router) => *router,
        _ => None,
    });
    assert_eq!(router.unwrap().address, None);
    assert_eq!(owner.key().unwrap().hops, Hops::Multi);
}
