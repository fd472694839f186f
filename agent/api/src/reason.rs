//! Why something is as it is: a code for programs and a sentence for people.
//!
//! The codes are one enum, in one table. The agent makes reasons of the types in which the RIB, the intent and the FIB decide, by matches
//! that are exhaustive. `docs/reference/reason-codes.md` is generated from the table, and a test of the agent makes answers in which every code
//! occurs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why something is as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// The code.
    pub code: ReasonCode,
    /// The same with its particulars, such as `rule martians of RoutePolicy no-bogons`. No full stop at the end.
    pub text: String,
}

impl Reason {
    /// A reason of a code and its text.
    pub fn new(code: ReasonCode, text: impl fmt::Display) -> Self {
        Self {
            code,
            text: text.to_string(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Makes an enum, its codes and its documentation of one table.
macro_rules! codes {
    ($(#[$attribute:meta])* $name:ident { $($topic:literal { $($variant:ident $code:literal $meaning:literal)* })* }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(
                #[doc = $meaning]
                #[serde(rename = $code)]
                $variant,
            )*)*
        }

        impl $name {
            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($(Self::$variant => $code,)*)*
                }
            }

            /// All of them with what they mean, by what they are about.
            pub const TOPICS: &[(&str, &[(Self, &str)])] = &[
                $(($topic, &[$((Self::$variant, $meaning),)*]),)*
            ];
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

codes! {
    /// A stable word for programs: the `code` of a [`Reason`]. Codes are added, never renamed or removed within one
    /// version of the control protocol.
    ReasonCode {
    "Why a path is the best, or another is better" {
        OnlyPath "onlyPath" "There is no other usable path."
        LocalRoute "localRoute" "This node originates the prefix."
        NotLongLivedStale "notLongLivedStale" "The best path is not stale under long-lived graceful restart (RFC 9494)."
        HigherLocalPreference "higherLocalPreference" "The best path has the highest LOCAL_PREF."
        ShorterAsPath "shorterAsPath" "The best path has the shortest AS_PATH."
        LowerOrigin "lowerOrigin" "The best path has the lowest ORIGIN."
        LowerMed "lowerMed" "The best path has the lowest MULTI_EXIT_DISC of its neighbouring AS."
        ExternalOverInternal "externalOverInternal" "The best path was received from an external peer."
        LowerIgpCost "lowerIgpCost" "The next hop of the best path has the lowest metric."
        LowerBgpIdentifier "lowerBgpIdentifier" "The best path has the lowest BGP identifier, or ORIGINATOR_ID."
        ShorterClusterList "shorterClusterList" "The best path has the shortest CLUSTER_LIST."
        LowerPeerAddress "lowerPeerAddress" "The best path was received from the peer with the lowest address."
        LowerPathId "lowerPathId" "The best path has the lowest path identifier of its peer (RFC 7911)."
    }
    "Why a path is not usable" {
        OwnAs "ownAs" "Our AS number is in the AS_PATH more often than `allowOwnAS` permits."
        OwnOriginator "ownOriginator" "ORIGINATOR_ID is our BGP identifier."
        OwnCluster "ownCluster" "CLUSTER_LIST contains our cluster ID."
        FirstAs "firstAs" "The AS_PATH does not begin with the AS of the peer."
        RouteLeak "routeLeak" "Only to Customer shows a route leak (RFC 9234)."
        ImportPolicy "importPolicy" "A rule of an import policy rejected it."
        AttributeTooLong "attributeTooLong" "An attribute would exceed the maximum length after import."
        AttributeFilter "attributeFilter" "It has an attribute whose routes `attributeFilter` of the peer treats as withdrawn."
        NextHopLimit "nextHopLimit" "Its peer has as many distinct next hops as `maxNextHops` permits."
        NextHopUnreachable "nextHopUnreachable" "No route matches the next hop."
        NextHopByDefaultRoute "nextHopByDefaultRoute"
            "Only a default route matches the next hop, and `fib.resolveViaDefaultRoute` is false."
    }
    "Why a route is advertised to a peer, or not" {
        BestPath "bestPath" "It is the best path, and nothing prevents its advertisement."
        NotEstablished "notEstablished" "The session is not Established."
        GateClosed "gateClosed" "The agent waits for the cluster's state before it advertises anything."
        NoRoute "noRoute" "There is no usable path to the prefix."
        FamilyNotNegotiated "familyNotNegotiated" "The session did not negotiate the address family."
        NotOffered "notOffered" "No Advertisement that contains the prefix selects the peer."
        KnownToNode "knownToNode" "The address of a Service, and the peer is a node of the mesh, which does not need it."
        NoTransit "noTransit" "The route was learned, and learned routes are not passed on to this peer."
        NotReflected "notReflected"
            "The route was received from an internal peer, and neither it nor this peer is a reflector client."
        SourcePeer "sourcePeer" "The best path was received from this peer."
        PeerIsNextHop "peerIsNextHop" "The peer is the next hop of the route."
        NoAdvertise "noAdvertise" "The route has the community NO_ADVERTISE."
        NoExport "noExport" "The route has the community NO_EXPORT, and the peer is external."
        NoExportSubconfed "noExportSubconfed" "The route has the community NO_EXPORT_SUBCONFED, and the peer is external."
        OnlyToCustomer "onlyToCustomer" "The route has Only to Customer, and the peer is no customer (RFC 9234)."
        LongLivedStale "longLivedStale" "The route is long-lived stale, and the peer did not negotiate that (RFC 9494)."
        NoNextHop "noNextHop" "This node has no address of the family that can be the next hop."
        NextHopOfOtherFamily "nextHopOfOtherFamily" "The next hop is of the other address family, and the session did not negotiate RFC 8950."
        ExportPolicy "exportPolicy" "A rule of an export policy rejected it."
        TooLarge "tooLarge" "No message to the peer can hold the attributes of the route."
    }
    "Why this node originates a prefix, or not" {
        ReadyEndpoint "readyEndpoint" "The Service has a ready endpoint."
        ReadyEndpointHere "readyEndpointHere" "The Service has an endpoint on this node that serves, and its traffic policy is Local."
        NotSelected "notSelected" "No Advertisement selects it."
        ForeignLoadBalancerClass "foreignLoadBalancerClass" "`loadBalancerClass` belongs to another load balancer."
        NoAllowList "noAllowList" "An external IP, and the Advertisement has no allow-list (`services.externalIPs`)."
        OutsideAllowList "outsideAllowList" "An external IP outside the allow-list of the Advertisement."
        ProxyMode "proxyMode" "`ipMode` is Proxy: the load balancer terminates the traffic."
        NotLoadBalancer "notLoadBalancer" "The status has ingress addresses, but the Service is of another type than LoadBalancer."
        ExternalName "externalName" "The Service is of type ExternalName."
        Headless "headless" "The Service is headless."
        OtherServiceProxy "otherServiceProxy" "The label `service.kubernetes.io/service-proxy-name` assigns the Service to another proxy."
        NotRoutable "notRoutable" "A loopback, link-local, multicast, reserved or unspecified address."
        DefaultRoute "defaultRoute" "A default route, and the Advertisement does not have `allowDefaultRoute: true`."
        NodeAddress "nodeAddress" "The address of a Node."
        PeerAddress "peerAddress" "The address of a Peer, or the `localAddress` of one."
        GatewayAddress "gatewayAddress" "The address of a default gateway."
        InterfaceAddress "interfaceAddress" "The address of an interface of this node."
        CoversAddress "coversAddress" "A part of a connected network that contains the address of a host."
        OtherServicesAddress "otherServicesAddress" "An older Service of another namespace has the address."
        InterfaceDown "interfaceDown" "The interface of the address is down."
        NodeExcluded "nodeExcluded" "The Node has the label `node.kubernetes.io/exclude-from-external-load-balancers`."
        NodeNetworkUnavailable "nodeNetworkUnavailable" "The Node has the condition NetworkUnavailable."
        KubeProxyNotHealthy "kubeProxyNotHealthy" "kube-proxy has not been healthy since the agent started."
        NodeLeaves "nodeLeaves" "The node is leaving, and withdraws its routes."
        NoReadyEndpoint "noReadyEndpoint" "The Service has no ready endpoint."
        NoReadyEndpointHere "noReadyEndpointHere" "The Service has no ready endpoint on this node, and its traffic policy is Local."
        OnlyTerminatingHere "onlyTerminatingHere" "The endpoints on this node terminate, others are ready, and the traffic policy is Local."
        OtherNodesPodCidr "otherNodesPodCidr" "Inside a pod CIDR of another node."
        AggregateCoversPodCidr "aggregateCoversPodCidr" "The aggregate overlaps a pod CIDR. Exact routes are advertised."
        AggregateCoversAddress "aggregateCoversAddress" "The aggregate contains the address of a host. Exact routes are advertised."
    }
    "Why the kernel does not have a wanted route" {
        OriginatedHere "originatedHere" "This node originates the prefix and reaches it by its own routes."
        FibDisabled "fibDisabled" "The Router has `fib.enabled: false`."
        NoUsablePath "noUsablePath" "There is no usable path to the prefix."
        NexthopsUnusable "nexthopsUnusable" "Some of the nexthops cannot be used now."
        KernelRejected "kernelRejected" "The kernel rejected the route. It is retried."
        ForeignRouteInPlace "foreignRouteInPlace" "A route of other software has the same prefix, table and metric."
        ForeignRouteAnswers "foreignRouteAnswers" "A route of other software has exactly the refused address."
        Martian "martian" "Inside an address block that is not routable."
        DefaultRouteNotAccepted "defaultRouteNotAccepted" "A default route, and `fib.acceptDefaultRoute` is not set."
        OwnPodCidr "ownPodCidr" "Inside a pod CIDR of this node."
        ConnectedNetwork "connectedNetwork" "Inside a network on an interface of this node."
        ServiceAddress "serviceAddress" "A Service address, or inside a Service CIDR."
        ForeignOnLinkRoute "foreignOnLinkRoute" "Other software has an on-link route for exactly this prefix."
        RouteLimit "routeLimit" "The limit `fib.maxRoutes` is reached."
        Leftover "leftover" "Left by the previous agent. It is changed or removed when the routes have converged."
    }
    "Why a node is drained" {
        RouterDrain "routerDrain" "`drain: true` of the Router."
        DrainCommand "drainCommand" "The command `routelet drain`."
        NodeTaint "nodeTaint" "The Node has a taint of `leave.taints`."
        NodeShutdown "nodeShutdown" "The kubelet is shutting the node down."
        NodeDeletion "nodeDeletion" "The Node object is being deleted."
    }
}
}

codes! {
    /// A stable word for programs: the `reason` of a problem, and of conditions of the object. The message of the
    /// problem has the particulars.
    ProblemReason {
    "Why a node does not use an object completely" {
        NoNode "NoNode" "There is no Node object of the node's name."
        Overridden "Overridden" "A more specific Router selects the node."
        Duplicate "Duplicate" "Another object for the same peer or node is used."
        ValueMissing "ValueMissing" "The Node lacks the label or annotation of a value."
        ValueUnusable "ValueUnusable" "The value of the Node's label or annotation is not usable."
        OwnAddress "OwnAddress" "The Peer has an address of the node itself."
        NoGateway "NoGateway" "The node has no default gateway of the family."
        NoCommonFamily "NoCommonFamily" "The two nodes have no InternalIPs of one family."
        NobodyListens "NobodyListens" "Neither of the two nodes listens."
        PolicyMissing "PolicyMissing" "A RoutePolicy does not exist. Every route is rejected until it does."
        NothingAdvertised "NothingAdvertised" "No Advertisement selects the peer, and the default one is disabled."
        NoEffect "NoEffect" "A field has no effect in this combination."
        Unusable "Unusable" "The object cannot be used."
        NoInterfaceAddress "NoInterfaceAddress" "The interface does not exist or has no global address."
        PodCidrShared "PodCIDRShared" "Another node has the same pod CIDR."
    }
    }
}
