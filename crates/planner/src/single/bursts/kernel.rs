//! What one service and one silence do to the number of jobs present and to the belief.

use super::Bursts;
use super::belief::{BELIEFS, Grid, Row, Square};
use crate::single::Station;
use queueing::{ArgumentError, PhasedArrivals, PhasedCounts};

/// A station under bursts, with what each mode does.
#[derive(Debug, Clone)]
pub struct Phased<'a> {
    /// The station.
    pub station: &'a Station,
    /// How jobs arrive.
    pub bursts: Bursts,
    pub(super) kernels: Vec<Kernel>,
    /// From the belief with which the station becomes empty to that with which the next service starts.
    pub(super) idle: Square,
    /// How long that takes in the mean.
    pub(super) idle_time: Row,
}

/// Probability of more arrivals that is left out.
const HARDLY_EVER: f64 = 1e-14;

/// What one service in a mode does. Rows are by belief at its start, then by arrivals 0..=K (the last: K or more), each with
/// the probabilities of the beliefs at its end.
#[derive(Debug, Clone)]
pub(super) struct Kernel {
    pub(super) exactly: Vec<Row>,
    /// The same for at least so many arrivals.
    pub(super) at_least: Vec<Row>,
    /// Per belief at the start and room m = 0..=K: E(A − m)⁺.
    pub(super) overflow: Vec<f64>,
    /// Arrivals beyond which there are hardly ever more, ≤ K.
    pub(super) reach: usize,
    pub(super) mean: f64,
    pub(super) value: f64,
}

impl<'a> Phased<'a> {
    /// What a station does under `bursts`.
    ///
    /// # Errors
    /// Rates that are none, and a station without room.
    pub fn new(station: &'a Station, bursts: Bursts) -> Result<Self, ArgumentError> {
        let process = bursts.process()?;
        let mut arrivals = PhasedArrivals::new(process, station.capacity)?;
        let grid = Grid::new();
        let kernel = |mode: &crate::single::Mode| -> Result<Kernel, ArgumentError> {
            let mut kernel = Kernel::empty(station.capacity, mode.service.mean(), mode.value);
            for (share, law) in mode.service.exits() {
                if *share > 0.0 {
                    kernel.add(*share, &arrivals.during(&law.clone().into())?, &grid);
                }
            }
            kernel.finish(station.capacity);
            Ok(kernel)
        };
        let kernels = station.modes.iter().map(kernel).collect::<Result<_, _>>()?;
        let idle_time = grid.points.map(|belief| {
            let [calm, burst] = process.until_arrival();
            (1.0 - belief) * (calm[0] + calm[1]) + belief * (burst[0] + burst[1])
        });
        Ok(Self { station, bursts, kernels, idle: idle(bursts, process.until_arrival(), &grid), idle_time })
    }
}

impl Kernel {
    fn empty(capacity: usize, mean: f64, value: f64) -> Self {
        let size = BELIEFS * (capacity + 1);
        Self {
            exactly: vec![[0.0; BELIEFS]; size],
            at_least: vec![[0.0; BELIEFS]; size],
            overflow: vec![0.0; size],
            reach: capacity,
            mean,
            value,
        }
    }

    /// Who knows how long a service was and how many arrived knows the phase at its end this well.
    fn add(&mut self, share: f64, counts: &PhasedCounts, grid: &Grid) {
        let levels = counts.exactly.len();
        for (start, belief) in grid.points.iter().enumerate() {
            let mixed = |[calm, burst]: [f64; 2]| (1.0 - belief) * calm + belief * burst;
            for level in 0..levels {
                let [calm, burst] = counts.exactly[level];
                let (ends_calm, ends_burst) = (mixed([calm[0], burst[0]]), mixed([calm[1], burst[1]]));
                let mass = ends_calm + ends_burst;
                if mass > 0.0 {
                    grid.spread(ends_burst / mass, share * mass, &mut self.exactly[start * levels + level]);
                }
                self.overflow[start * levels + level] += share * mixed(counts.overflow[level]);
            }
        }
    }

