//! Policy documents as domain values.

use domain::{
    Chain, Choice, Epoch, FragmentRange, Mixture, Overflow, Policy, PolicyError, Probability, Seconds, Thresholds,
    ThresholdsError, UnitError,
};
use wire::document::{ChainDocument, ChoiceDocument, EpochDocument, OverflowDocument, PolicyDocument, PolicyVersion};

/// A policy that may be applied, and where its chains live.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployed {
    /// The service it is for.
    pub service: String,
    /// Which of two is newer.
    pub version: PolicyVersion,
    /// What to do.
    pub policy: Policy,
    /// Per chain of the policy the places of its fragments.
    pub places: Vec<Vec<Place>>,
}

/// Where a fragment lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name of the fragment on the device.
    pub fragment: String,
    /// The device.
    pub device: String,
    /// `host:port`.
    pub address: String,
    /// Jobs served at a time.
    pub workers: usize,
}

/// Why a policy document cannot be applied.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON of the right form.
    #[error("not a policy document: {0}")]
    Form(String),
    /// A choice names a chain that is not listed.
    #[error("a choice of {place} names chain {chain:?}; there are {known}")]
    UnknownChain {
        /// Which mixture.
        place: String,
        /// What was named.
        chain: String,
        /// Chains there are.
        known: String,
    },
    /// Two chains of one name.
    #[error("two chains are named {0:?}")]
    TwiceNamed(String),
    /// A number out of range.
    #[error("a choice of {place}: {source}")]
    Number {
        /// Which mixture.
        place: String,
        /// What is wrong.
        source: UnitError,
    },
    /// A threshold out of range.
    #[error("a choice of {place}: {source}")]
    Thresholds {
        /// Which mixture.
        place: String,
        /// What is wrong.
        source: ThresholdsError,
    },
    /// Segments that no model has.
    #[error("chain {chain:?} has a hop with segments {first} to {last}; they count from 1")]
    Segments {
        /// Chain.
        chain: String,
        /// First.
        first: usize,
        /// Last.
        last: usize,
    },
    /// A hop without workers.
    #[error("chain {0:?} has a hop with 0 workers")]
    NoWorkers(String),
    /// The parts do not fit together or do not fit the model.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// Reads and checks a document against a model of `exits` exits and `segments` segments.
pub fn read(document: &PolicyDocument, exits: usize, segments: usize) -> Result<Deployed, DocumentError> {
    let chains = document.chains.iter().map(chain).collect::<Result<Vec<_>, _>>()?;
    if let Some(twice) = chains.iter().enumerate().find(|(i, c)| chains[..*i].iter().any(|d| d.name == c.name)) {
        return Err(DocumentError::TwiceNamed(twice.1.name.clone()));
    }
    let sources = document.sources.iter();
    let policy = Policy {
        epoch: match document.epoch {
            EpochDocument::Arrival => Epoch::Arrival,
            EpochDocument::Dispatch => Epoch::Dispatch,
        },
        overflow: match document.overflow {
            OverflowDocument::Drop => Overflow::Drop,
            OverflowDocument::AnswerWithLastExit => Overflow::AnswerWithLastExit,
        },
        default: mixture(&document.default, &chains, "the default")?,
        sources: sources
            .map(|(name, choices)| Ok((name.clone(), mixture(choices, &chains, &format!("source {name:?}"))?)))
            .collect::<Result<_, DocumentError>>()?,
        chains,
        rates: None,
        learning: None,
        audit: number(Probability::new(document.audit_share), "the audit share")?,
        deadline: match document.deadline_milliseconds {
            Some(milliseconds) => Some(number(Seconds::new(milliseconds as f64 / 1e3), "the deadline")?),
            None => None,
        },
    };
    policy.check(exits, segments)?;
    Ok(Deployed {
        service: document.service.clone(),
        version: document.version,
        policy,
        places: document.chains.iter().map(places).collect(),
    })
}

