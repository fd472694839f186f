//! The UPDATEs that feeds need, written and read.

use std::hash::{BuildHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result, bail, ensure};
use ipnet::IpNet;

use super::table::Attributes;
use crate::speaker::Family;

const FLAG_OPTIONAL: u8 = 0x80;
const FLAG_TRANSITIVE: u8 = 0x40;
const FLAG_EXTENDED: u8 = 0x10;

/// The body of an UPDATE that announces `prefixes`, all of one family.
pub(super) fn announcement(attributes: &Attributes, prefixes: &[IpNet]) -> Vec<u8> {
    let mut encoded = Vec::new();
    attribute(&mut encoded, FLAG_TRANSITIVE, 1, &[attributes.origin]);
    let mut path = vec![2, attributes.as_path.len() as u8];
    path.extend(attributes.as_path.iter().flat_map(|asn| asn.to_be_bytes()));
    attribute(&mut encoded, FLAG_TRANSITIVE, 2, &path);
    if let IpAddr::V4(next_hop) = attributes.next_hop {
        attribute(&mut encoded, FLAG_TRANSITIVE, 3, &next_hop.octets());
    }
    if let Some(med) = attributes.med {
        attribute(&mut encoded, FLAG_OPTIONAL, 4, &med.to_be_bytes());
    }
    if let Some(local_pref) = attributes.local_pref {
        attribute(&mut encoded, FLAG_TRANSITIVE, 5, &local_pref.to_be_bytes());
    }
    let octets: Vec<u8> = attributes
        .communities
        .iter()
        .flat_map(|one| one.to_be_bytes())
        .collect();
    if !octets.is_empty() {
        attribute(&mut encoded, FLAG_OPTIONAL | FLAG_TRANSITIVE, 8, &octets);
    }
    if let Some(originator) = attributes.originator {
        attribute(&mut encoded, FLAG_OPTIONAL, 9, &originator.octets());
    }
    let clusters: Vec<u8> = attributes
        .clusters
        .iter()
        .flat_map(Ipv4Addr::octets)
        .collect();
    if !clusters.is_empty() {
        attribute(&mut encoded, FLAG_OPTIONAL, 10, &clusters);
    }
    let mut nlri = Vec::new();
    prefixes
        .iter()
        .for_each(|&prefix| write_prefix(&mut nlri, prefix));
    if let IpAddr::V6(next_hop) = attributes.next_hop {
        let mut value = vec![0, 2, 1, 16];
        value.extend(next_hop.octets());
        value.push(0);
        value.append(&mut nlri);
        attribute(&mut encoded, FLAG_OPTIONAL, 14, &value);
    }
    let octets: Vec<u8> = attributes
        .large_communities
        .iter()
        .flatten()
        .flat_map(|part| part.to_be_bytes())
        .collect();
    if !octets.is_empty() {
        attribute(&mut encoded, FLAG_OPTIONAL | FLAG_TRANSITIVE, 32, &octets);
    }
    let mut body = vec![0, 0];
    body.extend((encoded.len() as u16).to_be_bytes());
    body.extend(encoded);
    body.extend(nlri);
    body
}

/// The body of an End-of-RIB (RFC 4724 section 2).
pub(super) fn end_of_rib(family: Family) -> Vec<u8> {
    match family {
        Family::Ipv4 => vec![0; 4],
        Family::Ipv6 => vec![0, 0, 0, 6, FLAG_OPTIONAL, 15, 3, 0, 2, 1],
    }
}

fn attribute(out: &mut Vec<u8>, flags: u8, code: u8, value: &[u8]) {
    match u8::try_from(value.len()) {
        Ok(length) => out.extend([flags, code, length]),
        Err(_) => {
            out.extend([flags | FLAG_EXTENDED, code]);
            out.extend((value.len() as u16).to_be_bytes());
        }
    }
    out.extend(value);
}

fn write_prefix(out: &mut Vec<u8>, prefix: IpNet) {
    let octets = usize::from(prefix.prefix_len()).div_ceil(8);
    out.push(prefix.prefix_len());
    match prefix {
        IpNet::V4(net) => out.extend(&net.addr().octets()[..octets]),
        IpNet::V6(net) => out.extend(&net.addr().octets()[..octets]),
    }
}

/// The body of an UPDATE that withdraws `prefixes`, all of one family.
pub(super) fn withdrawal(family: Family, prefixes: &[IpNet]) -> Vec<u8> {
    let mut nlri = Vec::new();
    prefixes
        .iter()
        .for_each(|&prefix| write_prefix(&mut nlri, prefix));
    let mut body = Vec::new();
    match family {
        Family::Ipv4 => {
            body.extend((nlri.len() as u16).to_be_bytes());
            body.extend(nlri);
            body.extend([0, 0]);
        }
        Family::Ipv6 => {
            let mut encoded = Vec::new();
            let value = [&[0, 2, 1], &nlri[..]].concat();
            attribute(&mut encoded, FLAG_OPTIONAL, 15, &value);
            body.extend([0, 0]);
            body.extend((encoded.len() as u16).to_be_bytes());
            body.extend(encoded);
        }
    }
    body
}

