//! The bans: who is banned, until when and why, and what was dropped for each reason.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use firewall_ebpf::bans::{self, Ban, FOREVER, REASONS};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{
    bans::{
        error::BansError,
        prefilter::Prefilter,
        prefix::{Prefix, halves, read_prefixes},
        table::BanLookup,
    },
    config::Config,
    error::Error,
    generation::in_force,
    kernel::{
        bans::{BanCounters, BanMap, BanReader, PrefilterMap, now},
        counters::Count,
        pins::Pins,
    },
    text::format::utc,
};

/// All bans, and what was dropped.
#[derive(Serialize, Deserialize)]
pub struct BanListing {
    /// The maximum number of bans.
    pub max_bans: u32,
    /// The bans, sorted by prefix.
    pub bans: Vec<BanEntry>,
    /// What was dropped for each reason, sorted by reason.
    pub reasons: Vec<ReasonRow>,
    /// The number of bans that are left out, since there are very many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
pub(super) fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A ban that has not ended.
#[derive(Serialize, Deserialize)]
pub struct BanEntry {
    /// The address or prefix.
    #[serde(serialize_with = "as_text", deserialize_with = "of_text")]
    pub prefix: Prefix,
    /// Empty for a ban without a reason.
    pub reason: String,
    /// RFC 3339, in UTC.
    pub began: String,
    /// RFC 3339, in UTC; `None` when it does not end.
    pub ends: Option<String>,
    /// Rounded up; `None` when it does not end.
    pub seconds_left: Option<u64>,
}

/// What was dropped for a reason.
#[derive(Serialize, Deserialize)]
pub struct ReasonRow {
    /// Empty for bans without a reason.
    pub reason: String,
    /// How many bans have it.
    pub bans: u64,
    /// What was dropped.
    #[serde(flatten)]
    pub count: Count,
}

fn as_text<S: serde::Serializer>(prefix: &Prefix, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(prefix)
}

fn of_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Prefix, D::Error> {
    let text = String::deserialize(deserializer)?;
    let prefixes = read_prefixes(&text).map_err(D::Error::custom)?;
    let mut prefixes = prefixes.into_iter();
    match (prefixes.next(), prefixes.next()) {
        (Some(prefix), None) => Ok(prefix),
        (_, _) => Err(D::Error::custom("not one prefix")),
    }
}

/// What was dropped for each reason that has a text or a count; how many bans have it is left out.
pub(crate) fn reasons(pins: &Pins) -> Result<Vec<ReasonRow>, BansError> {
    let prefilter = PrefilterMap::open(pins)?;
    let counters = BanCounters::open(pins)?;
    let rows = (0..REASONS).map(|number| {
        Ok(ReasonRow {
            reason: Prefilter::new(prefilter.words()).reason(number),
            bans: 0,
            count: counters.read(number)?,
        })
    });
    let rows: Vec<ReasonRow> = rows.collect::<Result<_, BansError>>()?;
    Ok(rows)
}

/// How many bans have a reason, without those that have ended.
pub(crate) fn bans_of(pins: &Pins, reason: &str) -> Result<u64, BansError> {
    let prefilter = PrefilterMap::open(pins)?;
    let prefilter = Prefilter::new(prefilter.words());
    let Some(number) = (0..REASONS).find(|number| prefilter.reason(*number) == reason) else {
        return Ok(0);
    };
    let now = now()?;
    let mut count = 0;
    BanReader::open(pins)?.each(|part| {
        let bans = part.iter().map(|(_, ban)| ban);
        let present = bans.filter(|ban| ban.reason == u64::from(number) && ban.ends > now);
        count += present.count() as u64;
        Ok(())
    })?;
    Ok(count)
}

/// How many bans there are, some of which may have ended, and how many there can be.
pub(crate) fn count(pins: &Pins) -> Result<(u64, u32), BansError> {
    let prefilter = PrefilterMap::open(pins)?;
    let most = BanMap::open(pins)?.most().bans();
    Ok((Prefilter::new(prefilter.words()).count(), most))
}

/// The ban that an address is under at this moment.
pub(crate) fn ban_of(pins: &Pins, address: IpAddr) -> Result<Option<BanEntry>, BansError> {
    let prefilter = PrefilterMap::open(pins)?;
    let map = BanMap::open(pins)?;
    let clock = Clock::read()?;
    let table = BanLookup {
        prefilter: Prefilter::new(prefilter.words()),
        map: &map,
        now: clock.boot,
    };
    let (family, high, low) = halves(address);
    let found = bans::find(&table, family, high, low);
    Ok(found.map(|(key, ban)| {
        let reason = Prefilter::new(prefilter.words()).reason(ban.reason as u32);
        BanEntry::new(Prefix::of_key(&key), &ban, reason, &clock)
    }))
}

/// Both clocks at one moment.
struct Clock {
    boot: u64,
    wall: SystemTime,
}

impl Clock {
    fn read() -> Result<Self, BansError> {
        Ok(Self {
            boot: now()?,
            wall: SystemTime::now(),
        })
    }

