//! Models, chains, and what blocks.

use super::{Checked, each, known, law, not_empty, require};
use crate::engine::MOST_EXITS;
use crate::network::{Chain, Discipline, Handover, Model, Network, Outages, Overflow, Step, Work};

impl Network {
    pub(super) fn check_models(&self) -> Checked {
        each("models", &self.models, model)
    }

    pub(super) fn check_chains(&self) -> Checked {
        each("chains", &self.chains, |place, chain| {
            not_empty(&format!("{place}.steps"), chain.steps.len())?;
            if let Some(model) = chain.model {
                known(&format!("{place}.model"), model, self.models.len(), "model")?;
                self.check_segments(place, chain, &self.models[model])?;
            }
            each(&format!("{place}.steps"), &chain.steps, |place, step| self.check_step(place, chain, step))
        })?;
        if self.chains.iter().any(|chain| chain.overflow == Overflow::BlockAfterService) {
            self.check_blocking()?;
        }
        Ok(())
    }

    fn check_step(&self, place: &str, chain: &Chain, step: &Step) -> Checked {
        let at = |field: &str| format!("{place}.{field}");
        known(&at("device"), step.device, self.devices.len(), "device")?;
        if let Discipline::Pods(lanes) = &self.devices[step.device].discipline {
            known(&at("lane"), step.lane, lanes.len(), "lane")?;
        }
        for (index, &region) in step.regions.iter().enumerate() {
            let place = format!("{place}.regions[{index}]");
            known(&place, region, self.regions.len(), "region")?;
            require(!step.regions[..index].contains(&region), &place, "is named twice")?;
        }
        require(step.memory_after <= step.memory, &at("memory_after"), "must not be more than memory")?;
        let probability = (0.0..=1.0).contains(&step.exit_probability);
        require(probability, &at("exit_probability"), "must be between 0 and 1")?;
        if let Some(link) = step.link {
            known(&at("link"), link, self.links.len(), "link")?;
        }
        match &step.work {
            Work::Law(of_work) => {
                require(chain.model.is_none(), &at("work"), "must be segments of the chain's model")?;
                law(&at("work"), of_work)
            }
            Work::Segments(_) => {
                require(chain.model.is_some(), &at("work"), "are segments, but the chain has no model")
            }
        }
    }

    /// The steps of a chain hold the whole model, in order and without gap.
    fn check_segments(&self, place: &str, chain: &Chain, model: &Model) -> Checked {
        let mut next = 0;
        for (index, step) in chain.steps.iter().enumerate() {
            if let Work::Segments(range) = step.work {
                let place = format!("{place}.steps[{index}].work");
                require(range.first == next && range.last >= next, &place, "must begin where the step before ended")?;
                next = range.last + 1;
            }
        }
        let segments = model.times.segments.len();
        require(next == segments, &format!("{place}.steps"), &format!("must hold all {segments} segments of the model"))
    }

    /// What could deadlock, or has no meaning, is refused.
    fn check_blocking(&self) -> Checked {
        require(self.handover == Handover::ReleaseFirst, "handover", "must be release-first where jobs block")?;
        each("chains", &self.chains, |place, chain| {
            each(&format!("{place}.steps"), &chain.steps, |place, step| {
                let device = &self.devices[step.device];
                let at = |field: &str| format!("{place}.{field}");
                let queues = matches!(device.discipline, Discipline::Fcfs | Discipline::Hol);
                require(queues, &at("device"), "must be fcfs or hol where jobs block")?;
                require(device.outages == Outages::Never, &at("device"), "must not go down where jobs block")?;
                require(step.memory == 1 && step.memory_after == 1, &at("memory"), "must be 1 where jobs block")?;
                require(step.link.is_none(), &at("link"), "must not be there where jobs block")?;
                require(step.regions.len() == 1, &at("regions"), "must be one where jobs block")?;
                let others = self.chains.iter().flat_map(|chain| &chain.steps);
                let alone = others.filter(|other| other.regions == step.regions).all(|o| o.device == step.device);
                require(alone, &at("regions"), "must belong to one device where jobs block")
            })
        })?;
        require(
            self.is_acyclic(),
            "chains",
            "lead in a circle through devices, where jobs that block could wait for ever",
        )
    }

    /// Whether no way along chains leads back to a device: devices are taken away that nothing leads to.
    fn is_acyclic(&self) -> bool {
        let pairs = |chain: &Chain| -> Vec<(usize, usize)> {
            chain.steps.windows(2).map(|pair| (pair[0].device, pair[1].device)).collect()
        };
        let mut edges: Vec<(usize, usize)> = self.chains.iter().flat_map(pairs).collect();
        edges.sort_unstable();
        edges.dedup();
        let mut incoming = vec![0usize; self.devices.len()];
        let mut outgoing = vec![vec![]; self.devices.len()];
        for &(from, to) in &edges {
            incoming[to] += 1;
            outgoing[from].push(to);
        }
        let mut free: Vec<usize> = (0..incoming.len()).filter(|&device| incoming[device] == 0).collect();
        let mut taken = 0;
        while let Some(device) = free.pop() {
            taken += 1;
            for &to in &outgoing[device] {
                incoming[to] -= 1;
                if incoming[to] == 0 {
                    free.push(to);
                }
            }
        }
        taken == self.devices.len()
    }
}

fn model(place: &str, model: &Model) -> Checked {
    let (exits, segments) = (model.table.exits(), model.times.segments.len());
    let at = |field: &str| format!("{place}.{field}");
    require(exits <= MOST_EXITS, &at("table"), &format!("has more than {MOST_EXITS} exits"))?;
    not_empty(&at("times.segments"), segments)?;
    require(model.times.heads.len() == exits, &at("times.heads"), &format!("must be {exits}, one for each exit"))?;
    require(model.exit_segments.len() == exits, &at("exit_segments"), &format!("must be {exits}, one for each exit"))?;
    require(model.exit_segments.is_sorted(), &at("exit_segments"), "must not decrease")?;
    let last = model.exit_segments.last().is_some_and(|&last| last + 1 == segments);
    require(last, &at("exit_segments"), "must end with the last segment")?;
    let times = model.times.segments.iter().chain(&model.times.heads);
    let sound = times.into_iter().all(|time| time.mean.get() <= super::LONGEST && (0.0..=1e6).contains(&time.scv));
    require(sound, &at("times"), "must be at most 1e12 s with an scv between 0 and 1,000,000")
}
