//! Plans for all services together: what they are worth, what they keep to, and what happens when things go wrong.

mod generated;

use domain::plan::Target;
use domain::{
    Bytes, Epoch, Evaluation, EvaluationEffort, Evaluator, Plan, Probability, Problem, Score, Seconds, ServiceMetrics,
    Thresholds, Unsupported,
};
use generated::Shape;
use planner::checker::{Severity, check};
use planner::{
    Budget, Decomposition, Limiting, Method, Outcome, Planned, Request, Scheduler, ThresholdSearch, Verdict, explain,
    plan, ratios, rivals, schedule, settle, with_rate_table,
};
use simulator::Simulation;
use std::num::NonZeroU32;
use std::sync::Mutex;

const SIMULATION: Simulation = Simulation { threads: 0 };

fn effort(arrivals: u64) -> EvaluationEffort<'static> {
    EvaluationEffort { seed: 3, replications: NonZeroU32::new(8).expect("above 0"), arrivals, stop: None }
}

fn request<'a>(problem: &'a Problem, referee: &'a dyn Evaluator, evaluations: u64) -> Request<'a> {
    Request {
        problem,
        incumbent: None,
        rivals: &[],
        fixed: &[],
        referee,
        effort: effort(40_000),
        budget: Budget { evaluations: Some(evaluations), stop: None, ..Budget::default() },
        method: Method::Prices,
    }
}

fn same(problem: &Problem, thresholds: &Thresholds) -> Plan {
    let policy = |service| schedule(&Scheduler::Fixed(thresholds.clone()), problem, service).expect("fixed thresholds");
    Plan { policies: (0..problem.services.len()).map(policy).collect() }
}

fn small() -> Problem {
    generated::problem(&Shape { samples: 3000, load: 1.2, seed: 2, ..Shape::default() })
}

/// Every plan that is made must pass the checker.
fn sound(problem: &Problem, plan: &Plan) {
    let errors: Vec<String> =
        check(problem, plan).iter().filter(|note| note.severity == Severity::Error).map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

fn planned(request: &Request<'_>) -> Planned {
    let found = plan(request);
    sound(request.problem, &found.plan);
    found
}

/// By a long simulation that no search has seen.
fn truth(problem: &Problem, plan: &Plan) -> Score {
    let effort = EvaluationEffort { seed: 77, ..effort(300_000) };
    Score::of(problem, &SIMULATION.evaluate(problem, plan, &effort).expect("it is simulated"))
}

#[test]
fn plans_keep_to_their_targets_and_are_better_than_one_threshold_for_all() {
    let problem = small();
    let found = planned(&request(&problem, &SIMULATION, 6000));
    assert_eq!((&found.outcome, &found.verdict), (&Outcome::Feasible, &Verdict::First), "{:?}", found.score);
    let ours = truth(&problem, &found.plan);
    assert!(ours.violation < 0.2, "{ours:?}");
    for threshold in [0.3f32, 0.5, 0.7, 0.8, 0.9] {
        let other = truth(&problem, &same(&problem, &Thresholds::new(vec![threshold; 5]).expect("in range")));
        assert!(other.violation > ours.violation || other.accuracy < ours.accuracy, "{threshold}: {other:?} {ours:?}");
    }
    assert!(found.held_out.iter().all(|one| (one.chosen - one.judged).abs() < 0.05), "{:?}", found.held_out);
    let runner_up = found.runner_up.expect("more than one plan was looked at");
    assert!(!runner_up.why.is_empty() && runner_up.plan != found.plan);
}

#[test]
fn the_same_seed_gives_the_same_plan() {
    let problem = small();
    let [one, other] = [(); 2].map(|()| planned(&request(&problem, &SIMULATION, 1500)));
    assert_eq!(one.plan, other.plan);
    assert_eq!(one.evaluations, other.evaluations);
}

#[test]
fn one_device_is_planned_as_well_as_by_trying_everything() {
    let shape = Shape { devices: 1, services: 1, chains: 1, exits: 3, samples: 800, load: 1.6, seed: 5 };
    let problem = generated::problem(&shape);
    let formulas = Decomposition::default();
    let score =
        |plan: &Plan| Score::of(&problem, &formulas.evaluate(&problem, plan, &effort(1)).expect("it is supported"));
    let mut best = Score { violation: f64::INFINITY, accuracy: 0.0 };
    for first in 0..=50 {
        for second in 0..=50 {
            let thresholds = Thresholds::new(vec![first as f32 / 50.0, second as f32 / 50.0]).expect("in range");
            let found = score(&same(&problem, &thresholds));
            best = if found.order(&best).is_gt() { found } else { best };
        }
    }
    let found = planned(&request(&problem, &formulas, 3000));
    let ours = score(&found.plan);
    assert!(ours.is_within(&best), "{ours:?}, by trying everything {best:?}");
}

#[test]
fn targets_that_cannot_be_met_are_named_with_the_least_bad_plan() {
    let mut problem = small();
    problem.services[1].targets.max_p95_latency = Some(Seconds::new(0.0005).expect("a time"));
    let found = planned(&request(&problem, &SIMULATION, 3000));
    let Outcome::Infeasible(missed) = &found.outcome else { panic!("{:?}", found.outcome) };
    let missed: Vec<_> = missed.iter().filter(|one| one.service == "service-1").collect();
    assert_eq!(
        (missed[0].service.as_str(), missed[0].target, missed[0].limit),
        ("service-1", Target::P95Latency, 0.0005)
    );
    assert!(missed[0].relative > 1.0 && missed[0].in_words().contains("0.5 ms is allowed"), "{}", missed[0].in_words());
    let fast = truth(&problem, &same(&problem, &Thresholds::exit_first(6)));
    let ours = truth(&problem, &found.plan);
    assert!(ours.violation < 1.05 * fast.violation, "{ours:?}, exit-first {fast:?}");
}

#[test]
fn an_incumbent_stays_unless_it_is_beaten() {
    let problem = small();
    let bad = same(&problem, &Thresholds::exit_last(6));
    let beaten = planned(&Request { incumbent: Some(&bad), ..request(&problem, &SIMULATION, 3000) });
    assert_eq!(beaten.verdict, Verdict::Beats);
    assert!(beaten.score.expect("it was judged").violation < 0.01);
    let again = planned(&Request { incumbent: Some(&beaten.plan), ..request(&problem, &SIMULATION, 200) });
    match &again.verdict {
        Verdict::Kept(_) => assert_eq!(again.plan, beaten.plan),
        _ => assert!(truth(&problem, &again.plan).accuracy > truth(&problem, &beaten.plan).accuracy - 0.003),
    }
}

/// Simulates, and keeps what it was asked: seed, arrivals and replications, and the plan.
struct Protocol(Mutex<Vec<(u64, u64, NonZeroU32, Plan)>>);

impl Evaluator for Protocol {
    fn name(&self) -> &'static str {
        "simulation"
    }

    fn evaluate(&self, of: &Problem, plan: &Plan, effort: &EvaluationEffort<'_>) -> Result<Evaluation, Unsupported> {
        self.0.lock().expect("nobody panics").push((effort.seed, effort.arrivals, effort.replications, plan.clone()));
        SIMULATION.evaluate(of, plan, effort)
    }
}

