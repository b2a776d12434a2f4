//! Known answers of a case.

use super::object::Object;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Known answers of a case, in the order of its chains and devices. What is left out is not compared.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Expected")]
pub struct Expected {
    /// Not looked at.
    #[serde(rename = "kind")]
    #[schemars(with = "Option<serde_json::Value>")]
    _kind: Option<IgnoredAny>,
    /// Not looked at.
    #[serde(rename = "source")]
    #[schemars(with = "Option<serde_json::Value>")]
    _source: Option<IgnoredAny>,
    /// Per chain.
    #[serde(default)]
    chains: Vec<Object<ExpectedChain>>,
    /// Per device.
    #[serde(default)]
    devices: Vec<Object<ExpectedDevice>>,
}

/// Known answers of a chain.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ExpectedChain {
    /// Not looked at.
    #[serde(rename = "name")]
    _name: Option<String>,
    /// Jobs per unit of time that leave answered.
    pub throughput: Option<ExpectedMetric>,
    /// 1 − throughput × mean interarrival time.
    pub loss_prob: Option<ExpectedMetric>,
    /// Mean time from arrival to leaving answered, over answered jobs.
    pub response_time_completed: Option<ExpectedMetric>,
    /// Per fragment.
    #[serde(default)]
    fragments: Vec<Object<ExpectedFragment>>,
}

/// Known answers of a fragment.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ExpectedFragment {
    /// Rate of jobs that ask for admission.
    pub offered_rate: Option<ExpectedMetric>,
    /// Rate of service completions.
    pub served_rate: Option<ExpectedMetric>,
    /// Mean time from admission to end of service, over jobs served there.
    pub residence_time: Option<ExpectedMetric>,
}

/// Known answers of a device.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ExpectedDevice {
    /// Not looked at.
    #[serde(rename = "name")]
    _name: Option<String>,
    /// Busy cores ÷ cores.
    pub utilization: Option<ExpectedMetric>,
    /// Time average of the number of jobs.
    pub mean_jobs: Option<ExpectedMetric>,
}

/// A known value.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct ExpectedMetric {
    /// The value; null where it is not known.
    pub value: Option<f64>,
    /// Half width of its 99 % confidence interval; 0 where it is exact. Default: 0.
    pub ci99: Option<f64>,
    /// Not looked at.
    #[serde(rename = "source")]
    #[schemars(with = "Option<serde_json::Value>")]
    _source: Option<IgnoredAny>,
}

impl Expected {
    /// What is known of a chain, by its index.
    pub fn chain(&self, index: usize) -> Option<&ExpectedChain> {
        self.chains.get(index).map(|chain| &chain.0)
    }

    /// What is known of a device, by its index.
    pub fn device(&self, index: usize) -> Option<&ExpectedDevice> {
        self.devices.get(index).map(|device| &device.0)
    }

    /// How many chains and devices are known.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.chains.len(), self.devices.len())
    }
}

impl ExpectedChain {
    /// What is known of a fragment, by its index.
    pub fn fragment(&self, index: usize) -> Option<&ExpectedFragment> {
        self.fragments.get(index).map(|fragment| &fragment.0)
    }
}
