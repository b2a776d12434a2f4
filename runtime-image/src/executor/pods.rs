//! The virtual clock of an emulated device: the discipline `pods`.
//!
//! Jobs are served first come first served inside each lane (a fragment) by its workers. The cores are divided between
//! busy lanes by water-filling on their CPU requests, each lane capped by its CPU limit and by its busy workers; the
//! workers of a lane share alike. Pure: time is an argument, in seconds since the start.
//!
//! Cost of a step: linear in lanes and running jobs.

/// What a lane may use of the cores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// Weight when lanes compete, in cores.
    pub(crate) request: f64,
    /// Most it gets, in cores.
    pub(crate) limit: f64,
}

/// Running jobs of all lanes and how far each is.
#[derive(Debug)]
pub(crate) struct Pods {
    cores: f64,
    now: f64,
    busy: f64,
    lanes: Vec<(Share, Vec<Running>)>,
}

#[derive(Debug)]
struct Running {
    job: u64,
    received: f64,
    /// Core-seconds needed; not known until the exit taken is.
    work: Option<f64>,
}

impl Pods {
    pub(crate) fn new(cores: f64, shares: impl IntoIterator<Item = Share>) -> Self {
        Self { cores, now: 0.0, busy: 0.0, lanes: shares.into_iter().map(|share| (share, Vec::new())).collect() }
    }

    /// Where the clock stands.
    pub(crate) fn now(&self) -> f64 {
        self.now
    }

    /// Core-seconds given so far.
    pub(crate) fn busy(&self) -> f64 {
        self.busy
    }

    /// A job begins to be served now.
    pub(crate) fn start(&mut self, lane: usize, job: u64) {
        self.lanes[lane].1.push(Running { job, received: 0.0, work: None });
    }

    /// Says how much core time a running job needs. Returns whether it has already received more: it is late.
    pub(crate) fn set_work(&mut self, lane: usize, job: u64, core_seconds: f64) -> bool {
        let running =
            self.lanes[lane].1.iter_mut().find(|running| running.job == job).expect("only running jobs compute");
        running.work = Some(core_seconds);
        running.received > core_seconds
    }

    /// Moves on to `until`, or to the first completion before it, which is returned and no longer runs.
    pub(crate) fn step(&mut self, until: f64) -> Option<(usize, u64)> {
        let rates = self.rates();
        let next = self.next_with(&rates).filter(|(at, ..)| *at <= until);
        let to = next.map_or(until, |(at, ..)| at).max(self.now);
        let passed = to - self.now;
        for ((_, running), rate) in self.lanes.iter_mut().zip(&rates) {
            for job in &mut *running {
                job.received += rate * passed;
            }
            self.busy += rate * passed * running.len() as f64;
        }
        self.now = to;
        let (_, lane, index) = next?;
        Some((lane, self.lanes[lane].1.remove(index).job))
    }

    /// When the next job of known work completes, if nothing else starts.
    pub(crate) fn next_completion(&self) -> Option<f64> {
        self.next_with(&self.rates()).map(|(at, ..)| at)
    }

