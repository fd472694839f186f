//! From an announced attribute set to what a path carries: the built-in checks, the import policies, LOCAL_PREF of routes
//! whose sender is about to shut down (RFC 8326), and the marks of RFC 9234 and RFC 9494.

use bgp::types::{Community, RoutePrefix};
use bgp::wire::attribute::AttributeTooLong;
use bgp::wire::capability::Role;
use bgp::wire::{AttributeSet, PathAttributes};
use smallvec::SmallVec;

use super::adj_rib_in::ImportContext;
use super::filter::Filtering;
use super::path::Imported;
use super::path_status::Rejection;
use crate::attrs::{AttrId, AttrInterner, Flags, TooMany};
use crate::policy::{RuleRef, Signature, Verdict};

/// Import of one announced set for any number of prefixes. The verdict is the same for prefixes with the same signature, so
/// policies run once per set and signature.
pub(crate) struct Importer<'a> {
    context: &'a ImportContext,
    /// The announced set, of which the caller holds a use.
    original: AttrId,
    /// The paths are long-lived stale: they get LLGR_STALE (RFC 9494 section 4.3).
    long_lived: bool,
    /// They were announced with GRACEFUL_SHUTDOWN.
    graceful_shutdown: bool,
    /// What the peer's filter of attributes says.
    filtering: Filtering,
    /// Verdict of the checks that no prefix plays a part in.
    builtin: Option<Rejection>,
    /// Verdicts; each altered set is held until [`Importer::finish`].
    cache: SmallVec<[(Signature, Imported, Option<RuleRef>); 1]>,
}

impl<'a> Importer<'a> {
    pub(crate) fn new(
        context: &'a ImportContext,
        original: AttrId,
        long_lived: bool,
        too_many: Option<TooMany>,
        attrs: &AttrInterner,
    ) -> Self {
        let flags = attrs.summary(original).flags;
        let filtering = context.filter.apply(attrs.get(original).set, flags);
        let builtin = match filtering {
            Filtering::Withdraws(_) => Some(Rejection::AttributeFilter),
            Filtering::Untouched | Filtering::Discards => builtin(context, original, attrs),
        };
        Self {
            builtin: builtin.or(too_many.map(|_| Rejection::NextHopLimit)),
            filtering,
            context,
            original,
            long_lived,
            graceful_shutdown: flags.contains(Flags::GRACEFUL_SHUTDOWN),
            cache: SmallVec::new(),
        }
    }

    /// What a path with this prefix carries. The set in it is held by the importer until [`Importer::finish`].
    pub(crate) fn import<P: RoutePrefix>(
        &mut self,
        prefix: P,
        attrs: &mut AttrInterner,
    ) -> (Imported, Option<RuleRef>) {
        let unchanged = Imported {
            attr: self.original,
            altered: false,
            rejection: self.builtin,
            weight: 1,
        };
        if self.builtin.is_some() {
            return (unchanged, None);
        }
        let chain = &self.context.chain;
        let untouched = self.filtering == Filtering::Untouched;
        let marks = self.long_lived || self.graceful_shutdown || self.context.role.is_some();
        if chain.is_empty() && !marks && untouched {
            return (unchanged, None);
        }
        let signature = chain.signature(prefix.into());
        if let Some((_, imported, rule)) = self.cache.iter().find(|(s, ..)| *s == signature) {
            return (*imported, *rule);
        }
        let (imported, rule) = self.evaluate(prefix, attrs);
        self.cache.push((signature, imported, rule));
        (imported, rule)
    }

