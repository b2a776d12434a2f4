//! The reference stations of `testdata` against every formula that claims to be exact for them.

use queueing::hol::PriorityClass;
use queueing::kaufman_roberts::SizeClass;
use queueing::map::ArrivalProcess;
use queueing::{Law, Metrics, Service, hol, kaufman_roberts, map, mg1k, mmck, ps};
use serde_json::Value;

/// The data have seven digits or more.
const TOLERANCE: f64 = 1e-6;

struct Case(Value);

impl Case {
    fn named(id: &str) -> Self {
        let text = include_str!("../testdata/exact_stations.json");
        let file: Value = serde_json::from_str(text).expect("the test data are JSON");
        let cases = file["cases"].as_array().expect("the test data list cases");
        Self(cases.iter().find(|case| case["id"] == id).expect("the case is in the test data").clone())
    }

    fn number(&self, pointer: &str) -> f64 {
        self.0.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {pointer} in {}", self.0["id"]))
    }

    fn capacity(&self) -> usize {
        self.number("/devices/0/memory") as usize
    }

    fn rate(&self, chain: usize) -> f64 {
        1.0 / self.number(&format!("/chains/{chain}/arrival/mean"))
    }

    fn mean_service(&self, chain: usize) -> f64 {
        self.number(&format!("/chains/{chain}/fragments/0/service/mean"))
    }

    fn numbers(&self, pointer: &str) -> Vec<f64> {
        let list = self.0.pointer(pointer).and_then(Value::as_array).expect("a list");
        list.iter().map(|value| value.as_f64().expect("a number")).collect()
    }

    fn check(&self, what: &str, pointer: &str, value: f64) {
        let expected = self.number(&format!("/expected{pointer}/value"));
        let error = (value - expected).abs() / expected;
        assert!(error < TOLERANCE, "{}: {what} is {value}, not {expected}", self.0["id"]);
    }

    fn check_chain(&self, chain: usize, metrics: &Metrics) {
        self.check("throughput", &format!("/chains/{chain}/throughput"), metrics.throughput);
        self.check("loss", &format!("/chains/{chain}/loss_prob"), metrics.loss);
        self.check_residence(chain, metrics.mean_residence);
    }

    fn check_residence(&self, chain: usize, residence: f64) {
        self.check("residence", &format!("/chains/{chain}/fragments/0/residence_time"), residence);
    }

    fn check_device(&self, utilization: f64, mean_jobs: f64) {
        self.check("utilization", "/devices/0/utilization", utilization);
        self.check("mean jobs", "/devices/0/mean_jobs", mean_jobs);
    }

    fn check_alone(&self, metrics: &Metrics) {
        self.check_chain(0, metrics);
        self.check_device(metrics.utilization, metrics.mean_jobs);
    }

    /// What two classes of Poisson arrivals offer together.
    fn mixture(&self, law: fn(f64) -> Result<Law, queueing::ArgumentError>) -> (f64, Service) {
        let rate = self.rate(0) + self.rate(1);
        let exit = |chain: usize| (self.rate(chain) / rate, law(self.mean_service(chain)).expect("a positive mean"));
        (rate, Service::new([exit(0), exit(1)]).expect("shares sum to one"))
    }
}

#[test]
fn one_class_with_exponential_service() {
    let case = Case::named("l1_mm1k_a");
    let service = Law::exponential(case.mean_service(0)).unwrap().into();
    case.check_alone(&mg1k::solve(case.rate(0), &service, case.capacity()).unwrap().metrics);
    case.check_alone(&mmck::solve(case.rate(0), case.mean_service(0), 1, case.capacity()).unwrap().metrics);
}

#[test]
fn one_class_with_constant_service() {
    let case = Case::named("l1_md1k_a");
    let service = Law::deterministic(case.mean_service(0)).unwrap().into();
    case.check_alone(&mg1k::solve(case.rate(0), &service, case.capacity()).unwrap().metrics);
}

#[test]
fn one_class_with_hyperexponential_service() {
    let case = Case::named("l1_mh2_1k_a");
    let probabilities = case.numbers("/chains/0/fragments/0/service/probs");
    let means = case.numbers("/chains/0/fragments/0/service/means");
    let branches: Vec<(f64, f64)> = probabilities.into_iter().zip(means).collect();
    let service = Law::hyperexponential(&branches).unwrap().into();
    case.check_alone(&mg1k::solve(case.rate(0), &service, case.capacity()).unwrap().metrics);
}

#[test]
fn bursty_arrivals() {
    let case = Case::named("l1_mmpp_m1k");
    let [rates, switch] = ["rates", "switch"]
        .map(|name| case.numbers(&format!("/chains/0/arrival/{name}")).try_into().expect("one number per phase"));
    let arrivals = ArrivalProcess::mmpp(rates, switch).unwrap();
    let service = Law::exponential(case.mean_service(0)).unwrap().into();
    case.check_alone(&map::solve(&arrivals, &service, case.capacity()).unwrap().metrics);
}

#[test]
fn two_classes_with_constant_services_share_a_queue() {
    let case = Case::named("l2_mc_det");
    let (rate, service) = case.mixture(Law::deterministic);
    let metrics = mg1k::solve(rate, &service, case.capacity()).unwrap().metrics;
    case.check_device(metrics.utilization, metrics.mean_jobs);
    for chain in 0..2 {
        case.check("loss", &format!("/chains/{chain}/loss_prob"), metrics.loss);
        case.check_residence(chain, metrics.mean_wait + case.mean_service(chain));
    }
}

#[test]
fn two_classes_share_a_processor() {
    let case = Case::named("l2_ps_exp");
    let (rate, service) = case.mixture(Law::exponential);
    let solution = ps::solve(rate, &service, 1, case.capacity()).unwrap();
    case.check_device(solution.metrics.utilization, solution.metrics.mean_jobs);
    for chain in 0..2 {
        case.check("loss", &format!("/chains/{chain}/loss_prob"), solution.metrics.loss);
        case.check_residence(chain, ps::residence_of_class(&solution, &service, case.mean_service(chain)).unwrap());
    }
}

#[test]
fn jobs_of_three_sizes_share_memory() {
    let case = Case::named("l2_mem_lossnet");
    let classes = [0, 1, 2].map(|chain| SizeClass {
        rate: case.rate(chain),
        mean_service: case.mean_service(chain),
        size: case.number(&format!("/chains/{chain}/fragments/0/memory")) as usize,
    });
    let memory = kaufman_roberts::solve(&classes, case.capacity()).unwrap();
    for chain in 0..3 {
        case.check("loss", &format!("/chains/{chain}/loss_prob"), memory.loss[chain]);
        case.check("throughput", &format!("/chains/{chain}/throughput"), memory.throughput[chain]);
    }
    let jobs: f64 = memory.mean_jobs.iter().sum();
    case.check_device(jobs / case.number("/devices/0/servers"), jobs);
}

#[test]
fn an_urgent_class_goes_first() {
    let case = Case::named("l2_hol_exp");
    let [urgent, other] =
        [0, 1].map(|chain| PriorityClass { rate: case.rate(chain), mean_service: case.mean_service(chain) });
    let [first, second] = hol::solve(urgent, other, case.capacity()).unwrap().classes;
    case.check_chain(0, &first);
    case.check_chain(1, &second);
    case.check_device(first.utilization + second.utilization, first.mean_jobs + second.mean_jobs);
}
