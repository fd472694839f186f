//! What an API server can check of a text: schemas of addresses, prefixes, durations and communities.
//!
//! Every schema accepts at least what the type's `FromStr` accepts, but for forms that nobody writes; what it cannot see (bits beyond
//! a prefix's length, say) the agent refuses. Rules are regular expressions: functions such as `isIP` are unknown to API servers before
//! Kubernetes 1.31, which would refuse the whole definition. Each text has a greatest length, because a server refuses rules whose
//! estimated cost is not bounded.

use schemars::{Schema, json_schema};

/// A number from 0 to 255, without leading zeros.
const OCTET: &str = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
/// The length of an IPv4 prefix.
const LENGTH4: &str = "(3[0-2]|[12]?[0-9])";
/// The length of an IPv6 prefix.
const LENGTH6: &str = "(12[0-8]|1[01][0-9]|[1-9]?[0-9])";
/// A number of 16 bits.
const U16: &str = "0*(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5]?[0-9]{1,4})";
/// A number of 32 bits, at most one digit too large.
const U32: &str = "0*[0-9]{1,10}";

const COMMUNITY: &str = "A community: 64512:100, 64512:1:2 (large), rt:64512:100 (extended) or a well-known name such as no-export.";

fn ipv4() -> String {
    format!("({OCTET}[.]){{3}}{OCTET}")
}

/// RFC 4291 section 2.2: groups, of which one run may be left out; an IPv4 address at the end counts for two.
fn ipv6() -> String {
    let h = "[0-9a-fA-F]{1,4}";
    let v4 = ipv4();
    format!(
        "(({h}:){{7}}{h}|({h}:){{1,7}}:|({h}:){{1,6}}:{h}|({h}:){{1,5}}(:{h}){{1,2}}|({h}:){{1,4}}(:{h}){{1,3}}|\
         ({h}:){{1,3}}(:{h}){{1,4}}|({h}:){{1,2}}(:{h}){{1,5}}|{h}:(:{h}){{1,6}}|:(:{h}){{1,7}}|::|\
         ([0-9a-fA-F]{{0,4}}:){{2,6}}{v4})"
    )
}

/// A rule that a text matches an expression.
fn text(description: &str, longest: u32, expression: &str, message: &str) -> Schema {
    json_schema!({
        "type": "string",
        "description": description,
        "maxLength": longest,
        "x-kubernetes-validations": [{"rule": format!("self.matches('^({expression})$')"), "message": message}],
    })
}

/// Of an address.
pub(super) fn address() -> Schema {
    let expression = format!("{}|{}", ipv4(), ipv6());
    let message = "expected an IPv4 or IPv6 address such as 192.0.2.1 or 2001:db8::1, without prefix length, zone and \
                   leading zeros";
    text("An IPv4 or IPv6 address.", 45, &expression, message)
}

/// Of an IPv4 address that names a router, where it is given.
pub(super) fn optional_identifier(_: &mut schemars::SchemaGenerator) -> Schema {
    let expression = format!("{OCTET}([.]{OCTET}){{3}}");
    let mut schema = text(
        "A BGP identifier.",
        15,
        &expression,
        "expected an identifier written like an IPv4 address, such as 192.0.2.1",
    );
    let zero = serde_json::json!({"rule": "self != '0.0.0.0'", "message": "0.0.0.0 is not an identifier (RFC 6286)"});
    if let Some(rules) = schema.get_mut("x-kubernetes-validations")
        && let Some(rules) = rules.as_array_mut()
    {
        rules.push(zero);
    }
    schema
}

/// Of a prefix.
pub(super) fn prefix() -> Schema {
    let expression = format!("{}/{LENGTH4}|{}/{LENGTH6}", ipv4(), ipv6());
    let message = "expected a prefix such as 198.51.100.0/24 or 2001:db8::/32";
    text("An IPv4 or IPv6 prefix.", 49, &expression, message)
}

