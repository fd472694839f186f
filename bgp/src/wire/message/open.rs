//! OPEN (RFC 4271 section 4.2) with its capabilities (RFC 5492, extended length RFC 9072).

use bytes::{BufMut, Bytes};
use nom::Parser;
use nom::bytes::complete::take;
use nom::combinator::all_consuming;
use nom::multi::{fold_many0, length_data};
use nom::number::complete::{be_u8, be_u16, be_u32};

use super::{MessageKind, encode_message};
use crate::types::{Asn, BgpIdentifier};
use crate::wire::length::FieldLength;
use crate::wire::{Capability, WireError, WireFault, capability};

/// The only version of BGP that there is.
const VERSION: u8 = 4;
/// The optional parameter that carries capabilities (RFC 5492).
const CAPABILITIES: u8 = 2;
/// In the place of a parameter's type: lengths of two octets follow (RFC 9072).
const EXTENDED: u8 = 255;
/// Octets of capabilities that an OPEN of 4,096 octets can hold, extended parameters' header deducted.
const MAX_CAPABILITIES: usize = 4096 - 29 - 6;

/// An OPEN message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The sender's AS: the value of the four-octet capability where it is present, else of the two-octet field.
    pub asn: Asn,
    /// Hold time in seconds as proposed: 0, or at least 3.
    pub hold_time: u16,
    /// The sender's identifier.
    pub identifier: BgpIdentifier,
    /// The capabilities in the order of the message, unknown ones included, each once: repeated ones are resolved as
    /// RFC 5492 and their own RFCs say.
    pub capabilities: Vec<Capability>,
}

type Fallible<T> = Result<T, WireFault>;

impl Open {
    /// Reads the body of an OPEN.
    ///
    /// # Errors
    ///
    /// What makes the OPEN unusable whoever sent it, with the NOTIFICATION to send (RFC 4271 section 6.2). Whether AS
    /// and identifier are the expected ones is for the state machine to say.
    pub fn decode(body: &Bytes) -> Result<Self, WireError> {
        Ok(Self::parse(body)?)
    }

    fn parse(body: &[u8]) -> Fallible<Self> {
        let fixed = (be_u8::<_, ()>, be_u16, be_u16, be_u32, be_u8).parse(body);
        let Ok((parameters, (version, field, hold_time, identifier, length))) = fixed else {
            return Err(WireFault::too_short(MessageKind::Open, body.len()));
        };
        if version != VERSION {
            return Err(WireFault::Version(version));
        }
        let mut capabilities = Vec::new();
        parse_parameters(parameters, length, &mut capabilities)?;
        let asn = sender(field, &capabilities)?;
        if matches!(hold_time, 1 | 2) {
            return Err(WireFault::HoldTime(hold_time));
        }
        let identifier = BgpIdentifier(identifier);
        // RFC 6286 section 2.1.
        if identifier.is_zero() {
            return Err(WireFault::Identifier(identifier));
        }
        Ok(Self {
            asn,
            hold_time,
            identifier,
            capabilities,
        })
    }

    /// The whole message. Capabilities past what 4,096 octets hold (more than four kilobytes) are left out.
    ///
    /// All capabilities stand in one optional parameter; only if they are over 253 octets, RFC 9072 is used, which
    /// peers without it cannot read.
    pub fn encode(&self) -> Bytes {
        let mut all = Vec::new();
        let mut lengths = Lengths::None;
        for capability in &self.capabilities {
            let before = all.len();
            capability::encode(capability, &mut all);
            match Lengths::of(all.len()) {
                Some(fitting) => lengths = fitting,
                None => {
                    all.truncate(before);
                    break;
                }
            }
        }
        encode_message(MessageKind::Open, |out| {
            out.put_u8(VERSION);
            out.put_u16(self.asn.to_two_octets());
            out.put_u16(self.hold_time);
            out.put_u32(self.identifier.0);
            match lengths {
                Lengths::None => out.put_u8(0),
                Lengths::Classic {
                    parameters,
                    capabilities,
                } => out.put_slice(&[parameters, CAPABILITIES, capabilities]),
                Lengths::Extended {
                    parameters,
                    capabilities,
                } => {
                    out.put_slice(&[EXTENDED, EXTENDED]);
                    out.put_slice(&parameters.to_be_bytes());
                    out.put_u8(CAPABILITIES);
                    out.put_slice(&capabilities.to_be_bytes());
                }
            }
            out.put_slice(&all);
        })
    }
}