    fn finish(&mut self, capacity: usize) {
        let levels = capacity + 1;
        self.at_least.clone_from(&self.exactly);
        for start in 0..BELIEFS {
            for level in (0..capacity).rev() {
                let above = self.at_least[start * levels + level + 1];
                super::belief::add(&mut self.at_least[start * levels + level], 1.0, &above);
            }
        }
        let matters = |level: &usize| {
            (0..BELIEFS).any(|start| self.at_least[start * levels + level].iter().sum::<f64>() > HARDLY_EVER)
        };
        self.reach = (0..=capacity).take_while(matters).last().unwrap_or(0);
    }
}

/// Pieces of a silence, and the share by which the shortest differs from the longest time scale.
const PIECES: usize = 200;
const FINEST: f64 = 1e-3;

/// What is believed when a silence ends: exact masses and mean beliefs of short pieces of time, because the integral of
/// exp(D₀·t) over a piece is a difference of matrix exponentials.
fn idle(bursts: Bursts, until_arrival: [[f64; 2]; 2], grid: &Grid) -> Square {
    let Bursts { rates, switch } = bursts;
    // Pieces grow from a small part of the shortest to many of the longest time between arrivals.
    let (short, long) = (FINEST / (rates[1] + switch[1]), 40.0 * (until_arrival[0][0] + until_arrival[0][1]));
    let growth = (long / short).max(2.0).powf(1.0 / PIECES as f64);
    let ends: Vec<f64> = std::iter::once(0.0)
        .chain((0..=PIECES).map(|piece| short * growth.powi(piece as i32)))
        .chain([f64::INFINITY])
        .collect();
    std::array::from_fn(|start| {
        let belief = grid.points[start];
        let mut row = [0.0; BELIEFS];
        let mut before = [1.0 - belief, belief];
        for end in &ends[1..] {
            let after = silent([1.0 - belief, belief], bursts, *end);
            let gone = [0, 1].map(|phase: usize| before[phase] - after[phase]);
            // (v(a) − v(b))·(−D₀)⁻¹·Λ: where an arrival in this piece finds the process.
            let time = [0, 1].map(|k: usize| gone[0] * until_arrival[0][k] + gone[1] * until_arrival[1][k]);
            let [calm, burst] = [0, 1].map(|phase: usize| (time[phase] * rates[phase]).max(0.0));
            if calm + burst > 0.0 {
                grid.spread(burst / (calm + burst), calm + burst, &mut row);
            }
            before = after;
        }
        let total: f64 = row.iter().sum();
        row.map(|mass| mass / total)
    })
}

/// `start`·exp(D₀·t): phase and no arrival until t.
fn silent(start: [f64; 2], bursts: Bursts, time: f64) -> [f64; 2] {
    if time == f64::INFINITY {
        return [0.0; 2];
    }
    let Bursts { rates, switch } = bursts;
    let (calm, burst) = (-rates[0] - switch[0], -rates[1] - switch[1]);
    let (middle, half) = (f64::midpoint(calm, burst), (calm - burst) / 2.0);
    let d = half.hypot((switch[0] * switch[1]).sqrt());
    // e^{mt}·(cosh(dt) + sinh(dt)/d·(D₀ − m)), by the two exponents, neither above 0.
    let (slow, fast) = (((middle + d) * time).exp(), ((middle - d) * time).exp());
    let (cosh, sinh) = (f64::midpoint(slow, fast), (slow - fast) / (2.0 * d));
    let matrix = [[cosh + sinh * half, sinh * switch[0]], [sinh * switch[1], cosh - sinh * half]];
    [0, 1].map(|k: usize| (start[0] * matrix[0][k] + start[1] * matrix[1][k]).max(0.0))
}
