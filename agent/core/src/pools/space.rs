//! Which addresses each pool can hand out, as runs of numbers: nothing here counts or lists single addresses, so a /64 costs
//! what a /32 does.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use routelet_api::address_block::{self, AddressBlock};
use routelet_api::{AddressPoolSpec, IpFamily};

use super::request::Request;
use super::reserved::{Holder, Reserved};
use super::{Pool, PoolIs};
use crate::cluster::ObjectKey;

/// Numbers of addresses from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    pub(super) first: u128,
    pub(super) last: u128,
}

impl Run {
    fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// One value for each family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PerFamily<T>([T; 2]);

impl<T> PerFamily<T> {
    pub(super) fn of(&self, family: IpFamily) -> &T {
        match family {
            IpFamily::Ipv4 => &self.0[0],
            IpFamily::Ipv6 => &self.0[1],
        }
    }

    pub(super) fn of_mut(&mut self, family: IpFamily) -> &mut T {
        match family {
            IpFamily::Ipv4 => &mut self.0[0],
            IpFamily::Ipv6 => &mut self.0[1],
        }
    }
}

/// A block of a pool that an older pool claims too, in part or whole; the older one keeps what both claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The block of the younger pool.
    pub block: AddressBlock,
    /// The older pool.
    pub older: String,
    /// The block of the older pool.
    pub older_block: AddressBlock,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            block,
            older,
            older_block,
        } = self;
        write!(
            f,
            "{block} overlaps {older_block} of AddressPool {older}, which is older and keeps the addresses that \
             both have"
        )
    }
}

/// One pool, and what of its addresses is left to it.
#[derive(Debug)]
pub(super) struct Territory {
    pub(super) pool: Arc<Pool>,
    /// Ascending, apart from each other.
    pub(super) runs: PerFamily<Vec<Run>>,
    /// What of the runs is somebody's; ascending, apart from each other.
    pub(super) closed: PerFamily<Vec<Run>>,
    /// What is left of the runs; ascending, apart from each other.
    pub(super) open: PerFamily<Vec<Run>>,
    /// Whose that is, ascending, each once.
    pub(super) reserved: Vec<Reserved>,
    pub(super) overlaps: Vec<Overlap>,
}

/// All pools, in the order in which they are asked. No address is in two of them.
#[derive(Debug)]
pub(super) struct Space {
    pub(super) pools: Vec<Territory>,
    /// Every run with its pool, ascending.
    by_address: PerFamily<Vec<(Run, usize)>>,
    /// Pools that exist and whose addresses are not known.
    pub(super) unknown: BTreeSet<String>,
}

impl Space {
    pub(super) fn new<'r>(
        pools: impl IntoIterator<Item = Arc<Pool>>,
        unknown: BTreeSet<String>,
        reserved: &[Reserved],
        cluster_ips: impl IntoIterator<Item = (&'r ObjectKey, IpAddr)>,
    ) -> Self {
        let mut space = Self::of_pools(pools, unknown);
        for one in reserved {
            let family = IpFamily::of(one.net.addr());
            let wanted = Run {
                first: address_block::number(one.net.network()),
                last: address_block::number(one.net.broadcast()),
            };
            space.close(family, wanted, || one.clone());
        }
        for (key, ip) in cluster_ips {
            let number = address_block::number(ip);
            let wanted = Run {
                first: number,
                last: number,
            };
            space.close(IpFamily::of(ip), wanted, || Reserved {
                net: ip.into(),
                holder: Holder::ClusterIp(key.clone()),
            });
        }
        for territory in &mut space.pools {
            territory.reserved.sort_unstable();
            territory.reserved.dedup();
            for family in IpFamily::ALL {
                let closed = merged(std::mem::take(territory.closed.of_mut(family)));
                let open = without(territory.runs.of(family), &closed);
                *territory.closed.of_mut(family) = closed;
                *territory.open.of_mut(family) = open;
            }
        }
        space
    }

