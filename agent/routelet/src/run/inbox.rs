//! Events of sessions on their way to the RIB: small ones go ahead of the table that another peer sends.
//!
//! Events of one peer stay in their order. Those of different peers need none: what a route becomes depends on what
//! each peer said last. An event that others overtake is taken in after a few of them all the same.

use std::collections::VecDeque;

use bgp::session::Event;
use tokio::sync::mpsc;

/// Events that are compared. What is not here yet waits in the channel, in its order.
const ROOM: usize = 8;

/// How many events may overtake one.
const OVERTAKING: usize = 8;

/// See the module.
pub(super) struct Inbox {
    events: mpsc::Receiver<Event>,
    waiting: VecDeque<Event>,
    /// How many events overtook the first one.
    overtook: usize,
}

impl Inbox {
    pub(super) fn new(events: mpsc::Receiver<Event>) -> Self {
        Self {
            events,
            waiting: VecDeque::with_capacity(ROOM),
            overtook: 0,
        }
    }

    /// The next event, if one is there.
    pub(super) fn take(&mut self) -> Option<Event> {
        self.fill();
        match self.ahead() {
            Some(place) => {
                self.overtook += 1;
                self.waiting.remove(place)
            }
            None => {
                self.overtook = 0;
                self.waiting.pop_front()
            }
        }
    }

    /// Waits for the next event. `None`: there will be none any more.
    pub(super) async fn receive(&mut self) -> Option<Event> {
        match self.take() {
            Some(event) => Some(event),
            None => self.events.recv().await,
        }
    }

    /// Whether the next event is a small one.
    pub(super) fn has_small(&mut self) -> bool {
        self.fill();
        self.waiting.front().is_some_and(is_small) || self.ahead().is_some()
    }

    fn fill(&mut self) {
        while self.waiting.len() < ROOM
            && let Ok(event) = self.events.try_recv()
        {
            self.waiting.push_back(event);
        }
    }

    /// The place of the first small event behind one that is not, of whose peer no other waits before it.
    fn ahead(&self) -> Option<usize> {
        if self.overtook >= OVERTAKING || self.waiting.front().is_none_or(is_small) {
            return None;
        }
        let is_first = |place: usize, event: &Event| {
            let peer = event.source().0;
            let mut before = self.waiting.iter().take(place);
            before.all(|before| before.source().0 != peer)
        };
        let mut events = self.waiting.iter().enumerate();
        let found = events.find(|(place, event)| is_small(event) && is_first(*place, event));
        found.map(|(place, _)| place)
    }
}

/// Whether an event is anything but a part of a table.
fn is_small(event: &Event) -> bool {
    match event {
        Event::Updates { updates, .. } => rib::is_news(updates),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bgp::session::{PeerKey, SessionId, Turn};
    use bgp::types::{Nlri, NlriList};
    use bgp::wire::{Update, UpdateBatch};

    use super::*;

    fn of(peer: u32, prefixes: u32) -> Event {
        let list = (0..prefixes)
            .map(|number| {
                let address = std::net::Ipv4Addr::from(0x0a00_0000 + number * 256);
                Nlri::new(ipnet::Ipv4Net::new(address, 24).unwrap())
            })
            .collect();
        let update = Update {
            unreach: [NlriList::Ipv4(list)].into_iter().collect(),
            ..Update::default()
        };
        let updates = UpdateBatch::from(&update);
        let (peer, session) = (PeerKey(peer), SessionId(1));
        let turn = Turn::none();
        Event::Updates {
            peer,
            session,
            updates,
            turn,
        }
    }

    fn refresh(peer: u32) -> Event {
        let (peer, session) = (PeerKey(peer), SessionId(1));
        Event::Writable { peer, session }
    }

    fn seen(event: &Event) -> (u32, usize) {
        let size = match event {
            Event::Updates { updates, .. } => updates.prefixes(),
            _ => 0,
        };
        (event.source().0.0, size)
    }

    fn order(events: Vec<Event>) -> Vec<(u32, usize)> {
        let (sender, receiver) = mpsc::channel(64);
        for event in events {
            sender.try_send(event).unwrap();
        }
        let mut inbox = Inbox::new(receiver);
        std::iter::from_fn(|| inbox.take())
            .map(|e| seen(&e))
            .collect()
    }

    #[test]
    fn news_of_a_peer_goes_ahead_of_the_table_of_another() {
        assert_eq!(
            order(vec![of(1, 900), of(1, 900), of(2, 1), of(1, 3), refresh(3)]),
            [(2, 1), (3, 0), (1, 900), (1, 900), (1, 3)],
            "and a peer's own stays in its order"
        );
    }

    #[test]
    fn a_peers_end_does_not_overtake_what_it_sent() {
        assert_eq!(
            order(vec![of(2, 900), of(1, 900), refresh(1), of(1, 1)]),
            [(2, 900), (1, 900), (1, 0), (1, 1)]
        );
    }

    #[test]
    fn news_without_end_does_not_keep_a_table_waiting() {
        let news = (0..20).map(|peer| of(10 + peer, 1));
        let taken = order(std::iter::once(of(1, 900)).chain(news).collect());
        let place = taken.iter().position(|taken| *taken == (1, 900));
        assert_eq!(place, Some(OVERTAKING));
        assert_eq!(taken.len(), 21);
    }

    #[test]
    fn of_events_that_are_all_large_the_first_is_next() {
        assert_eq!(
            order(vec![of(1, 900), of(2, 800), of(3, 700)]),
            [(1, 900), (2, 800), (3, 700)]
        );
    }
}