#[test]
fn the_last_word_is_on_arrivals_that_no_limit_was_moved_by() {
    let problem = small();
    let referee = Protocol(Mutex::default());
    let found = planned(&request(&problem, &referee, 9000));
    let asked = referee.0.into_inner().expect("nobody panics");
    let own = request(&problem, &SIMULATION, 0).effort;
    let (told, score) = (&found.evaluations[0].1, found.score.expect("it was judged"));
    let judged = |one: &&(u64, u64, NonZeroU32, Plan)| {
        let effort = EvaluationEffort { seed: one.0, arrivals: one.1, replications: one.2, ..own };
        SIMULATION.evaluate(&problem, &found.plan, &effort).as_ref() == Ok(told)
    };
    let last = asked.iter().filter(|one| one.3 == found.plan).find(judged).expect("it was judged by the referee");
    assert!(last.0 != own.seed && last.1 >= own.arrivals, "seed {}, {} arrivals", last.0, last.1);
    let others = asked.iter().filter(|one| one.0 == last.0 && one.1 == last.1 && one.3 != found.plan);
    assert!(others.count() > 0, "{score:?} on arrivals that nobody else was compared on");
}

#[test]
fn more_evaluations_never_give_a_clearly_worse_plan() {
    for (seed, load) in [(31, 0.8), (32, 1.3)] {
        let problem = generated::problem(&Shape { samples: 3000, load, seed, ..Shape::default() });
        let mut best: Option<(u64, Score)> = None;
        for evaluations in [15_000, 50_000] {
            let ours = truth(&problem, &planned(&request(&problem, &SIMULATION, evaluations)).plan);
            if let Some((fewer, before)) = best {
                let told = format!("seed {seed}: {before:?} after {fewer}, {ours:?} after {evaluations} evaluations");
                assert!(ours.violation <= 1.01 * before.violation + 0.03, "{told}");
                assert!(ours.accuracy > before.accuracy - 0.003 || before.violation > ours.violation + 0.03, "{told}");
            }
            best = Some((evaluations, ours));
        }
    }
}

