//! What wrong UPDATEs are made of: the attributes of a good route, its second version, and that version with a part
//! replaced. Only octets, so that a test of the decoder can use it too.

use interop_tests::raw::encode::{EXTENDED, NON_TRANSITIVE, WELL_KNOWN, attribute, update};

/// The raw peers' AS.
pub const RAW_AS: u32 = 64502;
/// Where an internal peer's routes come from.
const FAR_AS: u32 = 64599;

/// The raw side's IPv6 address.
pub const NEXT_HOP6: [u8; 16] = [0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

/// What the messages of a row are made of.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    n: u8,
    internal: bool,
    two_octets: bool,
}

impl Parts {
    /// Of row `n`, from a peer in the subject's AS or outside of it.
    pub fn new(n: usize, internal: bool) -> Self {
        let n = u8::try_from(n).unwrap_or(u8::MAX);
        Self {
            n,
            internal,
            two_octets: false,
        }
    }

    /// From a peer that knows AS numbers of two octets only (RFC 6793).
    pub fn two_octets(mut self) -> Self {
        self.two_octets = true;
        self
    }

    /// The IPv4 route concerned, encoded.
    pub fn nlri(&self) -> Vec<u8> {
        vec![24, 198, 18, self.n]
    }

    /// The IPv6 route concerned, encoded.
    pub fn nlri6(&self) -> Vec<u8> {
        vec![48, 0x20, 1, 0x0d, 0xb8, 0, self.n]
    }

    /// MP_REACH_NLRI of IPv6 unicast with this next hop and these routes.
    pub fn mp_reach(&self, next_hop: &[u8], nlri: &[u8]) -> Vec<u8> {
        let length = u8::try_from(next_hop.len()).unwrap_or(u8::MAX);
        let value = [&[0, 2, 1, length], next_hop, &[0], nlri].concat();
        attribute(NON_TRANSITIVE, 14, &value)
    }

    /// A good MP_REACH_NLRI.
    pub fn reach(&self) -> Vec<u8> {
        self.mp_reach(&NEXT_HOP6, &self.nlri6())
    }

    /// The AS that a path begins with.
    pub fn first_as(&self) -> u32 {
        if self.internal { FAR_AS } else { RAW_AS }
    }

    /// AS_PATH of one AS_SEQUENCE.
    pub fn as_path(&self) -> Vec<u8> {
        let first = self.first_as().to_be_bytes();
        let first = if self.two_octets {
            &first[2..]
        } else {
            &first[..]
        };
        attribute(WELL_KNOWN, 2, &[&[2, 1][..], first].concat())
    }

    /// AS_PATH of this many AS_SEQUENCEs of 255 numbers.
    pub fn long_path(&self, segments: usize) -> Vec<u8> {
        let first = self.first_as().to_be_bytes();
        let first = if self.two_octets {
            &first[2..]
        } else {
            &first[..]
        };
        let segment = [&[2, 255], &first.repeat(255)[..]].concat();
        attribute(WELL_KNOWN | EXTENDED, 2, &segment.repeat(segments))
    }

    /// The attributes of a good IPv4 route.
    pub fn good(&self) -> Vec<Vec<u8>> {
        let mut all = vec![
            attribute(WELL_KNOWN, 1, &[0]),
            self.as_path(),
            attribute(WELL_KNOWN, 3, &[10, 1, 0, 2]),
        ];
        if self.internal {
            all.push(attribute(WELL_KNOWN, 5, &[0, 0, 0, 100]));
        }
        all
    }

    /// Those of a second version of it, which MED 77 tells apart.
    pub fn changed(&self) -> Vec<Vec<u8>> {
        let mut all = self.good();
        all.insert(3, attribute(NON_TRANSITIVE, 4, &[0, 0, 0, 77]));
        all
    }

    /// The message before the wrong one: the good IPv4 route.
    pub fn before_it(&self) -> Vec<u8> {
        update(&[], &self.good(), &self.nlri())
    }

    /// The same for the IPv6 route.
    pub fn before_it6(&self) -> Vec<u8> {
        let mut all = self.good();
        all.retain(|one| one[1] != 3);
        all.push(self.reach());
        update(&[], &all, &[])
    }

    /// The message behind the wrong one: another good route, 198.19.n.0/24.
    pub fn sentinel(&self) -> Vec<u8> {
        update(&[], &self.good(), &[24, 198, 19, self.n])
    }

    /// The second version with further attributes.
    pub fn with(&self, extra: &[Vec<u8>]) -> Vec<u8> {
        update(
            &[],
            &[self.changed(), extra.to_vec()].concat(),
            &self.nlri(),
        )
    }

    /// The second version with one attribute more, a long one if it has to be.
    pub fn with_one(&self, flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
        let long = if value.len() > 255 { EXTENDED } else { 0 };
        self.with(&[attribute(flags | long, code, value)])
    }

    /// The second version with this attribute before that of a code.
    pub fn before(&self, code: u8, extra: Vec<u8>) -> Vec<u8> {
        let mut all = self.changed();
        let at = all.iter().position(|one| one[1] == code).unwrap_or(0);
        all.insert(at, extra);
        update(&[], &all, &self.nlri())
    }

    /// The second version with this in place of the attribute of the same code.
    pub fn instead(&self, other: Vec<u8>) -> Vec<u8> {
        let mut all = self.changed();
        for one in &mut all {
            if one[1] == other[1] {
                one.clone_from(&other);
            }
        }
        update(&[], &all, &self.nlri())
    }

    /// The second version without an attribute.
    pub fn without(&self, code: u8) -> Vec<u8> {
        let mut all = self.changed();
        all.retain(|one| one[1] != code);
        update(&[], &all, &self.nlri())
    }

    /// An IPv6 route with the attributes of the second version, NEXT_HOP apart, and these.
    pub fn six(&self, extra: &[Vec<u8>]) -> Vec<u8> {
        let mut all = self.changed();
        all.retain(|one| one[1] != 3);
        all.extend_from_slice(extra);
        update(&[], &all, &[])
    }
}
