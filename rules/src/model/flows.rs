//! The settings of the table of flows: `[flows]`.

use std::time::Duration;

use super::place::Place;

/// The settings of the table of flows. Those that say the same are equal, wherever they are written.
#[derive(Clone, Copy, Debug)]
pub struct Flows {
    /// The slots of the table, a power of two from [`Self::FEWEST`] to [`Self::MOST`].
    pub max: u32,
    /// Where [`Self::max`] is written, if it is.
    pub max_place: Option<Place>,
    /// How long flows without packets are kept.
    pub timeouts: Timeouts,
}

impl Flows {
    /// The least that [`Self::max`] can be.
    pub const FEWEST: u32 = 1 << 10;

    /// The most that [`Self::max`] can be.
    pub const MOST: u32 = 1 << 24;
}

impl PartialEq for Flows {
    fn eq(&self, other: &Self) -> bool {
        let Self { max, timeouts, .. } = self;
        (*max, *timeouts) == (other.max, other.timeouts)
    }
}

impl Eq for Flows {}

impl Default for Flows {
    fn default() -> Self {
        Self {
            max: 1 << 16,
            max_place: None,
            timeouts: Timeouts::default(),
        }
    }
}

const HOUR: u64 = 3600;

macro_rules! timeouts {
    ($($(#[$doc:meta])* $name:ident = $usual:expr, $most:expr;)*) => {
        /// How long flows without packets are kept, each at least [`Self::SHORTEST`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Timeouts {
            $($(#[$doc])* pub $name: Duration,)*
        }

        impl Default for Timeouts {
            fn default() -> Self {
                Self { $($name: Duration::from_secs($usual),)* }
            }
        }

        impl Timeouts {
            /// The keys in a rule file.
            pub const KEYS: &[&str] = &[$(stringify!($name)),*];

            /// The timeouts with their keys.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, Duration)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }

            /// The timeout of a key, and the most that it can be.
            pub(crate) fn entry(&mut self, key: &str) -> Option<(&mut Duration, Duration)> {
                match key {
                    $(stringify!($name) => Some((&mut self.$name, Duration::from_secs($most))),)*
                    _ => None,
                }
            }
        }
    };
}

timeouts! {
    /// TCP connections that are not answered yet.
    tcp_opening = 120, 4 * HOUR;
    /// TCP connections that packets in begin, until they are answered and the answer is acknowledged.
    tcp_incoming = 60, 4 * HOUR;
    /// Open TCP connections.
    tcp = 24 * HOUR, 36 * HOUR;
    /// TCP connections of which one end has sent its last byte.
    tcp_half_closed = HOUR, 4 * HOUR;
    /// TCP connections of which both ends have sent their last byte.
    tcp_closed = 120, 4 * HOUR;
    /// TCP connections that the other end has reset.
    tcp_reset = 600, 4 * HOUR;
    /// UDP without an answer.
    udp = 30, 4 * HOUR;
    /// UDP with packets in both directions.
    udp_answered = 120, 4 * HOUR;
    /// Echo requests of ICMP and ICMPv6.
    icmp_echo = 30, 4 * HOUR;
    /// Packets of other protocols between two addresses.
    other = 600, 4 * HOUR;
}

impl Timeouts {
    /// The unit of time in which a flow notes its last packet, and the shortest timeout.
    pub const SHORTEST: Duration = Duration::from_secs(4);
}
