//! What every single station answers.

/// Long-run behaviour of one station of finite capacity.
///
/// Times are in the unit of the service time, rates in its inverse.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metrics {
    /// Share of the arriving jobs that find the station full and are lost.
    pub loss: f64,
    /// Rate of jobs that are served.
    pub throughput: f64,
    /// Time average of the jobs present, waiting or in service.
    pub mean_jobs: f64,
    /// Mean time from admission to the end of service, over served jobs.
    pub mean_residence: f64,
    /// Share of `mean_residence` that is not service: waiting, or under processor sharing the stretch by others.
    pub mean_wait: f64,
    /// Busy cores over cores.
    pub utilization: f64,
}

impl Metrics {
    /// Little's law turns jobs present into time spent.
    pub(crate) fn by_little(load: Load, loss: f64, mean_jobs: f64) -> Self {
        let throughput = load.rate * (1.0 - loss);
        let mean_residence = if throughput > 0.0 { mean_jobs / throughput } else { load.mean_service };
        Self {
            loss,
            throughput,
            mean_jobs,
            mean_residence,
            mean_wait: (mean_residence - load.mean_service).max(0.0),
            utilization: throughput * load.mean_service / load.cores as f64,
        }
    }
}

/// What is offered to how many cores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) rate: f64,
    pub(crate) mean_service: f64,
    pub(crate) cores: usize,
}

/// A station's metrics with the distributions behind them.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// The means.
    pub metrics: Metrics,
    /// P(n jobs present) at a random time, n = 0..=K. With Poisson arrivals also what an arriving job finds.
    pub at_random: Vec<f64>,
    /// P(n jobs left behind by a departing one), n = 0..K.
    pub at_departure: Vec<f64>,
}

impl Solution {
    /// For Poisson arrivals: jobs left behind are distributed as jobs found by those that are admitted.
    pub(crate) fn poisson(load: Load, at_random: Vec<f64>) -> Self {
        let (loss, below) = at_random.split_last().expect("a capacity of at least one has two levels");
        let admitted: f64 = below.iter().sum();
        let at_departure = below.iter().map(|share| share / admitted).collect();
        let metrics = Metrics::by_little(load, *loss, mean_level(&at_random));
        Self { metrics, at_random, at_departure }
    }
}

pub(crate) fn mean_level(distribution: &[f64]) -> f64 {
    distribution.iter().enumerate().map(|(level, share)| level as f64 * share).sum()
}
