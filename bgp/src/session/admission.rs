//! Who is let in: what a peer or listen range asks of a connection, how many may come, and what became of the others.
//!
//! Nothing here waits. A connection that asks too much is closed without a word, and its sender tries again: a Cease would
//! end graceful restart there (RFC 4724 section 4). Each reason is counted, and logged once a minute at most.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::TcpStream;
use tracing::info;

use super::syn::Syn;
use super::{Password, Scope, Ttl, options, stamp};
use crate::wire::{Notification, NotificationCode};

/// Who dials: an address, with the interface if it is link-local.
pub(super) type Source = (IpAddr, Option<Scope>);

pub(super) fn source_of(remote: SocketAddr) -> Source {
    match remote {
        SocketAddr::V6(remote) if remote.ip().is_unicast_link_local() => {
            ((*remote.ip()).into(), Some(Scope(remote.scope_id())))
        }
        remote => (remote.ip(), None),
    }
}

/// Why a connection was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody is expected from there.
    Stranger,
    /// A peer or range is configured there, and cannot be started: its key or its password is missing.
    Blocked,
    /// It is not signed, or with a password that has been replaced, and there is one.
    Unsigned,
    /// It comes from farther away than TTL security allows (RFC 5082), or the kernel cannot say.
    TooFar,
    /// It is to another address of ours than the peer's local address.
    LocalAddress,
    /// It came in by another interface than the peer's.
    Interface,
    /// Its sender connects more often than anybody needs to.
    TooOften,
    /// Newcomers out of listen ranges connect faster than they are taken in.
    Pace,
    /// Too many connections have not sent an OPEN yet.
    WithoutOpen,
    /// Newcomers out of listen ranges wait, and nobody takes them.
    QueueFull,
    /// The listen range has as many peers as it may have.
    RangeFull,
}

impl Refusal {
    /// Every one, in the order of the counters.
    pub const ALL: [Self; 11] = [
        Self::Stranger,
        Self::Blocked,
        Self::Unsigned,
        Self::TooFar,
        Self::LocalAddress,
        Self::Interface,
        Self::TooOften,
        Self::Pace,
        Self::WithoutOpen,
        Self::QueueFull,
        Self::RangeFull,
    ];

    /// One word for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::Blocked => "blocked",
            Self::Unsigned => "unsigned",
            Self::TooFar => "ttl",
            Self::LocalAddress => "local_address",
            Self::Interface => "interface",
            Self::TooOften => "too_often",
            Self::Pace => "pace",
            Self::WithoutOpen => "without_open",
            Self::QueueFull => "queue_full",
            Self::RangeFull => "range_full",
        }
    }

    /// Whether the sender gets Cease/Connection Rejected: it has no business here, now or later.
    const fn is_answered(self) -> bool {
        match self {
            Self::Stranger | Self::LocalAddress | Self::Interface | Self::RangeFull => true,
            Self::Blocked
            | Self::Unsigned
            | Self::TooFar
            | Self::TooOften
            | Self::Pace
            | Self::WithoutOpen
            | Self::QueueFull => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stranger => "no peer or listen range has its address",
            Self::Blocked => "the peer or listen range at its address is blocked",
            Self::Unsigned => "it is not signed with the password configured for its address",
            Self::TooFar => "it comes from more hops away than ttlSecurity allows",
            Self::LocalAddress => "it is to another address than the peer's localAddress",
            Self::Interface => "it came in by another interface than the peer's sourceInterface",
            Self::TooOften => "its sender connects too often",
            Self::Pace => "too many new peers connect at once",
            Self::WithoutOpen => "too many connections have not sent an OPEN",
            Self::QueueFull => "too many new peers wait to be looked at",
            Self::RangeFull => "its listen range has as many peers as maxPeers allows",
        })
    }
}

/// How often one reason is logged at most. Refused connections may be many, and nobody's fault here.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Answers to those who are refused, all of them: a burst, then so many a second. The rest is closed without a word.
const ANSWERS: Rate = Rate {
    burst: 64,
    per_second: 16,
};