#[test]
fn no_rival_wins_because_time_was_over_before_others_were_looked_at() {
    let problem = small();
    let poor = [same(&problem, &Thresholds::exit_last(6)), same(&problem, &Thresholds::exit_first(6))];
    for looks in 0..6 {
        let referee = Protocol(Mutex::default());
        let stop = || referee.0.lock().expect("nobody panics").len() >= looks;
        let budget = Budget { evaluations: Some(3000), stop: Some(&stop), ..Budget::default() };
        let found = planned(&Request { rivals: &poor, budget, ..request(&problem, &referee, 0) });
        assert!(!poor.contains(&found.plan), "after {looks} looks");
    }
}

/// An evaluator with a defect.
struct Broken(fn() -> Option<Evaluation>);

impl Evaluator for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn evaluate(&self, _: &Problem, _: &Plan, _: &EvaluationEffort<'_>) -> Result<Evaluation, Unsupported> {
        (self.0)().ok_or(Unsupported { evaluator: "broken", what: "anything".to_owned() })
    }
}

#[test]
fn evaluators_that_panic_or_give_no_numbers_leave_the_incumbent() {
    let problem = small();
    let incumbent = same(&problem, &Thresholds::exit_first(6));
    let panics = Broken(|| panic!("a defect of a test"));
    let nan = Broken(|| {
        let metrics = domain::ServiceMetrics { loss: f64::NAN, accuracy: f64::NAN, ..Default::default() };
        Some(Evaluation { replications: vec![vec![metrics.clone(), metrics]], ..Evaluation::default() })
    });
    for broken in [&panics, &nan] {
        let found = planned(&Request { incumbent: Some(&incumbent), ..request(&problem, broken, 500) });
        assert_eq!(found.plan, incumbent, "{:?}", found.verdict);
        assert!(!found.verdict.is_new());
        assert!(found.outcome != Outcome::Feasible, "{:?}", found.outcome);
    }
    let unsupported = Broken(|| None);
    let found = planned(&request(&problem, &unsupported, 500));
    assert_eq!(found.evaluations[0].0, "decomposition", "without a referee formulas have the last word");
}

#[test]
fn without_time_the_incumbent_stays() {
    let problem = small();
    let incumbent = same(&problem, &Thresholds::exit_first(6));
    let stop = || true;
    let budget = Budget { evaluations: None, stop: Some(&stop), ..Budget::default() };
    let found = planned(&Request { incumbent: Some(&incumbent), budget, ..request(&problem, &SIMULATION, 0) });
    assert_eq!(found.plan, incumbent, "{:?}", found.verdict);
    let first = planned(&Request { budget, ..request(&problem, &SIMULATION, 0) });
    assert_eq!(first.plan.policies.len(), 2);
}

#[test]
fn a_rival_that_formulas_cannot_predict_wins_if_the_referee_says_so() {
    let mut problem = generated::problem(&Shape {
        devices: 1,
        services: 1,
        chains: 1,
        samples: 2000,
        load: 1.5,
        seed: 4,
        ..Shape::default()
    });
    problem.services[0].targets.max_loss = None;
    // Without a target for loss nothing is righter than the last exit of those who wait at the gateway.
    let mut rival = same(&problem, &Thresholds::exit_last(6));
    rival.policies[0].epoch = domain::Epoch::Dispatch;
    let mut choice = rival.policies[0].default.choices()[0].clone();
    let always = vec![(Probability::new(1.0).expect("a share"), Thresholds::exit_last(6))];
    choice.by_present = vec![domain::Lottery::new(always, "test").expect("one draw")];
    rival.policies[0].default = domain::Mixture::new(vec![choice], "test").expect("one choice");
    problem.services[0].targets.max_mean_latency = None;
    let rivals = [rival.clone()];
    let exit_first = same(&problem, &Thresholds::exit_first(6));
    let budget = Budget { evaluations: Some(0), stop: None, ..Budget::default() };
    let request =
        Request { incumbent: Some(&exit_first), rivals: &rivals, budget, ..request(&problem, &SIMULATION, 0) };
    let found = planned(&request);
    assert!(found.verdict.is_new() && found.score.expect("it was judged").accuracy > 0.8, "{:?}", found.score);
}

/// Says the same of all plans, but for one.
struct Prefers {
    plan: Plan,
    metrics: [domain::ServiceMetrics; 2],
}

