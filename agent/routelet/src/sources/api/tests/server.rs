//! Whatever happens at a server or to the connection, the index ends up as the server is.

use proptest::prelude::*;

use super::*;

/// What may happen to one of four Services at the server, or to the connection.
#[derive(Clone, Debug)]
enum Move {
    Set(usize, u8),
    Delete(usize),
    /// An event comes twice.
    Repeat,
    /// The watch falls behind; the list breaks off after so many objects, and then comes whole.
    Relist(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        (0..4usize, 0..3u8).prop_map(|(at, ip)| Move::Set(at, ip)),
        (0..4usize).prop_map(Move::Delete),
        Just(Move::Repeat),
        (0..4usize).prop_map(Move::Relist),
    ];
    proptest::collection::vec(one, 0..40)
}

proptest! {
    #[test]
    fn the_index_ends_up_as_the_server_is(moves in moves()) {
        let ip = |n: u8| format!("10.0.0.{n}");
        let name = |at: usize| format!("s{at}");
        let mut cache = Cache::new(["Service"]);
        cache.event(Event::<Received<WatchedService>>::Init);
        cache.event(Event::<Received<WatchedService>>::InitDone);
        let mut server: BTreeMap<usize, u8> = BTreeMap::new();
        let mut last: Option<Move> = None;
        for step in moves {
            let step = match (step, &last) {
                (Move::Repeat, Some(last @ (Move::Set(..) | Move::Delete(_)))) => last.clone(),
                (step, _) => step,
            };
            match &step {
                Move::Set(at, n) => {
                    server.insert(*at, *n);
                    cache.event(Event::Apply(service(&name(*at), &ip(*n))));
                }
                Move::Delete(at) => {
                    server.remove(at);
                    cache.event(Event::Delete(service(&name(*at), "10.0.0.0")));
                }
                Move::Repeat => {}
                Move::Relist(after) => {
                    cache.event(Event::<Received<WatchedService>>::Init);
                    for (at, n) in server.iter().take(*after) {
                        cache.event(Event::InitApply(service(&name(*at), &ip(*n))));
                    }
                    // Meanwhile the server has moved on.
                    server.remove(after);
                    cache.event(Event::<Received<WatchedService>>::Init);
                    for (at, n) in &server {
                        cache.event(Event::InitApply(service(&name(*at), &ip(*n))));
                    }
                    cache.event(Event::<Received<WatchedService>>::InitDone);
                }
            }
            last = Some(step);
        }
        cache.failed(&Scope::all("Service"), failure("to get a snapshot"));
        let state = cache.take().unwrap().state;
        let found: BTreeMap<String, String> = state
            .services
            .iter()
            .map(|(key, s)| (key.name.to_string(), s.cluster_ips[0].to_string()))
            .collect();
        let expected = server.iter().map(|(at, n)| (name(*at), ip(*n))).collect();
        prop_assert_eq!(found, expected);
    }
}
