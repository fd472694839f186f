//! The far ends of sessions: the messages that each receives, read into an Adj-RIB-In.

use super::super::rules::family_of;
use super::*;

/// A session's far end: what it was sent, and the Adj-RIB-In that follows from it (RFC 7313 included).
#[derive(Debug)]
pub(in crate::export) struct Receiver {
    codec: UpdateCodec,
    pub(super) table: BTreeMap<IpNet, (AttributeSet, NextHop)>,
    /// Prefixes not repeated since BoRR, while a refresh is under way.
    stale: BTreeMap<Family, BTreeSet<IpNet>>,
    pub(super) end_of_rib: Vec<Family>,
    pub(super) refreshes: usize,
    pub(super) messages: usize,
    /// How often a prefix that was there went.
    pub(super) lost: usize,
    /// Messages that the queue holds, and how many it holds before it says that it is full.
    queued: usize,
    pub(super) mark: usize,
    pub(super) refused: bool,
}

impl Receiver {
    pub(super) fn new(key: &GroupKey) -> Self {
        let mut codec = key.codec;
        for family in Family::ALL {
            let codec = codec.family_mut(family).unwrap();
            codec.add_path_receive = codec.add_path_send;
        }
        Self {
            codec,
            table: BTreeMap::new(),
            stale: BTreeMap::new(),
            end_of_rib: Vec::new(),
            refreshes: 0,
            messages: 0,
            lost: 0,
            queued: 0,
            mark: usize::MAX,
            refused: false,
        }
    }

    pub(super) fn read(&mut self, bytes: &Bytes) {
        let mut buffer = BytesMut::from(&bytes[..]);
        let mut framer = Framer::new();
        if self.codec.extended_message {
            framer.allow_extended();
        }
        let frame = framer.next(&mut buffer).unwrap().unwrap();
        assert!(buffer.is_empty(), "one message per buffer");
        self.messages += 1;
        match Message::decode(&frame, &self.codec).unwrap() {
            Message::Update(update) => {
                assert_eq!(update.faults, [], "{update:?}");
                for list in &update.unreach {
                    for prefix in prefixes(list) {
                        self.lost += usize::from(self.table.remove(&prefix).is_some());
                    }
                }
                for reach in &update.reach {
                    for prefix in prefixes(&reach.nlri) {
                        let family = family_of(prefix);
                        if let Some(stale) = self.stale.get_mut(&family) {
                            stale.remove(&prefix);
                        }
                        let advertised = (update.attributes.clone(), reach.next_hop);
                        self.table.insert(prefix, advertised);
                    }
                }
                self.end_of_rib.extend(update.end_of_rib);
            }
            Message::RouteRefresh(border) => {
                let of_family = self.table.keys().copied();
                let of_family = of_family
                    .filter(|prefix| family_of(*prefix) == border.family)
                    .collect();
                match border.subtype {
                    RouteRefreshSubtype::Begin => {
                        assert!(self.end_of_rib.contains(&border.family));
                        assert!(self.stale.insert(border.family, of_family).is_none());
                    }
                    RouteRefreshSubtype::End => {
                        self.refreshes += 1;
                        for prefix in self.stale.remove(&border.family).unwrap() {
                            self.table.remove(&prefix);
                        }
                    }
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// The writer catches up. Returns whether it had said that it was full.
    pub(super) fn drain(&mut self) -> bool {
        self.queued = 0;
        std::mem::take(&mut self.refused)
    }
}

fn prefixes(list: &NlriList) -> Vec<IpNet> {
    match list {
        NlriList::Ipv4(list) => list.iter().map(|nlri| nlri.prefix.into()).collect(),
        NlriList::Ipv6(list) => list.iter().map(|nlri| nlri.prefix.into()).collect(),
    }
}

/// All far ends. Bytes for a peer that is not up fail the test.
#[derive(Debug, Default)]
pub(in crate::export) struct TestTransport {
    pub(super) receivers: BTreeMap<PeerId, Receiver>,
    /// Every buffer handed over, to see what is shared.
    pub(super) sent: Vec<(PeerId, Bytes)>,
}

impl Transport for TestTransport {
    fn send(&mut self, peer: PeerId, messages: &Bytes) -> Result<(), Full> {
        assert!(!messages.is_empty());
        let receiver = self.receivers.get_mut(&peer).expect("the peer is up");
        assert!(!receiver.refused, "nothing is sent before `writable`");
        if receiver.queued >= receiver.mark {
            receiver.refused = true;
            return Err(Full);
        }
        let mut rest = messages.clone();
        while !rest.is_empty() {
            let length = u16::from_be_bytes([rest[16], rest[17]]);
            let message = rest.split_to(usize::from(length));
            receiver.queued += 1;
            receiver.read(&message);
            self.sent.push((peer, message));
        }
        Ok(())
    }
}
