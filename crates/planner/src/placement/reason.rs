//! Why a site does not host a service, in words fit for a condition.

use super::ground::{Demand, Ground};
use domain::FragmentRange;
use std::fmt;

/// Why a site hosts nothing of a service.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// Nothing may be placed there, for this reason.
    Unavailable(String),
    /// There is no image for this architecture.
    Architecture(String),
    /// Jobs do not get there.
    Unreached {
        /// The site whose gateway does not reach it.
        gateway: String,
    },
    /// Too little memory for process, weights and jobs.
    NoRoom {
        /// Of these segments.
        range: FragmentRange,
        /// Bytes that it takes.
        need: u64,
        /// Bytes that are left.
        free: u64,
    },
    /// Too little is left of the memory for jobs.
    NoRoomForJobs {
        /// Bytes that a fragment may hold.
        need: u64,
        /// Bytes that are left.
        free: u64,
    },
    /// One job is larger than what a fragment may hold.
    JobTooLarge {
        /// Of these segments.
        range: FragmentRange,
        /// Bytes of a job.
        need: u64,
        /// Bytes that a fragment may hold.
        budget: u64,
    },
    /// Too few cores are left of those that fragments ask for.
    NoCores {
        /// Cores that a fragment asks for.
        need: f64,
        /// Cores that are left.
        free: f64,
    },
    /// It has room for a part, and the rest has no place behind or before it.
    Incomplete {
        /// The longest part.
        most: FragmentRange,
        /// What keeps it from the whole.
        lack: Box<Reason>,
    },
    /// No chain through it that was tried was worth its fragments.
    NoGain {
        /// What keeps it from the whole model, where anything does.
        lack: Option<Box<Reason>>,
    },
}

/// A site that hosts nothing of a service, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejection {
    /// Index of the site.
    pub site: usize,
    /// Index of the service; `None` where it is the same for all.
    pub service: Option<usize>,
    /// Why.
    pub reason: Reason,
}

/// A service that has no place.
#[derive(Debug, Clone, PartialEq)]
pub struct Misfit {
    /// Index of the service.
    pub service: usize,
    /// Per site why, given what else is placed.
    pub rejected: Vec<Rejection>,
}

impl Rejection {
    /// In words, such as `pi-3: not ready`.
    pub fn in_words(&self, ground: &Ground, demands: &[Demand]) -> String {
        let site = &ground.sites[self.site].name;
        match self.service {
            Some(service) if demands.len() > 1 => format!("{site} for {}: {}", demands[service].name, self.reason),
            _ => format!("{site}: {}", self.reason),
        }
    }
}

impl Misfit {
    /// In words, such as `camera has no place: pi-3: not ready; box: no link from gateway pi-1`.
    pub fn in_words(&self, ground: &Ground, demands: &[Demand]) -> String {
        /// Conditions are read by people.
        const SHOWN: usize = 8;
        let site = |one: &Rejection| format!("{}: {}", ground.sites[one.site].name, one.reason);
        let mut words: Vec<String> = self.rejected.iter().take(SHOWN).map(site).collect();
        if let Some(more) = self.rejected.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            words.push(format!("and {more} more"));
        }
        format!("{} has no place: {}", demands[self.service].name, words.join("; "))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(trouble) => f.write_str(trouble),
            Self::Architecture(own) => write!(f, "{own} image missing"),
            Self::Unreached { gateway } => write!(f, "no link from gateway {gateway}"),
            Self::NoRoom { range, need, free } => {
                write!(f, "needs {} for {}, {} are free", bytes(*need), segments(*range), bytes(*free))
            }
            Self::NoRoomForJobs { need, free } => {
                write!(f, "needs {} for jobs, {} of its memory budget are free", bytes(*need), bytes(*free))
            }
            Self::JobTooLarge { range, need, budget } => {
                let (need, budget) = (bytes(*need), bytes(*budget));
                write!(f, "one job takes {need} at {}, the memory budget of a fragment is {budget}", segments(*range))
            }
            Self::NoCores { need, free } => write!(f, "needs {need} cores, {free} are free"),
            Self::Incomplete { most, lack } => {
                write!(f, "{lack}; it has room for {}, and what is left has no place", segments(*most))
            }
            Self::NoGain { lack: None } => f.write_str("not needed: no chain through it is worth its fragments"),
            Self::NoGain { lack: Some(lack) } => write!(f, "{lack}; no chain with a part there is worth its fragments"),
        }
    }
}

fn segments(range: FragmentRange) -> String {
    match (range.first + 1, range.last + 1) {
        (first, last) if first == last => format!("segment {first}"),
        (first, last) => format!("segments {first} to {last}"),
    }
}

/// In the largest unit of which there is at least one, to a tenth.
fn bytes(bytes: u64) -> String {
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => {
            let tenths = (bytes as f64 / *unit as f64 * 10.0).round() / 10.0;
            format!("{tenths} {name}")
        }
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_like_this() {
        let range = FragmentRange { first: 0, last: 5 };
        let room = Reason::NoRoom { range, need: 310 << 20, free: 180 << 20 };
        for (reason, want) in [
            (Reason::Unavailable("not ready".to_owned()), "not ready"),
            (Reason::Architecture("arm64".to_owned()), "arm64 image missing"),
            (Reason::Unreached { gateway: "pi-1".to_owned() }, "no link from gateway pi-1"),
            (room.clone(), "needs 310 MiB for segments 1 to 6, 180 MiB are free"),
            (
                Reason::NoRoomForJobs { need: 1 << 16, free: 100 },
                "needs 64 KiB for jobs, 100 bytes of its memory budget are free",
            ),
            (Reason::NoCores { need: 0.5, free: 0.25 }, "needs 0.5 cores, 0.25 are free"),
            (
                Reason::NoGain { lack: Some(Box::new(room)) },
                "needs 310 MiB for segments 1 to 6, 180 MiB are free; no chain with a part there is worth its fragments",
            ),
        ] {
            assert_eq!(reason.to_string(), want);
        }
    }
}
