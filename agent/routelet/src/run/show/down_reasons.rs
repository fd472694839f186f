//! Why sessions fell: how often for which reason, and the last of each kind.

use bgp::fsm::Down;
use bgp::session::PeerStatus;
use bgp::wire::Notification;
use routelet_control::model::{Direction, DownClass, DownCount, SessionError};

/// How often the sessions of a peer fell, by reason.
pub(super) fn downs(status: &PeerStatus) -> Vec<DownCount> {
    let count = |(class, count): (&bgp::fsm::DownClass, &u64)| DownCount {
        class: class_of(*class),
        count: *count,
    };
    status.downs.iter().map(count).collect()
}

const fn class_of(class: bgp::fsm::DownClass) -> DownClass {
    match class {
        bgp::fsm::DownClass::BfdDown => DownClass::BfdDown,
        bgp::fsm::DownClass::NotificationSent => DownClass::NotificationSent,
        bgp::fsm::DownClass::NotificationReceived => DownClass::NotificationReceived,
        bgp::fsm::DownClass::HoldTimerExpired => DownClass::HoldTimerExpired,
        bgp::fsm::DownClass::SendHoldTimerExpired => DownClass::SendHoldTimerExpired,
        bgp::fsm::DownClass::TransportFailed => DownClass::TransportFailed,
        bgp::fsm::DownClass::Administrative => DownClass::Administrative,
    }
}

/// An error of that age.
pub(super) fn plain(ago_seconds: u64, class: Option<DownClass>, text: String) -> SessionError {
    SessionError {
        ago_seconds,
        class,
        direction: None,
        code: None,
        subcode: None,
        text,
        communication: None,
    }
}

/// A NOTIFICATION of that age, in seconds.
pub(super) fn notification(ago: u64, message: &Notification, direction: Direction) -> SessionError {
    SessionError {
        direction: Some(direction),
        code: Some(message.code.code),
        subcode: Some(message.code.subcode),
        communication: message.communication(),
        ..plain(
            ago,
            Some(match direction {
                Direction::Sent => DownClass::NotificationSent,
                Direction::Received => DownClass::NotificationReceived,
            }),
            message.code.to_string(),
        )
    }
}

/// The end of a session, that many seconds ago.
pub(super) fn down(ago: u64, reason: &Down) -> SessionError {
    match reason {
        Down::NotificationSent(message) => notification(ago, message, Direction::Sent),
        Down::NotificationReceived(message) => notification(ago, message, Direction::Received),
        Down::HoldTimerExpired(_)
        | Down::SendHoldTimerExpired(_)
        | Down::TransportFailed
        | Down::PeerRestarted
        | Down::AdministrativeStop(_) => {
            plain(ago, Some(class_of(reason.class())), reason.to_string())
        }
    }
}
