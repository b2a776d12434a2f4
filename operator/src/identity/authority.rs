//! Authorities and how one follows another. Pure: time and new keys come in as arguments.
//!
//! There is always one that signs. Long before it ends a new one is made, and everybody is told of it a good while before it
//! signs anything; the old one stays known until its end. So whoever has heard of the newest bundle or of the one before trusts
//! whoever else has.

use serde::{Deserialize, Serialize};

/// Seconds since 1970.
pub type Time = i64;

const DAY: i64 = 86_400;
/// How long an authority lasts.
pub const LIFE: i64 = 365 * DAY;
/// The next one is made when this one has so long to go.
const FOLLOWED_BEFORE: i64 = LIFE / 3;
/// So long a new one is only known and does not sign yet: pods get a changed Secret within minutes, and a node that was off for
/// some hours has time as well.
pub const KNOWN_BEFORE: i64 = DAY;

/// An authority.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Authority {
    /// Its name: distinct among those that follow each other.
    pub name: String,
    /// Its certificate, in PEM.
    pub certificate: String,
    /// Its private key, Ed25519 in PKCS #8 and PEM.
    pub key: String,
    /// When it was made.
    pub made: Time,
    /// Until when it may be trusted.
    pub ends: Time,
}

impl Authority {
    /// Whether its certificate may be trusted by now: that is so from a day before it was made, since clocks of small machines may be behind.
    fn has_begun(&self, now: Time) -> bool {
        self.made - DAY <= now
    }
}

/// Keys are not for logs.
impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("name", &self.name).field("ends", &self.ends).finish_non_exhaustive()
    }
}

/// All that are trusted, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Authorities(Vec<Authority>);

impl Authorities {
    /// As they should be at `now`: without those that have ended, and with the next one if it is time for it, which `make` makes.
    pub fn at<E>(&self, now: Time, make: impl FnOnce() -> Result<Authority, E>) -> Result<Self, E> {
        let mut kept: Vec<Authority> = self.0.iter().filter(|one| now < one.ends).cloned().collect();
        // One that was made while a clock was ahead does not keep another from being made.
        if !kept.iter().any(|one| one.has_begun(now) && one.ends - now >= FOLLOWED_BEFORE) {
            kept.push(make()?);
        }
        Ok(Self(kept))
    }

    /// The one that signs: the newest that has been known for long enough, or else the oldest that may be trusted by now. `None` where there
    /// is none.
    pub fn signing(&self, now: Time) -> Option<&Authority> {
        let known = self.0.iter().rev().find(|one| now - one.made >= KNOWN_BEFORE);
        known.or_else(|| self.0.iter().find(|one| one.has_begun(now))).or_else(|| self.0.first())
    }

    /// Certificates of all, in PEM.
    pub fn bundle(&self) -> String {
        self.0.iter().map(|one| one.certificate.trim_end().to_owned() + "\n").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(now: Time) -> Authority {
        let text = |what: &str| format!("{what} of {}", now / DAY);
        Authority {
            name: text("authority"),
            certificate: text("certificate"),
            key: text("key"),
            made: now,
            ends: now + LIFE,
        }
    }

    fn after(all: &Authorities, now: Time) -> Authorities {
        all.at(now, || Ok::<_, std::convert::Infallible>(made(now))).unwrap_or_default()
    }

    /// What the bundle was, and who signed, on every day of some years.
    fn history(years: i64) -> Vec<(Authorities, String)> {
        let mut all = Authorities::default();
        let day = |day: i64| {
            let now = day * DAY;
            all = after(&all, now);
            (all.clone(), all.signing(now).expect("there is always one").name.clone())
        };
        (0..years * 365).map(day).collect()
    }

    #[test]
    fn whoever_signs_was_in_the_bundle_of_the_day_before_and_stays_while_its_signatures_live() {
        let history = history(5);
        let mut signers = vec![];
        for (day, (_, signer)) in history.iter().enumerate() {
            // Certificates live for a month at most.
            for (known, _) in &history[day.saturating_sub(1).max(1)..(day + 31).min(history.len())] {
                assert!(known.0.iter().any(|one| one.name == *signer), "day {day}: {signer} not in {known:?}");
            }
            if signers.last() != Some(signer) {
                signers.push(signer.clone());
            }
        }
        assert_eq!(signers[..3], ["authority of 0", "authority of 244", "authority of 488"]);
        assert!(history.iter().all(|(known, _)| (1..=2).contains(&known.0.len())));
    }

    #[test]
    fn what_has_ended_is_not_trusted_and_the_first_one_signs_at_once() {
        let all = after(&Authorities::default(), 0);
        assert_eq!(all.signing(0).map(|one| one.name.as_str()), Some("authority of 0"));
        // Nobody looked for two years.
        let later = after(&all, 2 * LIFE);
        assert_eq!(later.bundle(), "certificate of 730\n");
        assert_eq!(Authorities::default().signing(0), None);
    }

    #[test]
    fn a_clock_that_was_ahead_once_does_no_harm_when_it_is_right_again() {
        let signer = |all: &Authorities, now| all.signing(now).map(|one| one.name.clone());
        let before = after(&Authorities::default(), 0);
        let ahead = after(&before, 3 * LIFE);
        let name = |now: Time| Some(format!("authority of {}", now / DAY));
        assert_eq!(signer(&ahead, 3 * LIFE), name(3 * LIFE));
        let right = after(&ahead, 10 * DAY);
        assert_eq!(signer(&right, 10 * DAY), name(10 * DAY), "the other one is not valid yet");
        assert_eq!(after(&right, 11 * DAY), right, "one is enough");
        // Behind, as before the time has been asked for: what is there stays.
        let behind = after(&after(&before, -9 * LIFE), DAY);
        assert_eq!((behind.clone(), signer(&behind, DAY)), (before, name(0)));
    }

    #[test]
    fn nothing_changes_without_a_reason() {
        let all = after(&Authorities::default(), 0);
        assert_eq!(all.at(DAY, || Err("it is not time for it")), Ok(all.clone()));
        let read: Authorities =
            serde_json::from_str(&serde_json::to_string(&all).unwrap_or_default()).unwrap_or_default();
        assert_eq!(read, all);
        assert!(!format!("{all:?}").contains("key"), "{all:?}");
    }
}
