//! Rules of CEL: what an API server checks of fields that belong together, and of numbers and durations in context.
//!
//! Each has its counterpart in the validation of the state of the cluster, which is complete; `interop-tests/tests/objects` lists objects that they
//! refuse. A rule uses only functions that Kubernetes 1.25 has, and knows that defaults are not filled in by the server.

use serde_json::{Value, json};

use super::peer::Timers;
use super::text::Lapse;

/// Rules as a schema holds them: each an expression and the message where it is false.
fn list(rules: &[(String, String)]) -> Value {
    let rules = rules
        .iter()
        .map(|(rule, message)| json!({"rule": rule, "message": message}));
    rules.collect()
}

fn rule(expression: impl Into<String>, message: impl Into<String>) -> (String, String) {
    (expression.into(), message.into())
}

/// That a duration, where it is given, is in a range.
fn span(field: &str, low: &str, high: &str) -> (String, String) {
    rule(
        format!(
            "!has(self.{field}) || (duration(self.{field}) >= duration('{low}') && duration(self.{field}) <= duration('{high}'))"
        ),
        format!("{field} is out of range: expected {low} to {high}"),
    )
}

/// The same, or zero.
fn span_or_zero(field: &str, low: &str, high: &str) -> (String, String) {
    let (expression, _) = span(field, low, high);
    rule(
        format!("{expression} || duration(self.{field}) == duration('0s')"),
        format!("{field} is out of range: expected 0s, or {low} to {high}"),
    )
}

const RESERVED: &str = "AS 23456, 65535 and 4294967295 are reserved: expected the number of an AS, for private use 64512 to 65534";

/// Of an AS number.
pub(super) fn asn() -> Value {
    list(&[rule("!(self in [23456, 65535, 4294967295])", RESERVED)])
}

/// Of an AS as number or text.
pub(super) fn peer_as() -> Value {
    let digits = "string(self).matches('^[0-9]+$')";
    list(&[
        rule(
            format!("!{digits} || (int(string(self)) >= 1 && int(string(self)) <= 4294967295)"),
            "expected an AS number from 1 to 4294967295, internal or external",
        ),
        rule(
            "!(string(self) in ['23456', '65535', '4294967295'])",
            RESERVED,
        ),
    ])
}

/// Of a value that each node brings with it.
pub(super) fn value_from() -> Value {
    list(&[rule(
        "has(self.nodeLabel) != has(self.nodeAnnotation)",
        "set exactly one of nodeLabel and nodeAnnotation",
    )])
}

/// Of a password.
pub(super) fn password() -> Value {
    list(&[rule(
        "has(self.secretRef) != has(self.file)",
        "set exactly one of secretRef and file",
    )])
}

/// Of one condition on labels.
pub(super) fn requirement() -> Value {
    list(&[
        rule(
            "!(self.operator in ['In', 'NotIn']) || (has(self.values) && size(self.values) > 0)",
            "In and NotIn need at least one value",
        ),
        rule(
            "!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || size(self.values) == 0",
            "Exists and DoesNotExist take no values",
        ),
    ])
}

/// Of timers.
pub(super) fn timers() -> Value {
    let hold: Lapse = Timers::default().hold;
    let keepalive = "duration(self.keepalive)";
    list(&[
        span_or_zero("hold", "3s", "65535s"),
        rule(
            "!has(self.hold) || duration(self.hold).getMilliseconds() % 1000 == 0",
            "hold is not in whole seconds",
        ),
        span("keepalive", "1s", "65535s"),
        rule(
            format!(
                "!has(self.keepalive) || (has(self.hold) && duration(self.hold) == duration('0s')) || \
                 {keepalive} + {keepalive} + {keepalive} <= duration(has(self.hold) ? self.hold : '{hold}')"
            ),
            format!("keepalive is more than a third of hold, which is {hold} by default"),
        ),
        span("connectRetry", "1s", "1h"),
        span_or_zero("idleHold", "1s", "1h"),
    ])
}

/// Of BFD.
pub(super) fn bfd() -> Value {
    list(&[
        span("interval", "10ms", "60s"),
        span("holdTime", "1s", "1h"),
    ])
}

/// Of graceful restart.
pub(super) fn graceful_restart() -> Value {
    list(&[
        span("restartTime", "1s", "4095s"),
        span("longLivedStaleTime", "1s", "16777215s"),
        span("maxLongLivedStaleTime", "1s", "16777215s"),
        rule(
            "!has(self.longLivedStaleTime) || !has(self.enabled) || self.enabled",
            "longLivedStaleTime needs enabled: true (RFC 9494)",
        ),
    ])
}

/// Of how nodes leave.
pub(super) fn leave() -> Value {
    list(&[span("wait", "0s", "30s")])
}

/// Of the forwarding table.
pub(super) fn fib() -> Value {
    let fib = super::router::Fib::default();
    let table = format!("(has(self.table) ? self.table : {})", fib.table);
    let refusing = format!(
        "(has(self.refuse) && has(self.refuse.table) ? self.refuse.table : {})",
        fib.refuse.table
    );
    list(&[
        rule(
            "!has(self.table) || self.table != 255",
            "table 255 is the kernel's own local table; the main table is 254",
        ),
        rule(
            format!("!({refusing} in [253, 254, 255]) && {refusing} != {table}"),
            format!(
                "refuse.table has other routes: expected a table that is not used otherwise, such as the default {}",
                fib.refuse.table
            ),
        ),
    ])
}

