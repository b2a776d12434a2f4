use super::processes::example;
use crate::Outline;
use api::EENNModelSpec;

fn outline(change: impl Fn(&mut EENNModelSpec)) -> Result<Outline, String> {
    let mut spec = example().models[0].spec.clone();
    change(&mut spec);
    Outline::from_manifest(&spec).map_err(|error| error.to_string())
}

#[test]
fn the_manifest_of_the_example_says_what_its_file_says() {
    let want = Outline {
        exit_segments: vec![0, 1, 2, 3, 4, 5],
        tensor_bytes: vec![3_136, 9_408, 18_816, 9_408, 12_544, 18_816, 0],
    };
    assert_eq!(outline(|_| {}), Ok(want.clone()));
    let as_many_segments_as_exits = outline(|spec| spec.exits.iter_mut().for_each(|exit| exit.segment = None));
    assert_eq!(as_many_segments_as_exits, Ok(want));
}

#[test]
fn a_cut_of_unknown_size_is_larger_than_any_memory() {
    let outline = outline(|spec| spec.cuts[2].bytes = None).unwrap();
    assert!(outline.tensor_bytes[3] > 1 << 40, "{outline:?}");
}

#[test]
fn exits_that_hang_nowhere_are_refused_with_the_remedy() {
    let missing = outline(|spec| {
        spec.cuts.truncate(2);
        spec.exits[1].segment = None;
    });
    assert!(
        missing.unwrap_err().starts_with("spec.exits[1].segment is missing: the model has 6 exits and 3 segments;")
    );
    let error = outline(|spec| spec.exits[0].segment = Some(3)).unwrap_err();
    assert_eq!(error, "spec.exits[1].segment is 2; the exit before is on 3");
    let error = outline(|spec| spec.exits[5].segment = Some(5)).unwrap_err();
    assert_eq!(error, "spec.exits[5].segment is 5; the last exit is on segment 6, the last");
}
