//! End-of-RIB, the borders of route refreshes, and members that have caught up.

use std::collections::BTreeSet;

use bgp::types::Family;
use bgp::wire::{RouteRefresh, RouteRefreshSubtype, UpdateEncoder};
use bytes::Bytes;

use super::super::comparison::Heard;
use super::super::hold::Hold;
use super::super::member::{Behind, Member, MemberFamily, Refresh};
use super::super::{Full, Transport};
use super::Group;
use crate::peer::PeerId;

impl Group {
    /// Sends End-of-RIB and the Begin and End of refreshes; members that caught up join the stream. `settled`: per
    /// family, whether nothing is left to be sent; `hold`: the peers whose End-of-RIB waits; `postponed`: members that
    /// are about to move to another group. Returns the work done.
    pub(in crate::export) fn settle<T: Transport>(
        &mut self,
        transport: &mut T,
        settled: [bool; 2],
        hold: &Hold,
        postponed: &BTreeSet<PeerId>,
    ) -> usize {
        let mut done = 0;
        for (peer, member) in &mut self.members {
            // A member that is about to move has not been sent everything yet.
            if member.blocked || postponed.contains(peer) {
                continue;
            }
            let kept = hold.keeps(&self.key, *peer);
            for (index, family) in Family::ALL.into_iter().enumerate() {
                let out = &self.families[index];
                let sent = settle_family(
                    member,
                    (*peer, index, family),
                    settled[index] && out.walk.is_none() && !kept,
                    &mut |message| transport.send(*peer, &message),
                    &mut self.encoder,
                );
                match sent {
                    Ok(steps) => done += steps,
                    Err(Full) => {
                        member.block();
                        break;
                    }
                }
            }
            let caught_up = member.behind.as_deref().is_some_and(Behind::is_caught_up);
            if caught_up && !member.blocked {
                member.behind = None;
            }
        }
        done
    }
}

/// The part of [`Group::settle`] that concerns one family of a member. Returns how many steps were done.
fn settle_family(
    member: &mut Member,
    (peer, index, family): (PeerId, usize, Family),
    settled: bool,
    send: &mut dyn FnMut(Bytes) -> Result<(), Full>,
    encoder: &mut UpdateEncoder,
) -> Result<usize, Full> {
    let owed: MemberFamily = member.families[index];
    let caught_up = member
        .behind
        .as_ref()
        .is_none_or(|behind| behind.has_heard(index));
    let border = |subtype| RouteRefresh { family, subtype }.encode();
    let mut done = 0;
    if let Refresh::Running | Refresh::RunningAndWanted = owed.refresh
        && caught_up
    {
        if member.enhanced_refresh {
            send(border(RouteRefreshSubtype::End))?;
        }
        member.families[index].refresh = match owed.refresh {
            Refresh::RunningAndWanted => Refresh::Wanted,
            _ => Refresh::None,
        };
        done += 1;
    }
    if owed.end_of_rib && caught_up && settled {
        send(encoder.end_of_rib(family))?;
        member.families[index].end_of_rib = false;
        done += 1;
    }
    // RFC 7313 section 4: no refresh begins before the End-of-RIB of the initial dump.
    let has_begun = member.families[index].end_of_rib || member.has_to_be_compared();
    if owed.refresh == Refresh::Wanted && !has_begun {
        if member.enhanced_refresh {
            send(border(RouteRefreshSubtype::Begin))?;
        }
        member.families[index].refresh = Refresh::Running;
        member.compare(peer, index, Heard::default());
        done += 1;
    }
    Ok(done)
}