/// Of a prefix that a policy matches.
pub(super) fn prefix_match() -> Value {
    let own = "int(self.cidr.substring(self.cidr.indexOf('/') + 1))";
    let longest = "(self.cidr.contains(':') ? 128 : 32)";
    list(&[
        rule(
            format!(
                "!has(self.minLength) || (self.minLength >= {own} && self.minLength <= {longest})"
            ),
            "minLength is less than the prefix's own length, or more than its family has",
        ),
        rule(
            format!(
                "!has(self.maxLength) || (self.maxLength >= {own} && self.maxLength <= {longest})"
            ),
            "maxLength is less than the prefix's own length, or more than its family has",
        ),
        rule(
            "!has(self.minLength) || !has(self.maxLength) || self.minLength <= self.maxLength",
            "minLength is more than maxLength: nothing can match",
        ),
        rule(
            "!has(self.maxLength) || !has(self.orLonger) || !self.orLonger",
            "orLonger contradicts maxLength: set only one of them",
        ),
    ])
}

/// Of bounds of a length.
pub(super) fn length_range() -> Value {
    list(&[rule(
        "!has(self.min) || !has(self.max) || self.min <= self.max",
        "max is less than min: nothing can match",
    )])
}

/// Of changes to a route.
pub(super) fn set() -> Value {
    list(&[rule(
        "!has(self.removeCommunities) || self.removeCommunities.all(c, !c.startsWith('rt:') && !c.startsWith('ro:'))",
        "extended communities cannot be removed",
    )])
}

/// Of a Peer.
pub(super) fn peer() -> Value {
    list(&[
        rule(
            "[has(self.address), has(self.addressFrom), has(self.interface), has(self.gateway), has(self.nodes), \
             has(self.range)].filter(x, x).size() == 1",
            "set exactly one of address, addressFrom, interface, gateway, nodes and range",
        ),
        rule(
            "has(self.nodes) ? !has(self.asnFrom) : has(self.asn) != has(self.asnFrom)",
            "set exactly one of asn and asnFrom; beside nodes, asn or nothing",
        ),
        rule(
            "!(has(self.ebgpMultihop) && has(self.ttlSecurity))",
            "set only one of ebgpMultihop and ttlSecurity",
        ),
        rule(
            "!has(self.address) || !self.address.matches('^(0[.]0[.]0[.]0|::|2(2[4-9]|3[0-9])[.].*|[fF][fF].*)$')",
            "address is not a host address: unspecified or multicast",
        ),
        rule(
            "!has(self.address) || !self.address.matches('^[fF][eE][89abAB]') || has(self.sourceInterface)",
            "address is link-local: set sourceInterface to its interface",
        ),
        rule(
            "!(has(self.localAddress) && has(self.localAddressFrom))",
            "set only one of localAddress and localAddressFrom",
        ),
        rule(
            "!has(self.nodes) || !(has(self.localAddress) || has(self.localAddressFrom))",
            "localAddress and localAddressFrom are not allowed with nodes: each node uses its own InternalIP",
        ),
        rule(
            "!has(self.localAddress) || !has(self.address) || self.localAddress.matches('[.]') == self.address.matches('[.]')",
            "localAddress and address are of different families",
        ),
        rule(
            "!has(self.localAddress) || !has(self.range) || self.localAddress.matches('[.]') == self.range.matches('[.]')",
            "localAddress and range are of different families",
        ),
        rule(
            "!has(self.maxPrefixesRestart) || self.maxPrefixesRestart == 'never' || \
             (duration(self.maxPrefixesRestart) >= duration('1s') && duration(self.maxPrefixesRestart) <= duration('24h'))",
            "maxPrefixesRestart is out of range: expected 1s to 24h, or never",
        ),
        span("maxLongLivedStaleTime", "1s", "16777215s"),
    ])
}

/// Of a Router.
pub(super) fn router() -> Value {
    list(&[
        rule(
            "!(has(self.asn) && has(self.asnFrom))",
            "set only one of asn and asnFrom",
        ),
        rule(
            "!(has(self.routerID) && has(self.routerIDFrom))",
            "set only one of routerID and routerIDFrom",
        ),
    ])
}

/// Of an Advertisement.
pub(super) fn advertisement() -> Value {
    list(&[rule(
        "!has(self.mode) || self.mode == 'Exact' || has(self.aggregate)",
        "mode Aggregated and mode Both need aggregate",
    )])
}

/// Of an AddressPool.
pub(super) fn address_pool() -> Value {
    list(&[rule(
        "!has(self.excludeFirstAndLast) || !self.excludeFirstAndLast || self.addresses.all(a, a.contains(':') ? \
         !a.endsWith('/127') && !a.endsWith('/128') : !a.endsWith('/31') && !a.endsWith('/32'))",
        "a prefix has only a first and a last address, which excludeFirstAndLast excludes",
    )])
}
