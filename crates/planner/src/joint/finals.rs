//! The last word: the best plans before the referee, on arrivals that no search has seen.
//!
//! # Problem
//! The best of many plans on the same arrivals is partly the luckiest. A longer search looks at more plans, and would
//! end with a luckier one that is worse in truth.
//!
//! # How
//! All finals are on arrivals of their own, and on more of them the longer the search goes on: twice as many whenever a
//! better region has been dealt with, up to [`MOST_DOUBLINGS`] times. Whoever has won the last finals has to win again,
//! so that luck does not stay. Whom users would rather have than the champion ([`super::ties`]) takes part again, too.
//! Incumbent and champion are judged first, in the first finals what long looks have led to: when time is over before
//! that, the last finals count, and where there are none, what other looks say of plans.

use super::Contender;
use super::referee::{Look, Referee};
use super::ties::preferred;
use domain::{Evaluation, Plan, Score};

/// Plans of short looks that take part in the first finals; later ones have the champion.
const SEEDED: usize = 2;
/// Of arrivals that have been searched on, losses count by this share of the half width of their 95 % interval more: the best
/// of many plans is partly the luckiest.
const SEARCHED_ON: f64 = 0.2;
/// By how much a rival is behind the best in a short look, in accuracy or in targets missed, that need not be looked at longer.
const HOPELESS_ACCURACY: f64 = 0.02;
const HOPELESS_VIOLATION: f64 = 1.0;
/// Services that the arrivals asked for are enough for, and by how much there are more of them at most for more
/// services: in short runs queues that will overflow have not yet, and 20 services that were told feasible after 10,000
/// jobs each missed targets in a long simulation.
const ENOUGH_FOR: u64 = 4;
const MOST_LONGER: u64 = 4;
/// Times that arrivals are doubled.
const MOST_DOUBLINGS: u32 = 3;

/// What the referee has said so far.
#[derive(Default)]
pub(super) struct Board {
    /// Judged in the last finals, best first; none before.
    finalists: Vec<Contender>,
    /// How they were looked at.
    look: Option<Look>,
    /// By short looks, at arrivals that the search has used.
    others: Vec<Contender>,
    rounds: u32,
    doublings: u32,
    /// Arrivals of finals, at least.
    least: u64,
    /// Of the last finals, which plan users would rather have than others that are as good.
    preferred: Option<Plan>,
}

impl Board {
    /// Before anything is known; finals are about `least` arrivals or more.
    pub(super) fn new(least: u64) -> Self {
        Self { least, ..Self::default() }
    }

    pub(super) fn add(&mut self, contenders: impl IntoIterator<Item = Contender>) {
        self.others.extend(contenders);
    }

    /// What longer looks say of plans takes the place of what was known.
    pub(super) fn learn(&mut self, contenders: impl IntoIterator<Item = Contender>) {
        for learned in contenders {
            match self.others.iter_mut().find(|one| one.plan == learned.plan && !one.is_incumbent) {
                Some(known) => *known = learned,
                None => self.others.push(learned),
            }
        }
    }

    /// Best first, as far as it has been judged, and how many of them were in the last finals.
    pub(super) fn all(mut self, referee: &Referee<'_>) -> (Vec<Contender>, usize) {
        referee.rank(&mut self.others, SEARCHED_ON);
        let finalists = self.finalists.len();
        (self.finalists.into_iter().chain(self.others).collect(), finalists)
    }

    /// Finals held so far.
    pub(super) fn rounds(&self) -> u32 {
        self.rounds
    }

    /// How to look at what is to take part in the next finals: at as many arrivals, but others.
    pub(super) fn look_before_finals(&self, referee: &Referee<'_>) -> Look {
        let seed = self.rounds.checked_sub(1).map_or(referee.effort.seed, |last| fresh(referee.effort.seed, last));
        Look { arrivals: self.arrivals(referee), seed }
    }

    /// What the last finals have found about a plan, if they were about these arrivals.
    pub(super) fn known(&self, plan: &Plan, look: Look) -> Option<Evaluation> {
        let same = self.finalists.iter().filter(|_| self.look == Some(look)).find(|one| one.plan == *plan)?;
        same.evaluation.clone()
    }

