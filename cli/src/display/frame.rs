//! A view as lines of text, without anything that a terminal has to understand.

use super::view::{DeviceView, ServiceView, View};
use crate::format::{bar, bytes, count, digits, milliseconds, percent};

/// Cells of the bar of a device.
const DEVICE_BAR: usize = 20;
/// Cells of the bar of an exit.
const EXIT_BAR: usize = 8;

/// All lines of the live display.
pub(crate) fn lines(view: &View) -> Vec<String> {
    let mut lines = vec![headline(view)];
    view.services.iter().for_each(|service| lines.extend(service_lines(service)));
    let width = view.devices.iter().map(|device| device.name.chars().count()).max().unwrap_or(0);
    lines.extend(view.devices.iter().map(|device| device_line(device, width)));
    lines
}

/// One line for those who do not look at a terminal.
pub(crate) fn plain(view: &View) -> String {
    let services = view.services.iter().map(|service| {
        let window = &service.window;
        let exits: Vec<_> = window.exits.iter().map(|share| format!("{:.0}", share * 100.0)).collect();
        format!(
            "{}: {}/s, in flight {}, loss {}, failed {}, accuracy {}, p50 {} ms, p95 {} ms, exits {} %",
            service.name,
            digits(window.arrival_rate),
            service.in_flight,
            percent(window.loss_ratio),
            percent(window.failed_ratio),
            percent(window.accuracy),
            milliseconds(window.p50),
            milliseconds(window.p95),
            exits.join("/"),
        )
    });
    let devices = view.devices.iter().map(|device| format!("{} {}", device.name, percent(device.busy)));
    let busy = format!("busy: {}", devices.collect::<Vec<_>>().join(", "));
    let parts: Vec<_> = services.chain(std::iter::once(busy)).collect();
    format!("{:>6.1} s  {}", view.elapsed, parts.join("; "))
}

fn headline(view: &View) -> String {
    let time = match view.ends {
        Some(ends) if view.elapsed <= ends => format!("{:.0} of {:.0} s", view.elapsed, ends),
        Some(_) => format!("{:.0} s, waiting for the last answers", view.elapsed),
        None => format!("{:.0} s", view.elapsed),
    };
    match view.offered {
        Some(rate) => format!("{time}   offered {}/s   (figures of the last 5 s; Ctrl-C ends)", digits(rate)),
        None => format!("{time}   (figures of the last 5 s; Ctrl-C ends)"),
    }
}

fn service_lines(service: &ServiceView) -> [String; 2] {
    let window = &service.window;
    let exits = window
        .exits
        .iter()
        .enumerate()
        .map(|(index, share)| format!("{} {} {:>3.0} %", index + 1, bar(*share, EXIT_BAR), share * 100.0));
    [
        format!(
            "{}   {}/s   in flight {}   loss {}   failed {}   accuracy {}   p50 {} ms   p95 {} ms",
            service.name,
            digits(window.arrival_rate),
            count(service.in_flight),
            percent(window.loss_ratio),
            percent(window.failed_ratio),
            percent(window.accuracy),
            milliseconds(window.p50),
            milliseconds(window.p95),
        ),
        format!("  exits {}", exits.collect::<Vec<_>>().join("  ")),
    ]
}

fn device_line(device: &DeviceView, width: usize) -> String {
    let name = &device.name;
    let Some(busy) = device.busy else {
        return format!("  {name:width$}  does not answer");
    };
    let mut line = format!(
        "  {name:width$}  {} {:>4.0} %   memory {} of {}   waiting {}",
        bar(busy, DEVICE_BAR),
        busy * 100.0,
        bytes(device.held_bytes),
        bytes(device.budget_bytes),
        count(device.waiting),
    );
    if device.restarts > 0 {
        line.push_str(&format!("   restarts {}", device.restarts));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::account::WindowView;

    fn view() -> View {
        View {
            elapsed: 12.34,
            ends: Some(60.0),
            offered: Some(160.0),
            services: vec![ServiceView {
                name: "fashion".into(),
                in_flight: 1234,
                window: WindowView {
                    arrival_rate: 158.2,
                    exits: vec![0.5, 0.25, 0.25],
                    loss_ratio: Some(0.0012),
                    failed_ratio: Some(0.0),
                    accuracy: Some(0.881),
                    p50: Some(12.34),
                    p95: Some(140.2),
                },
            }],
            devices: vec![
                DeviceView {
                    name: "gateway".into(),
                    busy: Some(0.5),
                    held_bytes: 2048,
                    budget_bytes: 1 << 20,
                    waiting: 3,
                    restarts: 0,
                },
                DeviceView { name: "edge".into(), busy: None, ..DeviceView::default() },
            ],
        }
    }

    #[test]
    fn the_frame_looks_like_this() {
        let want = [
            "12 of 60 s   offered 160/s   (figures of the last 5 s; Ctrl-C ends)",
            "fashion   158/s   in flight 1,234   loss 0.12 %   failed 0 %   accuracy 88.1 %   p50 12.3 ms   p95 140 ms",
            "  exits 1 ████      50 %  2 ██        25 %  3 ██        25 %",
            "  gateway  ██████████             50 %   memory 2.00 KiB of 1.00 MiB   waiting 3",
            "  edge     does not answer",
        ];
        assert_eq!(lines(&view()), want);
    }

    #[test]
    fn the_plain_line_looks_like_this() {
        let want = "  12.3 s  fashion: 158/s, in flight 1234, loss 0.12 %, failed 0 %, accuracy 88.1 %, p50 12.3 ms, \
            p95 140 ms, exits 50/25/25 %; busy: gateway 50.0 %, edge –";
        assert_eq!(plain(&view()), want);
    }
}
