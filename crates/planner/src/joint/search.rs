//! From request to plan: screen, referee, verdict.

use super::candidate::{Candidate, Workshop};
use super::decide::keep;
use super::pricing::Pricer;
use super::referee::Referee;
use super::screen::{Margins, Screen};
use super::{Contender, Method, Planned, Request, climb, cma_es, pattern, shift, starts};
use crate::decomposition::{Layout, Loads};
use domain::{Problem, Score};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Rounds of a climb, at most.
const ROUNDS: usize = 40;
/// Times that limits are moved by short looks of the referee, and by long ones.
const CALIBRATIONS: usize = 3;
const LAST_CORRECTIONS: usize = 2;
/// Evaluations from each start before the referee has a first look; later ones have four times those before.
const FIRST_LOOK: u64 = 6000;
/// Pairs of random starts, at most, where nothing else ends the search.
const MOST_WAVES: u64 = 40;
/// Pairs without a gain in a row that end it.
const IN_VAIN: usize = 4;
/// Gain of merit below which another plan is not worth a look of the referee.
const WORTH_A_LOOK: f64 = 3e-4;
/// Merit by which a plan may be behind the best and still be better in truth.
const MAYBE_BETTER: f64 = 0.02;
/// Arrivals per service of a short look of the referee, at least: in shorter runs queues that will overflow have not yet.
const SHORTEST_LOOK: u64 = 10_000;
/// Softness of targets in the end.
const SHARP: f64 = 0.01;
/// Evaluations of a search that does not end by itself, where no budget says.
const ENOUGH: u64 = 20_000;
/// Candidates that the referee looks at in the end, beside the incumbent.
const FINALISTS: usize = 3;

pub(super) fn plan(request: &Request<'_>) -> Planned {
    let found = catch_unwind(AssertUnwindSafe(|| Search::new(request).run()));
    match found {
        Ok(planned) => planned,
        Err(_) => keep(request, "the search panicked"),
    }
}

/// Where a search begins.
enum Start {
    /// The best of simple plans.
    Simple,
    /// This one.
    Given(Candidate),
    /// A random plan, by its number.
    Random(u64),
    /// Nothing but an evolution with wide steps, by its number: it finds other chains than prices do.
    Wide(u64),
}

/// A plan and its surroundings.
struct Region {
    candidate: Candidate,
    /// How much tighter limits have to be there.
    margins: Vec<Margins>,
    /// What the referee's short look promises, see [`promise`].
    promise: Option<f64>,
}

/// What a plan will be worth once its limits have been moved to where its targets are just kept: a target missed by a tenth
/// costs about half a point of accuracy, and mostly less.
fn promise(score: &Score) -> f64 {
    score.accuracy - 0.05 * score.violation
}

pub(super) struct Search<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) layout: Layout<'a>,
}

impl<'a> Search<'a> {
    fn new(request: &'a Request<'a>) -> Self {
        Self { request, layout: Layout::new(request.problem) }
    }

    fn run(&self) -> Planned {
        let request = self.request;
        let mut loads = Loads::new(&self.layout);
        let services = request.problem.services.len();
        let fixed: Vec<_> = (0..services).map(|index| request.fixed.get(index).cloned().flatten()).collect();
        for (service, policy) in fixed.iter().enumerate() {
            if let Some(policy) = policy {
                loads.add_policy(&self.layout, service, policy, false);
            }
        }
        let workshop =
            Workshop { layout: &self.layout, pricers: pricers(request.problem), fixed_loads: loads.numbers, fixed };
        let mut screen = Screen::new(&self.layout, loads.waiting, request.budget);
        let mut referee = Referee {
            evaluator: request.referee,
            problem: request.problem,
            effort: request.effort,
            budget: request.budget,
            spent: 0,
            trouble: None,
            is_unable: false,
        };
        let contenders = self.search(&workshop, &mut screen, &mut referee);
        self.decide(contenders, &screen, &mut referee)
    }