impl Evaluator for Prefers {
    fn name(&self) -> &'static str {
        "prefers"
    }

    fn evaluate(&self, _: &Problem, plan: &Plan, _: &EvaluationEffort<'_>) -> Result<Evaluation, Unsupported> {
        let metrics = self.metrics[usize::from(*plan == self.plan)].clone();
        let replications = vec![vec![metrics.clone(), metrics]; 8];
        Ok(Evaluation { replications, is_sampled: true, ..Evaluation::default() })
    }
}

#[test]
fn where_accuracy_does_not_tell_plans_apart_loss_and_latency_do() {
    let problem = small();
    let rival = same(&problem, &Thresholds::exit_first(6));
    let of = |accuracy: f64, loss: f64, mean_latency: f64| domain::ServiceMetrics {
        jobs: 1e6,
        accuracy,
        loss,
        mean_latency,
        p95_latency: 0.1,
        ..Default::default()
    };
    let wins = |theirs: domain::ServiceMetrics, others: domain::ServiceMetrics| {
        let referee = Prefers { plan: rival.clone(), metrics: [others, theirs] };
        let rivals = [rival.clone()];
        planned(&Request { rivals: &rivals, ..request(&problem, &referee, 300) }).plan == rival
    };
    assert!(wins(of(0.9001, 0.005, 0.08), of(0.9, 0.005, 0.08)), "it is more accurate");
    assert!(wins(of(0.8996, 0.001, 0.08), of(0.9, 0.005, 0.08)), "as accurate, and fewer are lost");
    assert!(wins(of(0.8996, 0.005, 0.05), of(0.9, 0.005, 0.08)), "as accurate, and sooner");
    assert!(!wins(of(0.8996, 0.005, 0.08), of(0.9, 0.005, 0.08)), "only less accurate");
    assert!(!wins(of(0.8985, 0.0, 0.01), of(0.9, 0.005, 0.08)), "accuracy tells them apart");
    assert!(!wins(of(0.9, 0.02, 0.01), of(0.9, 0.005, 0.08)), "it misses its target");
}

#[test]
fn services_with_a_scheduler_of_their_own_keep_it() {
    let problem = small();
    let policy = schedule(&Scheduler::ExitFirst, &problem, 0).expect("it is fixed");
    let fixed = [Some(policy.clone()), None];
    let found = planned(&Request { fixed: &fixed, ..request(&problem, &SIMULATION, 1500) });
    assert_eq!(found.plan.policies[0], policy);
    assert_ne!(found.plan.policies[1], schedule(&Scheduler::ExitLast, &problem, 1).expect("it is fixed"));
}

#[test]
fn priority_decides_who_is_right_more_often() {
    let mut problem = small();
    let accuracy = |problem: &Problem| {
        let found = planned(&request(problem, &Decomposition::default(), 4000));
        let evaluation = &found.evaluations[0].1;
        [evaluation.service(0).accuracy, evaluation.service(1).accuracy]
    };
    (problem.services[0].targets.priority, problem.services[1].targets.priority) = (8.0, 1.0);
    let first = accuracy(&problem);
    (problem.services[0].targets.priority, problem.services[1].targets.priority) = (1.0, 8.0);
    let second = accuracy(&problem);
    assert!(first[0] > second[0] && first[1] < second[1], "{first:?} {second:?}");
}

#[test]
fn every_way_to_search_gives_sound_plans() {
    let problem = small();
    for method in [Method::Prices, Method::Pattern, Method::Evolution] {
        let found = planned(&Request { method, ..request(&problem, &Decomposition::default(), 800) });
        assert!(found.score.is_some(), "{method:?}");
    }
}

#[test]
fn rate_tables_have_a_row_for_each_ratio_and_give_up_accuracy_with_load() {
    let problem = small();
    let request = Request { effort: effort(30_000), ..request(&problem, &SIMULATION, 9000) };
    let found = planned(&request);
    let window = Seconds::new(2.0).expect("a time");
    let table = with_rate_table(&request, &found.plan, &[0.5, 1.0, 2.0], window);
    sound(&problem, &table.plan);
    assert_eq!(table.rows.iter().map(|row| row.0).collect::<Vec<_>>(), [0.5, 1.0, 2.0]);
    let formulas = Decomposition::default();
    let at = |ratio: f64| {
        let problem = problem.scaled(ratio);
        Score::of(&problem, &formulas.evaluate(&problem, &table.plan, &effort(1)).expect("supported"))
    };
    let [low, even, high] = [0.5, 1.0, 2.0].map(at);
    assert!(low.accuracy > even.accuracy && even.accuracy > high.accuracy, "{low:?} {even:?} {high:?}");
    let all_at_one = formulas.evaluate(&problem.scaled(2.0), &found.plan, &effort(1)).expect("supported");
    assert!(high.violation < Score::of(&problem, &all_at_one).violation, "{high:?}");
    let stop = || true;
    let none = Request { budget: Budget { evaluations: None, stop: Some(&stop), ..Budget::default() }, ..request };
    let unplanned = with_rate_table(&none, &found.plan, &[0.5, 2.0], window);
    sound(&problem, &unplanned.plan);
    assert_eq!(unplanned.rows, [(0.5, false), (1.0, true), (2.0, false)]);
    let rows = &unplanned.plan.policies[0].rates.as_ref().expect("a table").rows;
    assert!(rows.iter().all(|row| row.default == found.plan.policies[0].default), "the last good row is repeated");
}

