//! From request to plan: screen, referee, verdict.

use super::candidate::{Candidate, Workshop};
use super::decide::keep;
use super::finals::Board;
use super::fluid::{self, Filling};
use super::pricing::Pricer;
use super::race::{Start, race};
use super::referee::{Look, Referee, cautious};
use super::screen::{Margins, SHARP, Screen};
use super::{Budget, Contender, Method, Planned, Request, cma_es, pattern, span};
use crate::decomposition::{Layout, Loads};
use crate::parallel;
use domain::{Epoch, Problem, Score};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Times that limits are moved by short looks of the referee, and by long ones before finals.
const CALIBRATIONS: usize = 3;
const LAST_CORRECTIONS: u32 = 3;
/// Evaluations of a start in the first heat of the first race, at least.
const QUANTUM: u64 = 1000;
/// Times that they are doubled from race to race.
const MOST_DOUBLINGS: u64 = 4;
/// Races, at most, where nothing else ends the search.
const MOST_RACES: u64 = 40;
/// Races without a gain in a row that end it.
const IN_VAIN: usize = 4;
/// Gain of merit below which another plan is not worth a look of the referee.
const WORTH_A_LOOK: f64 = 3e-4;
/// Merit by which a plan may be behind the best and still be better in truth.
const MAYBE_BETTER: f64 = 0.02;
/// Arrivals per service of a short look of the referee, at least: in shorter runs queues that will overflow have not
/// yet.
const SHORTEST_LOOK: u64 = 10_000;
/// Arrivals of a short look, at most, where they do not come in bursts.
const LONG_ENOUGH: u64 = 130_000;
/// Samples by which prices find thresholds, where there are few variables and where there are many.
const MANY_SAMPLES: usize = 4000;
pub(super) const FEW_SAMPLES: usize = 800;
const MANY_VARIABLES: usize = 150;
/// Evaluations of a search that does not end by itself, where no budget says.
const ENOUGH: u64 = 20_000;

/// Plans; finals are about `least` arrivals or more, short looks about a third of that.
pub(super) fn plan(request: &Request<'_>, least: u64) -> Planned {
    let found = catch_unwind(AssertUnwindSafe(|| Search::new(request, least).run()));
    match found {
        Ok(planned) => planned,
        Err(_) => keep(request, "the search panicked"),
    }
}

/// A plan by formulas alone, in some milliseconds: the best of the fluid relaxation with all resources as full. `None` where
/// the solver gives up.
pub(super) fn level(request: &Request<'_>) -> Option<domain::Plan> {
    catch_unwind(AssertUnwindSafe(|| Search::new(request, 0).level())).ok().flatten()
}

/// A plan and its surroundings.
struct Region {
    candidate: Candidate,
    /// How much tighter limits have to be there.
    margins: Vec<Margins>,
    /// What the referee's short look promises, see [`promise`].
    promise: Option<f64>,
}

/// What a plan will be worth once its limits have been moved to where its targets are just kept: a target missed by a
/// tenth costs about half a point of accuracy, and mostly less.
fn promise(score: &Score) -> f64 {
    score.accuracy - 0.05 * score.violation
}

/// What it takes to improve a plan and to have it judged.
pub(super) struct Desk<'a, 'p> {
    pub(super) workshop: &'p Workshop<'p>,
    pub(super) screen: Screen<'p>,
    pub(super) referee: Referee<'a>,
    /// What has been judged here.
    pub(super) contenders: Vec<Contender>,
}

impl<'a, 'p> Desk<'a, 'p> {
    /// Another one, for a share of what is left of the evaluations.
    fn alike(&self, desks: usize) -> Self {
        let mut screen = self.screen.alike();
        let left = self.screen.budget.evaluations.map(|all| all.saturating_sub(self.screen.spent));
        screen.budget.evaluations = left.map(|left| left / desks as u64);
        let referee = Referee { spent: 0, trouble: None, is_unable: false, ..self.referee.clone() };
        Self { workshop: self.workshop, screen, referee, contenders: vec![] }
    }

    fn is_over(&self) -> bool {
        self.screen.budget.is_over(self.screen.spent)
    }
}

pub(super) struct Search<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) layout: Layout<'a>,
    least: u64,
}

impl<'a> Search<'a> {
    fn new(request: &'a Request<'a>, least: u64) -> Self {
        Self { request, layout: Layout::new(request.problem), least }
    }

    /// What candidates are made with, and places at gateways for jobs that wait.
    fn workshop(&self) -> (Workshop<'_>, Vec<f64>) {
        let request = self.request;
        let mut loads = Loads::new(&self.layout);
        let services = request.problem.services.len();
        let fixed: Vec<_> = (0..services).map(|index| request.fixed.get(index).cloned().flatten()).collect();
        for (service, policy) in fixed.iter().enumerate() {
            if let Some(policy) = policy {
                loads.add_policy(&self.layout, service, policy, false);
            }
        }
        let pricers = pricers(request.problem);
        (Workshop { layout: &self.layout, pricers, fixed_loads: loads.numbers, fixed }, loads.waiting)
    }

