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
use domain::plan::WITHIN_VIOLATION;
use domain::{Evaluation, Plan, Problem, Score};

/// Plans of short looks that take part in the first finals; later ones have the champion.
const SEEDED: usize = 2;
/// Of arrivals that have been searched on, losses count by this share of the half width of their 95 % interval more: the best
/// of many plans is partly the luckiest.
const SEARCHED_ON: f64 = 0.2;
/// By how much a rival is behind the best in a short look, in accuracy, that need not be looked at longer; or in targets missed, as
/// a share of what the best misses and of the limits themselves.
const HOPELESS_ACCURACY: f64 = 0.02;
const HOPELESS_MISSES: (f64, f64) = (1.5, 0.5);
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

    /// What longer looks say of plans takes the place of what was known; where there is an incumbent, which has not been looked at like
    /// that, only looks that both had count, and those that were found to miss targets are out.
    pub(super) fn learn(&mut self, problem: &Problem, contenders: impl IntoIterator<Item = Contender>) {
        let has_incumbent = self.finalists.iter().chain(&self.others).any(|one| one.is_incumbent);
        for learned in contenders {
            let known = self.others.iter_mut().find(|one| one.plan == learned.plan && !one.is_incumbent);
            let violation = |one: &Contender| one.evaluation.as_ref().map(|found| Score::of(problem, found).violation);
            match (known, has_incumbent) {
                (Some(known), true) if violation(&learned) > violation(known) => known.evaluation = None,
                (Some(known), false) => *known = learned,
                (None, false) => self.others.push(learned),
                (_, true) => {}
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
        let Some((field, least)) = self.field(referee, &newest, rivals) else { return };
        let look = Look { arrivals: self.arrivals(referee), seed: fresh(referee.effort.seed, self.rounds) };
        let mut judged: Vec<Contender> = vec![];
        for (plan, is_incumbent) in &field {
            let found = referee.look(plan, look, *is_incumbent);
            if found.evaluation.is_none() {
                break;
            }
            judged.push(found);
        }
        let is_first = self.finalists.is_empty();
        if judged.len() < least || (is_first && self.is_walkover(referee, &judged)) {
            self.learn(referee.problem, judged);
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

    /// Who meets in finals, in the order in which they are judged, and how many have to be for finals to count; `None` where nobody is
    /// new.
    fn field(&self, referee: &Referee<'_>, newest: &Plan, rivals: &[Plan]) -> Option<(Vec<(Plan, bool)>, usize)> {
        let known = || self.finalists.iter().chain(&self.others).filter(|one| one.evaluation.is_some());
        let incumbent = known().find(|one| one.is_incumbent);
        let mut best = known().filter(|one| !one.is_incumbent).map(|one| &one.plan);
        let is_first = self.finalists.is_empty();
        // Before there is a champion, what long looks have led to is most likely to become it where there was time for them.
        let champion = if is_first { None } else { best.next() };
        let mut seeded = best.take(if is_first { SEEDED } else { 0 });
        let hopeful = rivals.iter().filter(|plan| self.is_hopeful(referee, plan));
        let mut field: Vec<(Plan, bool)> = incumbent.map(|one| (one.plan.clone(), true)).into_iter().collect();
        let mut join = |plan: &Plan| {
            if field.iter().all(|(other, _)| other != plan) {
                field.push((plan.clone(), false));
            }
        };
        champion.into_iter().chain(&self.preferred).for_each(&mut join);
        // Time may be over after one of them: against an incumbent the one that has kept to its limits so far.
        seeded.by_ref().take(usize::from(incumbent.is_some())).for_each(&mut join);
        std::iter::once(newest).chain(seeded).chain(hopeful).for_each(&mut join);
        // Whoever has won before has to be there, or in the first finals somebody.
        let before = field.iter().filter(|(plan, _)| self.was_there(plan)).count();
        let least = if is_first { field.len().min(1 + usize::from(incumbent.is_some())) } else { before };
        (is_first || before < field.len()).then_some((field, least))
    }

    fn was_there(&self, plan: &Plan) -> bool {
        self.finalists.iter().any(|one| one.plan == *plan)
    }

    /// Whether only one plan has been judged, and another one is known that misses its targets less.
    fn is_walkover(&self, referee: &Referee<'_>, judged: &[Contender]) -> bool {
        let violation = |one: &Contender| Some(Score::of(referee.problem, one.evaluation.as_ref()?).violation);
        let mut plans = judged.iter().filter(|one| !one.is_incumbent).filter_map(violation);
        let (Some(only), None) = (plans.next(), plans.next()) else { return false };
        let others = self.others.iter().filter(|one| !one.is_incumbent).filter_map(violation);
        others.fold(f64::INFINITY, f64::min) < only - WITHIN_VIOLATION
    }

    /// Whether a rival may be the best for all that a short look says; who was not looked at may.
    fn is_hopeful(&self, referee: &Referee<'_>, plan: &Plan) -> bool {
        let score = |one: &Contender| Some(Score::of(referee.problem, one.evaluation.as_ref()?));
        let own = self.others.iter().find(|one| one.plan == *plan).and_then(score);
        let best = self.others.iter().find(|one| !one.is_incumbent).and_then(score);
        let limits: f64 = referee.problem.services.iter().map(|service| service.targets.priority).sum();
        own.zip(best).is_none_or(|(own, best)| {
            own.accuracy > best.accuracy - HOPELESS_ACCURACY
                && own.violation <= HOPELESS_MISSES.0 * best.violation + HOPELESS_MISSES.1 * limits
        })
    }
}

/// A seed that stands for arrivals of their own.
fn fresh(seed: u64, round: u32) -> u64 {
    seed ^ (u64::from(round) + 1).wrapping_mul(0xD1B5_4A32_D192_ED03)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joint::relaxation::generated::{self, Shape};
    use crate::joint::{Budget, candidate};
    use domain::{Choice, Evaluator, Mixture, Policy, Probability, ServiceMetrics, Thresholds, Unsupported};
    use std::num::NonZeroU32;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Says what plans lose, in percent, by short looks and by those of finals; all are as accurate.
    struct Script<'a>(&'a [(Plan, [f64; 2])], AtomicUsize);

    impl Evaluator for Script<'_> {
        fn name(&self) -> &'static str {
            "script"
        }

        fn evaluate(&self, _: &Problem, plan: &Plan, effort: &Effort<'_>) -> Result<Evaluation, Unsupported> {
            self.1.fetch_add(1, Ordering::Relaxed);
            let (_, losses) = self.0.iter().find(|(known, _)| known == plan).expect("it is in the script");
            let loss = losses[usize::from(effort.seed != SEED)] / 100.0;
            let metrics = ServiceMetrics { loss, accuracy: 0.9, jobs: 1e9, ..ServiceMetrics::default() };
            Ok(Evaluation { replications: vec![vec![metrics]; 8], is_sampled: true, ..Evaluation::default() })
        }
    }

    type Effort<'a> = domain::EvaluationEffort<'a>;
    const SEED: u64 = 1;

    /// Of one service that may lose 1 %.
    fn problem() -> Problem {
        let mut problem = generated::problem(&Shape::default());
        problem.services.truncate(1);
        problem.services[0].targets.max_p95_latency = None;
        problem
    }

    /// Plans that differ, with what they lose.
    fn script(problem: &Problem, losses: &[[f64; 2]]) -> Vec<(Plan, [f64; 2])> {
        let plan = |number: usize| {
            let mut policy: Policy = candidate::plain(problem, 0);
            let thresholds = Thresholds::new(vec![0.1 * number as f32; 5]).expect("in range");
            let choice = Choice { thresholds, ..policy.default.choices()[0].clone() };
            let choice = Choice { probability: Probability::new(1.0).expect("a share"), ..choice };
            policy.default = Mixture::new(vec![choice], "default").expect("shares are one");
            Plan { policies: vec![policy] }
        };
        losses.iter().enumerate().map(|(number, losses)| (plan(number), *losses)).collect()
    }

    /// Short looks at all but the last, which is the newest in finals that are over after so many looks. The best then.
    fn after_finals(losses: &[[f64; 2]], incumbent: Option<usize>, most: usize) -> (usize, usize) {
        let problem = problem();
        let script = script(&problem, losses);
        let evaluator = Script(&script, AtomicUsize::new(0));
        let short = losses.len() - 1;
        let stop = || evaluator.1.load(Ordering::Relaxed) >= short + most;
        let effort =
            Effort { seed: SEED, replications: NonZeroU32::new(8).expect("above 0"), arrivals: 1000, stop: None };
        let mut referee = Referee {
            evaluator: &evaluator,
            problem: &problem,
            effort,
            budget: Budget { evaluations: None, stop: Some(&stop), ..Budget::default() },
            spent: 0,
            trouble: None,
            is_unable: false,
        };
        let mut board = Board::new(0);
        let look = Look { arrivals: 100, seed: SEED };
        board.add((0..short).map(|one| referee.look(&script[one].0, look, incumbent == Some(one))));
        board.finals(&mut referee, script[short].0.clone(), &[]);
        let (all, finalists) = board.all(&referee);
        let best = all.iter().find(|one| !one.is_incumbent && one.evaluation.is_some()).expect("some were judged");
        (script.iter().position(|(plan, _)| *plan == best.plan).expect("it is in the script"), finalists)
    }

    #[test]
    fn whoever_misses_less_in_finals_wins_whatever_short_looks_say() {
        assert_eq!(after_finals(&[[0.5, 1.5], [0.6, 1.3], [0.0, 1.2]], None, 9), (2, 3));
        assert_eq!(after_finals(&[[0.5, 1.1], [0.6, 1.3], [0.0, 1.2]], None, 9), (0, 3));
    }

    #[test]
    fn nobody_wins_by_being_the_only_one_who_misses_targets() {
        assert_eq!(after_finals(&[[0.5, 0.5], [0.0, 1.2]], None, 1), (0, 0));
        assert_eq!(after_finals(&[[0.5, 0.5], [0.0, 0.8]], None, 1), (1, 1), "who keeps them does");
    }

    #[test]
    fn finals_without_anybody_but_the_incumbent_do_not_count() {
        let losses = [[3.0, 3.0], [0.5, 0.5], [0.0, 0.2]];
        assert_eq!(after_finals(&losses, Some(0), 1), (1, 0));
        // The best of short looks comes before what long looks have led to.
        assert_eq!(after_finals(&losses, Some(0), 2), (1, 2));
    }

    #[test]
    fn a_long_look_takes_the_place_of_a_short_one_and_is_a_veto_where_an_incumbent_has_none() {
        let problem = problem();
        let script = script(&problem, &[[0.5, 0.0], [0.9, 0.0]]);
        let judged = |index: usize, loss: f64, is_incumbent| {
            let metrics = ServiceMetrics { loss, accuracy: 0.9, jobs: 1e9, ..ServiceMetrics::default() };
            let evaluation =
                Evaluation { replications: vec![vec![metrics]], is_sampled: true, ..Evaluation::default() };
            Contender { plan: script[index].0.clone(), evaluation: Some(evaluation), is_incumbent }
        };
        let losses = |with_incumbent: bool, long: f64| {
            let mut board = Board::new(0);
            board.add([judged(0, 0.005, with_incumbent), judged(1, 0.009, false)]);
            board.learn(&problem, [judged(1, long, false)]);
            let found: Vec<Option<f64>> =
                board.others.iter().map(|one| one.evaluation.as_ref().map(|found| found.service(0).loss)).collect();
            found
        };
        assert_eq!(losses(false, 0.02), [Some(0.005), Some(0.02)]);
        assert_eq!(losses(true, 0.02), [Some(0.005), None]);
        assert_eq!(losses(true, 0.008), [Some(0.005), Some(0.009)]);
    }
}