    /// Candidates, best first by the referee as far as it got.
    fn search(&self, workshop: &Workshop<'_>, screen: &mut Screen<'_>, referee: &mut Referee<'_>) -> Vec<Contender> {
        let request = self.request;
        let incumbent = request.incumbent.map(|plan| workshop.read(plan));
        let mut contenders = vec![];
        // Short looks of the referee move the limits to where they have to be.
        let services = request.problem.services.len() as u64;
        let glance = (request.effort.arrivals / 6).max(SHORTEST_LOOK * services).min(request.effort.arrivals);
        if let Some(plan) = request.incumbent {
            contenders.push(referee.look(plan, glance, true));
        }
        for plan in request.rivals {
            contenders.push(referee.look(plan, glance, false));
        }
        let starts: Vec<Start> = match (request.method, incumbent) {
            (Method::Near, Some(incumbent)) => vec![Start::Given(incumbent)],
            (_, incumbent) => [Start::Simple, Start::Wide(0)].into_iter().chain(incumbent.map(Start::Given)).collect(),
        };
        let found = match request.method {
            Method::Prices | Method::Near => self.wave(workshop, screen, &starts, FIRST_LOOK),
            other => vec![self.other_method(other, workshop, screen)],
        };
        // Plans that have been looked at soon, then better ones: whenever time is over, there is something to show.
        let mut best = Region { candidate: found[0].1.clone(), margins: screen.margins.clone(), promise: None };
        self.look_at(workshop, screen, referee, found, glance, &mut best, &mut contenders);
        contenders = self.finish(workshop, screen, referee, &mut best, contenders);
        if request.method == Method::Prices {
            let (mut vain, mut wave) = (0, 0);
            while vain < IN_VAIN && wave < MOST_WAVES && !request.budget.is_over(screen.spent) {
                let again = if wave == 0 { Start::Given(best.candidate.clone()) } else { Start::Random(wave) };
                let most = FIRST_LOOK << (2 * wave + 2).min(20);
                let found = self.wave(workshop, screen, &[again, Start::Wide(wave + 1)], most);
                wave += 1;
                let gained = self.look_at(workshop, screen, referee, found, glance, &mut best, &mut contenders);
                vain += 1;
                if gained {
                    vain = 0;
                    contenders = self.finish(workshop, screen, referee, &mut best, contenders);
                }
            }
        }
        contenders
    }

    /// The last word on the best region: limits are moved by long looks, whether targets are missed or more is kept to than
    /// has to be, and the best plans are compared.
    fn finish(
        &self,
        workshop: &Workshop<'_>,
        screen: &mut Screen<'_>,
        referee: &mut Referee<'_>,
        best: &mut Region,
        mut contenders: Vec<Contender>,
    ) -> Vec<Contender> {
        for _ in 0..LAST_CORRECTIONS {
            let whole = self.request.effort.arrivals;
            let before = workshop.plan(&best.candidate);
            self.calibrate(workshop, screen, referee, &mut best.candidate, whole, 1, &mut contenders);
            if workshop.plan(&best.candidate) == before {
                break;
            }
            if self.request.budget.is_over(screen.spent) {
                break;
            }
        }
        best.margins.clone_from(&screen.margins);
        self.finals(workshop, &best.candidate, contenders, referee)
    }
    /// Has the referee look at what searches have found, each with limits of its own: where formulas err depends on which
    /// fragments are used. Whether any is better than the best so far, by the referee if it judges, else by formulas.
    #[expect(clippy::too_many_arguments, reason = "the state of the search, in parts that are borrowed apart")]
    fn look_at(
        &self,
        workshop: &Workshop<'_>,
        screen: &mut Screen<'_>,
        referee: &mut Referee<'_>,
        mut found: Vec<(f64, Candidate)>,
        arrivals: u64,
        best: &mut Region,
        contenders: &mut Vec<Contender>,
    ) -> bool {
        screen.softness = SHARP;
        let merit = screen.merit(&workshop.loads(&best.candidate));
        found.sort_by(|one, other| other.0.total_cmp(&one.0));
        found.retain(|one| one.0 > merit - MAYBE_BETTER);
        let mut gained = false;
        let margins = best.margins.clone();
        for (reached, mut candidate) in found {
            screen.margins.clone_from(&margins);
            let known = contenders.len();
            self.calibrate(workshop, screen, referee, &mut candidate, arrivals, CALIBRATIONS, contenders);
            let plan = workshop.plan(&candidate);
            if contenders[known..].iter().all(|contender| contender.plan != plan) {
                contenders.push(referee.look(&plan, arrivals, false));
            }
            let scores = contenders[known..].iter().filter_map(|one| one.evaluation.as_ref());
            let promises = scores.map(|found| promise(&Score::of(self.request.problem, found)));
            let score = promises.max_by(f64::total_cmp);
            let is_better = match (score, best.promise) {
                (Some(ours), Some(theirs)) => ours > theirs,
                (None, None) => reached > merit + WORTH_A_LOOK,
                (ours, _) => ours.is_some(),
            };
            if is_better {
                let margins = screen.margins.clone();
                (*best, gained) = (Region { candidate, margins, promise: score }, true);
            }
        }
        screen.margins.clone_from(&best.margins);
        referee.rank(contenders);
        gained
    }

