//! Where jobs come from, and who decides about them.

use super::chains::Chains;
use super::deciders::Deciders;
use super::document;
use super::error::{FormError, Place};
use super::laws;
use super::names::Names;
use super::number::{at_least_one, at_most, not_negative, positive, shares};
use super::object::Object;
use crate::{Model, Retry, Routing, Scheduling, Source};
use std::collections::HashSet;

/// Most chains of all sources together.
const MOST_SHARES: usize = 20_000;

/// Sources and schedulers while they are made.
struct Maker<'a> {
    case: &'a document::Case,
    chains: &'a Chains,
    names: Names,
    deciders: Deciders<'a>,
    /// Of the chains.
    list: Place<'a>,
}

/// A chain with arrivals of its own is a source; then come those of `sources`.
pub(super) fn sources(
    case: &document::Case,
    chains: &Chains,
    models: &[Model],
    place: &Place<'_>,
    warnings: &mut Vec<String>,
) -> Result<(Vec<Source>, Vec<Scheduling>), FormError> {
    let names = Names::new("source");
    let list = place.field("chains");
    let deciders = Deciders::new(case, chains, models, list);
    let mut maker = Maker { case, chains, names, deciders, list };
    let mut sources = Vec::new();
    for index in 0..case.chains.len() {
        sources.extend(maker.of_chain(index, &list.index(index), warnings)?);
    }
    let list = place.field("sources");
    let (mut used, mut shares) = (HashSet::new(), 0);
    for (index, source) in case.sources.iter().flatten().enumerate() {
        let (source, chains) = maker.of_source(index, source, &list.index(index), warnings)?;
        shares += chains.len();
        used.extend(chains);
        at_most(MOST_SHARES, shares, "chains of all sources", &list)?;
        sources.push(source);
    }
    maker.check_used(&used, &place.field("chains"))?;
    Ok((sources, maker.deciders.finish()))
}

impl Maker<'_> {
    fn of_chain(
        &mut self,
        index: usize,
        place: &Place<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Source>, FormError> {
        let chain = &self.case.chains[index];
        let Some(arrival) = &chain.arrival else {
            let field = if chain.deadline.is_some() { "deadline" } else { "retry" };
            if chain.deadline.is_some() || chain.retry.is_some() {
                return Err(place.field(field).error("belongs to the source, because the chain has no `arrival`"));
            }
            return Ok(None);
        };
        let arrivals = laws::arrivals(arrival, &place.field("arrival"), warnings)?;
        let name = self.names.add(Some(self.chains.names.name(index)), "", place)?;
        let routing = self.routing(&name, &[(index, 1.0)], place)?;
        let (deadline, retry) = deadline_and_retry(chain.deadline, chain.retry.as_ref(), place)?;
        Ok(Some(Source { name, arrivals, routing, deadline, retry }))
    }

    fn of_source(
        &mut self,
        index: usize,
        source: &document::Source,
        place: &Place<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<(Source, Vec<usize>), FormError> {
        let arrivals = laws::arrivals(&source.arrival, &place.field("arrival"), warnings)?;
        let name = self.names.add(source.name.as_deref(), &format!("source {index}"), place)?;
        let list = place.field("chains");
        at_least_one(source.chains.len(), "chain", &list)?;
        let mut chains = Vec::with_capacity(source.chains.len());
        let mut seen = HashSet::new();
        for (index, share) in source.chains.iter().enumerate() {
            let place = list.index(index);
            let chain = self.chains.names.find(&share.chain, &place.field("chain"))?;
            if !seen.insert(chain) {
                return Err(place.field("chain").error("is named a second time"));
            }
            chains.push(chain);
        }
        let given: Vec<f64> = source.chains.iter().map(|share| share.probability.unwrap_or(1.0)).collect();
        let shares: Vec<_> = chains.iter().copied().zip(shares(&given, &list)?).collect();
        let routing = self.routing(&name, &shares, place)?;
        let (deadline, retry) = deadline_and_retry(source.deadline, source.retry.as_ref(), place)?;
        Ok((Source { name, arrivals, routing, deadline, retry }, chains))
    }

    /// Chains without a model are drawn; those with one need somebody who decides about thresholds.
    fn routing(&mut self, name: &str, shares: &[(usize, f64)], place: &Place<'_>) -> Result<Routing, FormError> {
        let model = self.chains.all[shares[0].0].model;
        if shares.iter().any(|(chain, _)| self.chains.all[*chain].model != model) {
            return Err(place.field("chains").error("must all serve the same model, or none"));
        }
        let Some(model) = model else {
            for (chain, _) in shares {
                self.check_no_thresholds(*chain)?;
            }
            return Ok(Routing::Mixture(shares.to_vec()));
        };
        self.deciders.source(model, name, shares, place).map(Routing::Scheduled)
    }

    fn check_no_thresholds(&self, index: usize) -> Result<(), FormError> {
        let chain = &self.case.chains[index];
        if chain.thresholds.is_none() && chain.mixture.is_none() {
            return Ok(());
        }
        let field = if chain.thresholds.is_some() { "thresholds" } else { "mixture" };
        Err(self.list.index(index).field(field).error("is for the exits of a model, but the chain has no `model`"))
    }

    /// A chain that nobody uses is a mistake.
    fn check_used(&self, used: &HashSet<usize>, place: &Place<'_>) -> Result<(), FormError> {
        let unused = |index: &usize| self.case.chains[*index].arrival.is_none() && !used.contains(index);
        match (0..self.case.chains.len()).find(unused) {
            None => Ok(()),
            Some(index) if self.case.sources.is_none() => {
                Err(place.index(index).error("needs the field `arrival` (or a source that names the chain)"))
            }
            Some(index) => Err(place.index(index).error("has no arrivals: no source names it, and no `arrival`")),
        }
    }
}

fn deadline_and_retry(
    deadline: Option<f64>,
    retry: Option<&Object<document::Retry>>,
    place: &Place<'_>,
) -> Result<(Option<f64>, Option<Retry>), FormError> {
    const MOST_ATTEMPTS: u32 = 1000;
    let deadline = deadline.map(|deadline| positive(deadline, &place.field("deadline"))).transpose()?;
    let Some(retry) = retry else { return Ok((deadline, None)) };
    let place = place.field("retry");
    if !(1..=MOST_ATTEMPTS).contains(&retry.attempts) {
        let message = format!("must be from 1 to {MOST_ATTEMPTS}, not {}", retry.attempts);
        return Err(place.field("attempts").error(message));
    }
    let delay = not_negative(retry.delay, &place.field("delay"))?;
    Ok((deadline, Some(Retry { attempts: retry.attempts, delay })))
}
