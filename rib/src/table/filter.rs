//! What the filter of a peer's attributes makes of the sets that it announces.
//!
//! The decoder of UPDATEs applies the filter too, to what comes; here it is applied to what is held, so that a changed one
//! counts at once for every route, without the peer having to say anything again.

use bgp::wire::attribute::{AttributeCode, AttributeFilter, FilteredCodes};
use bgp::wire::{AttributeSetRef, PathAttributes};

use crate::attrs::Flags;
use crate::peer::PeerKind;

/// What is to become of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filtering {
    /// It is used as it is.
    Untouched,
    /// It is used without the attributes that the filter discards.
    Discards,
    /// Routes with it are treated as withdrawn because of this attribute.
    Withdraws(AttributeCode),
}

/// A peer's filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImportFilter {
    codes: FilteredCodes,
    /// Whether it is about an attribute that does not make a set uncommon: then every set has to be looked through.
    about_common: bool,
}

impl ImportFilter {
    pub(crate) fn new(filter: &AttributeFilter, kind: PeerKind) -> Self {
        let codes = filter.received_from(kind.into());
        let common = codes.codes().iter().any(|code| !Flags::is_uncommon(code));
        Self {
            codes,
            about_common: common,
        }
    }

    /// What becomes of a set with these facts.
    #[inline]
    pub(crate) fn apply(&self, set: AttributeSetRef<'_>, flags: Flags) -> Filtering {
        if self.about_common || flags.contains(Flags::UNCOMMON) {
            self.look_through(set)
        } else {
            Filtering::Untouched
        }
    }

    fn look_through(&self, set: AttributeSetRef<'_>) -> Filtering {
        let mut found = Filtering::Untouched;
        for attribute in set.iter().filter(|one| self.codes.contains(one.code)) {
            if self.codes.treats_as_withdraw(attribute.code) {
                return Filtering::Withdraws(attribute.code);
            }
            found = Filtering::Discards;
        }
        found
    }

    /// What policies see of an announced set: `filtering` is what [`ImportFilter::apply`] says of it.
    pub(crate) fn seen(&self, set: AttributeSetRef<'_>, filtering: Filtering) -> PathAttributes {
        match filtering {
            Filtering::Discards => set.without(self.codes.codes()).parse(),
            Filtering::Untouched | Filtering::Withdraws(_) => set.parse(),
        }
    }
}
