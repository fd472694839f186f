//! Reasons: the code of everything that the RIB, the intent and the FIB decide, and its text.
//!
//! Every match is exhaustive: a new variant of one of these types does not compile without a code.

use rib::export::Suppressed;
use rib::table::{Rejection, Rule as Decided};
use routelet_core::intent::{DrainReason, Rule};

use routelet_control::model::{Reason, ReasonCode as Code};

/// Why an object does not make a node originate a prefix.
pub(crate) fn of_rule(rule: &Rule) -> Reason {
    Reason::new(rule.code(), rule)
}

/// Why traffic is led away from the node.
pub(super) fn of_drain(reason: &DrainReason) -> Reason {
    let code = match reason {
        DrainReason::Router => Code::RouterDrain,
        DrainReason::Command => Code::DrainCommand,
        DrainReason::Taint(_) => Code::NodeTaint,
        DrainReason::NodeShutdown => Code::NodeShutdown,
        DrainReason::NodeDeletion => Code::NodeDeletion,
    };
    Reason::new(code, reason)
}

/// The code of the step of the decision process that decided.
pub(super) const fn code_of_step(rule: Decided) -> Code {
    match rule {
        Decided::OnlyPath => Code::OnlyPath,
        Decided::LocalRoute => Code::LocalRoute,
        Decided::NotLongLivedStale => Code::NotLongLivedStale,
        Decided::LocalPref => Code::HigherLocalPreference,
        Decided::AsPathLength => Code::ShorterAsPath,
        Decided::Origin => Code::LowerOrigin,
        Decided::Med => Code::LowerMed,
        Decided::External => Code::ExternalOverInternal,
        Decided::IgpMetric => Code::LowerIgpCost,
        Decided::BgpIdentifier => Code::LowerBgpIdentifier,
        Decided::ClusterListLength => Code::ShorterClusterList,
        Decided::PeerAddress => Code::LowerPeerAddress,
        Decided::PathId => Code::LowerPathId,
    }
}

/// The code of why a path is not accepted.
pub(super) const fn code_of_rejection(rejection: Rejection) -> Code {
    match rejection {
        Rejection::OwnAs => Code::OwnAs,
        Rejection::OwnOriginator => Code::OwnOriginator,
        Rejection::OwnCluster => Code::OwnCluster,
        Rejection::FirstAs => Code::FirstAs,
        Rejection::RouteLeak => Code::RouteLeak,
        Rejection::Policy => Code::ImportPolicy,
        Rejection::TooLong => Code::AttributeTooLong,
        Rejection::AttributeFilter => Code::AttributeFilter,
        Rejection::NextHopLimit => Code::NextHopLimit,
    }
}

/// The code of why a route is not advertised to a peer.
pub(super) const fn code_of_suppressed(suppressed: Suppressed) -> Code {
    match suppressed {
        Suppressed::GateClosed => Code::GateClosed,
        Suppressed::NoRoute => Code::NoRoute,
        Suppressed::FamilyNotNegotiated => Code::FamilyNotNegotiated,
        Suppressed::NotOffered => Code::NotOffered,
        Suppressed::KnownToNode => Code::KnownToNode,
        Suppressed::NoTransit => Code::NoTransit,
        Suppressed::NotReflected => Code::NotReflected,
        Suppressed::SourcePeer => Code::SourcePeer,
        Suppressed::PeerIsNextHop => Code::PeerIsNextHop,
        Suppressed::NoAdvertise => Code::NoAdvertise,
        Suppressed::NoExport => Code::NoExport,
        Suppressed::NoExportSubconfed => Code::NoExportSubconfed,
        Suppressed::OnlyToCustomer => Code::OnlyToCustomer,
        Suppressed::LongLivedStale => Code::LongLivedStale,
        Suppressed::NoNextHop => Code::NoNextHop,
        Suppressed::NextHopOfOtherFamily => Code::NextHopOfOtherFamily,
        Suppressed::Policy(_) => Code::ExportPolicy,
        Suppressed::TooLarge(_) => Code::TooLarge,
    }
}

/// The code of the guard rail that keeps a prefix out of the kernel.
pub(super) const fn code_of_guard(rejection: &routelet_fib::Rejection) -> Code {
    match rejection {
        routelet_fib::Rejection::Martian(_) => Code::Martian,
        routelet_fib::Rejection::DefaultRoute => Code::DefaultRouteNotAccepted,
        routelet_fib::Rejection::OwnPodCidr(_) => Code::OwnPodCidr,
        routelet_fib::Rejection::Connected(_) => Code::ConnectedNetwork,
        routelet_fib::Rejection::Service(_) => Code::ServiceAddress,
        routelet_fib::Rejection::ForeignRoute(_) => Code::ForeignOnLinkRoute,
        routelet_fib::Rejection::OverLimit(_) => Code::RouteLimit,
    }
}

/// Why a path is not used although the kernel has a route to its next hop, or because it has none.
pub(super) fn of_unreachable(is_denied: bool) -> Reason {
    match is_denied {
        true => Reason::new(
            Code::NextHopByDefaultRoute,
            crate::run::next_hops::BY_DEFAULT_ONLY,
        ),
        false => Reason::new(Code::NextHopUnreachable, "the next hop is unreachable"),
    }
}

/// Why a route is advertised.
pub(super) fn best_path() -> Reason {
    Reason::new(Code::BestPath, "advertised (best path)")
}

/// Why a peer without a session is sent nothing.
pub(super) fn not_established() -> Reason {
    Reason::new(Code::NotEstablished, "the session is not Established")
}

/// Why the kernel has no route of ours to a prefix. `is_own`: this node originates the best path; `None`: there is
/// none.
pub(super) fn of_absence(is_own: Option<bool>, installs: bool) -> Option<Reason> {
    match is_own {
        None => Some(Reason::new(
            Code::NoUsablePath,
            "there is no usable path to it",
        )),
        Some(true) => Some(Reason::new(
            Code::OriginatedHere,
            "this node originates it: the kernel has its own routes to it",
        )),
        Some(false) if !installs => Some(Reason::new(
            Code::FibDisabled,
            "the Router of this node installs no learned routes (fib.enabled: false)",
        )),
        // It has just been decided, and the FIB does not know of it yet.
        Some(false) => None,
    }
}
