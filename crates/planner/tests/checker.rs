//! The checker finds what is wrong with plans, and nothing where nothing is.

mod generated;

use domain::{
    Bytes, Choice, Epoch, FragmentRange, Lottery, Mixture, PerSecond, Plan, Probability, Problem, Thresholds,
};
use generated::Shape;
use planner::checker::{Severity, check};
use planner::{Scheduler, schedule};

fn problem() -> Problem {
    generated::problem(&Shape { samples: 50, ..Shape::default() })
}

fn plan(problem: &Problem) -> Plan {
    let policy = |service| schedule(&Scheduler::ExitLast, problem, service).expect("it is fixed");
    Plan { policies: (0..problem.services.len()).map(policy).collect() }
}

fn chance(value: f64) -> Probability {
    Probability::new(value).expect("a share")
}

/// What the checker says after a change.
fn found(change: impl Fn(&mut Problem, &mut Plan)) -> Vec<String> {
    let mut problem = problem();
    let mut plan = plan(&problem);
    change(&mut problem, &mut plan);
    check(&problem, &plan).iter().map(ToString::to_string).collect()
}

fn finds(what: &str, change: impl Fn(&mut Problem, &mut Plan)) {
    let found = found(change);
    assert!(found.iter().any(|note| note.contains(what)), "{what:?} is not among {found:#?}");
}

#[test]
fn a_sound_plan_has_no_notes() {
    assert_eq!(found(|_, _| {}), Vec::<String>::new());
}

#[test]
fn defects_are_noted_with_their_place() {
    finds("error: plan: has 1 policies for 2 services", |_, plan| {
        plan.policies.pop();
    });
    finds(
        "error: service \"service-0\", chain \"chain-0\": one job needs 3136 bytes on \"device-0\", which has 9",
        |problem, _| {
            problem.devices[0].fragments.iter_mut().for_each(|fragment| fragment.memory_budget = Bytes(9));
        },
    );
    finds("one job needs 18816 bytes", |problem, _| problem.devices[0].memory_budget = Some(Bytes(100)));
    finds("warning: device \"device-0\": its fragments may hold", |problem, _| {
        problem.devices[0].memory_budget = Some(Bytes(300_000));
    });
    finds("gateway on \"device-0\": has 1 bytes, one sample needs 3136", |problem, _| {
        problem.services[0].gateways[0].memory_budget = Bytes(1);
    });
    finds(
        "error: service \"service-0\", gateway on \"device-0\": must name a link, or none, for each chain",
        |problem, _| {
            problem.services[0].gateways[0].links.pop();
        },
    );
    finds("error: service \"service-0\", gateway on \"device-0\": takes a link that is not there", |problem, _| {
        problem.services[0].gateways[0].links[0] = Some(99);
    });
    finds("error: service \"service-0\", chain \"chain-1\": takes a link that is not there", |problem, _| {
        problem.services[0].chains[1].hops[1].link = Some(99);
    });
    finds("error: service \"service-0\", chain \"chain-0\": visits a fragment that is not there", |problem, _| {
        problem.services[0].chains[0].hops[0].device = 99;
    });
    finds("has 2 chains where the placement has 3", |_, plan| {
        plan.policies[0].chains.pop();
    });
    finds("chain \"chain-0\": does not hold segments 1 to 6", |_, plan| {
        plan.policies[0].chains[0].fragments = vec![FragmentRange { first: 0, last: 3 }];
    });
    finds("chain \"chain-1\": is cut elsewhere than the placement", |_, plan| {
        plan.policies[0].chains[1].fragments = vec![FragmentRange { first: 0, last: 5 }];
    });
    finds("stands where the placement has \"chain-2\"", |_, plan| plan.policies[0].chains[2].name = "other".to_owned());
}