    /// Keeps addresses, as far as pools have them, from being handed out.
    fn close(&mut self, family: IpFamily, wanted: Run, whose: impl Fn() -> Reserved) {
        let runs = self.by_address.of(family);
        let from = runs.partition_point(|(run, _)| run.last < wanted.first);
        for (run, pool) in runs[from..]
            .iter()
            .take_while(|(r, _)| r.first <= wanted.last)
        {
            let territory = &mut self.pools[*pool];
            territory.closed.of_mut(family).push(Run {
                first: run.first.max(wanted.first),
                last: run.last.min(wanted.last),
            });
            territory.reserved.push(whose());
        }
    }

    fn of_pools(pools: impl IntoIterator<Item = Arc<Pool>>, unknown: BTreeSet<String>) -> Self {
        let mut by_age: Vec<Arc<Pool>> = pools.into_iter().collect();
        by_age.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        let mut taken: PerFamily<Vec<Run>> = PerFamily::default();
        let mut territories = Vec::with_capacity(by_age.len());
        for (at, pool) in by_age.iter().enumerate() {
            let mut runs = PerFamily::default();
            for family in IpFamily::ALL {
                let taken = taken.of_mut(family);
                let left = without(&claimed(&pool.spec, family), taken);
                taken.extend(&left);
                taken.sort_unstable();
                *runs.of_mut(family) = left;
            }
            territories.push(Territory {
                pool: Arc::clone(pool),
                runs,
                closed: PerFamily::default(),
                open: PerFamily::default(),
                reserved: Vec::new(),
                overlaps: overlaps(pool, &by_age[..at]),
            });
        }
        territories.sort_by(|a, b| {
            let rank = |t: &Territory| -i64::from(t.pool.spec.priority);
            (rank(a), &a.pool.name).cmp(&(rank(b), &b.pool.name))
        });
        let mut by_address: PerFamily<Vec<(Run, usize)>> = PerFamily::default();
        for family in IpFamily::ALL {
            let all = by_address.of_mut(family);
            for (at, territory) in territories.iter().enumerate() {
                all.extend(territory.runs.of(family).iter().map(|run| (*run, at)));
            }
            all.sort_unstable();
        }
        Self {
            pools: territories,
            by_address,
            unknown,
        }
    }

    /// The pool that an address belongs to.
    pub(super) fn pool_of(&self, address: IpAddr) -> Option<usize> {
        let number = address_block::number(address);
        let runs = self.by_address.of(IpFamily::of(address));
        let after = runs.partition_point(|(run, _)| run.first <= number);
        let (run, pool) = runs.get(after.checked_sub(1)?)?;
        (number <= run.last).then_some(*pool)
    }

    /// Who keeps a Service from getting an address of a pool that it does not have.
    pub(super) fn reserved_from(&self, address: IpAddr, request: &Request) -> Option<&Holder> {
        if !self.is_reserved(address) {
            return None;
        }
        let territory = &self.pools[self.pool_of(address)?];
        let reserved = territory.reserved.iter();
        let mut holders = reserved.filter(|one| one.net.contains(&address));
        let found = holders.find(|one| !one.holder.admits(request))?;
        Some(&found.holder)
    }

    /// Whether an address of a pool is somebody's.
    pub(super) fn is_reserved(&self, address: IpAddr) -> bool {
        let Some(pool) = self.pool_of(address) else {
            return false;
        };
        let number = address_block::number(address);
        let closed = self.pools[pool].closed.of(IpFamily::of(address));
        let at = closed.partition_point(|run| run.last < number);
        closed.get(at).is_some_and(|run| run.first <= number)
    }