#[test]
fn rows_that_nobody_searches_for_still_fit_their_rate() {
    let problem = small();
    let request = Request { effort: effort(30_000), ..request(&problem, &SIMULATION, 1500) };
    let found = planned(&request);
    let window = Seconds::new(2.0).expect("a time");
    let none = Request { budget: Budget { evaluations: Some(0), stop: None, ..Budget::default() }, ..request };
    let table = with_rate_table(&none, &found.plan, &[0.25, 1.0, 2.0], window).plan;
    sound(&problem, &table);
    let formulas = Decomposition::default();
    let at = |plan: &Plan, ratio: f64| {
        let problem = problem.scaled(ratio);
        Score::of(&problem, &formulas.evaluate(&problem, plan, &effort(1)).expect("supported"))
    };
    let (low, high) = (at(&table, 0.25), at(&table, 2.0));
    assert!(low.accuracy > at(&found.plan, 0.25).accuracy + 0.01, "{low:?}");
    assert!(high.violation < at(&found.plan, 2.0).violation / 2.0, "{high:?}");
}

#[test]
fn where_one_gateway_measures_rows_for_more_load_look_at_jobs_present() {
    let shape = Shape { devices: 1, services: 1, chains: 1, samples: 3000, load: 0.9, seed: 2, ..Shape::default() };
    let alone = generated::problem(&shape);
    let two = generated::problem(&Shape { devices: 2, services: 2, ..shape });
    // As rivals have them, and the forecast.
    let grid: Vec<f64> = ratios().into_iter().filter(|ratio| (2.0..3.5).contains(ratio)).collect();
    let window = Seconds::new(2.0).expect("a time");
    let [own, lent, shared] = [(&alone, false), (&alone, true), (&two, true)].map(|(problem, lends)| {
        let rivals = if lends { rivals(problem, &[], true, &|| false) } else { vec![] };
        let request = Request { rivals: &rivals, effort: effort(30_000), ..request(problem, &SIMULATION, 4000) };
        let found = planned(&Request { rivals: &[], ..request }).plan;
        let table = with_rate_table(&request, &found, &grid, window).plan;
        sound(problem, &table);
        table
    });
    let looks = |plan: &Plan, row: usize| {
        let table = plan.policies[0].rates.as_ref().expect("a table");
        table.rows[row].default.choices().iter().any(|choice| !choice.by_present.is_empty())
    };
    assert_eq!([0, 1].map(|row| looks(&lent, row)), [false, true]);
    assert_eq!((own.policies[0].epoch, lent.policies[0].epoch), (Epoch::Arrival, Epoch::Dispatch));
    assert!((0..3).all(|row| !looks(&own, row) && !looks(&shared, row)), "rows of others would count on what it takes");
    let at = |plan: &Plan| truth(&alone.scaled(1.4), plan);
    assert!(at(&lent).accuracy > at(&own).accuracy + 0.003, "{:?} {:?}", at(&lent), at(&own));
    assert!(at(&lent).violation <= at(&own).violation, "{:?} {:?}", at(&lent), at(&own));
}