/// An UPDATE taken apart, without a look at its attributes' values.
#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    /// Of IPv4.
    pub(super) withdrawn: &'a [u8],
    /// Of IPv4.
    pub(super) announced: &'a [u8],
    /// All attributes, as they are.
    attributes: &'a [u8],
    /// MP_REACH_NLRI of IPv6: the global next hop.
    pub(super) reach_hop: Option<Ipv6Addr>,
    /// MP_REACH_NLRI of IPv6: the routes.
    pub(super) reach: &'a [u8],
    /// MP_UNREACH_NLRI of IPv6: the routes.
    pub(super) unreach: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Takes the body of an UPDATE apart.
    pub(super) fn of(body: &'a [u8]) -> Result<Self> {
        let mut at = body;
        let mut parts = Self {
            withdrawn: block(&mut at)?,
            attributes: block(&mut at)?,
            announced: at,
            ..Self::default()
        };
        let mut attributes = parts.attributes;
        while let Some((code, value)) = next_attribute(&mut attributes)? {
            match code {
                14 => parts.take_reach(value)?,
                15 => {
                    parts.unreach = value
                        .strip_prefix(&[0, 2, 1])
                        .context("a family that was not negotiated")?;
                }
                _ => {}
            }
        }
        Ok(parts)
    }

    fn take_reach(&mut self, mut value: &'a [u8]) -> Result<()> {
        let [_, family, safi, length] = take(&mut value)?;
        ensure!((family, safi) == (2, 1), "a family that was not negotiated");
        let next_hop = slice(&mut value, usize::from(length))?;
        // A link-local address may follow the global one.
        let global = next_hop.first_chunk::<16>().context("a next hop of IPv6")?;
        self.reach_hop = Some(Ipv6Addr::from(*global));
        let _: [u8; 1] = take(&mut value)?;
        self.reach = value;
        Ok(())
    }

    /// What is announced, with its family.
    pub(super) fn routes(&self) -> impl Iterator<Item = Result<IpNet>> + use<'a> {
        prefixes(self.announced, Family::Ipv4).chain(prefixes(self.reach, Family::Ipv6))
    }

    /// What is withdrawn, with its family.
    pub(super) fn gone(&self) -> impl Iterator<Item = Result<IpNet>> + use<'a> {
        prefixes(self.withdrawn, Family::Ipv4).chain(prefixes(self.unreach, Family::Ipv6))
    }

    /// A number that differs where any attribute but the two of RFC 4760 does: equal ones need no second reading.
    pub(super) fn fingerprint(&self, hasher: &impl BuildHasher) -> Result<u64> {
        if self.reach.is_empty() && self.unreach.is_empty() {
            return Ok(hasher.hash_one(self.attributes));
        }
        let mut hash = hasher.build_hasher();
        let mut attributes = self.attributes;
        while let Some((code, value)) = next_attribute(&mut attributes)? {
            if code != 14 && code != 15 {
                hash.write_u8(code);
                value.hash(&mut hash);
            }
        }
        Ok(hash.finish())
    }

    /// Reads the attributes.
    pub(super) fn read(&self) -> Result<Attributes> {
        let mut attributes = self.attributes;
        let mut read = Attributes {
            origin: u8::MAX,
            as_path: Vec::new(),
            next_hop: self.reach_hop.map_or(IpAddr::from([0; 4]), IpAddr::from),
            med: None,
            local_pref: None,
            originator: None,
            clusters: Vec::new(),
            communities: Vec::new(),
            large_communities: Vec::new(),
        };
        while let Some((code, value)) = next_attribute(&mut attributes)? {
            match code {
                1 => read.origin = *value.first().context("an empty ORIGIN")?,
                2 => read.as_path = as_path(value)?,
                3 => read.next_hop = IpAddr::from(<[u8; 4]>::try_from(value)?),
                4 => read.med = Some(u32::from_be_bytes(value.try_into()?)),
                5 => read.local_pref = Some(u32::from_be_bytes(value.try_into()?)),
                8 => read.communities = numbers(value),
                9 => read.originator = Some(<[u8; 4]>::try_from(value)?.into()),
                10 => read.clusters = numbers(value).into_iter().map(Ipv4Addr::from).collect(),
                14 | 15 => {}
                32 => {
                    read.large_communities = numbers(value)
                        .chunks_exact(3)
                        .map(|one| [one[0], one[1], one[2]])
                        .collect();
                }
                other => bail!("attribute {other}, which nobody sent"),
            }
        }
        read.communities.sort_unstable();
        read.large_communities.sort_unstable();
        Ok(read)
    }
}