    /// The pool that has an address in one of its prefixes, but leaves it out as the first or the last.
    pub(super) fn left_out_by(&self, address: IpAddr) -> Option<usize> {
        let holds = |block: &AddressBlock| {
            block.family() == IpFamily::of(address)
                && block.first() <= address
                && address <= block.last()
        };
        self.pools
            .iter()
            .position(|t| t.pool.spec.addresses.iter().any(holds))
    }

    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.pools.iter().position(|t| t.pool.name == name)
    }

    /// What is known of a pool.
    pub(super) fn knows(&self, name: &str) -> PoolIs {
        match (self.named(name), self.unknown.contains(name)) {
            (Some(_), _) => PoolIs::Known,
            (None, true) => PoolIs::Unknown,
            (None, false) => PoolIs::Deleted,
        }
    }

    pub(super) fn name(&self, pool: usize) -> &str {
        &self.pools[pool].pool.name
    }
}

impl Territory {
    /// How many addresses of a family it can hand out.
    pub(super) fn open(&self, family: IpFamily) -> u128 {
        let sizes = self.open.of(family).iter();
        let sizes = sizes.map(|run| (run.last - run.first).saturating_add(1));
        sizes.fold(0, u128::saturating_add)
    }
}

/// What is used of a block; nothing of a prefix that has but a first and a last address, if both are left out.
fn run(block: AddressBlock, exclude_first_and_last: bool) -> Option<Run> {
    let (first, last) = (
        address_block::number(block.first()),
        address_block::number(block.last()),
    );
    match block {
        AddressBlock::Prefix(_) if exclude_first_and_last => (last - first > 1).then(|| Run {
            first: first + 1,
            last: last - 1,
        }),
        AddressBlock::Prefix(_) | AddressBlock::Range(..) | AddressBlock::Single(_) => {
            Some(Run { first, last })
        }
    }
}

/// What a pool can hand out if it is the only one: ascending, apart from each other.
fn claimed(spec: &AddressPoolSpec, family: IpFamily) -> Vec<Run> {
    let blocks = spec.addresses.iter().filter(|b| b.family() == family);
    merged(
        blocks
            .filter_map(|block| run(*block, spec.exclude_first_and_last))
            .collect(),
    )
}

/// Runs in order, those that overlap as one.
fn merged(mut runs: Vec<Run>) -> Vec<Run> {
    runs.sort_unstable();
    let mut merged: Vec<Run> = Vec::with_capacity(runs.len());
    for run in runs {
        match merged.last_mut() {
            Some(before) if run.first <= before.last => before.last = before.last.max(run.last),
            _ => merged.push(run),
        }
    }
    merged
}

/// What of some runs lies in none of others; both ascending and apart from each other.
fn without(runs: &[Run], others: &[Run]) -> Vec<Run> {
    let mut left = Vec::with_capacity(runs.len());
    for run in runs {
        let mut first = Some(run.first);
        let from = others.partition_point(|other| other.last < run.first);
        for other in others[from..].iter().take_while(|o| o.first <= run.last) {
            if let Some(first) = first.filter(|first| *first < other.first) {
                left.push(Run {
                    first,
                    last: other.first - 1,
                });
            }
            first = other.last.checked_add(1);
        }
        if let Some(first) = first.filter(|first| *first <= run.last) {
            left.push(Run {
                first,
                last: run.last,
            });
        }
    }
    left
}

/// The blocks of a pool that older ones have addresses of, each with the first block that has.
fn overlaps(pool: &Pool, older: &[Arc<Pool>]) -> Vec<Overlap> {
    let used = |pool: &Pool, block: AddressBlock| run(block, pool.spec.exclude_first_and_last);
    let mut found = Vec::new();
    for &block in &pool.spec.addresses {
        let Some(mine) = used(pool, block) else {
            continue;
        };
        for other in older {
            let blocks = other.spec.addresses.iter();
            let theirs = blocks
                .filter(|theirs| theirs.family() == block.family())
                .find(|theirs| used(other, **theirs).is_some_and(|t| t.overlaps(mine)));
            if let Some(theirs) = theirs {
                found.push(Overlap {
                    block,
                    older: other.name.clone(),
                    older_block: *theirs,
                });
            }
        }
    }
    found
}
