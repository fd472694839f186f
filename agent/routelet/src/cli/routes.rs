//! `routelet routes`: any of the three RIBs, written while it is read.

use routelet_control::Client;
use routelet_control::model::{FamilyName, Match, PrefixFilter, Route, RouteQuery, RouteView};

use super::prefix::PrefixArg;
use super::screen::{Format, Screen};
use super::table::{Pages, prose, text};
use super::words::or_dash;

/// Show routes: received from peers, best, or advertised to peers
#[derive(Debug, clap::Args)]
pub(super) struct Routes {
    /// Which routes
    #[arg(value_enum)]
    view: View,

    /// Only routes of (or advertised to) this peer
    #[arg(long, value_name = "NAME")]
    peer: Option<String>,

    /// Only this address family: ipv4 or ipv6
    #[arg(long, value_name = "FAMILY")]
    family: Option<FamilyName>,

    #[command(flatten)]
    filter: FilterArgs,
}

/// Which prefixes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct FilterArgs {
    /// Only this prefix, or that of this address
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<PrefixArg>,

    /// Also its more specific prefixes
    #[arg(long, requires = "prefix", conflicts_with = "longest_match")]
    longer: bool,

    /// Instead, the most specific prefix that covers it: the one that packets follow
    #[arg(long, requires = "prefix")]
    longest_match: bool,
}

impl FilterArgs {
    pub(super) fn filter(&self) -> Option<PrefixFilter> {
        let matching = match (self.longer, self.longest_match) {
            (true, _) => Match::Longer,
            (_, true) => Match::Longest,
            _ => Match::Exact,
        };
        self.prefix.map(|prefix| PrefixFilter {
            prefix: prefix.0,
            matching,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum View {
    /// Every path that a peer has sent, also rejected ones, as received (Adj-RIB-In)
    Received,
    /// The best path of each prefix, and further paths of its multipath (Loc-RIB)
    Best,
    /// The routes advertised to each peer, as sent (Adj-RIB-Out), and those not advertised because they exceed the
    /// message size
    Advertised,
}

impl Routes {
    pub(super) fn run(&self, client: &Client, screen: &mut Screen) -> anyhow::Result<()> {
        let view = match self.view {
            View::Received => RouteView::Received,
            View::Best => RouteView::Best,
            View::Advertised => RouteView::Advertised,
        };
        let query = RouteQuery {
            view,
            peer: self.peer.clone(),
            family: self.family,
            prefix: self.filter.filter(),
        };
        if screen.format != Format::Table {
            let mut list = screen.list();
            let mut written = Ok(());
            client.routes(query, |batch| {
                written = list.add(&batch);
                written.is_ok()
            })?;
            written?;
            return Ok(list.end()?);
        }
        let columns = columns(view);
        let mut pages = Pages::new(&columns);
        let mut written = Ok(());
        client.routes(query, |batch| {
            written = batch
                .iter()
                .try_for_each(|route| pages.row(screen, row(route)));
            written.is_ok()
        })?;
        written?;
        if !pages.end(screen)? {
            screen.note(nothing(self))?;
        }
        Ok(())
    }
}

fn nothing(routes: &Routes) -> String {
    let what = match routes.view {
        View::Received => "received",
        View::Best => "best",
        View::Advertised => "advertised",
    };
    let narrowed =
        routes.peer.is_some() || routes.family.is_some() || routes.filter.prefix.is_some();
    if narrowed {
        format!("No {what} routes that match.")
    } else {
        format!("No {what} routes.")
    }
}

fn columns(view: RouteView) -> Vec<super::table::Column> {
    let peer = match view {
        RouteView::Advertised => "TO",
        RouteView::Received | RouteView::Best => "FROM",
    };
    vec![
        text("PREFIX"),
        text(peer),
        text("STATE"),
        text("NEXT HOP"),
        prose("AS PATH"),
        text("PREF"),
        text("MED"),
        prose("COMMUNITIES"),
        prose("REASON"),
    ]
}

fn row(route: &Route) -> Vec<String> {
    vec![
        prefix(route),
        from(route),
        state(route),
        or_dash(route.next_hop),
        as_path(route),
        or_dash(route.local_preference),
        or_dash(route.med),
        communities(route),
        route
            .reason
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
    ]
}

fn prefix(route: &Route) -> String {
    match route.path_id {
        Some(id) => format!("{} (path {id})", route.prefix),
        None => route.prefix.to_string(),
    }
}

/// The peer, or this node.
pub(super) fn from(route: &Route) -> String {
    route.peer.clone().unwrap_or_else(|| "this node".to_owned())
}

/// The state, and whether the route is stale.
pub(super) fn state(route: &Route) -> String {
    if route.stale {
        format!("{}, stale", route.state)
    } else {
        route.state.to_string()
    }
}

/// AS_PATH and ORIGIN, the latter as a letter where it is not IGP, as routers show it.
fn as_path(route: &Route) -> String {
    use routelet_control::model::RouteOrigin;
    let path = if route.as_path.is_empty() {
        "-"
    } else {
        &route.as_path
    };
    match route.origin {
        RouteOrigin::Igp => path.to_owned(),
        RouteOrigin::Egp => format!("{path} e"),
        RouteOrigin::Incomplete => format!("{path} ?"),
    }
}

/// Communities of every kind.
pub(super) fn communities(route: &Route) -> String {
    let kinds = [
        &route.communities,
        &route.large_communities,
        &route.extended_communities,
    ];
    let all: Vec<&str> = kinds.into_iter().flatten().map(String::as_str).collect();
    all.join(" ")
}