#[test]
fn mixtures_and_thresholds_are_checked() {
    let single = |choice: Choice| Mixture::new(vec![choice], "test").expect("one choice");
    finds("service \"service-1\": sends jobs to chain 7, of 3", |_, plan| {
        plan.policies[1].default = single(Choice::new(chance(1.0), 7, Thresholds::exit_last(6)));
    });
    finds("has 3 thresholds for 6 exits", |_, plan| {
        plan.policies[1].default = single(Choice::new(chance(1.0), 0, Thresholds::exit_last(4)));
    });
    finds("warning: service \"service-1\": has open exits behind one at which every job leaves", |_, plan| {
        let thresholds = Thresholds::new(vec![0.0, 0.5, 1.0, 1.0, 1.0]).expect("in range");
        plan.policies[1].default = single(Choice::new(chance(1.0), 0, thresholds));
    });
    finds("source \"nobody\": the service has no such source", |_, plan| {
        let mixture = plan.policies[0].default.clone();
        plan.policies[0].sources.push(("nobody".to_owned(), mixture));
    });
    finds("looks at jobs present, but decides when jobs arrive", |_, plan| {
        let mut choice = Choice::new(chance(1.0), 0, Thresholds::exit_last(6));
        let lottery = Lottery::new(vec![(chance(1.0), Thresholds::exit_first(6))], "test").expect("one draw");
        choice.by_present = vec![lottery];
        plan.policies[0].default = single(choice);
    });
    finds("looks at jobs present, but decides when jobs arrive", |_, plan| {
        plan.policies[0].learning = Some(domain::Learning::Reactive);
    });
    assert!(
        found(|_, plan| {
            plan.policies[0].epoch = Epoch::Dispatch;
            plan.policies[0].learning = Some(domain::Learning::Reactive);
        })
        .is_empty()
    );
}

#[test]
fn what_jobs_and_bandits_are_told_is_checked() {
    finds("service \"service-0\": gives jobs another deadline than the service", |_, plan| {
        plan.policies[0].deadline = domain::Seconds::new(1.0).ok();
    });
    finds("does something else than the service with jobs that find no memory", |_, plan| {
        plan.policies[0].overflow = domain::Overflow::AnswerWithLastExit;
    });
    let bandit = |costs: Vec<f64>, exploration: f64| {
        move |_: &mut Problem, plan: &mut Plan| {
            let (arms, costs) = (vec![Thresholds::exit_last(6)], costs.clone());
            let bandit = domain::AdaEE { arms, exploration, costs, room: None };
            plan.policies[0].learning = Some(domain::Learning::AdaEE(bandit));
        }
    };
    let rising = vec![0.0, 0.1, 0.1, 0.2, 0.3, 0.4];
    assert_eq!(found(bandit(rising.clone(), 1.0)), Vec::<String>::new());
    finds("has no arms, or not one cost per exit", bandit(vec![0.0, 0.1], 1.0));
    finds("has costs that do not rise from 0", bandit(vec![0.0, 0.2, 0.1, 0.2, 0.3, 0.4], 1.0));
    finds("has costs that do not rise from 0", bandit(vec![0.0, 0.1, 0.1, 0.2, 0.3, f64::INFINITY], 1.0));
    finds("explores with weight NaN", bandit(rising, f64::NAN));
}

#[test]
fn rate_tables_are_checked() {
    let table = |rows: &[f64], forecast: f64, plan: &mut Plan| {
        let default = plan.policies[0].default.clone();
        let row = |up_to: &f64| domain::RateRow { up_to: *up_to, default: default.clone(), sources: vec![] };
        plan.policies[0].rates = Some(domain::RateTable {
            forecast: PerSecond::new(forecast).expect("a rate"),
            measured: domain::Measured::Window(domain::Seconds::new(1.0).expect("a time")),
            rows: rows.iter().map(row).collect(),
        });
    };
    assert_eq!(found(|_, plan| table(&[0.5, 1.0, 2.0], 10.0, plan)), Vec::<String>::new());
    finds("rate table: has a row up to 0.5 behind one up to 1", |_, plan| table(&[1.0, 0.5], 10.0, plan));
    finds("rate table: has no row", |_, plan| table(&[], 10.0, plan));
    finds("rate table: has no forecast", |_, plan| table(&[1.0], 0.0, plan));
    finds("warning: service \"service-0\", rate table: has no row made for the forecast", |_, plan| {
        table(&[0.5], 1.0, plan);
    });
    let notes = check(&Problem::default(), &Plan { policies: vec![] });
    assert!(notes.iter().all(|note| note.severity == Severity::Warning));
}
