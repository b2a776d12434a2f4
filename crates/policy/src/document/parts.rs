//! Mixtures, tables and learners of a document, with bounds on their sizes.

use super::{DocumentError, number};
use domain::{
    AdaEE, Chain, Choice, Learning, Lottery, Measured, Mixture, PerSecond, Probability, RateRow, RateTable, Seconds,
    Thresholds,
};
use std::collections::BTreeMap;
use wire::document::{
    AdaEEDocument, ChoiceDocument, DrawDocument, LearningDocument, MeasuredDocument, PolicyDocument, RateTableDocument,
};

/// Rows of a rate table: a grid of 0.05 up to more than ten times the forecast.
const MOST_ROWS: usize = 256;
/// Entries of a table over jobs present; as many jobs wait at a first fragment of 4 MiB with 1 kB each.
const MOST_PRESENT: usize = 4096;
/// Values in all threshold vectors, with one more for each vector: 50 MB at most.
const MOST_VALUES: usize = 1_000_000;

type Sources = BTreeMap<String, Vec<ChoiceDocument>>;

/// Refuses lists that are too long before anything is made of them.
pub(super) fn check_sizes(document: &PolicyDocument) -> Result<(), DocumentError> {
    let rows = document.rates.iter().flat_map(|table| &table.rows);
    at_most("the rate table", document.rates.as_ref().map_or(0, |table| table.rows.len()), MOST_ROWS)?;
    let mixtures = std::iter::once((&document.default, &document.sources));
    let mixtures = mixtures.chain(rows.map(|row| (&row.default, &row.sources)));
    let choices = mixtures.flat_map(|(default, sources)| std::iter::once(default).chain(sources.values()).flatten());
    let mut values = 0_usize;
    for choice in choices {
        at_most("a table over jobs present", choice.by_present.len(), MOST_PRESENT)?;
        let draws = choice.by_present.iter().flatten().map(|draw| &draw.thresholds);
        values += std::iter::once(&choice.thresholds).chain(draws).map(|vector| vector.len() + 1).sum::<usize>();
    }
    if let Some(LearningDocument::AdaEE(bandit)) = &document.learning {
        at_most("the list of arms", bandit.arms.len(), AdaEE::MOST_ARMS)?;
        values += bandit.arms.iter().map(|arm| arm.len() + 1).sum::<usize>();
    }
    match values {
        0..=MOST_VALUES => Ok(()),
        given => Err(DocumentError::TooManyThresholds { given, most: MOST_VALUES }),
    }
}

fn at_most(place: &str, given: usize, most: usize) -> Result<(), DocumentError> {
    if given <= most { Ok(()) } else { Err(DocumentError::TooLong { place: place.to_owned(), given, most }) }
}

pub(super) fn mixture(choices: &[ChoiceDocument], chains: &[Chain], place: &str) -> Result<Mixture, DocumentError> {
    let choices = choices.iter().map(|given| choice(given, chains, place));
    Ok(Mixture::new(choices.collect::<Result<_, DocumentError>>()?, place)?)
}

/// Mixtures by source; `row` names the row they are in.
pub(super) fn sources(sources: &Sources, chains: &[Chain], row: &str) -> Result<Vec<(String, Mixture)>, DocumentError> {
    let named = sources.iter();
    named
        .map(|(name, choices)| Ok((name.clone(), mixture(choices, chains, &format!("source {name:?}{row}"))?)))
        .collect()
}

fn choice(choice: &ChoiceDocument, chains: &[Chain], mixture: &str) -> Result<Choice, DocumentError> {
    let chain = chains.iter().position(|chain| chain.name == choice.chain).ok_or_else(|| {
        let known: Vec<_> = chains.iter().map(|chain| format!("{:?}", chain.name)).collect();
        DocumentError::UnknownChain { place: mixture.to_owned(), chain: choice.chain.clone(), known: known.join(", ") }
    })?;
    let place = format!("a choice of {mixture}");
    let by_present = choice
        .by_present
        .iter()
        .enumerate()
        .map(|(index, draws)| lottery(draws, &format!("a choice of {mixture} with {} present", index + 1)));
    Ok(Choice {
        probability: number(Probability::new(choice.probability), &place)?,
        chain,
        thresholds: thresholds(&choice.thresholds, &place)?,
        by_present: by_present.collect::<Result<_, _>>()?,
    })
}

fn lottery(draws: &[DrawDocument], place: &str) -> Result<Lottery, DocumentError> {
    let draws = draws.iter().map(|draw| {
        let probability = number(Probability::new(draw.probability), place)?;
        Ok((probability, thresholds(&draw.thresholds, place)?))
    });
    Ok(Lottery::new(draws.collect::<Result<_, DocumentError>>()?, place)?)
}

fn thresholds(values: &[f32], place: &str) -> Result<Thresholds, DocumentError> {
    Thresholds::new(values).map_err(|source| DocumentError::Thresholds { place: place.to_owned(), source })
}

pub(super) fn rates(table: &RateTableDocument, chains: &[Chain]) -> Result<RateTable, DocumentError> {
    let rows = table.rows.iter().map(|row| {
        let place = format!(" in row {}", row.up_to);
        Ok(RateRow {
            up_to: row.up_to,
            default: mixture(&row.default, chains, &format!("the default{place}"))?,
            sources: sources(&row.sources, chains, &place)?,
        })
    });
    Ok(RateTable {
        forecast: number(PerSecond::new(table.forecast_per_second), "the forecast of the rate table")?,
        measured: match &table.measured {
            MeasuredDocument::Window(window) => {
                Measured::Window(number(Seconds::new(window.seconds), "the window of the rate table")?)
            }
            MeasuredDocument::Phases(phases) => {
                Measured::Phases { rates: phases.rates, switch: phases.switch_per_second }
            }
            MeasuredDocument::Belief(phases) => {
                Measured::Belief { rates: phases.rates, switch: phases.switch_per_second }
            }
        },
        rows: rows.collect::<Result<_, DocumentError>>()?,
    })
}

pub(super) fn learning(learning: &LearningDocument) -> Result<Learning, DocumentError> {
    match learning {
        LearningDocument::Reactive(_) => Ok(Learning::Reactive),
        LearningDocument::AdaEE(AdaEEDocument { arms, exploration, costs, room }) => {
            let arms = arms.iter().enumerate().map(|(arm, values)| thresholds(values, &format!("arm {}", arm + 1)));
            Ok(Learning::AdaEE(AdaEE {
                arms: arms.collect::<Result<_, _>>()?,
                exploration: *exploration,
                costs: costs.clone(),
                room: *room,
            }))
        }
    }
}
