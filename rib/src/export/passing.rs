//! Changes of a route's attributes for a peer, before and after the export policies.
//!
//! Most routes need two or three attributes changed: they are edited where they lie, and the others copied.

use bgp::types::{BgpIdentifier, Community};
use bgp::wire::AttributeSetRef;
use bgp::wire::attribute::{AttributeCode, Edit};
use bgp::wire::capability::Role;
use smallvec::SmallVec;

use super::key::GroupKey;
use crate::attrs::DEFAULT_LOCAL_PREF;

/// At most one for each attribute.
pub(super) type Edits<'a> = SmallVec<[Edit<'a>; 4]>;

impl GroupKey {
    /// Takes away what may not go to such a peer, and puts in the attributes of reflection: before the export policies.
    /// `reflected`: who a reflected route was learned from.
    pub(super) fn before_policies<'a>(
        &self,
        set: &'a AttributeSetRef<'_>,
        reflected: Option<BgpIdentifier>,
    ) -> Edits<'a> {
        match (reflected, self.cluster_id) {
            (Some(source), Some(cluster)) => reflect(*set, source, cluster),
            _ => self.take_away(set),
        }
    }

    fn take_away<'a>(&self, set: &'a AttributeSetRef<'_>) -> Edits<'a> {
        let mut edits = Edits::new();
        for attribute in set.iter() {
            match attribute.code {
                // RFC 4271 5.1.4: a MED received from a neighbouring AS is not propagated to other ASes.
                AttributeCode::MULTI_EXIT_DISC if self.is_external() => {
                    edits.push(Edit::remove(attribute.code));
                }
                // RFC 4456 section 8: only reflection makes them.
                AttributeCode::ORIGINATOR_ID | AttributeCode::CLUSTER_LIST => {
                    edits.push(Edit::remove(attribute.code));
                }
                // RFC 4360 section 2.
                AttributeCode::EXTENDED_COMMUNITIES if self.is_external() => {
                    edits.extend(only_transitive::<8>(attribute.code, attribute.value));
                }
                AttributeCode::IPV6_EXTENDED_COMMUNITIES if self.is_external() => {
                    edits.extend(only_transitive::<20>(attribute.code, attribute.value));
                }
                // RFC 8669 section 5, RFC 9012 section 11.
                code if self.withheld.contains(code) => edits.push(Edit::remove(code)),
                _ => {}
            }
        }
        edits
    }

    /// Sets the attributes that depend on the peer, after the export policies. They are disjoint from those set before,
    /// so that both can be done at once. `prepend`: how often our AS is prepended in addition to the one time that is
    /// always done.
    pub(super) fn after_policies(
        &self,
        set: AttributeSetRef<'_>,
        prepend: u8,
        edits: &mut Edits<'_>,
    ) {
        if !self.is_external() {
            // RFC 4271 5.1.5: always present towards internal peers. RFC 8326 section 4.2 if the community was added here.
            if set.local_pref().is_none() {
                let default = match set.has_community(Community::GRACEFUL_SHUTDOWN) {
                    true => 0,
                    false => DEFAULT_LOCAL_PREF,
                };
                let value = default.to_be_bytes().to_vec();
                edits.push(Edit::put(AttributeCode::LOCAL_PREF, value));
            }
            return;
        }
        // RFC 4271 5.1.2 b.
        let times = 1 + usize::from(prepend);
        let path = set.as_path();
        let in_confederation = path.segments().any(|s| s.kind.is_confederation());
        edits.push(if self.remove_private_as || in_confederation {
            let own = self.local_asn;
            let mut path = path.to_path();
            // RFC 5065 section 4.1 c: an external peer takes such a path for malformed.
            path.remove_confederation();
            if self.remove_private_as {
                path.remove(|asn| asn.is_private() && asn != own);
            }
            path.prepend(own, times);
            Edit::put(AttributeCode::AS_PATH, path.to_canonical())
        } else {
            Edit::prepend(self.local_asn, times)
        });
        // RFC 4271 5.1.5.
        edits.push(Edit::remove(AttributeCode::LOCAL_PREF));
        // RFC 9234 section 5, egress 1.
        let downwards = matches!(
            self.peer_role,
            Some(Role::Customer | Role::Peer | Role::RouteServerClient)
        );
        if downwards && set.only_to_customer().is_none() {
            let own = self.local_asn.0.to_be_bytes().to_vec();
            edits.push(Edit::put(AttributeCode::ONLY_TO_CUSTOMER, own));
        }
    }
}

/// RFC 4456 section 8: ORIGINATOR_ID is made once, and each reflector puts its cluster in front.
fn reflect<'a>(
    set: AttributeSetRef<'_>,
    source: BgpIdentifier,
    cluster: BgpIdentifier,
) -> Edits<'a> {
    let mut edits = Edits::new();
    if set.originator_id().is_none() {
        let source = source.0.to_be_bytes().to_vec();
        edits.push(Edit::put(AttributeCode::ORIGINATOR_ID, source));
    }
    let clusters = [cluster].into_iter().chain(set.cluster_list());
    let clusters: Vec<u8> = clusters.flat_map(|id| id.0.to_be_bytes()).collect();
    edits.push(Edit::put(AttributeCode::CLUSTER_LIST, clusters));
    edits
}

/// Handles communities of `N` octets of which some may not cross the border of an AS: those with bit 0x40.
fn only_transitive<const N: usize>(code: AttributeCode, value: &[u8]) -> Option<Edit<'_>> {
    let (all, _) = value.as_chunks::<N>();
    let transitive = |item: &&[u8; N]| item[0] & 0x40 == 0;
    if all.iter().all(|item| transitive(&item)) {
        return None;
    }
    let kept: Vec<u8> = all.iter().filter(transitive).flatten().copied().collect();
    Some(if kept.is_empty() {
        Edit::remove(code)
    } else {
        Edit::put(code, kept)
    })
}
