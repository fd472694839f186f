//! The SYN of an accepted connection, as the kernel kept it: how far away its sender is, and whether it was signed.
//!
//! A signed SYN that led to a connection was checked by the kernel: a listener without a key for the sender drops it
//! (RFC 2385 section 2.0), as one with another key does.

/// What matters of a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Syn {
    /// TTL or hop limit as it arrived.
    pub(super) ttl: u8,
    /// Whether it has the TCP MD5 option.
    pub(super) signed: bool,
}

const TCP: u8 = 6;
/// Kinds of TCP options (RFC 9293 section 3.2, RFC 2385 section 3.0).
const END: u8 = 0;
const NOP: u8 = 1;
const MD5: u8 = 19;
/// Extension headers of IPv6 that may stand before TCP: hop-by-hop, routing, destination options, and the fragment
/// header of a whole packet (RFC 8200 section 4).
const EXTENSIONS: [u8; 3] = [0, 43, 60];
const FRAGMENT: u8 = 44;

/// Reads an IPv4 or IPv6 header with a TCP header behind it. `None` if it is anything else.
pub(super) fn parse(packet: &[u8]) -> Option<Syn> {
    let (ttl, tcp) = match packet.first()? >> 4 {
        4 => {
            let length = usize::from(packet[0] & 15) * 4;
            (*packet.get(8)?, packet.get(length.max(20)..)?)
        }
        6 => (*packet.get(7)?, behind_ipv6(packet)?),
        _ => return None,
    };
    let length = usize::from(tcp.get(12)? >> 4) * 4;
    let options = tcp.get(20..length.max(20))?;
    Some(Syn {
        ttl,
        signed: has_md5(options),
    })
}

fn behind_ipv6(packet: &[u8]) -> Option<&[u8]> {
    let mut next = *packet.get(6)?;
    let mut rest = packet.get(40..)?;
    while next != TCP {
        let length = if EXTENSIONS.contains(&next) {
            8 + usize::from(*rest.get(1)?) * 8
        } else if next == FRAGMENT {
            8
        } else {
            return None;
        };
        next = *rest.first()?;
        rest = rest.get(length..)?;
    }
    Some(rest)
}

fn has_md5(mut options: &[u8]) -> bool {
    while let [kind, rest @ ..] = options {
        options = match (*kind, rest) {
            (END, _) => return false,
            (NOP, rest) => rest,
            (MD5, [18, ..]) => return true,
            (_, [length, ..]) if *length >= 2 => {
                options.get(usize::from(*length)..).unwrap_or_default()
            }
            _ => return false,
        };
    }
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// As kept by Linux 6.18.
    const SIGNED: &str = "4500004825aa4000400617017f0000047f000001d83b9a75e51ccbb800000000d002ffd7fe3f0000\
                          0101131257af893c78f30bb87be005f0e9ca30430204ffd7010104020103030a";
    const UNSIGNED: &str = "4500003c887c40004006b43b7f0000037f000001e5f39a75937338a800000000a002ffd7fe320000\
                            0204ffd70402080a9074a1ea000000000103030a";

    fn octets(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn over_ipv6(tcp: &[u8], extensions: &[u8], first: u8) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, first, 254];
        packet.extend([0; 32]);
        packet.extend(extensions);
        packet.extend(tcp);
        packet
    }

    #[test]
    fn the_option_is_found_in_either_family_and_behind_extension_headers() {
        let (signed, unsigned) = (octets(SIGNED), octets(UNSIGNED));
        let syn = |ttl, signed| Some(Syn { ttl, signed });
        assert_eq!(parse(&signed), syn(64, true));
        assert_eq!(parse(&unsigned), syn(64, false));
        for (tcp, is_signed) in [(&signed[20..], true), (&unsigned[20..], false)] {
            assert_eq!(parse(&over_ipv6(tcp, &[], 6)), syn(254, is_signed));
            // Destination options of 16 octets, then a fragment header.
            let mut extensions = vec![44, 1];
            extensions.extend([19; 14]);
            extensions.extend([6, 0, 0, 0, 0, 0, 0, 0]);
            assert_eq!(parse(&over_ipv6(tcp, &extensions, 60)), syn(254, is_signed));
        }
    }

    #[test]
    fn an_option_inside_another_one_or_behind_the_end_is_none() {
        let signed = |options: &[u8]| {
            let mut tcp = vec![0; 20];
            tcp[12] = (((20 + options.len()) / 4) << 4) as u8;
            tcp.extend(options);
            parse(&over_ipv6(&tcp, &[], 6)).map(|syn| syn.signed)
        };
        assert_eq!(signed(&[0, 19, 18, 0]), Some(false));
        assert_eq!(signed(&[254, 4, 19, 18]), Some(false));
        assert_eq!(signed(&[1, 1, 1, 19]), Some(false));
        assert_eq!(signed(&[2, 0, 19, 18]), Some(false));
        assert_eq!(signed(&[1, 1, 19, 18]), Some(true));
    }

    #[test]
    fn what_is_cut_short_is_no_syn() {
        let whole = octets(SIGNED);
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "{length} octets");
        }
        assert_eq!(parse(&over_ipv6(&whole[20..], &[], 17)), None);
    }
}
