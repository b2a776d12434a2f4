//! Policy documents as domain values, and back.

mod parts;
mod write;

use domain::{
    Chain, Epoch, FragmentRange, Overflow, Policy, PolicyError, Probability, Seconds, ThresholdsError, UnitError,
};
use wire::document::{ChainDocument, EpochDocument, HopDocument, OverflowDocument, PolicyDocument, PolicyVersion};

pub use write::write;

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
    #[error("{place}: {source}")]
    Number {
        /// Which mixture.
        place: String,
        /// What is wrong.
        source: UnitError,
    },
    /// A threshold out of range.
    #[error("{place}: {source}")]
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
    /// A list that is longer than a gateway takes.
    #[error("{place} has {given} entries; at most {most} are taken")]
    TooLong {
        /// Which.
        place: String,
        /// Its length.
        given: usize,
        /// Its largest length.
        most: usize,
    },
    /// All lists together are longer than a gateway takes.
    #[error(
        "all thresholds together are {given} values; at most {most} are taken, with one more counted for each vector"
    )]
    TooManyThresholds {
        /// How many.
        given: usize,
        /// Most.
        most: usize,
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
    parts::check_sizes(document)?;
    let chains = document.chains.iter().map(chain).collect::<Result<Vec<_>, _>>()?;
    if let Some(twice) = chains.iter().enumerate().find(|(i, c)| chains[..*i].iter().any(|d| d.name == c.name)) {
        return Err(DocumentError::TwiceNamed(twice.1.name.clone()));
    }
    let policy = Policy {
        epoch: match document.epoch {
            EpochDocument::Arrival => Epoch::Arrival,
            EpochDocument::Dispatch => Epoch::Dispatch,
        },
        overflow: match document.overflow {
            OverflowDocument::Drop => Overflow::Drop,
            OverflowDocument::AnswerWithLastExit => Overflow::AnswerWithLastExit,
        },
        default: parts::mixture(&document.default, &chains, "the default")?,
        sources: parts::sources(&document.sources, &chains, "")?,
        rates: document.rates.as_ref().map(|table| parts::rates(table, &chains)).transpose()?,
        learning: document.learning.as_ref().map(parts::learning).transpose()?,
        chains,
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
    let place = |hop: &HopDocument| Place {
        fragment: hop.fragment.clone(),
        device: hop.device.clone(),
        address: hop.address.clone(),
        workers: hop.workers,
    };
    document.hops.iter().map(place).collect()
}

fn number<T>(value: Result<T, UnitError>, place: &str) -> Result<T, DocumentError> {
    value.map_err(|source| DocumentError::Number { place: place.to_owned(), source })
}

#[cfg(test)]
mod tests;