/// What listeners let in and what not, since the start. Outlives each listener.
#[derive(Debug)]
pub struct Admissions {
    accepted: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
    without_open: AtomicUsize,
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Log {
    /// By reason: when it was last logged, and how many were not since.
    reasons: [(Option<Instant>, u64); Refusal::ALL.len()],
    answers: Bucket,
}

impl Default for Admissions {
    fn default() -> Self {
        Self {
            accepted: AtomicU64::new(0),
            refused: Default::default(),
            without_open: AtomicUsize::new(0),
            log: Mutex::new(Log {
                reasons: Default::default(),
                answers: Bucket::full(ANSWERS, stamp::now()),
            }),
        }
    }
}

impl Admissions {
    /// Connections that went to a peer or became one.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections that were refused for this reason.
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused[why as usize].load(Ordering::Relaxed)
    }

    /// Accepted connections that have not sent an OPEN, at this moment.
    pub fn without_open(&self) -> usize {
        self.without_open.load(Ordering::Relaxed)
    }

    pub(super) fn count_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes a connection, with an answer if it is due one.
    pub(super) fn refuse(&self, stream: TcpStream, remote: SocketAddr, why: Refusal) {
        self.refused[why as usize].fetch_add(1, Ordering::Relaxed);
        let now = stamp::now();
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, silent) = &mut log.reasons[why as usize];
        if last.is_none_or(|last| now >= last + LOG_INTERVAL) {
            info!(%remote, others = *silent, "refused a connection: {why}");
            (*last, *silent) = (Some(now), 0);
        } else {
            *silent += 1;
        }
        // Courtesy or thrift only: the connection is closed next. A reset leaves nothing behind in the kernel.
        if why.is_answered() && log.answers.take(now) {
            let message = Notification::new(NotificationCode::CONNECTION_REJECTED).encode();
            drop(stream.try_write(&message));
        } else {
            drop(SockRef::from(&stream).set_linger(Some(Duration::ZERO)));
        }
    }
}

/// A token bucket's shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) burst: u32,
    pub(super) per_second: u32,
}

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    rate: Rate,
    /// Full again at this time, if nothing is taken.
    full_at: Instant,
}

impl Bucket {
    pub(super) fn full(rate: Rate, now: Instant) -> Self {
        Self { rate, full_at: now }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let token = Duration::from_secs(1) / self.rate.per_second;
        let full_at = self.full_at.max(now) + token;
        let left = full_at <= now + token * self.rate.burst;
        if left {
            self.full_at = full_at;
        }
        left
    }

    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

/// Connections of one sender. Nobody who works needs more: peers that refuse us wait between their tries.
const EACH: Rate = Rate {
    burst: 32,
    per_second: 2,
};

/// Newcomers out of listen ranges, all of them.
const NEWCOMERS: Rate = Rate {
    burst: 256,
    per_second: 64,
};

/// Senders whose buckets are kept; when there are more, the least that a sender can gain is a new burst.
const SENDERS: usize = 4096;

/// Connections that may be without an OPEN: of one sender, and of all newcomers out of listen ranges together. A configured
/// peer has a place of its own, and is limited by [`WITHOUT_OPEN_EACH`] alone.
pub(super) const WITHOUT_OPEN_EACH: usize = 4;
pub(super) const WITHOUT_OPEN: usize = 256;

/// How many come and how fast.
#[derive(Debug)]
pub(super) struct Pace {
    senders: HashMap<Source, Bucket>,
    newcomers: Bucket,
    without_open: Arc<WithoutOpen>,
}

impl Pace {
    pub(super) fn new(admissions: Arc<Admissions>) -> Self {
        Self {
            senders: HashMap::new(),
            newcomers: Bucket::full(NEWCOMERS, stamp::now()),
            without_open: Arc::new(WithoutOpen {
                sources: Mutex::default(),
                admissions,
            }),
        }
    }

