//! Serves the jobs of a device: first come first served inside each lane (one per fragment), by threads of its own.
//!
//! On a real device a lane's workers serve as many jobs at a time, and a job is done when its computation is. On an
//! emulated device computation happens as well, but a job is done when the virtual clock ([`pods`]) has given it the
//! core time that the device would have needed; if computing took longer than that, the job is *late*.

mod pods;

use pods::{Pods, Share};
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How the jobs of one lane are served.
pub(crate) struct Lane<T, R> {
    /// Jobs served at a time; at least 1.
    pub(crate) workers: usize,
    /// Weight when lanes compete for emulated cores.
    pub(crate) cpu_request: f64,
    /// Most emulated cores the lane gets.
    pub(crate) cpu_limit: f64,
    /// Computes one job. Called on several threads at a time, at most `workers`.
    pub(crate) serve: Serve<T, R>,
}

/// Computes one job.
pub(crate) type Serve<T, R> = Box<dyn Fn(T) -> Served<R> + Send + Sync>;

/// What to do when a job has ended; called on the thread that ended it, so it must not wait.
pub(crate) type Then<R> = Box<dyn FnOnce(Completed<R>) + Send>;

/// What computing a job gave.
#[derive(Debug)]
pub(crate) struct Served<R> {
    /// The result.
    pub(crate) result: R,
    /// Core time that the emulated device needs for it; not used on a real one.
    pub(crate) emulated: Duration,
}

/// How a job ended, with its times.
#[derive(Debug)]
pub(crate) enum Completed<R> {
    /// It was served.
    Served {
        /// The result.
        result: R,
        /// From submission to the start of service.
        waited: Duration,
        /// From the start of service to its end.
        service: Duration,
        /// Computing took longer than the emulated device would have.
        late: bool,
    },
    /// Its deadline passed before it was served.
    Expired,
    /// Computing panicked; the thread lives on.
    Panicked,
}

/// A snapshot for metrics.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// Jobs waiting, per lane.
    pub(crate) waiting: Vec<usize>,
    /// Core-seconds given to jobs since the start.
    pub(crate) busy_core_seconds: f64,
}

/// The handle; dropping the last one stops the threads once they are idle.
#[derive(Debug)]
pub(crate) struct Executor<T, R> {
    shared: Arc<Shared<T, R>>,
}

struct Shared<T, R> {
    lanes: Vec<Lane<T, R>>,
    start: Instant,
    state: Mutex<State<T, R>>,
    /// Wakes compute threads.
    work: Condvar,
    /// Wakes the clock thread.
    clock: Condvar,
}

struct State<T, R> {
    waiting: Vec<VecDeque<Waiting<T, R>>>,
    running: Vec<BTreeMap<u64, Running<R>>>,
    ready: VecDeque<Ready<T>>,
    pods: Option<Pods>,
    real_busy: f64,
    /// Ended jobs, told once the lock is free.
    ended: Vec<(Then<R>, Completed<R>)>,
    next_id: u64,
    stopped: bool,
}

struct Waiting<T, R> {
    task: T,
    deadline: Option<Instant>,
    since: f64,
    then: Then<R>,
}

struct Ready<T> {
    lane: usize,
    id: u64,
    task: T,
}

struct Running<R> {
    started: f64,
    waited: f64,
    late: bool,
    result: Option<R>,
    then: Then<R>,
}

impl<T: Send + 'static, R: Send + 'static> Executor<T, R> {
    /// Starts `threads` compute threads (at least 1). `emulated_cores` turns on the virtual clock.
    pub(crate) fn start(lanes: Vec<Lane<T, R>>, emulated_cores: Option<f64>, threads: usize) -> std::io::Result<Self> {
        let shares = lanes.iter().map(|lane| Share { request: lane.cpu_request, limit: lane.cpu_limit });
        let state = State {
            waiting: lanes.iter().map(|_| VecDeque::new()).collect(),
            running: lanes.iter().map(|_| BTreeMap::new()).collect(),
            ready: VecDeque::new(),
            pods: emulated_cores.map(|cores| Pods::new(cores, shares)),
            real_busy: 0.0,
            ended: Vec::new(),
            next_id: 0,
            stopped: false,
        };
        let emulated = state.pods.is_some();
        let shared = Arc::new(Shared {
            lanes,
            start: Instant::now(),
            state: Mutex::new(state),
            work: Condvar::new(),
            clock: Condvar::new(),
        });
        for index in 0..threads.max(1) {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("compute-{index}")).spawn(move || shared.compute())?;
        }
        if emulated {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name("device-clock".into()).spawn(move || shared.keep_time())?;
        }
        Ok(Self { shared })
    }

    /// Queues a job. The queue has no bound of its own: each job in it holds memory of a region.
    pub(crate) fn submit(&self, lane: usize, task: T, deadline: Option<Instant>, then: Then<R>) {
        let mut state = self.shared.lock();
        let since = self.shared.advance(&mut state);
        state.waiting[lane].push_back(Waiting { task, deadline, since, then });
        self.shared.admit(&mut state, lane);
        tell(state);
    }

    /// What is going on.
    pub(crate) fn load(&self) -> Load {
        let mut state = self.shared.lock();
        self.shared.advance(&mut state);
        let load = Load {
            waiting: state.waiting.iter().map(VecDeque::len).collect(),
            busy_core_seconds: state.pods.as_ref().map_or(state.real_busy, Pods::busy),
        };
        tell(state);
        load
    }
}