fn chain(document: &ChainDocument) -> Result<Chain, DocumentError> {
    let ranges = document.hops.iter().map(|hop| {
        if hop.workers == 0 {
            return Err(DocumentError::NoWorkers(document.name.clone()));
        }
        let (first, last) = (hop.first_segment, hop.last_segment);
        // Documents count segments from 1, as people do.
        match first.checked_sub(1).and_then(|from| FragmentRange::new(from, last.wrapping_sub(1), last)) {
            Some(range) => Ok(range),
            None => Err(DocumentError::Segments { chain: document.name.clone(), first, last }),
        }
    });
    Ok(Chain { name: document.name.clone(), fragments: ranges.collect::<Result<_, _>>()? })
}

fn places(document: &ChainDocument) -> Vec<Place> {
    let place = |hop: &wire::document::HopDocument| Place {
        fragment: hop.fragment.clone(),
        device: hop.device.clone(),
        address: hop.address.clone(),
        workers: hop.workers,
    };
    document.hops.iter().map(place).collect()
}

fn mixture(choices: &[ChoiceDocument], chains: &[Chain], place: &str) -> Result<Mixture, DocumentError> {
    let choices = choices.iter().map(|choice| {
        let chain = chains.iter().position(|chain| chain.name == choice.chain).ok_or_else(|| {
            let known: Vec<_> = chains.iter().map(|chain| format!("{:?}", chain.name)).collect();
            DocumentError::UnknownChain {
                place: place.to_owned(),
                chain: choice.chain.clone(),
                known: known.join(", "),
            }
        })?;
        let thresholds = Thresholds::new(choice.thresholds.clone())
            .map_err(|source| DocumentError::Thresholds { place: place.to_owned(), source })?;
        Ok(Choice::new(number(Probability::new(choice.probability), place)?, chain, thresholds))
    });
    Ok(Mixture::new(choices.collect::<Result<_, DocumentError>>()?, place)?)
}

fn number<T>(value: Result<T, UnitError>, place: &str) -> Result<T, DocumentError> {
    value.map_err(|source| DocumentError::Number { place: place.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = r#"{
        "service": "s", "version": {"transitions": 0, "generation": 1},
        "chains": [{"name": "a", "hops": [
            {"fragment": "f", "device": "d", "address": "127.0.0.1:1", "firstSegment": 1, "lastSegment": 2},
            {"fragment": "g", "device": "e", "address": "127.0.0.1:2", "firstSegment": 3, "lastSegment": 6}]}],
        "default": [{"probability": 1, "chain": "a", "thresholds": [0.5, 1]}]
    }"#;

    fn check(from: &str, to: &str, want: &str) {
        let text = GOOD.replace(from, to);
        let error = match serde_json::from_str::<PolicyDocument>(&text) {
            Ok(document) => read(&document, 3, 6).map(|_| String::new()).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match error {
            Ok(_) => assert_eq!(want, "", "{to} was accepted"),
            Err(error) => assert!(!want.is_empty() && error.contains(want), "{to}: {error}"),
        }
    }

    #[test]
    fn a_bad_document_says_what_is_wrong() {
        check("", "", "");
        check("\"chain\": \"a\"", "\"chain\": \"b\"", "names chain \"b\"; there are \"a\"");
        check("\"probability\": 1", "\"probability\": 0.5", "sum to 0.5, not to 1");
        check("\"probability\": 1", "\"probability\": -1", "between 0 and 1, not -1");
        check("[0.5, 1]", "[0.5]", "thresholds for 2 exits, the model has 3");
        check("[0.5, 1]", "[0.5, 2]", "threshold 1 must be between 0");
        check("\"firstSegment\": 3", "\"firstSegment\": 4", "does not hold segments 1 to 6");
        check("\"firstSegment\": 1", "\"firstSegment\": 0", "count from 1");
        check("\"lastSegment\": 6", "\"lastSegment\": 6, \"workers\": 0", "0 workers");
        check("\"service\"", "\"servant\"", "unknown field `servant`");
    }

    proptest! {
        #[test]
        fn changed_documents_never_panic(at in 0usize..GOOD.len(), byte in 0u8..128) {
            let mut text = GOOD.as_bytes().to_vec();
            text[at] = byte;
            if let Ok(document) = serde_json::from_slice::<PolicyDocument>(&text) {
                let _ = read(&document, 3, 6);
            }
        }
    }
}
