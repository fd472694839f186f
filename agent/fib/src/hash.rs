//! Hash tables. Their keys are what peers and other daemons choose, so the hash is seeded at random.

use foldhash::fast::RandomState;

pub(crate) type HashMap<K, V> = hashbrown::HashMap<K, V, RandomState>;
pub(crate) type HashSet<K> = hashbrown::HashSet<K, RandomState>;
