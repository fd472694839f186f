//! Wire vectors: files of octets and of what they mean, read both ways.
//!
//! A file in `vectors/` holds blocks of `name:`, `codec:` (words of [`codec`], optional), `hex:` (goes on in indented lines)
//! and `is:`. The octets must mean what stands in `is`, and what was read must encode to the same octets again; a block
//! with `one-way: REASON` skips the second.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use bgp::wire::{FamilyCodec, Message, PeerKind, Update, UpdateCodec, UpdateEncoder, keepalive};
use common::{check_invariants, frames, nets, unhex};

fn codec(words: &str) -> UpdateCodec {
    let mut codec = UpdateCodec::plain(PeerKind::Internal);
    for word in words.split_whitespace() {
        match word {
            "external" => codec.peer = PeerKind::External,
            "two-octet-as" => codec.four_octet_as = false,
            "add-path" => {
                for family in [&mut codec.ipv4, &mut codec.ipv6] {
                    family.add_path_receive = true;
                    family.add_path_send = true;
                }
            }
            "extended-next-hop" => {
                codec.ipv4 = FamilyCodec {
                    extended_next_hop: true,
                    ..codec.ipv4
                };
            }
            other => panic!("unknown word {other}"),
        }
    }
    codec
}

fn describe(message: &Message) -> String {
    match message {
        Message::Open(open) => format!(
            "OPEN AS {} hold {} id {} {:?}",
            open.asn, open.hold_time, open.identifier, open.capabilities
        ),
        Message::Update(update) => describe_update(update),
        Message::Notification(notification) => format!("NOTIFICATION {notification}"),
        Message::Keepalive => "KEEPALIVE".to_owned(),
        Message::RouteRefresh(refresh) => {
            format!("ROUTE-REFRESH {:?} {}", refresh.subtype, refresh.family)
        }
    }
}

fn describe_update(update: &Update) -> String {
    let list = |nlri| -> Vec<String> {
        let one = |(net, id): (ipnet::IpNet, bgp::types::PathId)| match id.0 {
            0 => net.to_string(),
            id => format!("{net}#{id}"),
        };
        nets(nlri).into_iter().map(one).collect()
    };
    let mut text = "UPDATE".to_owned();
    for nlri in &update.unreach {
        text += &format!(" withdraw {}", list(nlri).join(" "));
    }
    for reach in &update.reach {
        text += &format!(
            " announce {} via {}",
            list(&reach.nlri).join(" "),
            reach.next_hop
        );
    }
    if !update.reach.is_empty() {
        text += &format!(
            " {}",
            serde_json::to_string(&update.attributes.parse()).unwrap()
        );
    }
    if let Some(family) = update.end_of_rib {
        text += &format!(" end of {family}");
    }
    for fault in &update.faults {
        text += &format!(" fault {fault}");
    }
    text
}

fn encode(message: &Message, codec: UpdateCodec) -> Vec<u8> {
    match message {
        Message::Open(open) => open.encode().to_vec(),
        Message::Notification(notification) => notification.encode().to_vec(),
        Message::Keepalive => keepalive().to_vec(),
        Message::RouteRefresh(refresh) => refresh.encode().to_vec(),
        Message::Update(update) => {
            let mut encoder = UpdateEncoder::new(codec);
            let mut octets = Vec::new();
            let mut keep = |message: bytes::Bytes| octets.extend_from_slice(&message);
            for reach in &update.reach {
                encoder
                    .reach_list(&update.attributes, reach.next_hop, &reach.nlri, &mut keep)
                    .unwrap();
            }
            for nlri in &update.unreach {
                encoder.unreach_list(nlri, &mut keep).unwrap();
            }
            if let Some(family) = update.end_of_rib {
                keep(encoder.end_of_rib(family));
            }
            octets
        }
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The blocks of a file.
fn blocks(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut blocks: Vec<BTreeMap<String, String>> = Vec::new();
    let mut key = String::new();
    for line in text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#') && !line.is_empty())
    {
        if !line.starts_with(' ') {
            key = line.split_once(':').unwrap().0.to_owned();
            if key == "name" {
                blocks.push(BTreeMap::new());
            }
        }
        let value = if line.starts_with(' ') {
            line
        } else {
            line.split_once(':').unwrap().1
        };
        let entry = blocks.last_mut().unwrap().entry(key.clone()).or_default();
        *entry = format!("{entry} {}", value.trim()).trim().to_owned();
    }
    blocks
}

#[test]
fn every_vector_means_what_it_says_and_is_written_as_it_was_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let (mut count, mut wrong) = (0, String::new());
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        for block in blocks(&std::fs::read_to_string(&path).unwrap()) {
            count += 1;
            let name = format!("{}: {}", path.file_name().unwrap().display(), block["name"]);
            let codec = codec(block.get("codec").map_or("", |words| words));
            let octets = unhex(&block["hex"]);
            let frame = frames(&octets, codec.extended_message).remove(0);
            let message = match Message::decode(&frame, &codec) {
                Ok(message) => message,
                Err(error) => {
                    let data = hex(&error.notification.data);
                    let found = format!("ERROR {error} => {} [{data}]", error.notification);
                    if found != block["is"] {
                        wrong += &format!("{name}\n  found {found}\n  not   {}\n", block["is"]);
                    }
                    continue;
                }
            };
            if let Message::Update(update) = &message {
                check_invariants(update);
            }
            let found = describe(&message);
            if found != block["is"] {
                wrong += &format!("{name}\n  found {found}\n  not   {}\n", block["is"]);
            }
            let again = encode(&message, codec);
            if !block.contains_key("one-way") && again != octets {
                wrong += &format!(
                    "{name}\n  writes {}\n  not    {}\n",
                    hex(&again),
                    hex(&octets)
                );
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(count >= 25, "only {count} vectors were found");
}
