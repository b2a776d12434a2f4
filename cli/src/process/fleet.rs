//! Several children of one kind: started together, started again when one dies, stopped together.

use super::child::{self, Happened, Running};
use super::config::Config;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use wire::document::ReadyDocument;

/// What is worth saying about a child.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    /// It logged a line.
    Log {
        /// Who.
        name: String,
        /// What.
        line: String,
    },
    /// It died by itself, or could not be started again.
    Died {
        /// Who.
        name: String,
        /// How.
        how: String,
        /// When it will be started again.
        again_in: Duration,
    },
    /// It runs again.
    Back {
        /// Who.
        name: String,
    },
    /// It did not end when asked to.
    Killed {
        /// Who.
        name: String,
    },
}

/// A child that was started.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Started {
    /// Name in messages.
    pub(crate) name: String,
    /// Process id.
    pub(crate) pid: u32,
    /// Where it listens.
    pub(crate) ready: ReadyDocument,
}

/// How children are started.
#[derive(Debug, Clone)]
pub(crate) struct Launcher {
    /// This program.
    pub(crate) executable: PathBuf,
    /// Who hears of children.
    pub(crate) news: mpsc::Sender<News>,
}

/// Children that run.
#[derive(Debug)]
pub(crate) struct Fleet {
    keepers: JoinSet<()>,
    order: watch::Sender<Order>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Run,
    Stop,
    Kill,
}

/// Longest wait before a child is started again.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(5);
const FIRST_BACK_OFF: Duration = Duration::from_millis(100);
/// A child that ran so long had a good start: its next death is a new story.
const GOOD_RUN: Duration = Duration::from_secs(10);

impl Fleet {
    /// Starts all children and waits until all are ready. If one is not, none stays.
    pub(crate) async fn start(configs: Vec<Config>, launcher: &Launcher) -> anyhow::Result<(Self, Vec<Started>)> {
        let (order, orders) = watch::channel(Order::Run);
        let mut keepers = JoinSet::new();
        let mut first = Vec::new();
        for config in configs {
            let (sender, receiver) = oneshot::channel();
            first.push((config.name(), receiver));
            let keeper = Keeper { config, launcher: launcher.clone() };
            keepers.spawn(keeper.keep(sender, orders.clone()));
        }
        let fleet = Self { keepers, order };
        let mut started = Vec::new();
        for (name, receiver) in first {
            match receiver.await.context("its keeper has panicked").flatten() {
                Ok((pid, ready)) => started.push(Started { name, pid, ready }),
                Err(error) => {
                    fleet.stop(std::future::ready(())).await;
                    return Err(error.context(format!("failed to start {name}")));
                }
            }
        }
        Ok((fleet, started))
    }

    /// Asks all children to finish and waits for them; kills them when they take too long or when `at_once` comes.
    pub(crate) async fn stop(mut self, at_once: impl Future<Output = ()>) {
        self.order.send_replace(Order::Stop);
        let mut at_once = std::pin::pin!(at_once);
        loop {
            tokio::select! {
                ended = self.keepers.join_next() => if ended.is_none() { return },
                () = &mut at_once, if *self.order.borrow() != Order::Kill => { self.order.send_replace(Order::Kill); }
            }
        }
    }
}

struct Keeper {
    config: Config,
    launcher: Launcher,
}

type First = oneshot::Sender<anyhow::Result<(u32, ReadyDocument)>>;

impl Keeper {
    async fn keep(mut self, first: First, mut orders: watch::Receiver<Order>) {
        let mut first = Some(first);
        let mut back_off = FIRST_BACK_OFF;
        loop {
            let started = tokio::select! {
                started = child::start(&self.launcher.executable, &self.config) => started,
                () = at_least(&mut orders, Order::Stop) => return,
            };
            let how = match started {
                Err(error) if first.is_some() => {
                    let _ = first.take().expect("it was just there").send(Err(error));
                    return;
                }
                Err(error) => format!("{error:#}"),
                Ok(running) => {
                    self.config.keep_ports(&running.ready);
                    self.announce(&running, first.take()).await;
                    let since = Instant::now();
                    let Some(how) = self.watch(running, &mut orders).await else { return };
                    if since.elapsed() > GOOD_RUN {
                        back_off = FIRST_BACK_OFF;
                    }
                    how
                }
            };
            self.tell(News::Died { name: self.config.name(), how, again_in: back_off }).await;
            tokio::select! {
                () = tokio::time::sleep(back_off) => {}
                () = at_least(&mut orders, Order::Stop) => return,
            }
            back_off = next_back_off(back_off);
        }
    }

    async fn announce(&self, running: &Running, first: Option<First>) {
        match first {
            Some(first) => {
                let _ = first.send(Ok((running.id().unwrap_or_default(), running.ready.clone())));
            }
            None => self.tell(News::Back { name: self.config.name() }).await,
        }
    }