    /// Whether a connection of this sender comes at a fair pace; a newcomer's is one that becomes a peer of a range.
    pub(super) fn enter(&mut self, source: Source, is_newcomer: bool) -> Result<Waiting, Refusal> {
        let now = stamp::now();
        if self.senders.len() >= SENDERS {
            self.senders.retain(|_, bucket| !bucket.is_full(now));
            if self.senders.len() >= SENDERS {
                self.senders.clear();
            }
        }
        let bucket = self.senders.entry(source);
        if !bucket.or_insert_with(|| Bucket::full(EACH, now)).take(now) {
            return Err(Refusal::TooOften);
        }
        if is_newcomer && !self.newcomers.take(now) {
            return Err(Refusal::Pace);
        }
        self.without_open.enter(source, is_newcomer)
    }
}

#[derive(Debug)]
struct WithoutOpen {
    sources: Mutex<HashMap<Source, usize>>,
    admissions: Arc<Admissions>,
}

impl WithoutOpen {
    fn enter(self: &Arc<Self>, source: Source, is_newcomer: bool) -> Result<Waiting, Refusal> {
        let mut sources = self.lock();
        let total: usize = self.admissions.without_open();
        let own = sources.entry(source).or_default();
        if *own >= WITHOUT_OPEN_EACH || (is_newcomer && total >= WITHOUT_OPEN) {
            if *own == 0 {
                sources.remove(&source);
            }
            return Err(Refusal::WithoutOpen);
        }
        *own += 1;
        self.admissions.without_open.fetch_add(1, Ordering::Relaxed);
        drop(sources);
        Ok(Waiting {
            counted: self.clone(),
            source,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Source, usize>> {
        // Counts are whole at every moment.
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that has not sent an OPEN counts until this is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    counted: Arc<WithoutOpen>,
    source: Source,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut sources = self.counted.lock();
        if let Some(own) = sources.get_mut(&self.source) {
            *own -= 1;
            if *own == 0 {
                sources.remove(&self.source);
            }
        }
        self.counted
            .admissions
            .without_open
            .fetch_sub(1, Ordering::Relaxed);
    }
}

/// An accepted connection with what the kernel says of it.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) remote: SocketAddr,
    pub(super) local: SocketAddr,
    /// `None` if the kernel answered with a SYN cookie, and kept none.
    pub(super) syn: Option<Syn>,
    /// The password that the kernel has surely checked it with.
    pub(super) password: Option<Password>,
    pub(super) waiting: Waiting,
}

/// What a peer or a listen range asks of connections, beside their password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checks {
    /// With [`Ttl::Security`], how far away the sender may be.
    pub ttl: Ttl,
    /// What was dialled; `None`: any address of ours.
    pub local: Option<IpAddr>,
    /// The interface by which it came in, by name, or the VRF or bridge above that; `None`: any.
    pub device: Option<String>,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            ttl: Ttl::System,
            local: None,
            device: None,
        }
    }
}

/// Whether a connection is signed as it must be. Its later segments must be, too, from here on.
pub(super) fn check_signature(
    accepted: &Accepted,
    password: Option<&Password>,
) -> Result<(), Refusal> {
    let Some(password) = password else {
        return Ok(());
    };
    let is_signed = accepted.syn.is_none_or(|syn| syn.signed);
    if !is_signed || accepted.password.as_ref() != Some(password) {
        return Err(Refusal::Unsigned);
    }
    let net = options::host(accepted.remote.ip());
    options::set_md5(accepted.stream.as_fd(), net, Some(password)).map_err(|_| Refusal::Unsigned)
}

impl Checks {
    /// Whether a connection came as it must.
    pub(super) fn check(&self, accepted: &Accepted) -> Result<(), Refusal> {
        if let Ttl::Security { hops } = self.ttl
            && accepted
                .syn
                .is_none_or(|syn| syn.ttl < options::least_ttl(hops))
        {
            // What a stranger sent between SYN and accept would else be read: the least TTL is the connection's only
            // once it is set.
            return Err(Refusal::TooFar);
        }
        if self.local.is_some_and(|local| local != accepted.local.ip()) {
            return Err(Refusal::LocalAddress);
        }
        match &self.device {
            Some(device) => check_device(accepted, device).map_err(|_| Refusal::Interface),
            None => Ok(()),
        }
    }
}

