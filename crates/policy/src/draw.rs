//! Draws from mixtures and lotteries.

use domain::{Choice, Lottery, Probability, Thresholds};
use rand::{Rng, RngExt};

/// Draws one of the allowed choices in proportion to their probabilities. Cost: linear in the choices.
pub(crate) fn choice<'a>(
    choices: &'a [Choice],
    allowed: impl Fn(&Choice) -> bool,
    rng: &mut dyn Rng,
) -> Option<&'a Choice> {
    let allowed = || choices.iter().filter(|choice| allowed(choice)).map(|choice| (choice.probability, choice));
    one_of(allowed, rng)
}

/// The thresholds of a choice with `present` jobs (≥ 1) at its first fragment. A lottery of one takes no random number.
pub(crate) fn thresholds<'a>(choice: &'a Choice, present: usize, rng: &mut dyn Rng) -> &'a Thresholds {
    match choice.present(present).map(Lottery::draws) {
        None | Some([]) => &choice.thresholds,
        Some([(_, thresholds)]) => thresholds,
        Some(draws) => {
            let draws = || draws.iter().map(|(probability, thresholds)| (*probability, thresholds));
            one_of(draws, rng).unwrap_or(&choice.thresholds)
        }
    }
}

fn one_of<T, I: Iterator<Item = (Probability, T)>>(items: impl Fn() -> I, rng: &mut dyn Rng) -> Option<T> {
    let total: f64 = items().map(|(probability, _)| probability.get()).sum();
    let mut left = rng.random::<f64>() * total;
    let mut last = None;
    for (probability, item) in items() {
        // What has probability 0 is taken only when nothing else is allowed.
        if probability.get() > 0.0 || last.is_none() {
            last = Some(item);
        }
        left -= probability.get();
        if left < 0.0 {
            break;
        }
    }
    last
}