    /// Forwards its log until it ends. How it died by itself, or none when it was told to end.
    async fn watch(&self, mut running: Running, orders: &mut watch::Receiver<Order>) -> Option<String> {
        loop {
            let happened = tokio::select! {
                happened = running.next() => happened,
                () = at_least(orders, Order::Stop) => break,
            };
            match happened {
                Happened::Logged(line) => self.tell(News::Log { name: self.config.name(), line }).await,
                Happened::Ended(how) => return Some(how),
            }
        }
        let killed = running.stop(at_least(orders, Order::Kill)).await;
        if killed && *orders.borrow() != Order::Kill {
            self.tell(News::Killed { name: self.config.name() }).await;
        }
        None
    }

    async fn tell(&self, news: News) {
        // Nobody listens any more at the end of a run.
        let _ = self.launcher.news.send(news).await;
    }
}

fn next_back_off(last: Duration) -> Duration {
    (last * 2).min(LONGEST_BACK_OFF)
}

async fn at_least(orders: &mut watch::Receiver<Order>, wanted: Order) {
    // A fleet that was dropped wants its children to end.
    let _ = orders.wait_for(|order| *order >= wanted).await;
}

/// This program, to be started again as a child.
pub(crate) fn this_executable() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe().context("failed to find this program")?;
    // After an upgrade of the file under a running program the path is gone, but Linux still knows the program.
    Ok(if path.exists() { path } else { Path::new("/proc/self/exe").to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use wire::document::DeviceDocument;

    fn device() -> Config {
        Config::Device(Box::new(DeviceDocument {
            device: "edge".into(),
            listen: "127.0.0.1:0".into(),
            metrics_listen: "127.0.0.1:0".into(),
            fragments: vec![],
            links: Default::default(),
            emulate: None,
            memory_budget_bytes: None,
            tls: None,
        }))
    }

    /// A launcher whose program is a shell script.
    fn launcher(folder: &Path, script: &str) -> (Launcher, mpsc::Receiver<News>) {
        let executable = folder.join("program");
        std::fs::write(&executable, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&executable, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (news, receiver) = mpsc::channel(16);
        (Launcher { executable, news }, receiver)
    }

    const READY: &str = r#"echo '{"address":"127.0.0.1:7","metrics":"127.0.0.1:8"}'"#;

    #[test]
    fn the_back_off_grows_to_its_limit() {
        let mut wait = FIRST_BACK_OFF;
        for _ in 0..20 {
            wait = next_back_off(wait);
        }
        assert_eq!((next_back_off(FIRST_BACK_OFF), wait), (FIRST_BACK_OFF * 2, LONGEST_BACK_OFF));
    }

    #[tokio::test]
    async fn a_child_that_fails_at_its_start_is_an_error_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let (launcher, _news) = launcher(folder.path(), "echo 'error: no such file' >&2; exit 3");
        let error = Fleet::start(vec![device()], &launcher).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "failed to start device edge: ended with code 3: no such file");
    }

    #[tokio::test]
    async fn a_child_that_dies_is_started_again_on_its_port() {
        let folder = tempfile::tempdir().unwrap();
        // The second one finds the port in its document and stays until its standard input ends. It reads before it is
        // ready: then the document goes.
        let grep = "grep -q '\"listen\": \"127.0.0.1:7\"' \"$5\" && kept=yes";
        let script = format!("{grep}\n{READY}\nif [ \"$kept\" ]; then cat; fi");
        let (launcher, mut news) = launcher(folder.path(), &script);
        let (fleet, started) = Fleet::start(vec![device()], &launcher).await.unwrap();
        assert_eq!(started[0].ready.metrics, "127.0.0.1:8");
        let died = News::Died { name: "device edge".into(), how: "ended with code 0".into(), again_in: FIRST_BACK_OFF };
        assert_eq!(news.recv().await, Some(died));
        assert_eq!(news.recv().await, Some(News::Back { name: "device edge".into() }));
        fleet.stop(std::future::pending()).await;
        assert_eq!(news.try_recv().ok(), None, "SIGTERM ended it: it was not killed");
    }

    #[tokio::test]
    async fn a_child_that_ignores_sigterm_is_killed_at_once_when_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let (launcher, _news) =
            launcher(folder.path(), &format!("trap '' TERM\n{READY}\nwhile true; do sleep 0.01; done"));
        let (fleet, started) = Fleet::start(vec![device()], &launcher).await.unwrap();
        let before = Instant::now();
        fleet.stop(tokio::time::sleep(Duration::from_millis(50))).await;
        assert!(before.elapsed() < Duration::from_secs(3));
        assert!(!Path::new(&format!("/proc/{}", started[0].pid)).exists());
    }
}
