//! Domain values as policy documents.

use super::{Deployed, Place};
use domain::{AdaEE, Chain, Choice, Epoch, Learning, Lottery, Measured, Mixture, Overflow, Policy, RateRow, RateTable};
use std::collections::BTreeMap;
use wire::document::{
    AdaEEDocument, ChainDocument, ChoiceDocument, DrawDocument, EpochDocument, HopDocument, LearningDocument,
    MeasuredDocument, OverflowDocument, PhasesDocument, PolicyDocument, PolicyVersion, RateRowDocument,
    RateTableDocument, ReactiveDocument, WindowDocument,
};

/// The document of a policy for `service`. `chains` say where the fragments of the policy's chains live, in the same order;
/// choices name them as the policy does. A deadline is rounded to milliseconds.
///
/// What [`super::read`] makes of it is the same policy, provided that it is one that can be applied.
pub fn write(policy: &Policy, service: &str, version: PolicyVersion, chains: Vec<ChainDocument>) -> PolicyDocument {
    PolicyDocument {
        service: service.to_owned(),
        version,
        epoch: match policy.epoch {
            Epoch::Arrival => EpochDocument::Arrival,
            Epoch::Dispatch => EpochDocument::Dispatch,
        },
        overflow: match policy.overflow {
            Overflow::Drop => OverflowDocument::Drop,
            Overflow::AnswerWithLastExit => OverflowDocument::AnswerWithLastExit,
        },
        chains,
        default: mixture(&policy.default, policy),
        sources: sources(&policy.sources, policy),
        rates: policy.rates.as_ref().map(|table| rates(table, policy)),
        learning: policy.learning.as_ref().map(learning),
        audit_share: policy.audit.get(),
        deadline_milliseconds: policy.deadline.map(|deadline| (deadline.get() * 1e3).round() as u64),
    }
}

impl Deployed {
    /// The document that this is read from.
    pub fn document(&self) -> PolicyDocument {
        let chains = self.policy.chains.iter().zip(&self.places);
        let chains = chains.map(|(chain, places)| chain_document(chain, places)).collect();
        write(&self.policy, &self.service, self.version, chains)
    }
}

fn chain_document(chain: &Chain, places: &[Place]) -> ChainDocument {
    let hops = chain.fragments.iter().zip(places).map(|(range, place)| HopDocument {
        fragment: place.fragment.clone(),
        device: place.device.clone(),
        address: place.address.clone(),
        // Documents count segments from 1, as people do.
        first_segment: range.first + 1,
        last_segment: range.last + 1,
        workers: place.workers,
    });
    ChainDocument { name: chain.name.clone(), hops: hops.collect() }
}

fn mixture(mixture: &Mixture, policy: &Policy) -> Vec<ChoiceDocument> {
    mixture.choices().iter().map(|one| choice(one, policy)).collect()
}

fn sources(sources: &[(String, Mixture)], policy: &Policy) -> BTreeMap<String, Vec<ChoiceDocument>> {
    sources.iter().map(|(name, one)| (name.clone(), mixture(one, policy))).collect()
}

fn choice(choice: &Choice, policy: &Policy) -> ChoiceDocument {
    ChoiceDocument {
        probability: choice.probability.get(),
        // A choice without a chain is one that cannot be applied, and is refused as such when it is read.
        chain: policy.chains.get(choice.chain).map(|chain| chain.name.clone()).unwrap_or_default(),
        thresholds: choice.thresholds.as_slice().to_vec(),
        by_present: choice.by_present.iter().map(lottery).collect(),
    }
}

fn lottery(lottery: &Lottery) -> Vec<DrawDocument> {
    let draws = lottery.draws().iter().map(|(probability, thresholds)| DrawDocument {
        probability: probability.get(),
        thresholds: thresholds.as_slice().to_vec(),
    });
    draws.collect()
}

fn rates(table: &RateTable, policy: &Policy) -> RateTableDocument {
    let row = |row: &RateRow| RateRowDocument {
        up_to: row.up_to,
        default: mixture(&row.default, policy),
        sources: sources(&row.sources, policy),
    };
    RateTableDocument {
        forecast_per_second: table.forecast.get(),
        measured: match table.measured {
            Measured::Window(window) => MeasuredDocument::Window(WindowDocument { seconds: window.get() }),
            Measured::Phases { rates, switch } => {
                MeasuredDocument::Phases(PhasesDocument { rates, switch_per_second: switch })
            }
            Measured::Belief { rates, switch } => {
                MeasuredDocument::Belief(PhasesDocument { rates, switch_per_second: switch })
            }
        },
        rows: table.rows.iter().map(row).collect(),
    }
}

fn learning(learning: &Learning) -> LearningDocument {
    match learning {
        Learning::Reactive => LearningDocument::Reactive(ReactiveDocument {}),
        Learning::AdaEE(AdaEE { arms, exploration, costs, room }) => LearningDocument::AdaEE(AdaEEDocument {
            arms: arms.iter().map(|arm| arm.as_slice().to_vec()).collect(),
            exploration: *exploration,
            costs: costs.clone(),
            room: *room,
        }),
    }
}
