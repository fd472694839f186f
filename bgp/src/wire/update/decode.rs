//! UPDATE from bytes (RFC 4271 sections 4.3 and 6.3), with the outcomes of RFC 7606.

use bytes::Bytes;
use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};
use std::net::Ipv4Addr;

use super::attributes::{Attributes, read_attributes};
use super::{canonical, nlri};
use crate::types::{Family, NextHop, NlriList};
use crate::wire::attribute::{self, AttributeCode};
use crate::wire::{Fault, NlriPlace, Outcome, Reach, Update, UpdateCodec, UpdateFault};

/// Decodes the body of an UPDATE. Never fails: faults are in [`Update::faults`], their outcome is applied.
///
/// If a fault demands a reset, nothing of the message is left to use: see [`Update::reset`].
///
/// It allocates once for the attributes and once for each list of prefixes, by what the message holds.
pub fn decode_update(body: &Bytes, codec: &UpdateCodec) -> Update {
    let mut faults = Vec::new();
    let mut update = match decode(body, codec, &mut faults) {
        Ok(update) => update,
        Err(reset) => {
            faults.push(reset);
            Update::default()
        }
    };
    update.faults = faults;
    update
}

/// The three parts of the message.
struct Fields<'a> {
    withdrawn: &'a [u8],
    attributes: &'a [u8],
    nlri: &'a [u8],
}

/// Decodes; `Err` is the fault that resets the session.
fn decode(body: &Bytes, codec: &UpdateCodec, faults: &mut Vec<Fault>) -> Result<Update, Fault> {
    let fields = split(body)?;
    let mut update = Update::default();
    let add_path = codec.ipv4.add_path_receive;
    let mut classic = |field: &[u8], place| {
        let nlri = classic_routes(field, add_path, place)?;
        match nlri.is_empty() || codec.ipv4.negotiated {
            true => Ok(nlri),
            false => {
                let family = Family::IPV4_UNICAST;
                faults.push(discard(UpdateFault::Family { place, family }, Bytes::new()));
                Ok(NlriList::Ipv4(Vec::new()))
            }
        }
    };
    let withdrawn = classic(fields.withdrawn, NlriPlace::WithdrawnRoutes)?;
    let announced = classic(fields.nlri, NlriPlace::Nlri)?;

    let has_nlri = !fields.nlri.is_empty();
    let attributes = read_attributes(fields.attributes, has_nlri, body, codec, faults)?;
    attributes.check_mandatory(has_nlri, faults);
    let set = canonical::write(&attributes, codec, body, faults);

    update.filtered = attributes.filtered();
    update
        .unreach
        .extend(Some(withdrawn).filter(|nlri| !nlri.is_empty()));
    if let Some(value) = attributes.value(AttributeCode::MP_UNREACH_NLRI) {
        let unreach = mp_unreach(&attributes, value, body, codec, faults)?;
        update.unreach.extend(unreach);
    }
    // RFC 7606 section 5.1: both kinds of encoding may stand in one message.
    if !announced.is_empty() {
        // Without a usable NEXT_HOP all routes are treated as withdrawn: then this one is not seen.
        let unusable = NextHop::Ipv4(Ipv4Addr::UNSPECIFIED);
        update.reach.push(Reach {
            next_hop: attributes.classic_next_hop().unwrap_or(unusable),
            nlri: announced,
        });
    }
    if let Some(value) = attributes.value(AttributeCode::MP_REACH_NLRI) {
        let reach = mp_reach(&attributes, value, body, codec, faults)?;
        update.reach.extend(reach);
    }

    if !fields.attributes.is_empty() || has_nlri || !fields.withdrawn.is_empty() {
        apply(&mut update, attributes.has_routes(), faults)?;
        if update.reach.is_empty() {
            // What is treated as withdrawn is a route too: such a message ends nothing.
            let no_routes = fields.withdrawn.is_empty() && !has_nlri;
            update.end_of_rib = attributes.end_of_rib(no_routes, codec);
        } else {
            update.attributes = set;
        }
    } else if codec.ipv4.negotiated {
        // RFC 4724 section 2: the UPDATE with nothing in it.
        update.end_of_rib = Some(Family::IPV4_UNICAST);
    }
    Ok(update)
}

/// Splits the message (RFC 4271 section 6.3: Malformed Attribute List if the lengths do not fit).
fn split(body: &Bytes) -> Result<Fields<'_>, Fault> {
    let part = |input, field| {
        let (rest, length) =
            be_u16::<&[u8], ()>(input).map_err(|_| field_fault(field, 2, input))?;
        let (rest, part) = take::<_, _, ()>(length)(rest)
            .map_err(|_| field_fault(field, usize::from(length), rest))?;
        Ok((rest, part))
    };
    let (rest, withdrawn) = part(&body[..], "Withdrawn Routes Length")?;
    let (nlri, attributes) = part(rest, "Total Path Attribute Length")?;
    Ok(Fields {
        withdrawn,
        attributes,
        nlri,
    })
}

fn field_fault(field: &'static str, length: usize, rest: &[u8]) -> Fault {
    let available = rest.len();
    reset(
        UpdateFault::FieldLength {
            field,
            length,
            available,
        },
        Bytes::new(),
    )
}

fn reset(reason: UpdateFault, attribute: Bytes) -> Fault {
    Fault::new(reason, Outcome::SessionReset, attribute)
}

