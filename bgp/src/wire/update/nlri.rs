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