    /// The best fluid plan with all resources as full.
    fn level(&self) -> Option<domain::Plan> {
        let (workshop, waiting) = self.workshop();
        let mut screen = Screen::new(&self.layout, waiting, Budget { evaluations: None, ..self.request.budget });
        let found = fluid::best(&workshop, &mut screen, Filling::Alike)?;
        Some(workshop.plan(&found))
    }

    fn run(&self) -> Planned {
        let request = self.request;
        let (workshop, waiting) = self.workshop();
        let screen = Screen::new(&self.layout, waiting, request.budget);
        let mut desk = Desk { workshop: &workshop, screen, referee: Referee::new(request), contenders: vec![] };
        let (contenders, finalists) = self.search(&mut desk);
        self.decide(contenders, finalists, &desk.screen, &mut desk.referee)
    }

    /// Plans, best first by the referee as far as it got, and how many of them were in the last finals.
    fn search(&self, desk: &mut Desk<'_, '_>) -> (Vec<Contender>, usize) {
        let request = self.request;
        let glance = self.glance();
        let mut board = Board::new(self.least);
        board.add(request.incumbent.map(|plan| desk.referee.look(plan, glance, true)));
        let found = self.first(desk);
        // Plans that have been looked at soon, then better ones: whenever time is over, there is something to show. Rivals come
        // second: nobody is to win because there was no time to look at others.
        let mut best = Region { candidate: found[0].1.clone(), margins: desk.screen.margins.clone(), promise: None };
        self.look_at(desk, found, &mut best, &mut board);
        for plan in request.rivals {
            board.add([desk.referee.look(plan, glance, false)]);
        }
        if request.method == Method::Prices {
            self.races(desk, &mut best, &mut board);
        }
        self.finish(desk, &mut best, &mut board);
        board.all(&desk.referee)
    }

    /// Short looks of the referee move the limits to where they have to be.
    fn glance(&self) -> Look {
        let effort = &self.request.effort;
        let whole = effort.arrivals.max(self.least);
        let least = SHORTEST_LOOK * self.request.problem.services.len() as u64;
        let enough = span::enough(self.request.problem, LONG_ENOUGH);
        Look { arrivals: (whole / 3).min(enough).max(least).min(whole), seed: effort.seed }
    }

    /// Evaluations of a start in the first heat.
    fn quantum(&self) -> u64 {
        QUANTUM.max(4 * (self.layout.lanes.len() + 5 * self.layout.flows.len()) as u64)
    }

    fn first(&self, desk: &mut Desk<'_, '_>) -> Vec<(f64, Candidate)> {
        let incumbent = self.request.incumbent.map(|plan| Start::Given(desk.workshop.read(plan)));
        // What one chain at a time comes to. Tables over jobs present are not what a search can go on from, and single exits are
        // among the simple plans.
        let can_start = |plan: &&domain::Plan| {
            let mut policies = plan.policies.iter();
            policies.clone().all(|one| one.epoch == Epoch::Arrival) && policies.any(|one| one.rates.is_some())
        };
        let rivals = self.request.rivals.iter().filter(can_start);
        let rivals = rivals.map(|plan| Start::Given(desk.workshop.read(plan)));
        let starts: Vec<Start> = match (self.request.method, incumbent) {
            (Method::Near, Some(incumbent)) => vec![incumbent, Start::Level],
            (Method::Prices | Method::Near, incumbent) => {
                let own = [Start::Fluid, Start::Simple, self.wide(desk, 0), Start::Tilted(1)];
                own.into_iter().chain(incumbent).chain(rivals).collect()
            }
            (other, _) => return vec![self.other_method(other, desk)],
        };
        let whole = desk.screen.budget;
        desk.screen.budget.stop = whole.first.or(whole.stop);
        let found = race(desk.workshop, &mut desk.screen, starts, self.request.effort.seed, self.quantum());
        desk.screen.budget = whole;
        found
    }

    /// Where there are too many variables for an evolution, a random plan.
    fn wide(&self, desk: &Desk<'_, '_>, number: u64) -> Start {
        if cma_es::is_promising(desk.workshop) { Start::Wide(number) } else { Start::Random(u64::MAX / 2 + number) }
    }

    /// Races from the best and from random starts, until nothing better is found.
    fn races(&self, desk: &mut Desk<'_, '_>, best: &mut Region, board: &mut Board) {
        let (mut vain, mut race_number) = (0, 0);
        while vain < IN_VAIN && race_number < MOST_RACES && !desk.is_over() {
            let (one, other) = (2 * race_number + 1, 2 * race_number + 2);
            let again = if race_number == 0 { Start::Given(best.candidate.clone()) } else { Start::Random(other) };
            let starts = vec![again, self.wide(desk, one), self.wide(desk, other), Start::Tilted(one + 1)];
            // The first one has the best found so far to start from.
            let quantum = (self.quantum() << race_number.min(MOST_DOUBLINGS)) / 2;
            let found = race(desk.workshop, &mut desk.screen, starts, self.request.effort.seed, quantum);
            let gained = self.look_at(desk, found, best, board);
            vain = if gained { 0 } else { vain + 1 };
            if gained || race_number == 0 {
                self.finish(desk, best, board);
            }
            race_number += 1;
        }
    }

