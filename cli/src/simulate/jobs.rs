//! Single jobs as rows, for `--trace`.

use super::csv::field;
use simulator::{Failure, Fate, JobRecord, Network};
use std::io::{self, Write};

/// Most jobs of a trace.
pub(super) const MOST: usize = 1_000_000;

const HEADER: &str = "source,chain,arrived,ended,fate,exit,on_overflow,correct,lost_at";

/// One row per job. Exits count from 1.
pub(super) fn write(out: &mut dyn Write, network: &Network, jobs: &[JobRecord]) -> io::Result<()> {
    writeln!(out, "{HEADER}")?;
    let sources: Vec<String> = network.sources.iter().map(|source| field(&source.name)).collect();
    let chains: Vec<String> = network.chains.iter().map(|chain| field(&chain.name)).collect();
    for job in jobs {
        let chain = job.chain.map_or("", |chain| chains[chain].as_str());
        let (source, fate) = (&sources[job.source], fate(network, job));
        writeln!(out, "{source},{chain},{},{},{fate}", job.arrived, job.ended)?;
    }
    out.flush()
}

/// The last five columns.
fn fate(network: &Network, job: &JobRecord) -> String {
    match job.fate {
        Fate::Answered { exit, on_overflow, correct } => {
            let correct = correct.map(|correct| correct.to_string()).unwrap_or_default();
            format!("answered,{},{on_overflow},{correct},", exit + 1)
        }
        Fate::Lost { step } => format!("lost,,,,{}", field(place(network, job.chain, step).unwrap_or("gateway"))),
        Fate::Failed(Failure::Deadline) => "failed: deadline,,,,".to_owned(),
        Fate::Failed(Failure::Unreachable) => "failed: unreachable,,,,".to_owned(),
        Fate::Failed(Failure::DeviceDown) => "failed: device down,,,,".to_owned(),
    }
}

/// The region that was full; the first one where a job holds several.
fn place(network: &Network, chain: Option<usize>, step: Option<usize>) -> Option<&str> {
    let step = network.chains.get(chain?)?.steps.get(step?)?;
    Some(&network.regions.get(*step.regions.first()?)?.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use simulator::form;

    #[test]
    fn jobs_look_like_this() {
        let text = br#"{"devices": [{"name": "d,0", "servers": 1, "speed": 1, "discipline": "fcfs", "memory": 1}],
            "chains": [{"name": "c", "arrival": {"type": "exponential", "mean": 1}, "fragments": [{"device": 0,
            "service": {"type": "exponential", "mean": 1}, "memory": 1, "exit_prob_after": 1}]}]}"#;
        let network = form::read(text).unwrap().cases.remove(0).network;
        let job =
            JobRecord { source: 0, chain: Some(0), arrived: 0.5, ended: 1.25, fate: Fate::Lost { step: Some(0) } };
        let answered = Fate::Answered { exit: 1, on_overflow: false, correct: Some(true) };
        let failed = Fate::Failed(Failure::Unreachable);
        let jobs = [job, JobRecord { fate: answered, ..job }, JobRecord { chain: None, fate: failed, ..job }];
        let mut out = Vec::new();
        write(&mut out, &network, &jobs).unwrap();
        let want = "c,c,0.5,1.25,lost,,,,\"d,0\"\nc,c,0.5,1.25,answered,2,false,true,\n\
                    c,,0.5,1.25,failed: unreachable,,,,\n";
        assert_eq!(String::from_utf8(out).unwrap(), format!("{HEADER}\n{want}"));
    }
}
