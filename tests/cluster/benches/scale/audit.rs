//! What the API server was asked, by its own clock.

use anyhow::Context as _;
use serde_json::Value;
use std::path::Path;

/// A request that was answered.
struct Entry {
    /// Seconds of the day at which it came and was answered.
    came: f64,
    answered: f64,
    is_ours: bool,
    verb: String,
    resource: String,
    subresource: String,
    name: String,
}

/// Requests in the order of the log.
pub(crate) struct Audit(Vec<Entry>);

impl Audit {
    /// Reads the log. `user`: whose requests are ours.
    pub(crate) fn read(log: &Path, user: &str) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(log)?;
        let entries = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        Ok(Self(entries.filter_map(|entry| read(&entry, user)).collect()))
    }

    /// Requests of ours that are no watches.
    pub(crate) fn requests(&self) -> usize {
        self.ours().filter(|entry| entry.verb != "watch").count()
    }

    /// Seconds from our first request to the answer to the first write of the last child: certificates are given again where gateways do
    /// not answer, as nobody does at fake pods.
    pub(crate) fn last_child(&self) -> Option<f64> {
        let began = self.ours().map(|entry| entry.came).min_by(f64::total_cmp)?;
        let mut first = std::collections::BTreeMap::new();
        for entry in self.ours().filter(|entry| entry.is_child()) {
            first.entry((&entry.resource, &entry.name)).or_insert(entry.answered - began);
        }
        first.into_values().max_by(f64::total_cmp)
    }

    /// When a tenth, half and all of the objects of a kind had been written, in seconds from our first request.
    pub(crate) fn progress(&self, resource: &str) -> Option<[f64; 3]> {
        let began = self.ours().map(|entry| entry.came).min_by(f64::total_cmp)?;
        let written =
            self.ours().filter(|entry| entry.resource == resource && entry.subresource.is_empty() && entry.is_write());
        let mut times: Vec<f64> = written.map(|entry| entry.answered - began).collect();
        times.sort_by(f64::total_cmp);
        let last = times.len().checked_sub(1)?;
        Some([times[last / 10], times[last / 2], times[last]])
    }

    /// How often we asked for what, the most frequent first, and the median time until it was answered, in milliseconds.
    pub(crate) fn counts(&self) -> Vec<(String, usize, f64)> {
        let mut times = std::collections::BTreeMap::<String, Vec<f64>>::new();
        for entry in self.ours().filter(|entry| entry.verb != "watch") {
            let sub = if entry.subresource.is_empty() { String::new() } else { format!("/{}", entry.subresource) };
            let what = format!("{} {}{sub}", entry.verb, entry.resource);
            times.entry(what).or_default().push((entry.answered - entry.came) * 1e3);
        }
        let median = |mut times: Vec<f64>| {
            times.sort_by(f64::total_cmp);
            (times.len(), times[times.len() / 2])
        };
        let counts = times.into_iter().map(|(what, times)| (what, median(times)));
        let mut counts: Vec<_> = counts.map(|(what, (count, time))| (what, count, time)).collect();
        counts.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
        counts
    }

    /// Milliseconds from the answer to the first, second ... edit of a service to the answer to the last child that it changed, with
    /// those of gateways or without.
    pub(crate) fn edit(&self, service: &str, which: usize, gateways: bool) -> anyhow::Result<f64> {
        /// Seconds; whatever comes later is no news of the edit.
        const LONGEST: f64 = 5.0;
        let is_edit =
            |entry: &&Entry| entry.verb == "update" && entry.resource == "eennservices" && entry.name == service;
        let edited = self.0.iter().filter(is_edit).nth(which).context("it was edited")?;
        // Old pods are deleted half a minute later.
        let children =
            self.ours().filter(|entry| entry.is_child() && entry.verb != "delete" && entry.came >= edited.came);
        let prefix = format!("{service}-");
        let its = children.filter(|entry| entry.name == service || entry.name.starts_with(&prefix));
        let its = its.filter(|entry| entry.came < edited.answered + LONGEST);
        let of_gateway = |entry: &&Entry| entry.name.starts_with(&format!("{service}-g-"));
        let last =
            its.filter(|entry| gateways || !of_gateway(entry)).map(|entry| entry.answered).max_by(f64::total_cmp);
        Ok((last.with_context(|| format!("no child of {service} has changed"))? - edited.answered) * 1e3)
    }

    fn ours(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(|entry| entry.is_ours)
    }
}

impl Entry {
    fn is_child(&self) -> bool {
        let kinds = [
            "deployments",
            "configmaps",
            "services",
            "secrets",
            "serviceaccounts",
            "networkpolicies",
            "poddisruptionbudgets",
        ];
        self.subresource.is_empty() && kinds.contains(&self.resource.as_str()) && self.is_write()
    }

    fn is_write(&self) -> bool {
        ["patch", "create", "delete"].contains(&self.verb.as_str())
    }
}

fn read(entry: &Value, user: &str) -> Option<Entry> {
    if entry["stage"] != "ResponseComplete" {
        return None;
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &entry["objectRef"];
    Some(Entry {
        came: seconds(entry["requestReceivedTimestamp"].as_str()?)?,
        answered: seconds(entry["stageTimestamp"].as_str()?)?,
        is_ours: entry["user"]["username"] == user,
        verb: text(&entry["verb"]),
        resource: text(&object["resource"]),
        subresource: text(&object["subresource"]),
        name: text(&object["name"]),
    })
}

/// Seconds of the day: a benchmark around midnight is run again.
fn seconds(timestamp: &str) -> Option<f64> {
    let time = timestamp.split_once('T')?.1.trim_end_matches('Z');
    let mut parts = time.split(':').map(str::parse::<f64>);
    Some(parts.next()?.ok()? * 3600.0 + parts.next()?.ok()? * 60.0 + parts.next()?.ok()?)
}
