//! The times at which jobs are due, as pure iterators.

use super::grammar::{Extent, Phase};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

/// How jobs are spaced within a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spacing {
    /// Independent exponential gaps.
    Poisson,
    /// Equal gaps.
    Uniform,
}

/// A job that is due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Due {
    /// Seconds after the start.
    pub(crate) at: f64,
    /// Index of its phase.
    pub(crate) phase: usize,
}

/// Due times of phases, one after the other.
#[derive(Debug)]
pub(crate) struct Arrivals {
    phases: Vec<Phase>,
    spacing: Spacing,
    rng: ChaCha8Rng,
    phase: usize,
    /// When the phase began.
    began: f64,
    /// The last job, or the beginning of the phase.
    last: f64,
    /// Jobs of the phase so far.
    jobs: u64,
}

impl Arrivals {
    /// Starts with the first phase at time 0.
    pub(crate) fn new(phases: Vec<Phase>, spacing: Spacing, rng: ChaCha8Rng) -> Self {
        Self { phases, spacing, rng, phase: 0, began: 0.0, last: 0.0, jobs: 0 }
    }

    fn following(&mut self, rate: f64) -> f64 {
        match self.spacing {
            Spacing::Poisson => {
                let gap: f64 = Exp1.sample(&mut self.rng);
                self.last + gap / rate
            }
            // From the start of the phase, so that rounding does not add up.
            Spacing::Uniform => self.began + self.jobs as f64 / rate,
        }
    }

    fn enter_next_phase(&mut self, at: f64) {
        (self.phase, self.began, self.last, self.jobs) = (self.phase + 1, at, at, 0);
    }
}

impl Iterator for Arrivals {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        loop {
            let Phase { rate, extent } = *self.phases.get(self.phase)?;
            match extent {
                Extent::Jobs(jobs) if self.jobs == jobs => {
                    let end =
                        if self.spacing == Spacing::Uniform { self.began + jobs as f64 / rate } else { self.last };
                    self.enter_next_phase(end);
                    continue;
                }
                Extent::Seconds(seconds) if rate == 0.0 => {
                    self.enter_next_phase(self.began + seconds);
                    continue;
                }
                _ => {}
            }
            let at = self.following(rate);
            if let Extent::Seconds(seconds) = extent
                && at >= self.began + seconds
            {
                // Exponential gaps have no memory: the next phase draws afresh from its beginning.
                self.enter_next_phase(self.began + seconds);
                continue;
            }
            (self.last, self.jobs) = (at, self.jobs + 1);
            return Some(Due { at, phase: self.phase });
        }
    }
}

/// Expected length of phases in seconds.
pub(crate) fn expected_seconds(phases: &[Phase]) -> f64 {
    phases.iter().map(phase_seconds).sum()
}

/// Expected length of a phase in seconds.
pub(crate) fn phase_seconds(phase: &Phase) -> f64 {
    match phase.extent {
        Extent::Seconds(seconds) => seconds,
        Extent::Jobs(jobs) => jobs as f64 / phase.rate,
    }
}

/// Reads a recorded trace: one offset in seconds per line, in order; empty lines and `#` comments are skipped.
pub(crate) fn read_trace(text: &str) -> Result<Vec<f64>, String> {
    let mut times: Vec<f64> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = index + 1;
        let time = line.parse::<f64>().ok().filter(|time| time.is_finite() && *time >= 0.0).ok_or_else(|| {
            format!("line {number}: {line:?} is no offset in seconds; write a number ≥ 0 such as 0.25")
        })?;
        if times.last().is_some_and(|last| time < *last) {
            return Err(format!("line {number}: {line} is before the line above; offsets must not go back"));
        }
        times.push(time);
    }
    if times.is_empty() {
        return Err("there are no times in it".to_owned());
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn due(spacing: Spacing, phases: &[(f64, Extent)], seed: u64) -> Vec<Due> {
        let phases = phases.iter().map(|&(rate, extent)| Phase { rate, extent }).collect();
        Arrivals::new(phases, spacing, ChaCha8Rng::seed_from_u64(seed)).collect()
    }

    #[test]
    fn uniform_arrivals_keep_equal_gaps_through_phases_and_pauses() {
        use Extent::{Jobs, Seconds};
        let got = due(Spacing::Uniform, &[(2.0, Seconds(1.0)), (0.0, Seconds(3.0)), (4.0, Jobs(2)), (1.0, Jobs(1))], 0);
        let want = [(0.0, 0), (0.5, 0), (4.0, 2), (4.25, 2), (4.5, 3)];
        assert_eq!(got, want.map(|(at, phase)| Due { at, phase }));
    }

    #[test]
    fn poisson_arrivals_have_mean_and_variance_of_the_rate() {
        let got = due(Spacing::Poisson, &[(50.0, Extent::Seconds(400.0))], 7);
        let mut counts = vec![0.0; 400];
        for job in &got {
            counts[job.at as usize] += 1.0;
        }
        let mean = counts.iter().sum::<f64>() / 400.0;
        let variance = counts.iter().map(|count: &f64| (count - mean).powi(2)).sum::<f64>() / 399.0;
        // Five standard errors of mean and variance of Poisson counts.
        assert!((mean - 50.0).abs() < 5.0 * (50.0f64 / 400.0).sqrt(), "mean {mean}");
        assert!((variance - 50.0).abs() < 5.0 * 50.0 * (2.0f64 / 400.0).sqrt(), "variance {variance}");
        assert!(got.windows(2).all(|pair| pair[0].at <= pair[1].at));
    }

    #[test]
    fn a_seed_repeats_and_another_does_not() {
        let phases = [(10.0, Extent::Jobs(20))];
        let first = due(Spacing::Poisson, &phases, 1);
        assert_eq!(first.len(), 20);
        assert_eq!(first, due(Spacing::Poisson, &phases, 1));
        assert_ne!(first, due(Spacing::Poisson, &phases, 2));
    }

    #[test]
    fn traces_are_read_or_refused_by_line() {
        assert_eq!(read_trace("# recorded\n0\n0.5\n\n0.5\n2e0\n"), Ok(vec![0.0, 0.5, 0.5, 2.0]));
        for (text, want) in
            [("0\nx", "line 2: \"x\""), ("1\n0.5", "line 2: 0.5 is before"), ("-1", "line 1"), ("", "no times")]
        {
            let error = read_trace(text).unwrap_err();
            assert!(error.contains(want), "{text:?}: {error}");
        }
    }
}
