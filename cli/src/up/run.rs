//! A run of local mode, from the start of its processes to the summary.

use super::board::{Board, Poller};
use super::compare::compare;
use super::follow::{Change, Follower, LOOK_EVERY};
use super::local::{Gateway, Local, work_folder};
use super::options::{Checked, Output};
use super::samples::{ServiceSamples, write_example};
use crate::display::{Screen, ServiceView, View};
use crate::exit_code::Outcome;
use crate::load::client::Client;
use crate::load::clock;
use crate::load::driver::{Shared, Target, drive};
use crate::load::plan::{Plan, Source};
use crate::measure::summary::{Run, Summary, summarise};
use crate::measure::{Account, Stream, gateways, table};
use crate::placement::PlacementDocument;
use crate::plan::in_words;
use crate::process::{Interrupts, News, Urgency};
use anyhow::Context;
use deployment::{Deployment, ServicePlan, SourcePlan};
use hyper::Uri;
use hyper::header::HeaderValue;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Answers that come later than this after the last job do not come, unless the policy allows for more.
const PATIENCE: Duration = Duration::from_secs(30);
/// News on their way to the screen. When it is full children wait with their log lines.
const NEWS_QUEUE: usize = 256;

/// All sources, in the order of the manifests.
pub(crate) fn sources(deployment: &Deployment) -> Vec<Source> {
    let of_service = |service: &ServicePlan| {
        let source = |source: &SourcePlan| Source {
            stream: Stream { service: service.name.clone(), source: source.name.clone() },
            expected_rate: source.expected_rate,
        };
        service.sources.iter().map(source).collect::<Vec<_>>()
    };
    deployment.services.iter().flat_map(of_service).collect()
}

/// Runs until the load or the user ends it.
pub(crate) fn run(checked: Checked, out: &mut dyn Write) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let interrupts = Interrupts::listen()?;
        let stage = Stage::new();
        checked.placement.iter().flat_map(PlacementDocument::lines).for_each(|line| stage.message(&line));
        let (news, heard) = mpsc::channel(NEWS_QUEUE);
        tokio::spawn(listen(heard, stage.clone()));
        let started = Local::start(checked.deployment.clone(), checked.listen, news, &interrupts).await?;
        let Some(local) = started else {
            stage.message("interrupted before it was ready");
            return Ok(());
        };
        let result = stage.perform(&checked, &local, &interrupts, out).await;
        local.stop(&interrupts).await;
        stage.message("all processes have ended");
        result
    })
}

/// What is shown, and what is known.
#[derive(Debug, Clone)]
struct Stage {
    screen: Arc<Mutex<Screen>>,
    board: Arc<Mutex<Board>>,
    /// New plans so far.
    changes: Arc<Mutex<Vec<Change>>>,
}

async fn listen(mut news: mpsc::Receiver<News>, stage: Stage) {
    while let Some(news) = news.recv().await {
        if let News::Died { name, .. } = &news {
            stage.board.lock().expect("nothing panics under this lock").died(name);
        }
        stage.message(&say(&news));
    }
}

fn say(news: &News) -> String {
    match news {
        News::Log { name, line } => format!("[{name}] {line}"),
        News::Died { name, how, again_in } => {
            format!("{name} {how}; starting it again in {:.1} s", again_in.as_secs_f64())
        }
        News::Back { name } => format!("{name} is back"),
        News::Killed { name } => format!("{name} did not end in time and was killed"),
    }
}

impl Stage {
    fn new() -> Self {
        Self { screen: Arc::new(Mutex::new(Screen::stderr())), board: Arc::default(), changes: Arc::default() }
    }

    /// Standard error that is gone is no reason to stop serving.
    fn message(&self, text: &str) {
        let _ = self.screen.lock().expect("nothing panics under this lock").message(text);
    }