    fn next_with(&self, rates: &[f64]) -> Option<(f64, usize, usize)> {
        let completion = |lane: usize, index: usize, job: &Running| {
            let left = (job.work? - job.received).max(0.0);
            (rates[lane] > 0.0 || left == 0.0)
                .then(|| (self.now + if left > 0.0 { left / rates[lane] } else { 0.0 }, lane, index))
        };
        let lanes = self.lanes.iter().enumerate();
        let all = lanes.flat_map(|(lane, (_, running))| {
            running.iter().enumerate().filter_map(move |(i, job)| completion(lane, i, job))
        });
        all.min_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// Cores given to each running job of each lane.
    fn rates(&self) -> Vec<f64> {
        let demands = self.lanes.iter().map(|(share, running)| (share.request, share.limit.min(running.len() as f64)));
        let given = water_fill(self.cores, &demands.collect::<Vec<_>>());
        given.iter().zip(&self.lanes).map(|(cores, (_, running))| cores / running.len().max(1) as f64).collect()
    }
}

/// Divides `total` in proportion to weights, no one above its cap; what a capped one leaves goes to the others.
fn water_fill(total: f64, demands: &[(f64, f64)]) -> Vec<f64> {
    let mut given: Vec<f64> = vec![0.0; demands.len()];
    let mut open: Vec<usize> = (0..demands.len()).filter(|&i| demands[i].1 > 0.0).collect();
    let mut left = total;
    while !open.is_empty() {
        let weights: f64 = open.iter().map(|&i| demands[i].0).sum();
        let share = |i: usize| left * demands[i].0 / weights;
        let (capped, rest): (Vec<usize>, Vec<usize>) = open.iter().partition(|&&i| share(i) >= demands[i].1);
        if capped.is_empty() {
            for &i in &open {
                given[i] = share(i);
            }
            break;
        }
        for i in capped {
            given[i] = demands[i].1;
            left -= demands[i].1;
        }
        open = rest;
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WHOLE: Share = Share { request: 1.0, limit: f64::INFINITY };

    #[test]
    fn one_job_on_one_core_takes_its_work() {
        let mut pods = Pods::new(1.0, [WHOLE]);
        pods.start(0, 1);
        assert!(!pods.set_work(0, 1, 0.5));
        assert_eq!(pods.step(0.4), None);
        assert_eq!(pods.step(2.0), Some((0, 1)));
        assert_eq!((pods.now(), pods.busy()), (0.5, 0.5));
        assert_eq!(pods.step(2.0), None);
        assert_eq!((pods.now(), pods.busy()), (2.0, 0.5));
    }

    #[test]
    fn two_lanes_share_one_core_and_the_rest_goes_on_alone() {
        let mut pods = Pods::new(1.0, [WHOLE, WHOLE]);
        pods.start(0, 1);
        pods.start(1, 2);
        pods.set_work(0, 1, 0.5);
        pods.set_work(1, 2, 1.0);
        assert_eq!(pods.step(9.0), Some((0, 1)));
        assert_eq!(pods.now(), 1.0);
        assert_eq!(pods.step(9.0), Some((1, 2)));
        assert_eq!(pods.now(), 1.5);
    }

    #[test]
    fn one_job_never_gets_more_than_a_core() {
        let mut pods = Pods::new(4.0, [WHOLE]);
        pods.start(0, 1);
        pods.set_work(0, 1, 1.0);
        assert_eq!(pods.next_completion(), Some(1.0));
    }

    #[test]
    fn work_that_is_known_too_late_completes_at_once() {
        let mut pods = Pods::new(1.0, [WHOLE]);
        pods.start(0, 1);
        assert_eq!(pods.step(3.0), None, "nothing completes before its work is known");
        assert!(pods.set_work(0, 1, 1.0), "late");
        assert_eq!(pods.step(3.0), Some((0, 1)));
        assert_eq!(pods.now(), 3.0);
    }

    #[test]
    fn requests_weigh_and_limits_cap() {
        let close = |given: Vec<f64>, want: [f64; 2]| {
            assert!(given.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12), "{given:?} for {want:?}");
        };
        close(water_fill(1.0, &[(1.0, 9.0), (3.0, 9.0)]), [0.25, 0.75]);
        close(water_fill(2.0, &[(1.0, 0.3), (1.0, 9.0)]), [0.3, 1.7]);
        close(water_fill(9.0, &[(1.0, 1.0), (1.0, 2.0)]), [1.0, 2.0]);
        close(water_fill(1.0, &[(1.0, 0.0), (1.0, 2.0)]), [0.0, 1.0]);
    }

    proptest! {
        #[test]
        fn nothing_is_given_twice_or_left_over(
            total in 0.1f64..8.0, demands in proptest::collection::vec((0.1f64..4.0, 0.0f64..3.0), 1..6),
        ) {
            let given = water_fill(total, &demands);
            let sum: f64 = given.iter().sum();
            let caps: f64 = demands.iter().map(|demand| demand.1).sum();
            prop_assert!((sum - total.min(caps)).abs() < 1e-9, "{given:?}");
            prop_assert!(given.iter().zip(&demands).all(|(got, demand)| *got <= demand.1 + 1e-12));
        }
    }
}