fn discard(reason: UpdateFault, attribute: Bytes) -> Fault {
    Fault::new(reason, Outcome::AttributeDiscard, attribute)
}

/// Reads Withdrawn Routes or NLRI. What cannot be read resets (RFC 7606 section 5.3): the rest cannot be found either.
fn classic_routes(field: &[u8], add_path: bool, place: NlriPlace) -> Result<NlriList, Fault> {
    match nlri::decode(Family::IPV4_UNICAST, field, add_path) {
        Some(Ok(nlri)) => Ok(nlri),
        Some(Err((reason, offset))) => Err(reset(
            UpdateFault::Prefix {
                place,
                reason,
                offset,
            },
            Bytes::new(),
        )),
        None => Ok(NlriList::Ipv4(Vec::new())),
    }
}

/// Family of MP_REACH_NLRI or MP_UNREACH_NLRI, and what follows it. The length has been checked.
fn family(value: &[u8]) -> (Family, &[u8]) {
    match (be_u16::<&[u8], ()>, be_u8).parse(value) {
        Ok((rest, (afi, safi))) => (Family::new(afi, safi), rest),
        Err(_) => (Family::new(0, 0), &[]),
    }
}

/// Reads MP_UNREACH_NLRI; `None` if there is nothing in it for us.
fn mp_unreach(
    attributes: &Attributes<'_>,
    value: &[u8],
    body: &Bytes,
    codec: &UpdateCodec,
    faults: &mut Vec<Fault>,
) -> Result<Option<NlriList>, Fault> {
    let (family, field) = family(value);
    let raw = || attributes.raw(AttributeCode::MP_UNREACH_NLRI, body);
    mp_routes(family, field, NlriPlace::MpUnreach, codec, raw, faults)
}

/// Reads MP_REACH_NLRI; `None` if there is nothing in it for us.
fn mp_reach(
    attributes: &Attributes<'_>,
    value: &[u8],
    body: &Bytes,
    codec: &UpdateCodec,
    faults: &mut Vec<Fault>,
) -> Result<Option<Reach>, Fault> {
    let (family, rest) = family(value);
    let raw = || attributes.raw(AttributeCode::MP_REACH_NLRI, body);
    let Some((&length, rest)) = rest.split_first() else {
        return Ok(None);
    };
    let Some((octets, rest)) = rest.split_at_checked(usize::from(length)) else {
        return Ok(None);
    };
    if let Some(family_codec) = codec.family(family) {
        // RFC 7606 section 7.11: behind a next hop of unexpected length the routes cannot be found.
        attribute::check_next_hop_length(family, family_codec, octets.len())
            .map_err(|reason| reset(reason, raw()))?;
    }
    // RFC 4760 section 3: the reserved octet is ignored.
    let field = rest.get(1..).unwrap_or_default();
    let nlri = mp_routes(family, field, NlriPlace::MpReach, codec, raw, faults)?;
    let (Some(nlri), Some(next_hop)) = (nlri, attribute::mp_next_hop(octets)) else {
        return Ok(None);
    };
    if !attribute::is_host(next_hop) {
        let code = AttributeCode::MP_REACH_NLRI;
        let reason = UpdateFault::NextHop { code, next_hop };
        faults.push(Fault::new(reason, Outcome::TreatAsWithdraw, raw()));
    }
    Ok(Some(Reach { next_hop, nlri }))
}

/// Reads the routes of an MP attribute; `None` if there are none, or of a family that was not negotiated.
fn mp_routes(
    family: Family,
    field: &[u8],
    place: NlriPlace,
    codec: &UpdateCodec,
    raw: impl Fn() -> Bytes,
    faults: &mut Vec<Fault>,
) -> Result<Option<NlriList>, Fault> {
    let decoded = codec
        .family(family)
        .and_then(|agreed| nlri::decode(family, field, agreed.add_path_receive));
    match decoded {
        // RFC 7606 section 2: only this family is concerned; its routes are ignored.
        None => {
            faults.push(discard(UpdateFault::Family { place, family }, raw()));
            Ok(None)
        }
        Some(Ok(nlri)) => Ok((!nlri.is_empty()).then_some(nlri)),
        Some(Err((reason, offset))) => {
            let reason = UpdateFault::Prefix {
                place,
                reason,
                offset,
            };
            Err(reset(reason, raw()))
        }
    }
}

/// Applies the strongest outcome (RFC 7606 section 3 h). `Err` is the fault that resets the session.
fn apply(update: &mut Update, has_routes: bool, faults: &mut Vec<Fault>) -> Result<(), Fault> {
    let Some(strongest) = faults.iter().map(|fault| fault.outcome).max() else {
        return Ok(());
    };
    if strongest == Outcome::AttributeDiscard {
        return Ok(());
    }
    // What the operator does not want is no fault of the message, and resets nothing.
    let is_filter = |fault: &Fault| matches!(fault.reason, UpdateFault::Filtered { .. });
    let position = faults
        .iter()
        .position(|fault| fault.outcome == strongest && !is_filter(fault));
    // RFC 7606 section 5.2: without routes that could be withdrawn, some may have been overlooked.
    if (strongest == Outcome::SessionReset || !has_routes)
        && let Some(position) = position
    {
        let mut fault = faults.remove(position);
        fault.outcome = Outcome::SessionReset;
        return Err(fault);
    }
    for reach in update.reach.drain(..) {
        update.unreach.push(reach.nlri);
    }
    Ok(())
}
