//! Prefixes on the wire (RFC 4271 section 4.3): a length in bits and as many octets as it needs, behind a path identifier
//! where ADD-PATH is negotiated (RFC 7911 section 3).

use crate::types::{Family, Nlri, NlriList, PathId, RoutePrefix};
use crate::wire::PrefixFault;
use ipnet::{Ipv4Net, Ipv6Net};

/// A prefix that cannot be, and at which octet of the field it starts.
pub(super) type BadPrefix = (PrefixFault, usize);

/// Reads a field of prefixes of a family that this speaker routes; `None` for any other.
pub(super) fn decode(
    family: Family,
    field: &[u8],
    add_path: bool,
) -> Option<Result<NlriList, BadPrefix>> {
    match family {
        Family::IPV4_UNICAST => Some(decode_list::<Ipv4Net>(field, add_path)),
        Family::IPV6_UNICAST => Some(decode_list::<Ipv6Net>(field, add_path)),
        _ => None,
    }
}

fn decode_list<P: RoutePrefix>(field: &[u8], add_path: bool) -> Result<NlriList, BadPrefix> {
    let id_octets = if add_path { 4 } else { 0 };
    let mut list = Vec::with_capacity(count::<P>(field, id_octets)?);
    let mut rest = field;
    // The counting pass has checked every length.
    while let Some((path_id, length, octets, after)) = split(rest, id_octets) {
        if let Some(prefix) = P::from_octets(length, octets) {
            list.push(Nlri { prefix, path_id });
        }
        rest = after;
    }
    Ok(P::list(list))
}

/// Checks all lengths and counts the prefixes, so that the list is allocated once and by what is there.
fn count<P: RoutePrefix>(field: &[u8], id_octets: usize) -> Result<usize, BadPrefix> {
    let (mut at, mut count) = (0, 0);
    while at < field.len() {
        let Some(&length) = field.get(at + id_octets) else {
            return Err((PrefixFault::Overrun, at));
        };
        if length > P::ADDRESS_BITS {
            let max = P::ADDRESS_BITS;
            return Err((PrefixFault::TooLong { length, max }, at));
        }
        let end = at + id_octets + 1 + usize::from(length.div_ceil(8));
        if end > field.len() {
            return Err((PrefixFault::Overrun, at));
        }
        at = end;
        count += 1;
    }
    Ok(count)
}

#[inline]
fn split(rest: &[u8], id_octets: usize) -> Option<(PathId, u8, &[u8], &[u8])> {
    let (id, rest) = rest.split_at_checked(id_octets)?;
    let path_id = id
        .try_into()
        .map_or(PathId::NONE, |id| PathId(u32::from_be_bytes(id)));
    let (&length, rest) = rest.split_first()?;
    let (octets, rest) = rest.split_at_checked(usize::from(length.div_ceil(8)))?;
    Some((path_id, length, octets, rest))
}

/// Octets that the longest prefix of the family takes.
pub(super) const fn longest<P: RoutePrefix>(add_path: bool) -> usize {
    1 + P::ADDRESS_BITS as usize / 8 + if add_path { 4 } else { 0 }
}

/// Octets that this prefix takes.
pub(super) fn size<P: RoutePrefix>(nlri: &Nlri<P>, add_path: bool) -> usize {
    1 + usize::from(nlri.prefix.key().1.div_ceil(8)) + if add_path { 4 } else { 0 }
}

/// Writes a prefix.
pub(super) fn put<P: RoutePrefix>(nlri: &Nlri<P>, add_path: bool, out: &mut impl bytes::BufMut) {
    if add_path {
        out.put_u32(nlri.path_id.0);
    }
    let (bits, length) = nlri.prefix.key();
    out.put_u8(length);
    out.put_slice(&bits.to_be_bytes()[..usize::from(length.div_ceil(8))]);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn lengths<P: RoutePrefix>(octets_of_id: usize) -> Vec<(u8, usize)> {
        (0..=P::ADDRESS_BITS)
            .map(|length| (length, octets_of_id + 1 + usize::from(length.div_ceil(8))))
            .collect()
    }

    /// Every length of prefix, with and without path identifiers: as it is measured, written, counted and read.
    fn every_length<P: RoutePrefix>() {
        for add_path in [false, true] {
            let id_octets = if add_path { 4 } else { 0 };
            let mut field = Vec::new();
            let mut all = Vec::new();
            for (length, octets) in lengths::<P>(id_octets) {
                let one = Nlri {
                    prefix: P::from_key(u128::MAX, length).unwrap(),
                    path_id: PathId(if add_path { 0x0102_0304 } else { 0 }),
                };
                assert_eq!(size(&one, add_path), octets);
                let start = field.len();
                put(&one, add_path, &mut field);
                assert_eq!(field.len() - start, octets);
                assert_eq!(field[start..][..id_octets], [1, 2, 3, 4][..id_octets]);
                assert_eq!(field[start + id_octets], length);
                all.push(one);
                // Whatever is cut off leaves the beginning of the last one behind.
                for end in start + 1..field.len() {
                    let refused = decode(P::FAMILY, &field[..end], add_path).unwrap();
                    assert_eq!(refused, Err((PrefixFault::Overrun, start)));
                }
                assert_eq!(count::<P>(&field, id_octets), Ok(all.len()));
            }
            let (_, octets) = lengths::<P>(id_octets).pop().unwrap();
            assert_eq!(octets, longest::<P>(add_path));
            let read = decode(P::FAMILY, &field, add_path).unwrap();
            assert_eq!(read, Ok(P::list(all)));
            // A prefix longer than an address is one, however many octets there are.
            let start = field.len();
            field.extend_from_slice(&[0; 4][..id_octets]);
            field.push(P::ADDRESS_BITS + 1);
            field.extend_from_slice(&[0; 17]);
            let fault = PrefixFault::TooLong {
                length: P::ADDRESS_BITS + 1,
                max: P::ADDRESS_BITS,
            };
            let refused = decode(P::FAMILY, &field, add_path).unwrap();
            assert_eq!(refused, Err((fault, start)));
        }
    }

    #[test]
    fn rfc_4271_4_3_a_prefix_takes_the_octets_of_its_length_and_its_identifier() {
        every_length::<Ipv4Net>();
        every_length::<Ipv6Net>();
    }

    #[test]
    fn host_bits_in_a_message_are_no_part_of_the_prefix() {
        let read = decode(Family::IPV4_UNICAST, &[12, 172, 31, 0], false).unwrap();
        let expected = ["172.16.0.0/12", "0.0.0.0/0"].map(|text| Nlri::new(text.parse().unwrap()));
        assert_eq!(read, Ok(NlriList::Ipv4(expected.to_vec())));
    }

    #[test]
    fn families_that_are_not_routed_here_are_not_read() {
        for family in [Family::new(1, 2), Family::new(2, 128), Family::new(25, 70)] {
            assert_eq!(decode(family, &[0], false), None);
        }
    }
}
