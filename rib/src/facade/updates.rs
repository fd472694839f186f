//! What arrives on Established sessions: UPDATEs, End-of-RIB and ROUTE-REFRESH.

use std::time::Instant;

use bgp::types::Family;
use bgp::wire::{BatchPart, RouteRefresh, RouteRefreshSubtype, Routes, UpdateBatch};

use super::tables::{Tables, table_of};
use super::{Rib, RibEvent};
use crate::peer::PeerId;

/// Prefixes of a message, or a change of what is originated, that is news: see [`is_news`].
pub(super) const NEWS: usize = if cfg!(test) { 1 } else { 64 };

/// Whether a batch has few prefixes, which are then advertised before bulk changes. A peer that sends its table has
/// more in each batch, as long as it sends faster than they are processed.
pub const fn is_news(batch: &UpdateBatch) -> bool {
    batch.prefixes() <= NEWS
}

impl Rib {
    /// UPDATEs arrived on an Established session.
    pub fn updates(&mut self, peer: PeerId, batch: &UpdateBatch) {
        let known = self.peers.get_mut(&peer);
        if let Some(up) = known.and_then(|known| known.session.as_mut()) {
            up.awaited.note_updates();
        }
        self.attrs.charge_to(Some(peer));
        let Tables { v4, v6 } = &self.tables;
        let (from4, from6) = (v4.import_session(peer), v6.import_session(peer));
        let ipv4 = v4.look_up(batch.ipv4(), &self.attrs);
        let ipv6 = v6.look_up(batch.ipv6(), &self.attrs);
        let mut sets = self.attrs.look_up(batch.sets()).into_iter();
        for part in batch.parts() {
            let (tables, attrs) = (&mut self.tables, &mut self.attrs);
            match part {
                BatchPart::Unreach(Routes::Ipv4(range)) => {
                    if let Some(from) = &from4 {
                        tables.v4.withdraw(from, ipv4.part(range), attrs);
                    }
                }
                BatchPart::Unreach(Routes::Ipv6(range)) => {
                    if let Some(from) = &from6 {
                        tables.v6.withdraw(from, ipv6.part(range), attrs);
                    }
                }
                BatchPart::Reach {
                    attributes,
                    next_hop,
                    routes,
                } => {
                    let attr = match sets.next() {
                        Some(place) => attrs.intern_looked_up(attributes, next_hop, place),
                        None => attrs.intern(attributes, next_hop),
                    };
                    match (routes, &from4, &from6) {
                        (Routes::Ipv4(range), Some(from), _) => {
                            tables.v4.announce(from, ipv4.part(range), attr, attrs);
                        }
                        (Routes::Ipv6(range), _, Some(from)) => {
                            tables.v6.announce(from, ipv6.part(range), attr, attrs);
                        }
                        // A family without a session of the peer: nothing of it is kept.
                        _ => {}
                    }
                    attrs.release(attr);
                }
                BatchPart::EndOfRib(family) => self.end_of_rib_arrived(peer, family),
            }
        }
        self.attrs.charge_to(None);
        self.check_memory(peer);
        self.note_ways();
        match is_news(batch) {
            true => self.note_news(),
            false => self.note_changes(),
        }
    }

    fn end_of_rib_arrived(&mut self, peer: PeerId, family: Family) {
        let Some(up) = self
            .peers
            .get_mut(&peer)
            .and_then(|known| known.session.as_mut())
        else {
            return;
        };
        let awaited = &mut up.awaited.families;
        if awaited.contains(&family) {
            awaited.retain(|of| *of != family);
            if awaited.is_empty() {
                self.events.push(RibEvent::EndOfRib { peer });
            }
        }
        table_of!(self.tables, family, |table| table.end_of_rib(peer));
    }

    /// A ROUTE-REFRESH arrived: a request, or the borders of one (RFC 2918, RFC 7313).
    pub fn route_refresh(&mut self, peer: PeerId, message: RouteRefresh, now: Instant) {
        let family = message.family;
        let deadline = now + self.config.end_of_rib_wait;
        match message.subtype {
            RouteRefreshSubtype::Request => self.groups.refresh(peer, family),
            RouteRefreshSubtype::Begin => {
                let up = self
                    .peers
                    .get(&peer)
                    .and_then(|known| known.session.as_ref());
                // RFC 7313 section 4: ignored before the End-of-RIB of a peer with graceful restart.
                if up.is_some_and(|up| !up.awaited.awaits_end_of_rib(family)) {
                    table_of!(self.tables, family, |table| table
                        .refresh_begins(peer, deadline));
                }
            }
            RouteRefreshSubtype::End => {
                table_of!(self.tables, family, |table| table.refresh_ends(peer));
            }
            RouteRefreshSubtype::Unknown(_) => {}
        }
    }
}
