//! Conflicts with another controller that writes the addresses of the same Services. Pure.
//!
//! Two controllers that overwrite each other would never stop, and every node processes every version. An address that
//! another controller replaces is therefore written once more, and not a third time before the Service itself changes.
//! The same holds for the condition, which a controller that replaces the list of conditions removes.
//!
//! The condition of a Service says that it is left to the other controller, so the next active replica does not write
//! it either. The condition has the generation and the addresses that were replaced, but no labels and annotations: of
//! the changes made while no replica was active, a new generation and a request for other addresses are noticed, others
//! are not.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use routelet_core::pools::{Condition, Request, Statement};
use tokio::time::Instant;

use super::kubernetes::Served;
use super::store::Key;

/// Replaced writes after which the Service is left to the other controller.
const PATIENCE: u8 = 2;

/// After this time without another conflict, a write that was replaced once is forgotten: it may have been a manual
/// edit.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// `reason` of the condition of a Service that is left alone.
const CONTESTED: &str = "WrittenByAnother";

/// How the condition of such a Service begins; the addresses that were replaced follow.
const REPLACED: &str = "another controller replaced ";

/// After the addresses that were replaced.
const BY: &str = " in the status by ";

/// Between two addresses.
const BETWEEN: &str = ", ";

/// Services whose addresses were written, with the conflicts since.
#[derive(Debug, Default)]
pub(super) struct WriteConflicts(HashMap<Key, Written>);

#[derive(Debug)]
struct Written {
    uid: Option<String>,
    /// The Service without its status.
    asks: Request,
    addresses: BTreeSet<IpAddr>,
    at: Instant,
    /// Whether somebody replaced these addresses, as far as was seen.
    is_replaced: bool,
    times: u8,
    /// The condition as it was after the last write, whether somebody changed it since, and how many times somebody
    /// did.
    condition: Option<Condition>,
    is_condition_replaced: bool,
    condition_times: u8,
    /// That it is left alone stood in its condition: this is not repeated either, if somebody takes it away.
    is_said: bool,
    is_told: bool,
}

/// What to do about a Service whose status is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Write it.
    Write,
    /// Say so in the condition, and in an Event the first time.
    Say(Statement, bool),
    /// Leave it alone.
    Leave,
}

impl WriteConflicts {
    /// Takes over, when a replica becomes active, what the last one said of the Services that are ours.
    pub(super) fn adopt<'a>(
        &mut self,
        services: impl IntoIterator<Item = (&'a Key, &'a Served)>,
        now: Instant,
    ) {
        let left = services.into_iter();
        let left = left.filter_map(|(key, served)| {
            let written = Written {
                uid: served.uid.clone(),
                asks: without_status(&served.request),
                addresses: replaced(served)?,
                at: now,
                is_replaced: true,
                times: PATIENCE,
                condition: served.request.condition.as_deref().cloned(),
                is_condition_replaced: false,
                condition_times: 0,
                is_said: true,
                is_told: true,
            };
            Some((key.clone(), written))
        });
        self.0.extend(left);
    }

    /// What to do about a Service to which something is to be written: addresses, or the condition alone.
    pub(super) fn judge(
        &mut self,
        key: &Key,
        served: &Served,
        moves: bool,
        now: Instant,
    ) -> Verdict {
        let Some(known) = self.0.get_mut(key) else {
            return Verdict::Write;
        };
        let is_same = known.uid == served.uid && known.asks == without_status(&served.request);
        let is_old = now.duration_since(known.at) >= FORGOTTEN && !known.is_left_alone();
        if !is_same || is_old {
            self.0.remove(key);
            return Verdict::Write;
        }
        let found = addresses(served);
        if found != known.addresses && !known.is_replaced {
            known.is_replaced = true;
            known.times += 1;
        }
        let is_condition = known.condition.as_ref() == served.request.condition.as_deref();
        if found == known.addresses && !is_condition && !known.is_condition_replaced {
            known.is_condition_replaced = true;
            known.condition_times += 1;
        }
        if known.times < PATIENCE {
            return match known.condition_times < PATIENCE || moves {
                true => Verdict::Write,
                false => Verdict::Leave,
            };
        }
        if known.is_said {
            return Verdict::Leave;
        }
        let is_first = !std::mem::replace(&mut known.is_told, true);
        Verdict::Say(statement(&known.addresses, &found), is_first)
    }

    /// The condition of a Service was written, without addresses, and this is what the API server answered.
    pub(super) fn said(&mut self, key: &Key, served: &Served, now: Instant) {
        let known = self.0.entry(key.clone());
        let known = known.or_insert_with(|| Written::new(served, None, now));
        known.condition = served.request.condition.as_deref().cloned();
        known.is_condition_replaced = false;
        known.is_said = known.times >= PATIENCE;
    }

    /// Addresses of a Service were written, and this is what the API server answered.
    pub(super) fn wrote(&mut self, key: &Key, served: &Served, now: Instant) {
        let written = Written::new(served, self.0.get(key), now);
        self.0.insert(key.clone(), written);
    }

    /// Forgets a Service, which is not to have addresses of us any more.
    pub(super) fn forget(&mut self, key: &Key) {
        self.0.remove(key);
    }

    /// Forgets what is over, and Services that are gone.
    pub(super) fn keep(&mut self, now: Instant, is_there: impl Fn(&Key) -> bool) {
        self.0.retain(|key, known| {
            let is_recent = now.duration_since(known.at) < FORGOTTEN;
            is_there(key) && (known.is_left_alone() || is_recent)
        });
    }

    /// The Services whose addresses are left alone.
    pub(super) fn left_alone(&self) -> impl Iterator<Item = &Key> {
        let left = self.0.iter().filter(|(_, known)| known.times >= PATIENCE);
        left.map(|(key, _)| key)
    }
}