    fn evaluate<P: RoutePrefix>(
        &self,
        prefix: P,
        attrs: &mut AttrInterner,
    ) -> (Imported, Option<RuleRef>) {
        let next_hop = attrs.get(self.original).next_hop;
        let set = attrs.get(self.original).set;
        let announced = self.context.filter.seen(set, self.filtering);
        let marked = self.only_to_customer(&announced);
        let base = marked.as_ref().unwrap_or(&announced);
        let mut imported = Imported {
            attr: self.original,
            altered: false,
            rejection: None,
            weight: 1,
        };
        let accepted = match self.context.chain.evaluate(
            prefix.into(),
            base,
            &next_hop,
            self.context.local_asn,
        ) {
            Verdict::Rejected(rule) => {
                imported.rejection = Some(Rejection::Policy);
                return (imported, Some(rule));
            }
            Verdict::Accepted(accepted) => accepted,
        };
        imported.weight = accepted.weight.unwrap_or(1);
        let mut changed = accepted.changed.map(|changed| *changed).or(marked);
        let discards = self.filtering == Filtering::Discards;
        if changed.is_none() && (self.long_lived || self.graceful_shutdown || discards) {
            changed = Some(announced);
        }
        if let Some(attributes) = &mut changed {
            graceful_shutdown(attributes);
        }
        if let Some(attributes) = changed.as_mut().filter(|_| self.long_lived)
            && !attributes.communities.contains(&Community::LLGR_STALE)
        {
            attributes.communities.push(Community::LLGR_STALE);
        }
        match changed.map(|changed| AttributeSet::from_attributes(&changed)) {
            None => {}
            Some(Ok(set)) => {
                imported.attr = attrs.intern(set.as_set_ref(), &next_hop);
                imported.altered = imported.attr != self.original;
                if !imported.altered {
                    attrs.release(imported.attr);
                }
            }
            // Used as it came, it would be a path that the policies, or LLGR_STALE, have not touched: a peer could send as
            // many communities as fit to get past them.
            Some(Err(AttributeTooLong { .. })) => imported.rejection = Some(Rejection::TooLong),
        }
        (imported, accepted.rule)
    }

    /// RFC 9234 section 5, ingress rule 3: a route of a provider, peer or route server gets marked.
    fn only_to_customer(&self, announced: &PathAttributes) -> Option<PathAttributes> {
        let marks = matches!(
            self.context.role,
            Some(Role::Provider | Role::Peer | Role::RouteServer)
        );
        (marks && announced.only_to_customer.is_none()).then(|| PathAttributes {
            only_to_customer: Some(self.context.asn),
            ..announced.clone()
        })
    }

    /// Gives back what the importer held.
    pub(crate) fn finish(self, attrs: &mut AttrInterner) {
        for (_, imported, _) in self.cache {
            if imported.altered {
                attrs.release(imported.attr);
            }
        }
    }
}

/// RFC 8326 section 4.2: the last resort, here and wherever the route goes on to, whatever value a policy gave it. What is
/// compared is what is passed on. A policy that wants otherwise takes the community away.
fn graceful_shutdown(attributes: &mut PathAttributes) {
    if attributes
        .communities
        .contains(&Community::GRACEFUL_SHUTDOWN)
    {
        attributes.local_pref = Some(0);
    }
}

/// The checks that apply whatever the policies say.
fn builtin(context: &ImportContext, original: AttrId, attrs: &AttrInterner) -> Option<Rejection> {
    let summary = attrs.summary(original);
    if summary.own_as_count > context.allow_own_as {
        return Some(Rejection::OwnAs);
    }
    if context.is_external() {
        if context.enforce_first_as && summary.neighbour_as != context.asn {
            return Some(Rejection::FirstAs);
        }
        return is_leak(context, original, attrs).then_some(Rejection::RouteLeak);
    }
    // RFC 4456 section 8: both attributes are of internal sessions only.
    if summary.flags.contains(Flags::OWN_ORIGINATOR) {
        return Some(Rejection::OwnOriginator);
    }
    if summary.flags.contains(Flags::OWN_CLUSTER) {
        return Some(Rejection::OwnCluster);
    }
    None
}

/// RFC 9234 section 5, ingress rules 1 and 2.
fn is_leak(context: &ImportContext, original: AttrId, attrs: &AttrInterner) -> bool {
    let mark = || attrs.get(original).set.only_to_customer();
    match context.role {
        Some(Role::Customer | Role::RouteServerClient) => mark().is_some(),
        Some(Role::Peer) => mark().is_some_and(|asn| asn != context.asn),
        _ => false,
    }
}
