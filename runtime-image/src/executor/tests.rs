use super::*;
use tokio::sync::oneshot;

impl Executor<u64, u64> {
    /// Submits a job whose end can be awaited.
    fn run(&self, lane: usize, task: u64, deadline: Option<Instant>) -> oneshot::Receiver<Completed<u64>> {
        let (told, ended) = oneshot::channel();
        self.submit(lane, task, deadline, Box::new(|completed| drop(told.send(completed))));
        ended
    }
}

/// A lane that answers a task (milliseconds of emulated core time) with itself.
fn lane(workers: usize) -> Lane<u64, u64> {
    Lane {
        workers,
        cpu_request: 1.0,
        cpu_limit: f64::INFINITY,
        serve: Box::new(|task| {
            assert!(task != 13, "an unlucky number");
            Served { result: task, emulated: Duration::from_millis(task) }
        }),
    }
}

fn service(completed: Completed<u64>) -> (u64, f64, f64) {
    match completed {
        Completed::Served { result, waited, service, .. } => (result, waited.as_secs_f64(), service.as_secs_f64()),
        other => panic!("not served: {other:?}"),
    }
}

#[tokio::test]
async fn an_emulated_core_starts_each_job_when_the_one_before_ended() {
    let executor = Executor::start(vec![lane(1)], Some(1.0), 1).unwrap();
    let begun = Instant::now();
    let all: Vec<_> = (0..20).map(|_| executor.run(0, 5, None)).collect();
    let submitting = begun.elapsed().as_secs_f64();
    let (mut services, mut last) = (vec![], 0.0);
    for job in all {
        let (_, waited, service) = service(job.await.unwrap());
        assert!(service > 0.005 - 1e-6, "{service}");
        services.push(service);
        last = waited;
    }
    // On the virtual clock there is no gap between two jobs, whenever threads woke up: what the last one did not wait of
    // the services before it is the time that passed before it was submitted.
    let before: f64 = services[..19].iter().sum();
    assert!((-1e-6..=submitting + 1e-6).contains(&(before - last)), "{before} {last} {submitting}");
    assert!(executor.load().busy_core_seconds > 0.1 - 1e-6);
}

#[tokio::test]
async fn two_lanes_share_an_emulated_core() {
    let executor = Executor::start(vec![lane(1), lane(1)], Some(1.0), 1).unwrap();
    let (a, b) = (executor.run(0, 20, None), executor.run(1, 20, None));
    let (a, b) = (service(a.await.unwrap()).2, service(b.await.unwrap()).2);
    assert!(a > 0.035 && b > 0.035, "alone it would be 0.02: {a} {b}");
}

#[tokio::test]
async fn a_real_device_serves_with_all_its_workers() {
    let executor = Executor::start(vec![lane(2)], None, 2).unwrap();
    let all: Vec<_> = (0..100).map(|task| executor.run(0, if task == 13 { 0 } else { task }, None)).collect();
    for job in all {
        service(job.await.unwrap());
    }
}

#[tokio::test]
async fn a_panic_fails_its_job_only() {
    let executor = Executor::start(vec![lane(1)], None, 1).unwrap();
    assert!(matches!(executor.run(0, 13, None).await.unwrap(), Completed::Panicked));
    assert_eq!(service(executor.run(0, 1, None).await.unwrap()).0, 1);
}

#[tokio::test]
async fn a_job_whose_deadline_passed_in_the_queue_is_not_computed() {
    let executor = Executor::start(vec![lane(1)], Some(1.0), 1).unwrap();
    let first = executor.run(0, 30, None);
    let late = executor.run(0, 1, Some(Instant::now() + Duration::from_millis(5)));
    let fine = executor.run(0, 1, Some(Instant::now() + Duration::from_secs(5)));
    service(first.await.unwrap());
    assert!(matches!(late.await.unwrap(), Completed::Expired));
    service(fine.await.unwrap());
}