#[test]
fn a_plan_with_its_table_has_to_beat_rivals_and_the_incumbent() {
    let problem = small();
    let request = Request { effort: effort(30_000), ..request(&problem, &SIMULATION, 3000) };
    let good = planned(&request).plan;
    let poor = same(&problem, &Thresholds::exit_first(6));
    // The only row of this table is as poor as that: what was found without it does not count.
    let table = |rows: &Plan| {
        let forecast = domain::PerSecond::new(1.0).expect("a rate");
        let measured = domain::Measured::Window(Seconds::new(2.0).expect("a time"));
        let with = |(policy, row): (&domain::Policy, &domain::Policy)| {
            let row = domain::RateRow { up_to: 1.0, default: row.default.clone(), sources: row.sources.clone() };
            let rates = Some(domain::RateTable { forecast, measured, rows: vec![row] });
            domain::Policy { rates, ..policy.clone() }
        };
        Plan { policies: good.policies.iter().zip(&rows.policies).map(with).collect() }
    };
    let (tabled, spoilt) = (table(&good), table(&poor));
    let settled = |incumbent: Option<&Plan>, rivals: &[Plan], tabled: &Plan| {
        // As many arrivals as finals: with fewer a loss is not known to be below its limit.
        let request = Request { incumbent, rivals, effort: effort(400_000), ..request };
        let settled = settle(&request, tabled);
        assert!(settled.evaluation.is_some());
        settled.loser.map(|loser| (settled.plan, loser.plan))
    };
    assert_eq!(settled(None, &[], &spoilt), None);
    assert_eq!(settled(Some(&poor), std::slice::from_ref(&poor), &tabled), None);
    assert_eq!(settled(None, std::slice::from_ref(&good), &spoilt), None, "it knows one rate only");
    let rivals = std::slice::from_ref(&tabled);
    assert_eq!(settled(None, rivals, &spoilt), Some((tabled.clone(), spoilt.clone())));
    assert_eq!(settled(Some(&poor), rivals, &spoilt), Some((tabled.clone(), spoilt.clone())));
    assert_eq!(settled(Some(&good), &[], &spoilt), Some((good.clone(), spoilt.clone())), "the incumbent stays");
    assert_eq!(settled(Some(&good), &[], &tabled), Some((good.clone(), tabled.clone())), "as good is not better");
    assert_eq!(settled(Some(&good), rivals, &spoilt), Some((good.clone(), tabled.clone())), "nor is a rival");
}

/// Says what a plan does by what it looks like.
struct Told<F>(F);

impl<F: Fn(&Plan) -> domain::ServiceMetrics + Sync> Evaluator for Told<F> {
    fn name(&self) -> &'static str {
        "told"
    }

    fn evaluate(&self, problem: &Problem, plan: &Plan, _: &EvaluationEffort<'_>) -> Result<Evaluation, Unsupported> {
        let replication = vec![(self.0)(plan); problem.services.len()];
        Ok(Evaluation { replications: vec![replication; 4], is_sampled: true, ..Evaluation::default() })
    }
}

#[test]
fn a_plan_that_misses_a_target_by_little_treats_some_jobs_as_in_the_row_above() {
    let problem = small();
    let limit = problem.services[0].targets.max_loss.expect("it has a target").get();
    let (last, first) = (same(&problem, &Thresholds::exit_last(6)), same(&problem, &Thresholds::exit_first(6)));
    let mut tabled = last.clone();
    for (policy, above) in tabled.policies.iter_mut().zip(&first.policies) {
        let own = policy.clone();
        let row = |up_to: f64, of: &domain::Policy| domain::RateRow {
            up_to,
            default: of.default.clone(),
            sources: of.sources.clone(),
        };
        policy.rates = Some(domain::RateTable {
            forecast: domain::PerSecond::new(1.0).expect("a rate"),
            measured: domain::Measured::Window(Seconds::new(2.0).expect("a time")),
            rows: vec![row(0.5, &own), row(1.0, &own), row(1.4, above), row(8.0, above)],
        });
    }
    let leaves_first = |mixture: &domain::Mixture| {
        let first = |choice: &&domain::Choice| choice.thresholds == Thresholds::exit_first(6);
        mixture.choices().iter().filter(first).map(|choice| choice.probability.get()).sum::<f64>()
    };
    // The more jobs leave first, the fewer are lost: with none that leaves first so much too many.
    let settled = |excess: f64| {
        let referee = Told(move |plan: &Plan| {
            let loss = limit * (1.0 + excess - leaves_first(&plan.policies[0].default));
            domain::ServiceMetrics { jobs: 1e9, accuracy: 0.9, loss: loss.max(0.0), ..Default::default() }
        });
        settle(&request(&problem, &referee, 0), &tabled).plan
    };
    let shares = [-0.1, 0.1, 0.3, 0.7].map(|excess| leaves_first(&settled(excess).policies[0].default));
    assert!(shares[0] == 0.0 && (0.1..0.3).contains(&shares[1]) && (0.3..0.7).contains(&shares[2]), "{shares:?}");
    assert_eq!(shares[3], 1.0);
    let plan = settled(0.1);
    sound(&problem, &plan);
    let table = plan.policies[0].rates.as_ref().expect("it keeps its table");
    assert_eq!(table.rows[1].default, plan.policies[0].default, "a gateway takes the row of the forecast");
    assert_eq!(leaves_first(&table.rows[2].default), 1.0, "rows above stay as they are");
}

