//! Results to try tables and rows with.

use super::agreement::Agreement;
use super::document::{
    CaseDocument, ChainDocument, DeviceDocument, Document, FatesDocument, FragmentDocument, LatencyDocument,
    LinkDocument, Metric, RunDocument, SourceDocument,
};

fn metric(value: f64, ci99: f64) -> Metric {
    Metric { value: Some(value), ci99: Some(ci99), agrees: None }
}

fn fates(scale: f64, lost_at: &str) -> FatesDocument {
    let exact = Metric { agrees: Some(true), ..metric(0.4920635 * scale, 0.00101) };
    FatesDocument {
        arrival_rate: metric(0.5 * scale, 0.0),
        throughput: exact,
        loss_prob: metric(0.0158, 0.000_203),
        failure_prob: metric(0.0, 0.000_004),
        answered_on_overflow: metric(0.0, 0.000_004),
        response_time_completed: Metric { agrees: Some(false), ..metric(0.1838, 0.0012) },
        latency: LatencyDocument { p50: metric(0.1412, 0.001), p95: metric(0.4301, 0.0056), p99: metric(0.7, 0.0123) },
        accuracy: (scale > 1.0).then(|| metric(0.9312, 0.0004)),
        exits: vec![metric(0.25, 0.001), metric(0.75, 0.001)],
        lost_at: [(lost_at.to_owned(), metric(0.0158, 0.000_203))].into(),
    }
}

/// Two chains on two devices, with a link.
pub(super) fn document() -> Document {
    let fragment = |device: &str| FragmentDocument {
        device: device.to_owned(),
        offered_rate: metric(0.5, 0.0001),
        served_rate: metric(0.4920, 0.001),
        residence_time: Metric { value: None, ci99: None, agrees: None },
    };
    let device = |name: &str, busy: f64| DeviceDocument {
        name: name.to_owned(),
        utilization: metric(busy, 0.0013),
        mean_jobs: metric(2.0 * busy, 0.01),
    };
    let case = CaseDocument {
        id: "two, with a comma".to_owned(),
        description: Some("Two chains on two devices".to_owned()),
        chains: vec![
            ChainDocument {
                name: "early".to_owned(),
                fates: fates(10.0, "front"),
                fragments: vec![fragment("front"), fragment("box")],
            },
            ChainDocument { name: "late".to_owned(), fates: fates(1.0, "box"), fragments: vec![fragment("box")] },
        ],
        devices: vec![device("front", 0.4921), device("box", 0.984)],
        links: vec![LinkDocument {
            name: "front→box".to_owned(),
            utilization: metric(0.0102, 0.0001),
            transit_time: metric(0.0121, 0.0),
        }],
        sources: vec![SourceDocument {
            name: "camera".to_owned(),
            fates: fates(11.0, "box"),
            retries: metric(0.01, 0.001),
            failed_by: [("deadline".to_owned(), metric(0.0, 0.000_004))].into(),
        }],
        agreement: Some(Agreement { compared: 4, agreeing: 2 }),
        run: RunDocument {
            seed: 1,
            replications: 8,
            batches: 32,
            arrivals: 1_234_567,
            events: 5_000_000,
            seconds: 123_456.7,
            ended: "arrivals",
            transient: false,
        },
    };
    Document { cases: vec![case], skipped: vec!["three".to_owned()] }
}