impl Written {
    /// A Service to which something was just written, and what is known of the writes before.
    fn new(served: &Served, before: Option<&Self>, now: Instant) -> Self {
        let asks = without_status(&served.request);
        let before = before.filter(|known| known.uid == served.uid && known.asks == asks);
        Self {
            uid: served.uid.clone(),
            asks,
            addresses: addresses(served),
            at: now,
            is_replaced: false,
            times: before.map_or(0, |known| known.times),
            condition: served.request.condition.as_deref().cloned(),
            is_condition_replaced: false,
            condition_times: before.map_or(0, |known| known.condition_times),
            is_said: false,
            is_told: false,
        }
    }

    /// Whether its addresses or its condition are left to somebody else.
    fn is_left_alone(&self) -> bool {
        self.times >= PATIENCE || self.condition_times >= PATIENCE
    }
}

/// The Service, without what is written into its status.
fn without_status(request: &Request) -> Request {
    Request {
        ingress: Box::default(),
        host_names: Box::default(),
        condition: None,
        ..request.clone()
    }
}

fn addresses(served: &Served) -> BTreeSet<IpAddr> {
    served.request.held().into_iter().collect()
}

/// The addresses that another controller replaced, as the condition says of a Service that is left alone and, as far as
/// the condition can say it, has not changed since.
fn replaced(served: &Served) -> Option<BTreeSet<IpAddr>> {
    let condition = served.request.condition.as_deref()?;
    if *condition.reason != *CONTESTED || condition.generation != served.generation {
        return None;
    }
    let listed = condition.message.strip_prefix(REPLACED)?;
    let (listed, _) = listed.split_once(BY)?;
    let listed = listed.split(BETWEEN).filter_map(|text| text.parse().ok());
    let ours: BTreeSet<IpAddr> = listed.collect();
    let asked = served.request.asked.addresses.as_ref();
    let asked = asked.and_then(|asked| asked.addresses.as_ref().ok());
    let is_same = asked.is_none_or(|asked| asked.iter().all(|ip| ours.contains(ip)));
    is_same.then_some(ours)
}

fn statement(ours: &BTreeSet<IpAddr>, theirs: &BTreeSet<IpAddr>) -> Statement {
    let list = |all: &BTreeSet<IpAddr>| match all.is_empty() {
        true => "no address".to_owned(),
        false => {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            all.join(BETWEEN)
        }
    };
    Statement {
        holds: false,
        reason: CONTESTED,
        message: format!(
            "{REPLACED}{}{BY}{}, {PATIENCE} times: the Service is left to it until the Service changes. \
             Set loadBalancerClass (routelet.dev/bgp, or the other's) so that only one controller serves it",
            list(ours),
            list(theirs)
        ),
    }
}
