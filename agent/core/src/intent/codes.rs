//! The codes of what the intent decides. Every match is exhaustive: a new variant does not compile without a code.

use routelet_api::reason::{ProblemReason, ReasonCode as Code};

use super::{Owner, Rule, WarningKind};

impl Rule {
    /// Why an object does not make a node originate a prefix, in one word.
    pub const fn code(&self) -> Code {
        match self {
            Self::NotSelected => Code::NotSelected,
            Self::ForeignLoadBalancerClass(_) => Code::ForeignLoadBalancerClass,
            Self::NoAllowList => Code::NoAllowList,
            Self::OutsideAllowList => Code::OutsideAllowList,
            Self::ProxyMode => Code::ProxyMode,
            Self::NotLoadBalancer(_) => Code::NotLoadBalancer,
            Self::ExternalName => Code::ExternalName,
            Self::Headless => Code::Headless,
            Self::OtherServiceProxy(_) => Code::OtherServiceProxy,
            Self::NotRoutable => Code::NotRoutable,
            Self::DefaultRoute => Code::DefaultRoute,
            Self::Owned(Owner::Node(_)) => Code::NodeAddress,
            Self::Owned(Owner::Peer(_) | Owner::LocalEnd(_)) => Code::PeerAddress,
            Self::Owned(Owner::Gateway(_)) => Code::GatewayAddress,
            Self::Owned(Owner::Interface(_)) => Code::InterfaceAddress,
            Self::CoversAddress { .. } => Code::CoversAddress,
            Self::OtherServicesAddress(_) => Code::OtherServicesAddress,
            Self::InterfaceDown(_) => Code::InterfaceDown,
            Self::NodeExcluded => Code::NodeExcluded,
            Self::NodeNetworkUnavailable => Code::NodeNetworkUnavailable,
            Self::KubeProxyNotHealthy => Code::KubeProxyNotHealthy,
            Self::NodeLeaves => Code::NodeLeaves,
            Self::NoReadyEndpoint => Code::NoReadyEndpoint,
            Self::NoReadyEndpointHere(_) => Code::NoReadyEndpointHere,
            Self::OnlyTerminatingHere(_) => Code::OnlyTerminatingHere,
            Self::OtherNodesPodCidr { .. } => Code::OtherNodesPodCidr,
            Self::AggregateCoversPodCidr { .. } => Code::AggregateCoversPodCidr,
            Self::AggregateCoversAddress { .. } => Code::AggregateCoversAddress,
        }
    }
}

impl WarningKind {
    /// What a node makes of an object that is valid, in one word.
    pub const fn reason(&self) -> ProblemReason {
        match self {
            Self::NoNode => ProblemReason::NoNode,
            Self::RouterNotUsed {
                more_specific: true,
                ..
            } => ProblemReason::Overridden,
            Self::RouterNotUsed { .. } | Self::PeerTwice { .. } => ProblemReason::Duplicate,
            Self::ValueMissing { .. } => ProblemReason::ValueMissing,
            Self::ValueUnusable { .. } => ProblemReason::ValueUnusable,
            Self::OwnAddress(_) => ProblemReason::OwnAddress,
            Self::NoGateway(_) => ProblemReason::NoGateway,
            Self::NoCommonFamily(_) => ProblemReason::NoCommonFamily,
            Self::NobodyListens(_) => ProblemReason::NobodyListens,
            Self::PolicyMissing { .. } => ProblemReason::PolicyMissing,
            Self::NothingAdvertised => ProblemReason::NothingAdvertised,
            Self::NoEffect { .. } => ProblemReason::NoEffect,
            Self::Unusable(_) => ProblemReason::Unusable,
            Self::NoInterfaceAddress(_) => ProblemReason::NoInterfaceAddress,
            Self::PodCidrShared { .. } => ProblemReason::PodCidrShared,
        }
    }
}
