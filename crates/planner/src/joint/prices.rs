//! What stations cost, turned into what segments and heads cost.

use super::candidate::Workshop;
use super::pricing::Prices;
use domain::Thresholds;

/// Prices of work per lane and of transmission per link, and what a right answer to all jobs of a service is worth.
#[derive(Clone)]
pub(super) struct ByStation {
    pub(super) prices: Vec<f64>,
    pub(super) worth: Vec<f64>,
}

impl ByStation {
    pub(super) fn scaled(&self, by: f64) -> Self {
        Self { prices: self.prices.iter().map(|price| by * price).collect(), worth: self.worth.clone() }
    }

    pub(super) fn thresholds(&self, workshop: &Workshop<'_>, flow: usize) -> Thresholds {
        let layout = workshop.layout;
        let flow = &layout.flows[flow];
        let service = &layout.problem.services[flow.service];
        let model = &service.model;
        let total: f64 = layout.sources.iter().filter(|one| one.service == flow.service).map(|one| one.rate).sum();
        let rate = layout.sources[flow.source].rate;
        let worth = self.worth[flow.service] * rate / total;
        let mut prices =
            Prices { segments: vec![], heads: vec![0.0; model.exits()], right: vec![worth; model.exits()] };
        for hop in &flow.hops {
            let device = &layout.problem.devices[layout.lanes[hop.lane].device];
            let second = rate * self.prices[hop.lane] / device.speed;
            let first = prices.segments.len();
            let times = &model.times.segments[hop.range.first..=hop.range.last];
            prices.segments.extend(times.iter().map(|time| second * time.mean.get()));
            if let Some(link) = hop.link {
                prices.segments[first] += rate * self.prices[layout.lanes.len() + link] * hop.transmission;
            }
            for (exit, head) in prices.heads.iter_mut().enumerate() {
                if (hop.range.first..=hop.range.last).contains(&model.exit_segments[exit]) {
                    *head = second * model.times.heads[exit].mean.get();
                }
            }
        }
        workshop.pricers[flow.service].thresholds(&prices)
    }
}
