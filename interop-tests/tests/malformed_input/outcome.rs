//! What a row of the tables is: how its octets are made, and what has to follow. Only data, so that the decoder's own
//! test reads the same tables.

use crate::parts::Parts;

/// What kind of session a row needs beside the usual one (both families, four-octet AS numbers, extended messages).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// Nothing else.
    Usual,
    /// The peer knows AS numbers of two octets only (RFC 6793).
    TwoOctets,
    /// Graceful restart was agreed (RFC 4724).
    Restart,
}

impl Session {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Usual, Self::TwoOctets, Self::Restart];
}

/// What follows from an UPDATE about a route of which the peer announced a good version before.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// The new version is used as it came: nothing is wrong with it, or nothing that concerns this speaker.
    Used,
    /// The new version is used without these attributes, which nobody looks into: by default they are discarded from
    /// such a peer.
    Filtered(&'static [u8]),
    /// The new version is used without these attributes (RFC 7606: attribute discard).
    Discard(&'static [u8]),
    /// The new version is taken and its next hop resolves to nothing, so that it is not used.
    Unusable,
    /// The route is withdrawn (RFC 7606: treat-as-withdraw).
    Withdraw,
    /// The message changes nothing: the good version stays.
    Ignored,
    /// The session ends with this NOTIFICATION: code, subcode, data.
    Reset(u8, u8, fn(&Parts) -> Vec<u8>),
}

/// A NOTIFICATION without data.
pub const NO_DATA: fn(&Parts) -> Vec<u8> = |_| Vec::new();

/// One UPDATE.
#[derive(Clone, Copy)]
pub struct Row {
    /// The RFC and section that decide.
    pub section: &'static str,
    /// What is wrong.
    pub name: &'static str,
    /// The session that it needs.
    pub session: Session,
    /// Whether it is about the IPv6 route of the row; else about the IPv4 one.
    pub ipv6: bool,
    /// Makes the whole message.
    pub octets: fn(&Parts) -> Vec<u8>,
    /// What follows from a peer in another AS.
    pub external: Outcome,
    /// What follows from a peer in the own AS.
    pub internal: Outcome,
}

/// A row about the IPv4 route, with one outcome for both kinds of peer.
pub fn row(
    section: &'static str,
    name: &'static str,
    octets: fn(&Parts) -> Vec<u8>,
    outcome: Outcome,
) -> Row {
    Row {
        section,
        name,
        session: Session::Usual,
        ipv6: false,
        octets,
        external: outcome,
        internal: outcome,
    }
}

impl Row {
    /// From a peer in the own AS something else follows.
    pub fn internal(mut self, outcome: Outcome) -> Self {
        self.internal = outcome;
        self
    }

    /// On a session of two-octet AS numbers.
    pub fn two_octets(mut self) -> Self {
        self.session = Session::TwoOctets;
        self
    }

    /// On a session with graceful restart.
    pub fn restart(mut self) -> Self {
        self.session = Session::Restart;
        self
    }

    /// About the IPv6 route.
    pub fn ipv6(mut self) -> Self {
        self.ipv6 = true;
        self
    }

    /// What follows from a peer of this kind.
    pub fn outcome(&self, internal: bool) -> Outcome {
        if internal {
            self.internal
        } else {
            self.external
        }
    }

    /// What its message is made of, as row `n` from a peer of this kind.
    pub fn parts(&self, n: usize, internal: bool) -> Parts {
        let parts = Parts::new(n, internal);
        match self.session {
            Session::TwoOctets => parts.two_octets(),
            Session::Usual | Session::Restart => parts,
        }
    }
}

/// What follows from an OPEN, or from another message on an Established session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The session is established, or stays so.
    Session,
    /// The session ends with this NOTIFICATION: code, subcode, data.
    Notification(u8, u8, Vec<u8>),
}

/// One whole message that is no UPDATE.
#[derive(Clone, Debug)]
pub struct Message {
    /// The RFC and section that decide.
    pub section: &'static str,
    /// What is wrong.
    pub name: &'static str,
    /// The octets.
    pub octets: Vec<u8>,
    /// What follows.
    pub answer: Answer,
    /// What follows from a peer without enhanced route refresh (RFC 7313).
    pub plain: Answer,
}

/// Data of a NOTIFICATION that quotes: as much as fits into 4,096 octets (RFC 4271 section 4.1).
pub fn quoted(octets: &[u8]) -> Vec<u8> {
    octets[..octets.len().min(4096 - 21)].to_vec()
}
