//! Changing a few attributes of a set and copying the others as they stand.

use std::borrow::Cow;

use super::set::{AttributeRef, AttributeTooLong, Attributes, append, check_length, write_header};
use super::{AsPathRef, AttributeCode, AttributeSet, row};
use crate::types::Asn;

/// A change of one attribute: see [`AttributeSet::edit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit<'a> {
    code: AttributeCode,
    change: Change<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Change<'a> {
    Remove,
    Put(Cow<'a, [u8]>),
    Prepend { asn: Asn, times: usize },
}

impl<'a> Edit<'a> {
    /// Takes an attribute out, whether or not this speaker interprets it.
    pub const fn remove(code: AttributeCode) -> Self {
        let change = Change::Remove;
        Self { code, change }
    }

    /// Gives an attribute a value, whether or not it has one so far. The attribute must be one that this speaker interprets,
    /// and the value in canonical form.
    pub fn put(code: AttributeCode, value: impl Into<Cow<'a, [u8]>>) -> Self {
        let change = Change::Put(value.into());
        Self { code, change }
    }

    /// Puts an AS in front of AS_PATH so many times (RFC 4271 section 5.1.2 b).
    pub const fn prepend(asn: Asn, times: usize) -> Self {
        let change = Change::Prepend { asn, times };
        let code = AttributeCode::AS_PATH;
        Self { code, change }
    }

    /// The attribute.
    pub const fn code(&self) -> AttributeCode {
        self.code
    }

    /// How many octets it adds at most.
    fn added(&self) -> usize {
        match &self.change {
            Change::Remove => 0,
            Change::Put(value) => 4 + value.len(),
            Change::Prepend { times, .. } => AsPathRef::prepended_by(*times),
        }
    }

    /// `old`: the attribute so far. Its flags stay: those of its type, and the partial bit if it was set.
    fn apply(
        &self,
        old: Option<AttributeRef<'_>>,
        out: &mut Vec<u8>,
    ) -> Result<(), AttributeTooLong> {
        let Some(row) = row(self.code) else {
            return Ok(());
        };
        let flags = old.map_or(row.class.flags(), |old| old.flags);
        match &self.change {
            Change::Remove => Ok(()),
            Change::Put(value) => append(out, flags, self.code, value),
            Change::Prepend { asn, times } => {
                let old = AsPathRef::new(old.map_or(&[], |old| old.value));
                let length = check_length(self.code, old.prepended_len(*times))?;
                write_header(out, flags, self.code, length);
                let start = out.len();
                old.prepended(*asn, *times, out);
                debug_assert_eq!(out.len() - start, length.octets(), "as it was measured");
                Ok(())
            }
        }
    }
}