    fn board(&self) -> std::sync::MutexGuard<'_, Board> {
        self.board.lock().expect("nothing panics under this lock")
    }

    async fn perform(&self, checked: &Checked, local: &Local, interrupts: &Interrupts, out: &mut dyn Write) -> Outcome {
        self.introduce(local);
        let poller = Poller::new(local, self.board.clone());
        poller.poll().await;
        match &checked.plan {
            None => self.serve(checked, local, &poller, interrupts, out).await,
            Some(plan) => {
                let summary = self.load(checked, plan, local, &poller, interrupts).await?;
                let text = match checked.output {
                    Output::Json => {
                        serde_json::to_string_pretty(&summary).context("failed to write the summary")? + "\n"
                    }
                    Output::Table => table::render(&summary),
                };
                for warning in &summary.warnings {
                    self.message(&format!("WARNING: {warning}"));
                }
                Ok(out.write_all(text.as_bytes()).and_then(|()| out.flush())?)
            }
        }
    }

    fn introduce(&self, local: &Local) {
        for (name, started) in &local.devices {
            self.message(&format!("device {name} (pid {}) at {}", started.pid, started.ready.address));
        }
        for gateway in &local.gateways {
            let started = &gateway.started;
            self.message(&format!(
                "gateway {} (pid {}) at http://{}",
                gateway.name, started.pid, started.ready.address
            ));
        }
    }

    async fn serve(
        &self,
        checked: &Checked,
        local: &Local,
        poller: &Poller,
        interrupts: &Interrupts,
        out: &mut dyn Write,
    ) -> Outcome {
        // It goes when this function ends; programs do not need it.
        let folder = (checked.output == Output::Table).then(work_folder).transpose()?;
        match &folder {
            Some(folder) => {
                let lines = curl_lines(checked, local, folder.path())?;
                writeln!(out, "\nTry it from another terminal; Ctrl-C ends:\n  {}\n", lines.join("\n  "))?;
            }
            None => writeln!(out, "{}", addresses(local))?,
        }
        out.flush()?;
        let begin = Instant::now();
        let show = self.show_for_ever(begin, |stage| stage.serve_view(begin));
        tokio::select! {
            () = show => {}
            () = poller.poll_for_ever() => {}
            () = self.follow_for_ever(checked, local, begin) => {}
            () = interrupts.wanted(Urgency::Orderly) => {}
        }
        self.clear();
        Ok(())
    }

    async fn load(
        &self,
        checked: &Checked,
        plan: &Plan,
        local: &Local,
        poller: &Poller,
        interrupts: &Interrupts,
    ) -> Outcome<Summary> {
        self.board().begin();
        let begin = Instant::now();
        let shared = Arc::new(Shared {
            targets: targets(checked, local)?,
            account: Mutex::new(account(&checked.deployment)),
            begin,
        });
        let (jobs, stopper, _clock) = clock::start(plan.jobs(&sources(&checked.deployment)), begin)?;
        let driving = drive(shared.clone(), jobs, patience(&checked.deployment));
        let stop = async {
            interrupts.wanted(Urgency::Orderly).await;
            stopper.stop();
            self.message("no more jobs are sent; waiting for the last answers");
            interrupts.wanted(Urgency::Now).await;
        };
        let show = self.show_for_ever(begin, |stage| stage.load_view(plan, &shared));
        tokio::select! {
            () = driving => {}
            () = stop => {}
            () = show => {}
            () = poller.poll_for_ever() => {}
            () = self.follow_for_ever(checked, local, begin) => {}
        }
        let seconds = begin.elapsed().as_secs_f64();
        self.clear();
        poller.poll().await;
        let mut summary = self.summary(plan, &shared, seconds);
        if let Some(start) = checked.start.as_ref().filter(|_| checked.reoptimizes) {
            let changes = self.changes.lock().expect("nothing panics under this lock").clone();
            summary.reoptimization = Some(compare(start, &checked.deployment, plan, changes)?);
        }
        Ok(summary)
    }

    fn summary(&self, plan: &Plan, shared: &Shared, seconds: f64) -> Summary {
        let board = self.board();
        let account = shared.account.lock().expect("nothing panics under this lock");
        let mut warnings: Vec<String> =
            board.gateways().filter_map(|(name, telemetry)| gateways::check(name, telemetry).err()).collect();
        if board.gateway_deaths > 0 {
            warnings.push(format!("gateways died {} times; jobs that they held have failed", board.gateway_deaths));
        }
        let phases = plan.labels(seconds);
        summarise(&account, Run { seed: plan.seed, seconds, phases: &phases, devices: &board.devices, warnings })
    }

    fn serve_view(&self, begin: Instant) -> View {
        let board = self.board();
        View {
            elapsed: begin.elapsed().as_secs_f64(),
            services: board.service_views(),
            devices: board.device_views(),
            ..View::default()
        }
    }

    fn load_view(&self, plan: &Plan, shared: &Shared) -> View {
        let now = shared.begin.elapsed();
        let seconds = now.as_secs_f64();
        let rates: Vec<f64> = plan.loads.iter().filter_map(|load| load.phase_at(seconds)?.1).collect();
        let mut account = shared.account.lock().expect("nothing panics under this lock");
        let names: Vec<String> = account.services().into_iter().map(str::to_owned).collect();
        let services = names.into_iter().map(|name| ServiceView {
            in_flight: account.in_flight(&name),
            window: account.window(&name, now),
            name,
        });
        View {
            elapsed: seconds,
            ends: Some(plan.seconds()),
            offered: (!rates.is_empty()).then(|| rates.iter().sum()),
            services: services.collect(),
            devices: self.board().device_views(),
        }
    }

    async fn show_for_ever(&self, begin: Instant, view: impl Fn(&Self) -> View) {
        let interval = self.screen.lock().expect("nothing panics under this lock").interval();
        let mut ticks = tokio::time::interval_at((begin + interval).into(), interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let view = view(self);
            let _ = self.screen.lock().expect("nothing panics under this lock").draw(&view, Instant::now());
        }
    }

    /// New plans when the load drifts, if anybody wants them.
    async fn follow_for_ever(&self, checked: &Checked, local: &Local, begin: Instant) {
        let start = checked.start.as_ref().filter(|_| checked.reoptimizes);
        let follower = start.and_then(|start| Follower::new(start, &checked.deployment, local, begin));
        let Some(mut follower) = follower else { return std::future::pending().await };
        if let Some(start) = start {
            let services = checked.deployment.services.iter().zip(&start.plan.policies);
            services
                .for_each(|(service, policy)| self.message(&format!("plan 1: {}: {}", service.name, in_words(policy))));
        }
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            // That nothing is sent any more is no change of the load.
            if checked.plan.as_ref().is_some_and(|plan| begin.elapsed().as_secs_f64() > plan.seconds()) {
                return std::future::pending().await;
            }
            let (observation, versions) = {
                let board = self.board();
                let versions = board.gateways().map(|(name, telemetry)| (name.to_owned(), telemetry.policy)).collect();
                (follower.read(&board), versions)
            };
            let Some(observation) = observation else { continue };
            match follower.look(observation, &versions).await {
                Ok(look) => {
                    look.messages.iter().for_each(|message| self.message(message));
                    self.changes.lock().expect("nothing panics under this lock").extend(look.change);
                }
                Err(error) => {
                    self.message(&format!("no new plans from now on: {error:#}"));
                    return std::future::pending().await;
                }
            }
        }
    }

    fn clear(&self) {
        let _ = self.screen.lock().expect("nothing panics under this lock").clear();
    }
}

