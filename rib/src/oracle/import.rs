//! Import of one path: the built-in checks, the peer's filter of attributes, and its policies.

use bgp::types::Community;
use bgp::wire::attribute::AttributeCode;
use bgp::wire::{AttributeSet, PathAttributes};
use ipnet::IpNet;

use super::Oracle;
use super::adj_rib_in::{AdjRibIn, OraclePath};
use super::decision::neighbour;
use crate::peer::{PeerConfig, PeerId, PeerKind};
use crate::policy::{Chain, Verdict};
use crate::table::Rejection;

impl Oracle {
    pub(super) fn import(
        &self,
        peer: PeerId,
        rib: &AdjRibIn,
        prefix: IpNet,
        path: &OraclePath,
    ) -> (PathAttributes, Option<Rejection>) {
        let config = &self.peers[&peer];
        let announced = path.attributes.clone();
        let filtered = config.attribute_filter.received_from(config.kind.into());
        let carried = |code: AttributeCode| match code.0 {
            4 => announced.med.is_some(),
            8 => !announced.communities.is_empty(),
            other => announced.unknown.iter().any(|one| one.code == other),
        };
        let mut codes = (0..=u8::MAX)
            .map(AttributeCode)
            .filter(|code| carried(*code));
        if codes.any(|code| filtered.treats_as_withdraw(code)) {
            return (announced, Some(Rejection::AttributeFilter));
        }
        if let Some(rejection) = self.rejects(config, rib, &announced) {
            return (announced, Some(rejection));
        }
        if self.limited.iter().any(|(of, net, id)| {
            let known = rib.paths.get(&(*net, *id));
            *of == peer && *net == prefix && known.is_some_and(|known| std::ptr::eq(known, path))
        }) {
            return (announced, Some(Rejection::NextHopLimit));
        }
        let mut attributes = announced.clone();
        let discarded = |code| filtered.contains(AttributeCode(code));
        attributes.unknown.retain(|one| !discarded(one.code));
        if discarded(4) {
            attributes.med = None;
        }
        if discarded(8) {
            attributes.communities.clear();
        }
        let chain = Chain::new(&config.import);
        let local_asn = rib.session.negotiated.local_asn;
        let mut after = match chain.evaluate(prefix, &attributes, &path.next_hop, local_asn) {
            Verdict::Rejected(_) => return (announced, Some(Rejection::Policy)),
            Verdict::Accepted(accepted) => match accepted.changed {
                Some(changed) => *changed,
                None => attributes,
            },
        };
        if after.communities.contains(&Community::GRACEFUL_SHUTDOWN) {
            after.local_pref = Some(0);
        }
        if path.stale && rib.long_lived && !after.communities.contains(&Community::LLGR_STALE) {
            after.communities.push(Community::LLGR_STALE);
            after.communities.sort();
        }
        if AttributeSet::from_attributes(&after).is_err() {
            return (path.attributes.clone(), Some(Rejection::TooLong));
        }
        (after, None)
    }

    /// The checks that no policy plays a part in.
    fn rejects(
        &self,
        config: &PeerConfig,
        rib: &AdjRibIn,
        attributes: &PathAttributes,
    ) -> Option<Rejection> {
        let segments = attributes.as_path.segments.iter();
        let own = segments
            .flat_map(|segment| &segment.asns)
            .filter(|asn| **asn == self.config.asn);
        if own.count() > usize::from(config.allow_own_as) {
            return Some(Rejection::OwnAs);
        }
        if config.kind == PeerKind::External {
            let asn = rib.session.negotiated.peer_asn.0;
            let wrong = config.enforce_first_as && neighbour(attributes) != asn;
            return wrong.then_some(Rejection::FirstAs);
        }
        if attributes.originator_id == Some(self.config.router_id) {
            Some(Rejection::OwnOriginator)
        } else if attributes.cluster_list.contains(&self.config.cluster_id) {
            Some(Rejection::OwnCluster)
        } else {
            None
        }
    }
}