    fn other_method(&self, method: Method, workshop: &Workshop<'_>, screen: &mut Screen<'_>) -> (f64, Candidate) {
        screen.until = if self.request.budget.evaluations.is_none() { ENOUGH } else { u64::MAX };
        let found = match method {
            Method::Pattern => pattern::search(workshop, screen),
            _ => cma_es::search(workshop, screen, &mut ChaCha8Rng::seed_from_u64(self.request.effort.seed)),
        };
        screen.until = u64::MAX;
        found
    }

    /// Searches from several starts at once, each with its share of the budget; the best that is found. What is found does
    /// not depend on how many of them run at a time.
    fn wave(
        &self,
        workshop: &Workshop<'_>,
        screen: &mut Screen<'_>,
        starts: &[Start],
        most: u64,
    ) -> Vec<(f64, Candidate)> {
        // Half of what is left is for what comes after.
        let left =
            self.request.budget.evaluations.map(|all| all.saturating_sub(screen.spent) / (2 * starts.len() as u64));
        let budget = super::Budget { evaluations: left, ..self.request.budget };
        let (layout, margins, waiting) = (screen.layout, &screen.margins, &screen.waiting);
        let begin = |start: &Start| {
            let mut screen = Screen::new(layout, waiting.clone(), budget);
            screen.margins.clone_from(margins);
            screen.until = most;
            let found = self.descend(workshop, &mut screen, start);
            (found, screen.spent)
        };
        let found: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = starts.iter().map(|start| scope.spawn(move || begin(start))).collect();
            running.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        // One that panics is as good as none, unless all do.
        let found: Vec<_> = found.into_iter().filter_map(Result::ok).collect();
        assert!(!found.is_empty(), "a search from a start ends");
        screen.spent += found.iter().map(|one| one.1).sum::<u64>();
        found.into_iter().map(|one| one.0).collect()
    }

    fn descend(&self, workshop: &Workshop<'_>, screen: &mut Screen<'_>, start: &Start) -> (f64, Candidate) {
        let seed = self.request.effort.seed;
        let number = match start {
            Start::Random(number) | Start::Wide(number) => number + 1,
            Start::Simple | Start::Given(_) => 0,
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let begin = match start {
            Start::Simple => starts::best_simple(workshop, screen),
            Start::Given(candidate) => candidate.clone(),
            Start::Random(_) => starts::random(workshop, &mut rng),
            Start::Wide(_) => {
                let all = screen.until;
                screen.until = all / 2;
                let found = cma_es::search(workshop, screen, &mut rng);
                screen.until = all;
                found.1
            }
        };
        let found = climb::climb(workshop, screen, &begin, ROUNDS);
        let found = shift::shift(workshop, screen, found.1);
        cma_es::polish(workshop, screen, &mut rng, found)
    }

    /// The best by short looks, the last found and the incumbent, before the referee once more.
    fn finals(
        &self,
        workshop: &Workshop<'_>,
        best: &Candidate,
        contenders: Vec<Contender>,
        referee: &mut Referee<'_>,
    ) -> Vec<Contender> {
        let (incumbent, others): (Vec<_>, Vec<_>) =
            contenders.into_iter().partition(|contender| contender.is_incumbent);
        let last = Contender { plan: workshop.plan(best), evaluation: None, looked_at: 0, is_incumbent: false };
        let newest: Vec<Contender> = others.iter().rev().take(LAST_CORRECTIONS).cloned().collect();
        let mut distinct: Vec<Contender> = vec![];
        for contender in others.into_iter().take(FINALISTS - 1).chain(newest).chain([last]) {
            match distinct.iter_mut().find(|other| other.plan == contender.plan) {
                Some(same) if same.looked_at < contender.looked_at => *same = contender,
                Some(_) => {}
                None => distinct.push(contender),
            }
        }
        for plan in self.request.rivals {
            // Those that did badly in short looks get a long one, too: there are few, and somebody wants to know.
            if distinct.iter().all(|other| other.plan != *plan) {
                let plan = plan.clone();
                distinct.push(Contender { plan, evaluation: None, looked_at: 0, is_incumbent: false });
            }
        }
        distinct.extend(incumbent);
        referee.halve(distinct, self.request.effort.arrivals)
    }
}

/// One per service; services of one model share it.
fn pricers(problem: &Problem) -> Vec<Arc<Pricer>> {
    let mut known: Vec<(usize, Arc<Pricer>)> = vec![];
    let mut of = |index: usize| {
        let model = &problem.services[index].model;
        let same = known.iter().find(|(other, _)| Arc::ptr_eq(&problem.services[*other].model, model));
        let pricer = same.map_or_else(|| Arc::new(Pricer::new(model)), |(_, pricer)| pricer.clone());
        known.push((index, pricer.clone()));
        pricer
    };
    (0..problem.services.len()).map(&mut of).collect()
}