/// A request to try for every gateway, in files in `folder`.
fn curl_lines(checked: &Checked, local: &Local, folder: &Path) -> Outcome<Vec<String>> {
    let mut lines = Vec::new();
    for gateway in &local.gateways {
        if let Some(samples) = checked.samples.iter().find(|samples| samples.service == gateway.service) {
            let file = write_example(samples, folder)?;
            lines.push(curl(&gateway.started.ready.address, &gateway.service, &file));
        }
    }
    Ok(lines)
}

fn curl(address: &str, service: &str, file: &Path) -> String {
    format!("curl -s http://{address}/v2/models/{service}/infer -d @{}", file.display())
}

/// For programs that start `eenn up -o json` without load: where all processes are.
fn addresses(local: &Local) -> serde_json::Value {
    let devices = local.devices.iter().map(|(name, started)| {
        serde_json::json!({"name": name, "pid": started.pid, "address": started.ready.address, "metrics": started.ready.metrics})
    });
    let gateways = local.gateways.iter().map(|gateway| {
        let started = &gateway.started;
        serde_json::json!({
            "name": gateway.name, "service": gateway.service, "device": gateway.device, "pid": started.pid,
            "url": format!("http://{}/v2/models/{}", started.ready.address, gateway.service),
            "address": started.ready.address, "metrics": started.ready.metrics,
        })
    });
    serde_json::json!({"devices": devices.collect::<Vec<_>>(), "gateways": gateways.collect::<Vec<_>>()})
}

fn account(deployment: &Deployment) -> Account {
    let streams = sources(deployment).into_iter().map(|source| source.stream).collect();
    let exits = deployment.services.iter().flat_map(|service| service.sources.iter().map(|_| service.exits.len()));
    Account::new(streams, exits.collect())
}

/// How long answers are waited for after the last job.
fn patience(deployment: &Deployment) -> Duration {
    let gateways = deployment.services.iter().flat_map(|service| &service.gateways);
    let deadline = gateways.filter_map(|gateway| gateway.policy.deadline_milliseconds).max();
    deadline.map_or(PATIENCE, |deadline| Duration::from_millis(deadline).max(PATIENCE))
}

/// In the order of [`sources`].
fn targets(checked: &Checked, local: &Local) -> anyhow::Result<Vec<Target>> {
    let services = checked.deployment.services.iter();
    let sources = services.flat_map(|service| service.sources.iter().map(move |source| (&service.name, source)));
    let target = |(service, source): (&String, &SourcePlan)| {
        let ours = |gateway: &&Gateway| gateway.service == *service && gateway.device == source.device;
        let gateway = local.gateways.iter().find(ours).context("every source has a gateway")?;
        let of_service = |samples: &&ServiceSamples| samples.service == *service;
        let samples = checked.samples.iter().find(of_service).and_then(|samples| samples.samples.clone());
        let address = &gateway.started.ready.address;
        Ok(Target {
            client: Client::new(address),
            uri: Uri::try_from(format!("/v2/models/{service}/infer"))?,
            host: HeaderValue::from_str(address)?,
            source: HeaderValue::from_str(&source.name)?,
            samples: samples.context("every service has samples")?,
        })
    };
    sources.map(target).collect()
}