/// Whether a connection came in by this interface. It stays on it from here on, as one that we dialled does.
fn check_device(accepted: &Accepted, device: &str) -> io::Result<()> {
    let index = options::incoming_interface(&accepted.stream, accepted.remote.is_ipv4())?;
    if !options::is_interface(index, device) {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    }
    match source_of(accepted.remote) {
        // The kernel has bound it already, and only CAP_NET_RAW may do so again.
        (_, Some(_)) => Ok(()),
        (_, None) => SockRef::from(&accepted.stream).bind_device(Some(device.as_bytes())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 3,
        per_second: 2,
    };

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = stamp_start();
        let mut bucket = Bucket::full(RATE, start);
        let taken = |bucket: &mut Bucket, at| (0..9).filter(|_| bucket.take(at)).count();
        assert_eq!(taken(&mut bucket, start), 3);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(499)), 0);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(500)), 1);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(1500)), 2);
        assert!(!bucket.is_full(start + Duration::from_millis(2999)));
        assert!(bucket.is_full(start + Duration::from_millis(3000)));
        // However long it rests, it holds no more than its burst.
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(60)), 3);
    }

    fn stamp_start() -> Instant {
        stamp::now()
    }

    fn sender(number: u32) -> Source {
        (IpAddr::V4(number.into()), None)
    }

    #[tokio::test]
    async fn a_signature_counts_if_the_syn_has_it_and_the_password_is_the_present_one() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, remote) = listener.accept().await.unwrap();
        let mut pace = Pace::new(Arc::default());
        let password = |text: &str| Some(text.parse::<Password>().unwrap());
        let syn = |signed| Some(Syn { ttl: 64, signed });
        let mut accepted = Accepted {
            local: stream.local_addr().unwrap(),
            stream,
            remote,
            syn: None,
            password: None,
            waiting: pace.enter(source_of(remote), false).unwrap(),
        };
        let cases = [
            (syn(true), password("new"), true),
            (syn(true), password("old"), false),
            (syn(true), None, false),
            (syn(false), password("new"), false),
            // A SYN cookie: the kernel has checked the ACK, and kept no SYN.
            (None, password("new"), true),
            (None, None, false),
        ];
        for (syn, checked, expected) in cases {
            (accepted.syn, accepted.password) = (syn, checked);
            let result = check_signature(&accepted, password("new").as_ref());
            let expected = if expected {
                Ok(())
            } else {
                Err(Refusal::Unsigned)
            };
            assert_eq!(
                result, expected,
                "{:?} {:?}",
                accepted.syn, accepted.password
            );
            assert_eq!(check_signature(&accepted, None), Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connections_without_an_open_are_limited_by_sender_and_in_all() {
        let admissions = Arc::new(Admissions::default());
        let mut pace = Pace::new(admissions.clone());
        let own: Vec<_> = (0..WITHOUT_OPEN_EACH)
            .map(|_| pace.enter(sender(0), false).unwrap())
            .collect();
        assert_eq!(
            pace.enter(sender(0), false).unwrap_err(),
            Refusal::WithoutOpen
        );
        let all: Vec<_> = (1..)
            .map_while(|number| {
                let entered = pace.enter(sender(number), true);
                if matches!(entered, Err(Refusal::Pace)) {
                    return None;
                }
                Some(entered)
            })
            .map_while(Result::ok)
            .collect();
        assert_eq!(all.len(), WITHOUT_OPEN - WITHOUT_OPEN_EACH);
        assert_eq!(admissions.without_open(), WITHOUT_OPEN);
        // A configured peer still has its place.
        drop(pace.enter(sender(1_000_000), false).unwrap());
        drop(own);
        drop(pace.enter(sender(0), true).unwrap());
        drop(all);
        assert_eq!(admissions.without_open(), 0);
        assert!(pace.without_open.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn newcomers_share_a_pace_and_no_sender_uses_up_that_of_others() {
        let mut pace = Pace::new(Arc::default());
        let count = |pace: &mut Pace, source: fn(u32) -> Source, newcomers| {
            (0..2000)
                .filter(|number| pace.enter(source(*number), newcomers).is_ok())
                .count()
        };
        // One sender alone.
        assert_eq!(count(&mut pace, |_| sender(1), true), EACH.burst as usize);
        let rest = (NEWCOMERS.burst - EACH.burst) as usize;
        assert_eq!(count(&mut pace, |number| sender(number + 2), true), rest);
        assert_eq!(
            count(&mut pace, |number| sender(number + 10_000), false),
            2000
        );
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = NEWCOMERS.per_second as usize;
        assert_eq!(
            count(&mut pace, |number| sender(number + 20_000), true),
            second
        );
    }
}