#[test]
fn in_the_end_a_hair_of_accuracy_is_not_worth_much_loss_and_latency() {
    let problem = small();
    let metrics = |accuracy: f64, loss: f64, latency: f64| domain::ServiceMetrics {
        jobs: 1e9,
        accuracy,
        loss,
        mean_latency: latency,
        p95_latency: 2.0 * latency,
        ..Default::default()
    };
    let thresholds = |threshold: f32| Thresholds::new(vec![threshold; 5]).expect("they are in range");
    let (good, hair) = (same(&problem, &thresholds(0.5)), same(&problem, &thresholds(0.6)));
    let referee = Told(|plan: &Plan| {
        let first = plan.policies[0].default.choices()[0].thresholds.as_slice()[0];
        if first > 0.55 { metrics(0.9292, 0.004, 0.003) } else { metrics(0.929, 0.0001, 0.001) }
    });
    // Only rivals with tables take part.
    let with_rows = |plan: &Plan| {
        let mut plan = plan.clone();
        for policy in &mut plan.policies {
            let row = domain::RateRow { up_to: 1.0, default: policy.default.clone(), sources: policy.sources.clone() };
            policy.rates = Some(domain::RateTable {
                forecast: domain::PerSecond::new(1.0).expect("a rate"),
                measured: domain::Measured::Window(Seconds::new(2.0).expect("a time")),
                rows: vec![row],
            });
        }
        plan
    };
    let (good, hair) = (with_rows(&good), with_rows(&hair));
    let request = request(&problem, &referee, 0);
    let rivals = std::slice::from_ref(&hair);
    assert_eq!(settle(&Request { rivals, ..request }, &good).plan, good, "not as a rival");
    assert_eq!(settle(&Request { incumbent: Some(&good), ..request }, &hair).plan, good, "nor against an incumbent");
    assert_eq!(settle(&Request { incumbent: Some(&hair), ..request }, &good).plan, hair, "which stays all the same");
}

#[test]
fn nobody_wins_in_the_end_against_an_incumbent_that_could_not_be_judged() {
    let problem = small();
    let (tabled, incumbent) = (same(&problem, &Thresholds::exit_last(6)), same(&problem, &Thresholds::exit_first(6)));
    let broken = Broken(|| panic!("a defect of a test"));
    let alone = settle(&request(&problem, &broken, 0), &tabled);
    assert_eq!((alone.plan, alone.evaluation), (tabled.clone(), None));
    let kept = settle(&Request { incumbent: Some(&incumbent), ..request(&problem, &broken, 0) }, &tabled);
    assert_eq!(kept.plan, incumbent);
}

#[test]
fn what_limits_a_service_is_named() {
    let mut problem = small();
    // Nothing but the first chain, and too much for it.
    let plan = {
        let mut plan = same(&problem, &Thresholds::exit_last(6));
        for policy in &mut plan.policies {
            let mut choice = policy.default.choices()[0].clone();
            choice.probability = Probability::new(1.0).expect("a share");
            policy.default = domain::Mixture::new(vec![choice], "test").expect("one choice");
        }
        plan
    };
    problem.services[1].sources[0].rate = domain::PerSecond::new(1.0).expect("a rate");
    let evaluation = SIMULATION.evaluate(&problem, &plan, &effort(40_000)).expect("it is simulated");
    let limits = explain(&problem, &plan, &evaluation, &SIMULATION);
    let home = &problem.services[0].gateways[0].device;
    let first = &limits[0];
    assert_eq!((first.service, first.by, &first.place), (0, Limiting::Speed, home), "{limits:?}");
    assert!(first.utilization > 0.95 && first.lost_here > 0.1 && first.relieved.0 < first.now.0, "{first:?}");
    let words = first.in_words(&problem);
    assert!(words.starts_with("service-0 is limited by the speed of device-0, which is busy "), "{words}");
}

#[test]
fn what_limits_tables_over_jobs_present_is_told_by_whoever_can_predict_them() {
    let problem = small();
    let policy = |service| schedule(&Scheduler::SMDP, &problem, service).expect("a table");
    let plan = Plan { policies: (0..problem.services.len()).map(policy).collect() };
    assert!(Decomposition::default().evaluate(&problem, &plan, &effort(1)).is_err(), "formulas can");
    let evaluation = SIMULATION.evaluate(&problem, &plan, &effort(40_000)).expect("it is simulated");
    let limits = explain(&problem, &plan, &evaluation, &SIMULATION);
    let of = |service: usize| limits.iter().find(|limit| limit.service == service).map(|limit| limit.by);
    assert_eq!(of(0), Some(Limiting::Speed), "{limits:?}");
    let by_formulas = explain(&problem, &plan, &evaluation, &Decomposition::default());
    assert!(by_formulas.is_empty(), "{by_formulas:?}");
}

