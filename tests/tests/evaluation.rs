//! The short form of the evaluation: every part runs, and leaves a report with its pictures and numbers.

use std::fs;
use std::process::Command;
use system_tests::binary;

#[test]
fn the_short_form_writes_a_report_with_pictures_and_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(binary("evaluation")).arg("--short").arg("--out").arg(folder.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let report = fs::read_to_string(folder.path().join("evaluation.md")).unwrap();
    for part in ["One device", "Changes", "Several devices", "For real"] {
        assert!(report.contains(&format!("## {part}")), "{part} is missing in\n{report}");
    }
    let linked = report.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for file in linked.filter(|link| link.starts_with("evaluation/")) {
        assert!(fs::metadata(folder.path().join(file)).unwrap().len() > 100, "{file} is nearly empty");
    }
}
