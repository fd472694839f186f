//! The few messages that a feed needs, written and read.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ipnet::IpNet;

use super::table::Attributes;
use crate::netns::Namespace;
use crate::raw::{BOTH_FAMILIES, KEEPALIVE, Message, NOTIFICATION, OPEN, message, open};
use crate::speaker::Family;

/// How long a connection may take to come up. The subject may still be starting.
const PATIENCE: Duration = Duration::from_secs(20);
/// Long, because a feed sends its KEEPALIVEs only from time to time.
const HOLD_TIME: u16 = 180;
/// Of a message (RFC 4271 4.1).
const MAX_MESSAGE: usize = 4096;

const FLAG_OPTIONAL: u8 = 0x80;
const FLAG_TRANSITIVE: u8 = 0x40;
const FLAG_EXTENDED: u8 = 0x10;

/// A stream with a session on it that is Established.
pub(super) struct Session {
    pub(super) reader: BufReader<TcpStream>,
    pub(super) writer: TcpStream,
}

impl Session {
    /// Dials a subject from inside a namespace and exchanges OPENs and KEEPALIVEs. It is tried again for as long as the
    /// subject does not let us in: it may listen before it knows its peers.
    pub(super) fn dial(
        namespace: &Namespace,
        subject: IpAddr,
        asn: u32,
        id: Ipv4Addr,
    ) -> Result<Self> {
        let target = SocketAddr::from((subject, 179));
        crate::eventually(PATIENCE, &format!("session with {target}"), || {
            Self::try_dial(namespace, target, asn, id)
        })
    }

    fn try_dial(namespace: &Namespace, target: SocketAddr, asn: u32, id: Ipv4Addr) -> Result<Self> {
        let stream = namespace
            .enter(|| TcpStream::connect_timeout(&target, PATIENCE))?
            .context("connecting")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut session = Self {
            reader: BufReader::with_capacity(1 << 18, stream.try_clone()?),
            writer: stream,
        };
        let hello = message(OPEN, &open(asn, id, HOLD_TIME, &BOTH_FAMILIES)?);
        session.writer.write_all(&hello)?;
        session.expect(OPEN)?;
        session.writer.write_all(&message(KEEPALIVE, &[]))?;
        session.expect(KEEPALIVE)?;
        session.writer.set_read_timeout(None)?;
        Ok(session)
    }

    fn expect(&mut self, kind: u8) -> Result<()> {
        let got = receive(&mut self.reader)?.context("closed during the handshake")?;
        ensure!(
            got.kind == kind,
            "message type {kind} expected, got {got:?}"
        );
        Ok(())
    }
}

/// The next message; `None` once the other side has closed.
pub(super) fn receive(reader: &mut BufReader<TcpStream>) -> Result<Option<Message>> {
    if reader.fill_buf().map(<[u8]>::is_empty).unwrap_or(true) {
        return Ok(None);
    }
    let mut header = [0; 19];
    reader.read_exact(&mut header).context("a header")?;
    let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
    ensure!(
        (19..=MAX_MESSAGE).contains(&length),
        "a message of {length} octets"
    );
    let mut body = vec![0; length - 19];
    reader.read_exact(&mut body).context("a message's body")?;
    let kind = header[18];
    if kind == NOTIFICATION {
        bail!("a NOTIFICATION: {body:?}");
    }
    Ok(Some(Message { kind, body }))
}

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
    let octets: Vec<u8> = attributes
        .communities
        .iter()
        .flat_map(|one| one.to_be_bytes())
        .collect();
    if !octets.is_empty() {
        attribute(&mut encoded, FLAG_OPTIONAL | FLAG_TRANSITIVE, 8, &octets);
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

/// What an UPDATE says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Update {
    pub(super) withdrawn: Vec<IpNet>,
    pub(super) announced: Vec<IpNet>,
    /// With an announcement.
    pub(super) attributes: Option<Attributes>,
}

/// Reads the body of an UPDATE.
pub(super) fn update(body: &[u8]) -> Result<Update> {
    let mut found = Update::default();
    let mut at = body;
    let withdrawn = block(&mut at)?;
    let mut attributes = block(&mut at)?;
    read_prefixes(withdrawn, Family::Ipv4, &mut found.withdrawn)?;
    read_prefixes(at, Family::Ipv4, &mut found.announced)?;
    let mut read = Attributes {
        origin: u8::MAX,
        as_path: Vec::new(),
        next_hop: IpAddr::from([0, 0, 0, 0]),
        med: None,
        communities: Vec::new(),
        large_communities: Vec::new(),
    };
    while !attributes.is_empty() {
        let [flags, code] = take(&mut attributes)?;
        let length = if flags & FLAG_EXTENDED == 0 {
            let [length] = take(&mut attributes)?;
            usize::from(length)
        } else {
            usize::from(u16::from_be_bytes(take(&mut attributes)?))
        };
        let value = slice(&mut attributes, length)?;
        match code {
            1 => read.origin = *value.first().context("an empty ORIGIN")?,
            2 => read.as_path = as_path(value)?,
            3 => read.next_hop = IpAddr::from(<[u8; 4]>::try_from(value)?),
            4 => read.med = Some(u32::from_be_bytes(value.try_into()?)),
            8 => read.communities = numbers(value),
            14 => mp_reach(value, &mut read, &mut found.announced)?,
            15 => {
                ensure!(
                    value.starts_with(&[0, 2, 1]),
                    "a family that was not negotiated"
                );
                read_prefixes(&value[3..], Family::Ipv6, &mut found.withdrawn)?;
            }
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
    found.attributes = (!found.announced.is_empty()).then_some(read);
    Ok(found)
}

fn mp_reach(mut value: &[u8], read: &mut Attributes, announced: &mut Vec<IpNet>) -> Result<()> {
    let [_, family, safi, length] = take(&mut value)?;
    ensure!((family, safi) == (2, 1), "a family that was not negotiated");
    let next_hop = slice(&mut value, usize::from(length))?;
    // A link-local address may follow the global one.
    let global = next_hop.first_chunk::<16>().context("a next hop of IPv6")?;
    read.next_hop = IpAddr::V6(Ipv6Addr::from(*global));
    let _: [u8; 1] = take(&mut value)?;
    read_prefixes(value, Family::Ipv6, announced)
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

fn read_prefixes(mut at: &[u8], family: Family, out: &mut Vec<IpNet>) -> Result<()> {
    while let Some((&length, rest)) = at.split_first() {
        at = rest;
        let octets = slice(&mut at, usize::from(length).div_ceil(8))?;
        let address = match family {
            Family::Ipv4 => IpAddr::from(padded::<4>(octets)?),
            Family::Ipv6 => IpAddr::from(padded::<16>(octets)?),
        };
        out.push(IpNet::new(address, length)?);
    }
    Ok(())
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
                let attributes = Attributes::of_block(number, 64501, hop.parse().unwrap());
                let read = update(&announcement(&attributes, &prefixes)).unwrap();
                assert_eq!(read.attributes, Some(attributes));
                assert_eq!(read.announced, prefixes);
                assert!(read.withdrawn.is_empty());
            }
        }
    }

    #[test]
    fn an_end_of_rib_says_nothing_and_half_an_update_is_an_error() {
        for family in Family::ALL {
            assert_eq!(update(&end_of_rib(family)).unwrap(), Update::default());
        }
        assert!(update(&[0, 0, 0, 9, 1]).is_err());
    }
}