impl<T, R> Shared<T, R> {
    fn lock(&self) -> MutexGuard<'_, State<T, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the clock up to the present, ending jobs on the way at their own times. Returns the present.
    fn advance(&self, state: &mut State<T, R>) -> f64 {
        let now = self.start.elapsed().as_secs_f64();
        while let Some((lane, id)) = state.pods.as_mut().and_then(|pods| pods.step(now)) {
            let at = state.pods.as_ref().map_or(now, Pods::now);
            state.finish(lane, id, at);
            self.admit(state, lane);
        }
        now
    }

    /// Starts waiting jobs of a lane while it has idle workers.
    fn admit(&self, state: &mut State<T, R>, lane: usize) {
        let at = state.pods.as_ref().map_or_else(|| self.start.elapsed().as_secs_f64(), Pods::now);
        while state.running[lane].len() < self.lanes[lane].workers {
            let Some(next) = state.waiting[lane].pop_front() else { return };
            if next.deadline.is_some_and(|deadline| deadline <= self.start + Duration::from_secs_f64(at)) {
                state.ended.push((next.then, Completed::Expired));
                continue;
            }
            let id = state.next_id;
            state.next_id += 1;
            if let Some(pods) = &mut state.pods {
                pods.start(lane, id);
            }
            let running =
                Running { started: at, waited: (at - next.since).max(0.0), late: false, result: None, then: next.then };
            state.running[lane].insert(id, running);
            state.ready.push_back(Ready { lane, id, task: next.task });
            self.work.notify_one();
        }
    }

    fn compute(&self) {
        let mut state = self.lock();
        loop {
            let Some(Ready { lane, id, task }) = state.ready.pop_front() else {
                if state.stopped {
                    return;
                }
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            let served = catch_unwind(AssertUnwindSafe(|| (self.lanes[lane].serve)(task)));
            state = self.lock();
            self.computed(&mut state, lane, id, served.ok());
            tell(state);
            state = self.lock();
        }
    }

    /// A job has been computed: on a real device it is done, on an emulated one its work is now known.
    fn computed(&self, state: &mut State<T, R>, lane: usize, id: u64, served: Option<Served<R>>) {
        let now = self.advance(state);
        let emulated = served.as_ref().map_or(Duration::ZERO, |served| served.emulated);
        let late = state.pods.as_mut().is_some_and(|pods| pods.set_work(lane, id, emulated.as_secs_f64()));
        if let Some(running) = state.running[lane].get_mut(&id) {
            running.late = late;
            running.result = served.map(|served| served.result);
        }
        if state.pods.is_some() {
            self.clock.notify_one();
        } else {
            state.finish(lane, id, now);
            self.admit(state, lane);
        }
    }

    /// The clock thread: ends emulated jobs when their time has come.
    fn keep_time(&self) {
        let mut state = self.lock();
        while !state.stopped {
            let now = self.advance(&mut state);
            if !state.ended.is_empty() {
                tell(state);
                state = self.lock();
                continue;
            }
            let next = state.pods.as_ref().and_then(Pods::next_completion);
            state = match next {
                None => self.clock.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let left = Duration::from_secs_f64((at - now).clamp(0.0, 60.0));
                    self.clock.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl<T, R> State<T, R> {
    fn finish(&mut self, lane: usize, id: u64, at: f64) {
        let Some(job) = self.running[lane].remove(&id) else { return };
        let service = (at - job.started).max(0.0);
        self.real_busy += service;
        let completed = match job.result {
            None => Completed::Panicked,
            Some(result) => Completed::Served {
                result,
                waited: Duration::from_secs_f64(job.waited),
                service: Duration::from_secs_f64(service),
                late: job.late,
            },
        };
        self.ended.push((job.then, completed));
    }
}

/// Frees the lock, then tells the jobs that have ended.
fn tell<T, R>(mut state: MutexGuard<'_, State<T, R>>) {
    let ended = std::mem::take(&mut state.ended);
    drop(state);
    for (then, completed) in ended {
        // A bug in what follows a job must not end the thread that computes the others.
        if catch_unwind(AssertUnwindSafe(|| then(completed))).is_err() {
            tracing::error!("what follows a job panicked");
        }
    }
}

impl<T, R> Drop for Executor<T, R> {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.work.notify_all();
        self.shared.clock.notify_all();
    }
}

impl<T, R> std::fmt::Debug for Shared<T, R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").field("lanes", &self.lanes.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