/// The lengths before the capabilities of an OPEN, which stand in one optional parameter.
#[derive(Clone, Copy)]
enum Lengths {
    /// There are no capabilities, so there is no parameter.
    None,
    /// RFC 5492.
    Classic { parameters: u8, capabilities: u8 },
    /// RFC 9072.
    Extended {
        parameters: FieldLength,
        capabilities: FieldLength,
    },
}

impl Lengths {
    /// For so many octets of capabilities; `None` if an OPEN cannot hold them.
    fn of(octets: usize) -> Option<Self> {
        if octets == 0 {
            return Some(Self::None);
        }
        if octets > MAX_CAPABILITIES {
            return None;
        }
        // RFC 9072 section 2: only what does not fit into the classic form, which some peers alone can read.
        let classic = u8::try_from(octets).ok().zip(u8::try_from(octets + 2).ok());
        Some(match classic {
            Some((capabilities, parameters)) => Self::Classic {
                parameters,
                capabilities,
            },
            None => Self::Extended {
                parameters: FieldLength::try_from(octets + 3).ok()?,
                capabilities: FieldLength::try_from(octets).ok()?,
            },
        })
    }
}

/// The sender's AS (RFC 6793 section 4.1, RFC 7607).
fn sender(field: u16, capabilities: &[Capability]) -> Fallible<Asn> {
    let announced = capabilities.iter().find_map(|capability| match capability {
        Capability::FourOctetAs(asn) => Some(*asn),
        _ => None,
    });
    let asn = announced.unwrap_or(Asn(field.into()));
    if asn.is_zero() || field == 0 {
        return Err(WireFault::ZeroAs);
    }
    // The field is AS_TRANS for a number that does not fit; some send it for one that does.
    if field != asn.to_two_octets() && Asn(field.into()) != Asn::TRANS {
        return Err(WireFault::AsMismatch {
            field,
            capability: asn,
        });
    }
    Ok(asn)
}

/// Reads the optional parameters, in the classic form or that of RFC 9072.
fn parse_parameters(input: &[u8], length: u8, all: &mut Vec<Capability>) -> Fallible<()> {
    // RFC 9072 section 2: the type decides, whatever non-zero length stands before it.
    let extended = length != 0 && input.first() == Some(&EXTENDED);
    let (input, length) = match input {
        [_, high, low, rest @ ..] if extended => {
            (rest, usize::from(u16::from_be_bytes([*high, *low])))
        }
        _ if extended => {
            return Err(overrun(
                "extended optional parameters length",
                2,
                input.len() - 1,
            ));
        }
        _ => (input, usize::from(length)),
    };
    if length > input.len() {
        return Err(overrun("optional parameters", length, input.len()));
    }
    if length < input.len() {
        return Err(WireFault::TrailingOctets(input.len() - length));
    }
    let mut rest = input;
    while !rest.is_empty() {
        let header = if extended {
            (be_u8::<_, ()>, be_u16).parse(rest)
        } else {
            (be_u8, be_u8.map(u16::from)).parse(rest)
        };
        let (after, (kind, length)) =
            header.map_err(|_| overrun("the header of an optional parameter", 2, rest.len()))?;
        let (after, value) = take::<_, _, ()>(length)(after)
            .map_err(|_| overrun("an optional parameter", length.into(), after.len()))?;
        if kind != CAPABILITIES {
            return Err(WireFault::OptionalParameter(kind));
        }
        parse_capabilities(value, all)?;
        rest = after;
    }
    Ok(())
}

/// Reads the capabilities of one optional parameter.
fn parse_capabilities(input: &[u8], all: &mut Vec<Capability>) -> Fallible<()> {
    let one = (be_u8::<_, ()>, length_data(be_u8));
    let mut every = all_consuming(fold_many0(
        one,
        || Ok(()),
        |so_far: Fallible<()>, (code, value): (u8, &[u8])| {
            so_far?;
            capability::add(all, capability::decode(code, value)?);
            Ok(())
        },
    ));
    match every.parse(input) {
        Ok((_, result)) => result,
        Err(_) => Err(WireFault::Overrun {
            what: "a capability",
            missing: missing_octets(input),
        }),
    }
}

/// How many octets are missing at the end of capabilities that overrun.
fn missing_octets(mut input: &[u8]) -> usize {
    loop {
        match input {
            [] => return 0,
            [_] => return 1,
            [_, length, rest @ ..] => match rest.get(usize::from(*length)..) {
                Some(after) => input = after,
                None => return usize::from(*length) - rest.len(),
            },
        }
    }
}

fn overrun(what: &'static str, wanted: usize, found: usize) -> WireFault {
    WireFault::Overrun {
        what,
        missing: wanted.saturating_sub(found),
    }
}

#[cfg(test)]
mod tests;