/// Jobs of the first service come too late where its first gateway has no more memory than this.
struct Late(Bytes);

impl Evaluator for Late {
    fn name(&self) -> &'static str {
        "late"
    }

    fn evaluate(&self, problem: &Problem, _: &Plan, _: &EvaluationEffort<'_>) -> Result<Evaluation, Unsupported> {
        let late = problem.services[0].gateways[0].memory_budget.0 <= self.0.0;
        let failure = if late { 0.2 } else { 0.05 };
        let metrics = vec![ServiceMetrics { failure, p95_latency: 1.0, ..ServiceMetrics::default() }; 2];
        Ok(Evaluation { replications: vec![metrics], ..Evaluation::default() })
    }
}

#[test]
fn memory_of_a_gateway_without_fragments_beside_it_limits_jobs_that_come_too_late() {
    let mut problem = small();
    let policy = |service| schedule(&Scheduler::SMDP, &problem, service).expect("a table");
    let plan = Plan { policies: (0..problem.services.len()).map(policy).collect() };
    let hall = domain::problem::Device { name: "hall".to_owned(), fragments: vec![], ..problem.devices[0].clone() };
    problem.devices.push(hall);
    problem.services[0].gateways[0].device = "hall".to_owned();
    let late = Late(problem.services[0].gateways[0].memory_budget);
    let limits = explain(&problem, &plan, &Evaluation::default(), &late);
    let [limit] = &limits[..] else { panic!("{limits:?}") };
    assert_eq!((limit.service, limit.by, limit.place.as_str()), (0, Limiting::Memory, "hall"));
    assert_eq!((limit.now.0, limit.relieved.0), (0.2, 0.05));
}

/// Says nothing but how much it was asked to look at.
struct Counts(std::sync::Mutex<Vec<u64>>);

impl Evaluator for Counts {
    fn name(&self) -> &'static str {
        "counts"
    }

    fn evaluate(&self, _: &Problem, _: &Plan, effort: &EvaluationEffort<'_>) -> Result<Evaluation, Unsupported> {
        self.0.lock().expect("nobody panics").push(effort.arrivals);
        Err(Unsupported { evaluator: self.name(), what: "anything".to_owned() })
    }
}

#[test]
fn the_last_word_is_about_thousands_of_bursts_where_there_are_any() {
    let most = |problem: &Problem| {
        let counts = Counts(std::sync::Mutex::new(vec![]));
        plan(&request(problem, &counts, 500));
        counts.0.into_inner().expect("nobody panics").into_iter().max().expect("it was asked")
    };
    let mut problem = small();
    let plain = most(&problem);
    let source = &mut problem.services[0].sources[0];
    // Forty arrivals per burst, as many between two.
    let (rates, rate) = ([0.5, 1.5], source.rate.get());
    source.burstiness = domain::problem::Burstiness::Phases { rates, switch: [rate * 0.5 / 40.0, rate * 0.5 / 40.0] };
    problem.check().expect("what the test sets up is sound");
    assert!(plain <= 8 * 40_000 && most(&problem) >= 2 * plain, "{plain} {}", most(&problem));
}

#[test]
fn services_that_are_alike_have_the_policies_that_each_would_have_alone() {
    let mut problem = small();
    let mut twin = problem.services[0].clone();
    twin.name = "twin".to_owned();
    twin.deadline = None;
    twin.chains.iter_mut().for_each(|chain| chain.name = format!("{}-of-twin", chain.name));
    let mut busier = problem.services[0].clone();
    busier.name = "busier".to_owned();
    busier.sources[0].rate = domain::PerSecond::new(2.0 * busier.sources[0].rate.get()).expect("a rate");
    problem.services.extend([twin, busier]);
    let found = rivals(&problem, &[], true, &|| false);
    let schedulers = [Scheduler::ExitLast, Scheduler::DataDriven(ThresholdSearch::Direct), Scheduler::SMDP];
    for (scheduler, plan) in schedulers.iter().zip(&found) {
        for (service, policy) in plan.policies.iter().enumerate() {
            let alone = schedule(scheduler, &problem, service).expect("it can be computed");
            assert_eq!(*policy, alone, "{scheduler:?} of {}", problem.services[service].name);
        }
    }
    assert_ne!(found[1].policies[0].rates, found[1].policies[problem.services.len() - 1].rates);
}