/// How many prefixes a list holds. Cheap: only their lengths are looked at.
pub(super) fn count(mut nlri: &[u8]) -> u64 {
    let mut count = 0;
    while let Some(&length) = nlri.first() {
        let octets = 1 + usize::from(length).div_ceil(8);
        nlri = nlri.get(octets..).unwrap_or_default();
        count += 1;
    }
    count
}

fn next_attribute<'a>(at: &mut &'a [u8]) -> Result<Option<(u8, &'a [u8])>> {
    if at.is_empty() {
        return Ok(None);
    }
    let [flags, code] = take(at)?;
    let length = if flags & FLAG_EXTENDED == 0 {
        let [length] = take(at)?;
        usize::from(length)
    } else {
        usize::from(u16::from_be_bytes(take(at)?))
    };
    Ok(Some((code, slice(at, length)?)))
}

fn as_path(mut value: &[u8]) -> Result<Vec<u32>> {
    let mut path = Vec::new();
    while !value.is_empty() {
        let [kind, count] = take(&mut value)?;
        ensure!(kind == 2, "a segment of type {kind} in an AS_PATH");
        path.extend(numbers(slice(&mut value, usize::from(count) * 4)?));
    }
    Ok(path)
}

fn numbers(value: &[u8]) -> Vec<u32> {
    let four = |octets: &[u8]| {
        octets
            .iter()
            .fold(0, |sum, &octet| sum << 8 | u32::from(octet))
    };
    value.chunks_exact(4).map(four).collect()
}

fn block<'a>(at: &mut &'a [u8]) -> Result<&'a [u8]> {
    let length = u16::from_be_bytes(take(at)?);
    slice(at, usize::from(length))
}

fn take<const N: usize>(at: &mut &[u8]) -> Result<[u8; N]> {
    let (first, rest) = at
        .split_first_chunk::<N>()
        .context("an UPDATE that is too short")?;
    *at = rest;
    Ok(*first)
}

fn slice<'a>(at: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (first, rest) = at
        .split_at_checked(length)
        .context("an UPDATE that is too short")?;
    *at = rest;
    Ok(first)
}

fn prefixes(mut at: &[u8], family: Family) -> impl Iterator<Item = Result<IpNet>> {
    std::iter::from_fn(move || {
        let (&length, rest) = at.split_first()?;
        at = rest;
        Some(prefix(&mut at, length, family))
    })
}

fn prefix(at: &mut &[u8], length: u8, family: Family) -> Result<IpNet> {
    let octets = slice(at, usize::from(length).div_ceil(8))?;
    let address = match family {
        Family::Ipv4 => IpAddr::from(padded::<4>(octets)?),
        Family::Ipv6 => IpAddr::from(padded::<16>(octets)?),
    };
    Ok(IpNet::new(address, length)?)
}

fn padded<const N: usize>(octets: &[u8]) -> Result<[u8; N]> {
    let mut all = [0; N];
    all.get_mut(..octets.len())
        .context("a prefix that is too long")?
        .copy_from_slice(octets);
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_is_read_in_both_families() {
        for (hop, prefixes) in [
            ("192.0.2.1", ["198.51.100.0/24", "203.0.113.128/25"]),
            ("2001:db8::1", ["2001:db8:1::/48", "2001:db8:2::1/128"]),
        ] {
            let prefixes: Vec<IpNet> = prefixes.iter().map(|text| text.parse().unwrap()).collect();
            for number in 0..100 {
                let mut attributes = Attributes::of_block(number, 64501, hop.parse().unwrap());
                if number % 2 == 0 {
                    attributes = attributes.internal();
                    attributes = attributes.reflected([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
                }
                let body = announcement(&attributes, &prefixes);
                let parts = Parts::of(&body).unwrap();
                assert_eq!(parts.read().unwrap(), attributes);
                let read: Vec<IpNet> = parts.routes().map(Result::unwrap).collect();
                assert_eq!(read, prefixes);
                assert_eq!(count(parts.announced) + count(parts.reach), 2);
                assert_eq!(parts.gone().count(), 0);
                let body = withdrawal(Family::of(prefixes[0]), &prefixes);
                let parts = Parts::of(&body).unwrap();
                let gone: Vec<IpNet> = parts.gone().map(Result::unwrap).collect();
                assert_eq!((gone, parts.routes().count()), (prefixes.clone(), 0));
            }
        }
    }

    #[test]
    fn an_end_of_rib_says_nothing_and_half_an_update_is_an_error() {
        for family in Family::ALL {
            let body = end_of_rib(family);
            let parts = Parts::of(&body).unwrap();
            assert_eq!(parts.routes().count() + parts.gone().count(), 0);
        }
        assert!(Parts::of(&[0, 0, 0, 9, 1]).is_err());
    }
}
