//! What a table over beliefs and jobs present does, by first passages.
//!
//! As in [`crate::single::embedded`], with a belief at each end: G_n says with which belief a station that starts a service
//! with n jobs present is left with n − 1 for the first time, W_n what it gathers until then. With P_{m,n} = G_m ⋯ G_n and
//! R_{m,n} what the way from m to n − 1 gathers, a service that leaves m behind with the probabilities Q(m) gives
//!
//! > (1 − U)·\[G_n, W_n\] = \[Q(n − 1), w_n + Σ_{m>n} Q(m)·R_{m,n+1}\],  U = Q(n) + Σ_{m>n} Q(m)·P_{m,n+1}.
//!
//! Rows of U and G_n's right side sum to one, so that the elimination needs no subtraction (Grassmann, Taksar and Heyman).

use super::belief::{BELIEFS, Row, Square, add, apply, inner, multiply};
use super::kernel::Phased;

/// Mode per belief and jobs present, at `belief · K + (present − 1)`.
pub(super) type Modes = Vec<usize>;

/// A lottery between two tables.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lottery {
    pub(super) safe: Modes,
    pub(super) risky: Modes,
    /// Share of `risky`.
    pub(super) share: f64,
}

/// What is gathered: time, reward, and for performance losses and answers.
pub(super) const QUANTITIES: usize = 4;
type Sums = [Row; QUANTITIES];

/// A way down that takes this many times as long as one service is never gone.
const NEVER: f64 = 1e9;

/// First passages of all levels, and the cycle over beliefs at the lowest one.
pub(super) struct Passages {
    /// G and W per level; index 0 is unused.
    pub(super) down: Vec<Square>,
    pub(super) gathered: Vec<Sums>,
    /// The lowest level at which services start again and again; 0: the station becomes empty.
    pub(super) lowest: usize,
    /// From belief to belief between visits of that level, and what is gathered in between.
    pub(super) cycle: Square,
    pub(super) cycle_sums: Sums,
}

const NO_SUMS: Sums = [[0.0; BELIEFS]; QUANTITIES];
const NO_WAY: Square = [[0.0; BELIEFS]; BELIEFS];

/// What a service at one level leads to.
struct Service {
    /// To the level below.
    below: Square,
    /// To the levels from the present one on, up to K − 1.
    onto: Vec<Square>,
    gathered: Sums,
}

impl Passages {
    /// Of a lottery; `reward` is what a service in a mode with a number of jobs lost brings.
    pub(super) fn new(phased: &Phased<'_>, table: &Lottery, reward: impl Fn(usize, f64) -> f64) -> Self {
        let capacity = phased.station.capacity;
        let mut passages = Self {
            down: vec![NO_WAY; capacity + 1],
            gathered: vec![NO_SUMS; capacity + 1],
            lowest: 0,
            cycle: NO_WAY,
            cycle_sums: NO_SUMS,
        };
        let reach = |modes: &Modes| modes.iter().map(|&mode| phased.kernels[mode].reach).max().unwrap_or(0);
        let reach = reach(&table.safe).max(if table.share > 0.0 { reach(&table.risky) } else { 0 });
        // P_{m,n+1} and R_{m,n+1} per level m, as far up as a service below n may lead.
        let mut ways = vec![NO_WAY; capacity];
        let mut sums = vec![NO_SUMS; capacity];
        for present in (1..=capacity).rev() {
            let Service { below, onto, mut gathered } = service(phased, table, present, &reward);
            let own_time = gathered[0];
            let mut again = onto.first().copied().unwrap_or(NO_WAY);
            for (level, onto) in (present + 1..capacity).zip(onto.iter().skip(1)) {
                for (belief, row) in onto.iter().enumerate() {
                    add(&mut again[belief], 1.0, &apply(row, &ways[level]));
                    for (sum, ahead) in gathered.iter_mut().zip(&sums[level]) {
                        sum[belief] += inner(row, ahead);
                    }
                }
            }
            let Some((down, total)) = leave(&again, &below, &gathered, &own_time) else {
                (passages.lowest, passages.cycle, passages.cycle_sums) = (present, stochastic(&again), gathered);
                return passages;
            };
            for level in present + 1..capacity.min(present + reach) {
                for (quantity, own) in total.iter().enumerate() {
                    for belief in 0..BELIEFS {
                        sums[level][quantity][belief] += inner(&ways[level][belief], own);
                    }
                }
                ways[level] = multiply(&ways[level], &down);
            }
            if present < capacity {
                (ways[present], sums[present]) = (down, total);
            }
            (passages.down[present], passages.gathered[present]) = (down, total);
        }
        passages.cycle = multiply(&phased.idle, &passages.down[1]);
        for quantity in 0..QUANTITIES {
            passages.cycle_sums[quantity] = phased.idle.map(|row| inner(&row, &passages.gathered[1][quantity]));
        }
        add(&mut passages.cycle_sums[0], 1.0, &phased.idle_time);
        passages
    }