impl<B: AsRef<[u8]>> AttributeSet<B> {
    /// The set with changes, which must be ascending by type code, one for each at most. A partial bit stays.
    ///
    /// # Errors
    ///
    /// A new value is longer than any attribute can be.
    pub fn edit(&self, edits: &[Edit<'_>]) -> Result<AttributeSet, AttributeTooLong> {
        debug_assert!(edits.is_sorted_by(|a, b| a.code < b.code), "{edits:?}");
        let octets = self.as_bytes();
        let added: usize = edits.iter().map(Edit::added).sum();
        let mut out = Vec::with_capacity(octets.len() + added);
        // What stays between two changes is copied in one piece.
        let (mut copied, mut attributes) = (0, self.iter());
        for edit in edits {
            let (left, old) = seek(&mut attributes, edit.code);
            out.extend_from_slice(&octets[copied..octets.len() - left]);
            copied = octets.len() - attributes.rest().len();
            edit.apply(old, &mut out)?;
        }
        out.extend_from_slice(&octets[copied..]);
        Ok(AttributeSet::owned(out))
    }
}

/// Goes on to where an attribute is, or would be, and past it if it is there. Also returns how many octets came from there on.
fn seek<'a>(
    attributes: &mut Attributes<'a>,
    code: AttributeCode,
) -> (usize, Option<AttributeRef<'a>>) {
    loop {
        let from = attributes.rest().len();
        let mut after = attributes.clone();
        let found = after.next().filter(|found| found.code <= code);
        let Some(found) = found else {
            return (from, None);
        };
        *attributes = after;
        if found.code == code {
            return (from, Some(found));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;

    use super::*;
    use crate::types::{Community, ExtendedCommunity};
    use crate::wire::PathAttributes;
    use crate::wire::attribute::{AsPath, AttributeSetRef, Origin, UnknownAttribute};

    fn attributes() -> PathAttributes {
        let mut attributes = PathAttributes {
            origin: Some(Origin::Igp),
            as_path: AsPath::sequence([Asn(1), Asn(2)]),
            med: Some(5),
            communities: vec![Community(7)],
            extended_communities: vec![ExtendedCommunity([9; 8])],
            unknown: vec![UnknownAttribute {
                flags: 0xc0,
                code: 99,
                value: Bytes::from_static(&[1; 300]),
            }],
            ..PathAttributes::default()
        };
        attributes.partial.insert(AttributeCode::COMMUNITIES);
        attributes
    }

    #[test]
    fn an_edited_set_is_that_of_the_edited_value() {
        let set = AttributeSet::from_attributes(&attributes()).unwrap();
        let path = AsPath::sequence([Asn(8), Asn(1), Asn(2)]);
        let edited = set
            .edit(&[
                Edit::prepend(Asn(8), 1),
                Edit::remove(AttributeCode::MULTI_EXIT_DISC),
                Edit::put(AttributeCode::LOCAL_PREF, 70u32.to_be_bytes().to_vec()),
                Edit::put(AttributeCode::COMMUNITIES, &[0, 0, 0, 3, 0, 0, 0, 4][..]),
                Edit::remove(AttributeCode::CLUSTER_LIST),
                Edit::put(AttributeCode::ONLY_TO_CUSTOMER, &[0, 0, 0, 6][..]),
            ])
            .unwrap();
        let expected = PathAttributes {
            as_path: path,
            med: None,
            local_pref: Some(70),
            communities: vec![Community(3), Community(4)],
            only_to_customer: Some(Asn(6)),
            ..attributes()
        };
        assert_eq!(
            edited,
            AttributeSet::from_attributes(&expected).unwrap(),
            "{:?}",
            edited.parse()
        );
        assert_eq!(set.edit(&[]).unwrap(), set);
        let everything_else = Edit::put(AttributeCode::ONLY_TO_CUSTOMER, &[0, 0, 0, 6][..]);
        let alone = AttributeSetRef::default().edit(&[everything_else]).unwrap();
        assert_eq!(alone.only_to_customer(), Some(Asn(6)));
    }

    #[test]
    fn a_value_that_no_message_can_hold_is_refused() {
        let long = Edit::put(AttributeCode::COMMUNITIES, vec![0; 65_536]);
        let refused = AttributeSetRef::default().edit(&[long]).unwrap_err();
        assert_eq!(
            (refused.code, refused.length),
            (AttributeCode::COMMUNITIES, 65_536)
        );
    }

    #[test]
    fn an_edit_grows_a_set_by_what_was_measured_at_most() {
        let set = AttributeSet::from_attributes(&attributes()).unwrap();
        // Without the attribute, so that what is put is all added; the octets it takes beside it.
        let without = set
            .edit(&[Edit::remove(AttributeCode::COMMUNITIES)])
            .unwrap();
        for (edit, header) in [
            (Edit::put(AttributeCode::COMMUNITIES, vec![7; 4]), 3),
            (Edit::put(AttributeCode::COMMUNITIES, vec![7; 252]), 3),
            (Edit::put(AttributeCode::COMMUNITIES, vec![7; 256]), 4),
            (Edit::put(AttributeCode::ONLY_TO_CUSTOMER, vec![7; 4]), 3),
        ] {
            let Change::Put(value) = &edit.change else {
                panic!("{edit:?}");
            };
            let edited = without.edit(std::slice::from_ref(&edit)).unwrap();
            let grown = edited.as_bytes().len() - without.as_bytes().len();
            assert_eq!(grown, header + value.len());
            assert_eq!(edit.added(), 4 + value.len());
            assert_eq!(edited.find(edit.code()), Some(&value[..]));
        }
        for times in [0, 1, 252, 253, 254, 255, 256, 510, 511] {
            let edit = Edit::prepend(Asn(7), times);
            let edited = set.edit(std::slice::from_ref(&edit)).unwrap();
            let grown = edited.as_path().to_path().to_canonical().len()
                - set.as_path().to_path().to_canonical().len();
            // A new segment has two octets more than its numbers.
            let segments = edited.as_path().segments().count() - 1;
            assert_eq!(grown, times * 4 + segments * 2, "{times}");
            assert!((grown..=grown + 2).contains(&edit.added()), "{times}");
        }
        let removal = Edit::remove(AttributeCode(99));
        assert_eq!(removal.added(), 0);
        assert_eq!(set.edit(&[removal]).unwrap().find(AttributeCode(99)), None);
    }

    #[test]
    fn a_change_of_one_attribute_leaves_the_octets_of_the_others() {
        let set = AttributeSet::from_attributes(&attributes()).unwrap();
        for code in (0..=u8::MAX).map(AttributeCode) {
            let removed = set.edit(&[Edit::remove(code)]).unwrap();
            let others = set.iter().filter(|attribute| attribute.code != code);
            assert!(removed.iter().eq(others), "{code}");
        }
        let put = Edit::put(AttributeCode::COMMUNITIES, &[0, 0, 0, 9][..]);
        let edited = set.edit(&[put]).unwrap();
        for (before, after) in set.iter().zip(edited.iter()) {
            // RFC 4271 section 5: the partial bit is never cleared.
            assert_eq!((before.flags, before.code), (after.flags, after.code));
            let same = before.code != AttributeCode::COMMUNITIES;
            assert_eq!(before.value == after.value, same, "{}", before.code);
        }
    }
}
