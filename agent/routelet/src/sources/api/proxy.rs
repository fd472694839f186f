//! By which proxy an API server is asked: as `kubectl` decides it, whatever the client library makes of the environment
//! (kube 5.0 compares `NO_PROXY` with the address of the proxy, not with that of the server). Pure.
//!
//! | | |
//! |---|---|
//! | `proxy-url` of the kubeconfig's cluster | always used |
//! | `HTTPS_PROXY` (of a server without TLS `HTTP_PROXY`), or in small letters | used for servers that `NO_PROXY` does not name, and not for loopback |
//! | `NO_PROXY`, or in small letters | `*`, or entries between commas: addresses, prefixes, names with all names below them, `.name` for these alone; addresses and names may have a port |

use std::net::IpAddr;

use axum::http::Uri;
use axum::http::uri::InvalidUri;
use ipnet::IpNet;
use kube::config::Kubeconfig;

/// What the environment says of proxies; what is empty counts as absent.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    https_proxy: Option<String>,
    http_proxy: Option<String>,
    no_proxy: Option<String>,
}

impl Environment {
    /// The variables of which `get` knows the values.
    pub(super) fn new(get: impl Fn(&str) -> Option<String>) -> Self {
        let one = |upper: &str| {
            let names = [upper.to_owned(), upper.to_lowercase()];
            let mut values = names.iter().filter_map(|name| get(name));
            values.find(|value| !value.trim().is_empty())
        };
        Self {
            https_proxy: one("HTTPS_PROXY"),
            http_proxy: one("HTTP_PROXY"),
            no_proxy: one("NO_PROXY"),
        }
    }

    /// The proxy for a server; `None`: it is asked directly.
    ///
    /// # Errors
    /// The variable does not hold a URL.
    pub(super) fn proxy(&self, server: &Uri) -> Result<Option<Uri>, InvalidUri> {
        let is_tls = server.scheme_str() != Some("http");
        let proxy = match is_tls {
            true => &self.https_proxy,
            false => &self.http_proxy,
        };
        let Some(proxy) = proxy.as_deref().map(str::trim) else {
            return Ok(None);
        };
        let host = server.host().unwrap_or_default();
        let host = host.trim_matches(['[', ']']).to_lowercase();
        let port = server.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        if is_loopback(&host) || self.is_direct(&host, port) {
            return Ok(None);
        }
        match proxy.contains("://") {
            true => proxy.parse().map(Some),
            false => format!("http://{proxy}").parse().map(Some),
        }
    }

    fn is_direct(&self, host: &str, port: u16) -> bool {
        let entries = self.no_proxy.as_deref().unwrap_or_default().split(',');
        let mut entries = entries.map(|entry| entry.trim().to_lowercase());
        entries.any(|entry| names(&entry, host, port))
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Whether an entry of `NO_PROXY` names a server.
fn names(entry: &str, host: &str, port: u16) -> bool {
    let address = host.parse::<IpAddr>().ok();
    if entry == "*" {
        return true;
    }
    if let (Ok(net), Some(address)) = (entry.parse::<IpNet>(), address) {
        return net.contains(&address);
    }
    let (name, of_port) = match entry.rsplit_once(':') {
        // A colon within an IPv6 address is none before a port.
        Some((name, text)) if !name.contains(':') || name.ends_with(']') => {
            (name, text.parse().ok())
        }
        _ => (entry, None),
    };
    let name = name.trim_matches(['[', ']']);
    if of_port.is_some_and(|of_port: u16| of_port != port) {
        return false;
    }
    if let Some(address) = address {
        return name.parse() == Ok(address);
    }
    let name = name.strip_prefix('*').unwrap_or(name);
    let below = name.strip_prefix('.');
    let is_below = |name: &str| {
        let rest = host.strip_suffix(name);
        rest.is_some_and(|rest| rest.ends_with('.'))
    };
    match below {
        Some(name) => is_below(name),
        None => !name.is_empty() && (host == name || is_below(name)),
    }
}

/// `proxy-url` of the cluster that a kubeconfig uses.
pub(super) fn of_kubeconfig(file: &Kubeconfig) -> Option<&str> {
    let current = file.current_context.as_deref()?;
    let mut contexts = file
        .contexts
        .iter()
        .filter(|context| context.name == current);
    let cluster = &contexts.next()?.context.as_ref()?.cluster;
    let mut clusters = file.clusters.iter().filter(|named| named.name == *cluster);
    let proxy = clusters.next()?.cluster.as_ref()?.proxy_url.as_deref();
    proxy.filter(|proxy| !proxy.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn proxy(variables: &[(&str, &str)], server: &str) -> Option<String> {
        let get = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        };
        let found = Environment::new(get)
            .proxy(&server.parse().unwrap())
            .unwrap();
        found.map(|proxy| proxy.to_string())
    }

    #[test]
    fn the_proxy_is_that_of_the_servers_scheme() {
        let both = [
            ("HTTPS_PROXY", "http://p:1"),
            ("http_proxy", "q:2"),
            ("HTTP_PROXY", " "),
        ];
        let all = [
            ("https://192.0.2.1:6443", Some("http://p:1/")),
            ("http://192.0.2.1:6443", Some("http://q:2/")),
            ("https://localhost:6443", None),
            ("https://127.0.0.2:6443", None),
            ("https://[::1]:6443", None),
        ];
        for (server, expected) in all {
            assert_eq!(proxy(&both, server).as_deref(), expected, "{server}");
        }
        assert_eq!(proxy(&[], "https://192.0.2.1"), None);
    }

    #[test]
    fn no_proxy_names_servers_and_not_proxies() {
        let servers = [
            "https://192.0.2.1:6443",
            "https://[2001:db8::1]:6443",
            "https://api.example.org:6443",
            "https://example.org",
        ];
        // Which of these are asked directly.
        for (entries, direct) in [
            ("*", [true, true, true, true]),
            ("192.0.2.0/24,", [true, false, false, false]),
            (" 192.0.2.1 ,, other", [true, false, false, false]),
            ("192.0.2.1:6443", [true, false, false, false]),
            ("192.0.2.1:443", [false, false, false, false]),
            ("2001:db8::1", [false, true, false, false]),
            (
                "[2001:db8::1]:6443,[2001:db8::2]",
                [false, true, false, false],
            ),
            ("[2001:db8::1]:443", [false, false, false, false]),
            ("2001:db8::/32", [false, true, false, false]),
            ("EXAMPLE.org", [false, false, true, true]),
            (".example.org", [false, false, true, false]),
            ("*.example.org", [false, false, true, false]),
            ("example.org:443", [false, false, false, true]),
            ("ample.org", [false, false, false, false]),
            // The proxy itself, which says nothing of servers.
            ("198.51.100.9,proxy", [false, false, false, false]),
            (",", [false, false, false, false]),
        ] {
            let variables = [
                ("HTTPS_PROXY", "http://198.51.100.9:3128"),
                ("no_proxy", entries),
            ];
            let found = servers.map(|server| proxy(&variables, server).is_none());
            assert_eq!(found, direct, "{entries}");
        }
    }
}