    /// Share of time that a station which becomes empty is so, with cycles of this mean length.
    pub(super) fn idle_share(&self, phased: &Phased<'_>, time: f64) -> f64 {
        inner(&stationary(&self.cycle), &phased.idle_time) / time
    }

    /// What is gathered per cycle in the long run.
    pub(super) fn long_run(&self) -> [f64; QUANTITIES] {
        let beliefs = stationary(&self.cycle);
        self.cycle_sums.map(|sums| inner(&beliefs, &sums))
    }
}

fn service(phased: &Phased<'_>, table: &Lottery, present: usize, reward: &impl Fn(usize, f64) -> f64) -> Service {
    let capacity = phased.station.capacity;
    let levels = capacity + 1;
    let mut service = Service { below: NO_WAY, onto: Vec::with_capacity(capacity - present), gathered: NO_SUMS };
    for belief in 0..BELIEFS {
        let at = belief * capacity + present - 1;
        let draws = [(1.0 - table.share, table.safe[at]), (table.share, table.risky[at])];
        for (share, mode) in draws.into_iter().filter(|(share, _)| *share > 0.0) {
            let kernel = &phased.kernels[mode];
            let exactly = &kernel.exactly[belief * levels..][..levels];
            let at_least = &kernel.at_least[belief * levels..][..levels];
            // Level K − 1 takes all that arrive beyond it.
            let top = capacity - present;
            add(&mut service.below[belief], share, if top == 0 { &at_least[0] } else { &exactly[0] });
            service.onto.resize(service.onto.len().max(top.min(kernel.reach)), NO_WAY);
            let below_top = exactly[1..].iter().take(kernel.reach.min(top.saturating_sub(1)));
            for (onto, row) in service.onto.iter_mut().zip(below_top) {
                add(&mut onto[belief], share, row);
            }
            if (1..=kernel.reach).contains(&top) {
                add(&mut service.onto[top - 1][belief], share, &at_least[top]);
            }
            let lost = kernel.overflow[belief * levels + top];
            let own = [kernel.mean, reward(mode, lost), lost, 1.0];
            for (sums, own) in service.gathered.iter_mut().zip(own) {
                sums[belief] += share * own;
            }
        }
    }
    service
}

/// G and W from U, the way below and what is gathered; nothing where the level below is never reached, against the time of
/// one service.
fn leave(again: &Square, below: &Square, gathered: &Sums, own_time: &Row) -> Option<(Square, Sums)> {
    let (mut again, mut down, mut sums) = (*again, *below, *gathered);
    let mut leaves: Row = std::array::from_fn(|belief| below[belief].iter().sum());
    let mut scale = [0.0; BELIEFS];
    for state in (0..BELIEFS).rev() {
        scale[state] = again[state][..state].iter().sum::<f64>() + leaves[state];
        for from in 0..state {
            let visits = again[from][state] / scale[state];
            detour(&mut again, from, visits, state);
            leaves[from] += visits * leaves[state];
            let row = down[state];
            add(&mut down[from], visits, &row);
            sums.iter_mut().for_each(|sum| sum[from] += visits * sum[state]);
        }
    }
    for state in 0..BELIEFS {
        for to in 0..state {
            let share = again[state][to];
            let row = down[to];
            add(&mut down[state], share, &row);
            sums.iter_mut().for_each(|sum| sum[state] += share * sum[to]);
        }
        down[state].iter_mut().for_each(|value| *value /= scale[state]);
        sums.iter_mut().for_each(|sum| sum[state] /= scale[state]);
    }
    let is_left = (0..BELIEFS).all(|belief| sums[0][belief] < NEVER * own_time[belief]);
    is_left.then_some((down, sums))
}

/// Ways from a state that lead over `over`, so often, go on to the states before it.
fn detour(chain: &mut Square, from: usize, visits: f64, over: usize) {
    let row = chain[over];
    chain[from].iter_mut().zip(row).take(over).for_each(|(to, share)| *to += visits * share);
}

fn stochastic(chain: &Square) -> Square {
    chain.map(|row| {
        let total: f64 = row.iter().sum();
        row.map(|value| value / total)
    })
}

/// The long-run probabilities of a chain, by the same elimination.
fn stationary(chain: &Square) -> Row {
    let mut chain = *chain;
    let mut scale = [1.0; BELIEFS];
    for state in (1..BELIEFS).rev() {
        scale[state] = chain[state][..state].iter().sum::<f64>().max(f64::MIN_POSITIVE);
        for from in 0..state {
            let visits = chain[from][state] / scale[state];
            detour(&mut chain, from, visits, state);
        }
    }
    let mut probabilities = [0.0; BELIEFS];
    probabilities[0] = 1.0;
    for state in 1..BELIEFS {
        let inflow: f64 = (0..state).map(|from| probabilities[from] * chain[from][state]).sum();
        probabilities[state] = inflow / scale[state];
    }
    let total: f64 = probabilities.iter().sum();
    // A chain that cannot be told from one of several parts: all beliefs alike.
    if !total.is_finite() {
        return [1.0 / BELIEFS as f64; BELIEFS];
    }
    probabilities.map(|probability| probability / total)
}