    /// The last word on the best region: limits are moved by long looks, whether targets are missed or more is kept to
    /// than has to be, and the best plans are compared.
    fn finish(&self, desk: &mut Desk<'_, '_>, best: &mut Region, board: &mut Board) {
        for _ in 0..LAST_CORRECTIONS {
            let before = desk.workshop.plan(&best.candidate);
            // The last finals are over: their arrivals may be searched on.
            let look = board.look_before_finals(&desk.referee);
            let known = board.known(&before, look);
            self.calibrate(desk, &mut best.candidate, look, 1, known);
            board.learn(self.request.problem, desk.contenders.drain(..));
            let after = desk.workshop.plan(&best.candidate);
            let is_settled = before == after;
            let rivals = if board.rounds() == 0 { self.request.rivals } else { &[] };
            board.finals(&mut desk.referee, after.clone(), rivals);
            if is_settled || desk.is_over() {
                break;
            }
        }
        board.look_longer();
        best.margins.clone_from(&desk.screen.margins);
    }

    /// Has the referee look at what searches have found, each with limits of its own: where formulas err depends on
    /// which fragments are used. Whether any is better than the best so far, by the referee if it judges, else by
    /// formulas.
    fn look_at(
        &self,
        desk: &mut Desk<'_, '_>,
        mut found: Vec<(f64, Candidate)>,
        best: &mut Region,
        board: &mut Board,
    ) -> bool {
        desk.screen.softness = SHARP;
        let merit = desk.screen.merit(&desk.workshop.loads(&best.candidate));
        found.sort_by(|one, other| other.0.total_cmp(&one.0));
        found.retain(|one| one.0 > merit - MAYBE_BETTER);
        let desks = found.len();
        let work: Vec<_> = found.into_iter().map(|one| (one, desk.alike(desks))).collect();
        let glance = self.glance();
        let looks = parallel::each(work, |((reached, mut candidate), mut desk)| {
            self.calibrate(&mut desk, &mut candidate, glance, CALIBRATIONS, None);
            let plan = desk.workshop.plan(&candidate);
            if desk.contenders.iter().all(|contender| contender.plan != plan) {
                let last = desk.referee.look(&plan, glance, false);
                desk.contenders.push(last);
            }
            (reached, candidate, desk)
        });
        let mut gained = false;
        for (reached, candidate, own) in looks {
            let scores = own.contenders.iter().filter_map(|one| one.evaluation.as_ref());
            let promises = scores.map(|found| promise(&Score::of(self.request.problem, &cautious(found))));
            let score = promises.max_by(f64::total_cmp);
            let is_better = match (score, best.promise) {
                (Some(ours), Some(theirs)) => ours > theirs,
                (None, None) => reached > merit + WORTH_A_LOOK,
                (ours, _) => ours.is_some(),
            };
            if is_better {
                (*best, gained) = (Region { candidate, margins: own.screen.margins, promise: score }, true);
            }
            desk.screen.spent += own.screen.spent;
            desk.referee.take_over(own.referee);
            board.add(own.contenders);
        }
        desk.screen.margins.clone_from(&best.margins);
        gained
    }

    fn other_method(&self, method: Method, desk: &mut Desk<'_, '_>) -> (f64, Candidate) {
        let (workshop, screen) = (desk.workshop, &mut desk.screen);
        screen.until = if self.request.budget.evaluations.is_none() { ENOUGH } else { u64::MAX };
        let found = match method {
            Method::Pattern => pattern::search(workshop, screen),
            _ => cma_es::search(workshop, screen, &mut ChaCha8Rng::seed_from_u64(self.request.effort.seed)),
        };
        screen.until = u64::MAX;
        found
    }
}

/// One per service; services of one model share it. Where prices have the last word on thresholds they look at all samples
/// (up to a number that is plenty); with many variables time is better spent on more columns.
pub(super) fn pricers(problem: &Problem) -> Vec<Arc<Pricer>> {
    let of_service = |one: &domain::problem::Service| one.sources.len() * one.chains.len() * one.model.exits();
    let variables: usize = problem.services.iter().map(of_service).sum();
    let samples = if variables > MANY_VARIABLES { FEW_SAMPLES } else { MANY_SAMPLES };
    let mut known: Vec<(usize, Arc<Pricer>)> = vec![];
    let mut of = |index: usize| {
        let model = &problem.services[index].model;
        let same = known.iter().find(|(other, _)| Arc::ptr_eq(&problem.services[*other].model, model));
        let pricer = same.map_or_else(|| Arc::new(Pricer::new(model, samples)), |(_, pricer)| pricer.clone());
        known.push((index, pricer.clone()));
        pricer
    };
    (0..problem.services.len()).map(&mut of).collect()
}
