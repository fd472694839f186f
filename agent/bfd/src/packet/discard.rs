//! Why a packet is discarded, and how often each reason occurred.

/// Why a received packet is discarded: the checks of RFC 5880 6.8.6 and 6.7.4 and RFC 5881 5, in the order in which they are
/// made. A discarded packet changes no session; it is counted, and there is nothing else to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[repr(usize)]
pub enum Discard {
    /// RFC 5880 6.8.6: the version is not 1.
    #[error("the version is not 1")]
    Version,
    /// RFC 5880 6.8.6: Length is less than 24, or 26 with authentication.
    #[error("the packet is shorter than its fields")]
    Short,
    /// RFC 5880 6.8.6: Length is more than the datagram holds.
    #[error("the datagram is shorter than the packet in it")]
    Truncated,
    /// RFC 5880 6.8.6: Detect Mult is 0.
    #[error("Detect Mult is 0")]
    DetectMultZero,
    /// RFC 5880 6.8.6: the Multipoint bit is set.
    #[error("the Multipoint bit is set")]
    Multipoint,
    /// RFC 5880 6.8.6: My Discriminator is 0.
    #[error("My Discriminator is 0")]
    MyDiscriminatorZero,
    /// RFC 5880 6.8.6: there is no session with Your Discriminator.
    #[error("no session has Your Discriminator")]
    UnknownDiscriminator,
    /// RFC 5880 6.8.6: Your Discriminator is 0, and the state is Init or Up.
    #[error("Your Discriminator is 0 though the sender is Init or Up")]
    YourDiscriminatorZero,
    /// RFC 5880 6.8.6: Your Discriminator is 0, and no session has these addresses over this interface.
    #[error("no session has these addresses")]
    UnknownAddresses,
    /// Your Discriminator is that of a session with other addresses, or over another interface. Stricter than RFC 5880 6.3,
    /// which selects by the discriminator alone: a guessed discriminator is not enough.
    #[error("the session with Your Discriminator has other addresses or another interface")]
    OtherPath,
    /// Your Discriminator is 0, and the session has begun with a remote system that has another discriminator. Stricter than
    /// RFC 5880 6.3: without it one packet of anybody on the link would take a session down. A remote system that was
    /// restarted is heard after the detection time.
    #[error("Your Discriminator is 0 though the session has begun with another discriminator")]
    OtherDiscriminator,
    /// RFC 5881 4 and RFC 5883 5: the port is that of single-hop sessions, and the session is multihop, or the reverse.
    #[error("the port is that of another kind of session")]
    WrongPort,
    /// RFC 5881 5: the TTL is not 255; of a multihop session, it is less than configured.
    #[error("the TTL is too low: the sender is farther away than it may be")]
    TtlTooLow,
    /// RFC 5880 6.8.6: there is an Authentication Section, and the session has no authentication.
    #[error("authenticated, though the session has no authentication")]
    Authenticated,
    /// RFC 5880 6.8.6: there is no Authentication Section, and the session has authentication.
    #[error("not authenticated, though the session has authentication")]
    NotAuthenticated,
    /// RFC 5880 6.7: the length of the Authentication Section is not that of its type.
    #[error("the length of the Authentication Section is not that of its type")]
    SectionMalformed,
    /// RFC 5880 6.7.4: the type is not the session's, as of passwords and MD5 always.
    #[error("the type of authentication is not the session's")]
    AuthType,
    /// RFC 5880 6.7.4: there is no key with this identifier.
    #[error("no key has this identifier")]
    UnknownKey,
    /// RFC 5880 6.7.4: the sequence number is outside of what may come next.
    #[error("the sequence number is outside of the window")]
    SequenceNumber,
    /// RFC 5880 6.7.4: the hash is not that of the packet and the key.
    #[error("the hash is wrong")]
    Hash,
    /// RFC 5880 6.8.6: the session is AdminDown.
    #[error("the session is administratively down")]
    AdminDown,
    /// RFC 5880 6.8.8: an Echo packet that is not ours, or was not just sent.
    #[error("not an Echo packet that was just sent")]
    Echo,
}

impl Discard {
    /// Every reason, in order.
    pub const ALL: [Self; 22] = [
        Self::Version,
        Self::Short,
        Self::Truncated,
        Self::DetectMultZero,
        Self::Multipoint,
        Self::MyDiscriminatorZero,
        Self::UnknownDiscriminator,
        Self::YourDiscriminatorZero,
        Self::UnknownAddresses,
        Self::OtherPath,
        Self::OtherDiscriminator,
        Self::WrongPort,
        Self::TtlTooLow,
        Self::Authenticated,
        Self::NotAuthenticated,
        Self::SectionMalformed,
        Self::AuthType,
        Self::UnknownKey,
        Self::SequenceNumber,
        Self::Hash,
        Self::AdminDown,
        Self::Echo,
    ];

    /// The value of a metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Short => "short",
            Self::Truncated => "truncated",
            Self::DetectMultZero => "detect_mult_zero",
            Self::Multipoint => "multipoint",
            Self::MyDiscriminatorZero => "my_discriminator_zero",
            Self::UnknownDiscriminator => "unknown_discriminator",
            Self::YourDiscriminatorZero => "your_discriminator_zero",
            Self::UnknownAddresses => "unknown_addresses",
            Self::OtherPath => "other_path",
            Self::OtherDiscriminator => "other_discriminator",
            Self::WrongPort => "wrong_port",
            Self::TtlTooLow => "ttl_too_low",
            Self::Authenticated => "authenticated",
            Self::NotAuthenticated => "not_authenticated",
            Self::SectionMalformed => "section_malformed",
            Self::AuthType => "auth_type",
            Self::UnknownKey => "unknown_key",
            Self::SequenceNumber => "sequence_number",
            Self::Hash => "hash",
            Self::AdminDown => "admin_down",
            Self::Echo => "echo",
        }
    }
}

/// How many packets were discarded for each reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discards([u64; Discard::ALL.len()]);

impl Discards {
    /// Counts one.
    pub fn count(&mut self, reason: Discard) {
        self.0[reason as usize] += 1;
    }

    /// How many were discarded for `reason`.
    pub fn of(&self, reason: Discard) -> u64 {
        self.0[reason as usize]
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Discard, u64)> + '_ {
        Discard::ALL
            .into_iter()
            .map(|reason| (reason, self.of(reason)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_counted_in_its_own_place() {
        for (place, reason) in Discard::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
            let mut discards = Discards::default();
            discards.count(reason);
            let counted: Vec<_> = discards.iter().filter(|(_, count)| *count > 0).collect();
            assert_eq!(counted, [(reason, 1)]);
        }
    }
}
