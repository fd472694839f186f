//! What may have been meant by a text that is not what its field wants, as a sentence for the end of the error.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::text::prefix;

/// In the place of an address.
pub(super) fn address(text: &str) -> Option<String> {
    if let Some(net) = prefix(text) {
        return Some(format!("It is a prefix: leave out /{}", net.prefix_len()));
    }
    if let Some((address, zone)) = text.split_once('%') {
        return address.parse::<IpAddr>().is_ok().then(|| {
            format!("Write {address}; put the interface {zone} into sourceInterface of the Peer")
        });
    }
    if let Ok(with_port) = text.parse::<SocketAddr>() {
        return Some(format!(
            "Write {}; the port has its own field",
            with_port.ip()
        ));
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    if bare.is_some_and(|text| text.parse::<IpAddr>().is_ok()) {
        return Some("Leave out the brackets".to_owned());
    }
    if let Some(hint) = octets(text) {
        return Some(hint);
    }
    let is_name = text.contains(|c: char| c.is_ascii_alphabetic() && !c.is_ascii_hexdigit());
    (is_name && !text.contains(':')).then(|| "Names are not resolved: write the address".to_owned())
}

/// Four numbers that are no IPv4 address all the same.
fn octets(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('.').collect();
    let numbers: Vec<u32> = parts.iter().filter_map(|part| part.parse().ok()).collect();
    if parts.len() != 4 || numbers.len() != 4 {
        return None;
    }
    Some(match numbers.iter().any(|number| *number > 255) {
        true => "None of its numbers may be above 255".to_owned(),
        false => "Remove leading zeros: some programs read such numbers as octal".to_owned(),
    })
}

/// In the place of a prefix.
pub(super) fn cidr(text: &str) -> Option<String> {
    let Some((start, length)) = text.split_once('/') else {
        return match text.parse::<IpAddr>() {
            Ok(address) => Some(format!(
                "It is an address: as a prefix, write {}",
                IpNet::from(address)
            )),
            Err(_) => octets(text),
        };
    };
    let Ok(address) = start.parse::<IpAddr>() else {
        return octets(start);
    };
    if let Ok(mask) = length.parse::<IpAddr>() {
        let net = IpNet::with_netmask(address, mask).ok()?;
        return Some(format!("Write a prefix length instead of the mask: {net}"));
    }
    let (family, most) = match address {
        IpAddr::V4(_) => ("IPv4", 32),
        IpAddr::V6(_) => ("IPv6", 128),
    };
    let length = length.parse::<u32>().ok()?;
    (length > most).then(|| format!("Lengths of {family} prefixes end at {most}"))
}

/// In the place of a duration.
pub(super) fn duration(text: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let number = number.parse::<f64>().ok()?;
    // Only what can be written down exactly.
    let whole = |number: f64| (number.fract() == 0.0 && number < 1e15).then_some(number as u64);
    let words = match unit.trim() {
        "" => match whole(number) {
            Some(number) => format!("Write {number}s for seconds"),
            None => format!("Write {}ms", whole(number * 1000.0)?),
        },
        "ms" => return None,
        "s" | "sec" | "secs" | "second" | "seconds" => match whole(number) {
            Some(number) => format!("Write {number}s"),
            None => format!("Write {}ms", whole(number * 1000.0)?),
        },
        "m" | "min" | "mins" | "minute" | "minutes" => format!("Write {}s", whole(number * 60.0)?),
        "h" | "hr" | "hrs" | "hour" | "hours" => format!("Write {}s", whole(number * 3600.0)?),
        "d" | "day" | "days" => format!("Write {}h", whole(number * 24.0)?),
        _ => return None,
    };
    Some(words)
}

/// In the place of a community: a well-known one as other software writes it.
pub(super) fn community(text: &str) -> Option<String> {
    let name = text.to_ascii_lowercase().replace('_', "-");
    let is_known = name != text && name.parse::<bgp::types::Community>().is_ok();
    is_known.then(|| format!("Write {name}"))
}

/// In the place of an AS number.
pub(super) fn asn(text: &str) -> Option<String> {
    let plain = text.to_ascii_lowercase();
    if plain == "internal" || plain == "external" {
        return Some(format!("Write {plain}"));
    }
    if let Some(number) = plain.strip_prefix("as").map(str::trim) {
        return number
            .parse::<u32>()
            .is_ok()
            .then(|| format!("Write {number}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    type Hint = fn(&str) -> Option<String>;

    /// Who gives the hint, what was written, and what may have been meant.
    const MEANT: [(Hint, &str, Option<&str>); 31] = [
        (
            address,
            "192.0.2.1/24",
            Some("It is a prefix: leave out /24"),
        ),
        (
            address,
            "fe80::1%eth0",
            Some("Write fe80::1; put the interface eth0 into sourceInterface of the Peer"),
        ),
        (
            address,
            "192.0.2.1:179",
            Some("Write 192.0.2.1; the port has its own field"),
        ),
        (
            address,
            "[2001:db8::1]:179",
            Some("Write 2001:db8::1; the port has its own field"),
        ),
        (address, "[2001:db8::1]", Some("Leave out the brackets")),
        (
            address,
            "192.0.2.300",
            Some("None of its numbers may be above 255"),
        ),
        (
            address,
            "010.0.0.1",
            Some("Remove leading zeros: some programs read such numbers as octal"),
        ),
        (
            address,
            "tor1.example.net",
            Some("Names are not resolved: write the address"),
        ),
        (address, "192.0.2", None),
        (address, "2001:db8:::1", None),
        (
            cidr,
            "192.0.2.1",
            Some("It is an address: as a prefix, write 192.0.2.1/32"),
        ),
        (
            cidr,
            "2001:db8::1",
            Some("It is an address: as a prefix, write 2001:db8::1/128"),
        ),
        (
            cidr,
            "10.0.0.0/33",
            Some("Lengths of IPv4 prefixes end at 32"),
        ),
        (cidr, "::/129", Some("Lengths of IPv6 prefixes end at 128")),
        (
            cidr,
            "10.0.0.0/255.0.0.0",
            Some("Write a prefix length instead of the mask: 10.0.0.0/8"),
        ),
        (
            cidr,
            "10.0.0.256/32",
            Some("None of its numbers may be above 255"),
        ),
        (cidr, "10.0.0.0/08", None),
        (duration, "90", Some("Write 90s for seconds")),
        (duration, "1.5", Some("Write 1500ms")),
        (duration, "1.5s", Some("Write 1500ms")),
        (duration, "90sec", Some("Write 90s")),
        (duration, "1.5h", Some("Write 5400s")),
        (duration, "1d", Some("Write 24h")),
        (duration, "3 s", Some("Write 3s")),
        (duration, "-3s", None),
        (duration, "soon", None),
        (community, "NO_EXPORT", Some("Write no-export")),
        (community, "no-export", None),
        (asn, "Internal", Some("Write internal")),
        (asn, "AS64512", Some("Write 64512")),
        (asn, "asterix", None),
    ];

    #[test]
    fn what_may_have_been_meant_is_named() {
        for (hint, text, expected) in MEANT {
            assert_eq!(hint(text).as_deref(), expected, "{text}");
        }
    }
}