    /// From now on finals are about twice as many arrivals.
    pub(super) fn look_longer(&mut self) {
        self.doublings = (self.doublings + 1).min(MOST_DOUBLINGS);
    }

    fn arrivals(&self, referee: &Referee<'_>) -> u64 {
        let services = referee.problem.services.len() as u64;
        let longer = (services / ENOUGH_FOR).clamp(1, MOST_LONGER);
        referee.effort.arrivals.saturating_mul(longer << self.doublings).max(self.least)
    }

    /// Holds finals between the incumbent, the best so far, the `newest`, and rivals, unless a short look says that they are hopeless.
    pub(super) fn finals(&mut self, referee: &mut Referee<'_>, newest: Plan, rivals: &[Plan]) {
        referee.rank(&mut self.others, SEARCHED_ON);
        let known = || self.finalists.iter().chain(&self.others).filter(|one| one.evaluation.is_some());
        let mut field: Vec<(Plan, bool)> =
            known().filter(|one| one.is_incumbent).map(|one| (one.plan.clone(), true)).take(1).collect();
        let first = field.len() + 1;
        let mut best = known().filter(|one| !one.is_incumbent).map(|one| &one.plan);
        // The champion has to be there; before there is one, what long looks have led to is most likely to become it.
        let champion = if self.finalists.is_empty() { None } else { best.next() };
        let seeded = best.take(if self.finalists.is_empty() { SEEDED } else { 0 });
        let hopeful = rivals.iter().filter(|plan| self.is_hopeful(referee, plan));
        for plan in champion.into_iter().chain([&newest]).chain(seeded).chain(hopeful) {
            if field.iter().all(|(other, _)| other != plan) {
                field.push((plan.clone(), false));
            }
        }
        if field.len() <= first && !self.finalists.is_empty() {
            // Nobody new.
            return;
        }
        let preferred_before = self.preferred.iter().filter(|plan| field.iter().all(|(other, _)| other != *plan));
        let preferred_before: Vec<(Plan, bool)> = preferred_before.map(|plan| (plan.clone(), false)).collect();
        field.extend(preferred_before);
        let look = Look { arrivals: self.arrivals(referee), seed: fresh(referee.effort.seed, self.rounds) };
        let mut judged: Vec<Contender> = vec![];
        for (plan, is_incumbent) in &field {
            let found = referee.look(plan, look, *is_incumbent);
            if found.evaluation.is_none() {
                break;
            }
            judged.push(found);
        }
        if judged.len() < first.min(field.len()) || judged.is_empty() {
            return;
        }
        self.rounds += 1;
        referee.rank(&mut judged, 0.0);
        let others = judged.iter().filter(|one| !one.is_incumbent);
        self.preferred = preferred(referee.problem, others).map(|one| one.plan.clone());
        let is_new = |one: &Contender| judged.iter().all(|other| other.plan != one.plan);
        let mut before = std::mem::take(&mut self.finalists);
        before.append(&mut self.others);
        self.others = before.into_iter().filter(is_new).collect();
        (self.finalists, self.look) = (judged, Some(look));
    }

    /// Whether a rival may be the best for all that a short look says; who was not looked at may.
    fn is_hopeful(&self, referee: &Referee<'_>, plan: &Plan) -> bool {
        let score = |one: &Contender| Some(Score::of(referee.problem, one.evaluation.as_ref()?));
        let own = self.others.iter().find(|one| one.plan == *plan).and_then(score);
        let best = self.others.iter().find(|one| !one.is_incumbent).and_then(score);
        own.zip(best).is_none_or(|(own, best)| {
            own.accuracy > best.accuracy - HOPELESS_ACCURACY && own.violation < best.violation + HOPELESS_VIOLATION
        })
    }
}

/// A seed that stands for arrivals of their own.
fn fresh(seed: u64, round: u32) -> u64 {
    seed ^ (u64::from(round) + 1).wrapping_mul(0xD1B5_4A32_D192_ED03)
}
