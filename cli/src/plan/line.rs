//! What a policy says, in one line.

use domain::{Choice, Policy};

/// The shares and thresholds of a policy at its forecast, on one line: `60 % left at 0.72 0.81 closed`.
pub(crate) fn in_words(policy: &Policy) -> String {
    let forecast = policy.rates.as_ref().and_then(|rates| rates.rows.iter().find(|row| row.up_to >= 1.0 - 1e-9));
    let mixture = forecast.map_or(&policy.default, |row| &row.default);
    let choices: Vec<String> = mixture.choices().iter().map(|one| choice(one, policy)).collect();
    let table = policy.rates.as_ref().map(|rates| format!("; {} rows for other rates", rates.rows.len()));
    format!("{}{}", choices.join("; "), table.unwrap_or_default())
}

fn choice(choice: &Choice, policy: &Policy) -> String {
    let threshold = |&value: &f32| match value {
        1.0 => "closed".to_owned(),
        0.0 => "always".to_owned(),
        value if value > 0.995 => format!("{value:.4}"),
        value => format!("{value:.2}"),
    };
    let (share, chain) = (100.0 * choice.probability.get(), &policy.chains[choice.chain].name);
    let present = match choice.by_present.len() {
        0 => String::new(),
        entries => format!(" (by jobs present, up to {entries})"),
    };
    let thresholds: Vec<String> = choice.thresholds.as_slice().iter().map(threshold).collect();
    format!("{share:.0} % {chain} at {}{present}", thresholds.join(" "))
}