/// Of a prefix of which a policy may list thousands: a server's budget for rules would not be enough.
pub(super) fn listed_prefix(_: &mut schemars::SchemaGenerator) -> Schema {
    let h = "[0-9a-fA-F]{0,4}";
    json_schema!({
        "type": "string",
        "description": "An IPv4 or IPv6 prefix.",
        "maxLength": 49,
        "pattern": format!("^({OCTET}(\\.{OCTET}){{3}}/{LENGTH4}|({h}:){{2,7}}({h}|{OCTET}(\\.{OCTET}){{3}})/{LENGTH6})$"),
    })
}

/// Of prefixes of which a policy may list thousands.
pub(super) fn listed_prefixes(generator: &mut schemars::SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": listed_prefix(generator)})
}

/// Of a prefix, a range or an address of a pool.
pub(super) fn address_block() -> Schema {
    let (v4, v6) = (ipv4(), ipv6());
    let expression = format!("{v4}(/{LENGTH4})?|{v6}(/{LENGTH6})?|{v4} *- *{v4}|{v6} *- *{v6}");
    let message = "expected a prefix, a range or an address, such as 203.0.113.0/24, 198.51.100.10-198.51.100.20 or 2001:db8::1";
    let special =
        "unspecified, loopback, link-local or multicast: no Service can have these addresses";
    let mut schema = text(
        "A prefix, a range of addresses or a single address.",
        100,
        &expression,
        message,
    );
    // First or last address; of prefixes and IPv6 ranges only the first, and only as it is usually written.
    let no_service = "(0[.]0[.]0[.]0|127[.]|169[.]254[.]|2(2[4-9]|3[0-9])[.]|255[.]255[.]255[.]255|::1?( |/|-|$)|[fF][eE][89abAB]|[fF][fF])";
    let more = serde_json::json!([
        {"rule": format!("!self.matches('^(.*- *)?{no_service}')"), "message": special},
        {
            // The addresses of an IPv4 range as numbers.
            "rule": "!self.matches('^[0-9.]+ *- *[0-9.]+$') || [self.split('-', 2).map(end, end.trim().split('.', 4)).map(octet, \
                     octet.size() == 4 ? ((int(octet[0]) * 256 + int(octet[1])) * 256 + int(octet[2])) * 256 + int(octet[3]) : \
                     0)].all(ends, ends[0] <= ends[1])",
            "message": "the last address of the range is before its first",
        },
    ]);
    if let Some(rules) = schema.get_mut("x-kubernetes-validations")
        && let (Some(rules), Some(more)) = (rules.as_array_mut(), more.as_array())
    {
        rules.extend(more.iter().cloned());
    }
    schema
}

/// Of communities of which a policy may list thousands: the form only, not how large the numbers are.
pub(super) fn listed_communities(_: &mut schemars::SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {
        "type": "string",
        "description": COMMUNITY,
        "maxLength": 40,
        "pattern": "^([0-9]+:[0-9]+(:[0-9]+)?|(rt|ro):[0-9.]+:[0-9]+|[a-z]+(-[a-z]+)*)$",
    }})
}

/// Of a duration.
pub(super) fn duration() -> Schema {
    json_schema!({
        "type": "string",
        "description": "A duration such as 90s, 300ms, 1m30s.",
        "maxLength": 32,
        "pattern": "^(0|([0-9]+(ms|s|m|h))+)$",
    })
}

/// Of a duration or `never`.
pub(super) fn restart_after() -> Schema {
    json_schema!({
        "type": "string",
        "description": "A duration such as 90s or 5m, or `never`.",
        "maxLength": 32,
        "pattern": "^(never|0|([0-9]+(ms|s|m|h))+)$",
    })
}

/// Of a community of any kind.
pub(super) fn community() -> Schema {
    let expression = format!(
        "{U16}:{U16}|{U32}:{U32}:{U32}|(rt|ro):({}|{U32}):{U32}|[a-z]+(-[a-z]+)*",
        ipv4()
    );
    let message = "expected a community: 64512:100 (two numbers up to 65535), 64512:1:2 (large), rt:64512:100 (extended) or a \
                   well-known name such as no-export";
    text(COMMUNITY, 40, &expression, message)
}