    fn wall_at(&self, boot: u64) -> String {
        let moment = if boot >= self.boot {
            self.wall
                .checked_add(Duration::from_nanos(boot - self.boot))
        } else {
            self.wall
                .checked_sub(Duration::from_nanos(self.boot - boot))
        };
        utc(moment.unwrap_or(self.wall))
    }
}

impl BanEntry {
    fn new(prefix: Prefix, ban: &Ban, reason: String, clock: &Clock) -> Self {
        let ends = (ban.ends != FOREVER).then_some(ban.ends);
        Self {
            prefix,
            reason,
            began: clock.wall_at(ban.began),
            ends: ends.map(|ends| clock.wall_at(ends)),
            seconds_left: ends.map(|ends| ends.saturating_sub(clock.boot).div_ceil(1_000_000_000)),
        }
    }

    /// The ban in one line.
    pub(crate) fn to_text(&self) -> String {
        let reason = if self.reason.is_empty() {
            String::new()
        } else {
            format!(" for `{}`", self.reason)
        };
        match &self.ends {
            None => format!("{} is banned{reason}, forever", self.prefix),
            Some(ends) => format!("{} is banned{reason}, until {ends}", self.prefix),
        }
    }
}

impl BanListing {
    /// Reads the bans.
    ///
    /// # Errors
    ///
    /// When nothing is loaded, or the pins cannot be opened.
    pub fn read(config: &Config) -> Result<Self, Error> {
        // What is pinned must be of this version.
        in_force::read(config)?;
        Ok(Self::of(&config.pins, usize::MAX)?)
    }

    /// Reads the bans, and shows at most so many.
    pub(crate) fn of(pins: &Pins, most: usize) -> Result<Self, BansError> {
        let mut reasons = reasons(pins)?;
        let clock = Clock::read()?;
        let (mut bans, mut left_out) = (Vec::new(), 0);
        BanReader::open(pins)?.each(|part| {
            for (key, ban) in part {
                if ban.ends <= clock.boot {
                    continue;
                }
                let row = reasons.get_mut(ban.reason as usize);
                let reason = row.map_or_else(String::new, |row| {
                    row.bans += 1;
                    row.reason.clone()
                });
                if bans.len() < most {
                    bans.push(BanEntry::new(Prefix::of_key(key), ban, reason, &clock));
                } else {
                    left_out += 1;
                }
            }
            Ok(())
        })?;
        bans.sort_by_key(|entry| entry.prefix);
        reasons.retain(|row| row.bans > 0 || row.is_shown());
        reasons.sort_by(|a, b| a.reason.cmp(&b.reason));
        Ok(Self {
            max_bans: BanMap::open(pins)?.most().bans(),
            bans,
            reasons,
            left_out,
        })
    }
}

impl ReasonRow {
    /// Whether it has a text or a count, whatever bans have it.
    pub(crate) fn is_shown(&self) -> bool {
        !self.reason.is_empty() || self.count != Count::default()
    }

    /// The reason for a table.
    pub(crate) fn name(&self) -> &str {
        if self.reason.is_empty() {
            "(none given)"
        } else {
            &self.reason
        }
    }
}
