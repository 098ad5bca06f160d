//! `score` and `score diff`: tables, JSON, intervals, pages, self-tests, and wrong input.

use crate::bench::{Bench, assert_fields};

const TRUTH: &str = "1,1,0,0,10,10,1,-1,-1,-1\n2,1,2,0,10,10,1,-1,-1,-1\n3,1,4,0,10,10,1,-1,-1,-1\n";
const GOOD: &str = "1,7,0,0,10,10,1,-1,-1,-1\n2,7,2,0,10,10,1,-1,-1,-1\n3,7,4,0,10,10,1,-1,-1,-1\n";
const POOR: &str = "1,7,0,0,10,10,1,-1,-1,-1\n3,8,4,0,10,10,1,-1,-1,-1\n";

/// Twelve pairs of similarities and labels, one of them judged wrongly.
fn pairs(bench: &Bench) {
    let same: String = (0..12).map(|i| if i % 2 == 0 { "1\n" } else { "0\n" }).collect();
    let score = |i: usize| if i == 6 { 0.1 } else { 0.9 - 0.8 * (i % 2) as f64 + 0.001 * i as f64 };
    let scores: String = (0..12).map(|i| format!("{}\n", score(i))).collect();
    let better: String = (0..12).map(|i| format!("{}\n", 0.9 - 0.8 * (i % 2) as f64)).collect();
    bench.write("same.txt", same);
    bench.write("a.txt", scores);
    bench.write("b.txt", better);
}

const LFW: &str = "score lfw --variant ir-softmax --set folds=3 --truth same.txt";

#[test]
fn protocols_are_listed_and_described() {
    let bench = Bench::new();
    let list = bench.ocelli("score").succeeded().out;
    let names: Vec<&str> = list.lines().skip(1).filter_map(|l| l.split_whitespace().next()).collect();
    assert!(names.len() > 25, "{list}");
    for name in names {
        let described = bench.ocelli(&format!("score {name}")).succeeded().out;
        assert!(described.contains("--pred") && described.contains("variants"), "{described}");
    }
}

#[test]
fn a_score_is_a_table_a_document_and_a_page() {
    let bench = Bench::new();
    pairs(&bench);
    let table = bench.ocelli(&format!("{LFW} --pred a.txt")).succeeded().out;
    assert!(table.contains("accuracy"), "{table}");
    let command = format!("{LFW} --pred a.txt --json --bootstrap 50 --report page.html");
    let document = bench.ocelli(&command).succeeded().json();
    assert_fields(&document, &["protocol", "variant", "metrics", "unit", "units", "intervals", "notes"]);
    assert_eq!(document["variant"], "ir-softmax");
    assert_eq!(document["units"], 12);
    assert!(document["metrics"]["accuracy"].as_f64().unwrap() < 1.0);
    assert_fields(&document["intervals"][0], &["name", "low", "high", "standard_error", "bias"]);
    assert_eq!(bench.ocelli(&command).succeeded().json(), document, "intervals follow from the seed");
    assert!(bench.text("page.html").contains("95 % interval"));
}

#[test]
fn two_prediction_files_are_compared() {
    let bench = Bench::new();
    pairs(&bench);
    let how = "--protocol lfw --variant ir-softmax --set folds=3 --truth same.txt --bootstrap 100";
    let document = bench.ocelli(&format!("score diff a.txt b.txt {how} --json")).succeeded().json();
    assert_fields(&document, &["protocol", "variant", "unit", "units", "samples", "differences"]);
    let accuracy = &document["differences"][0];
    assert_fields(accuracy, &["name", "a", "b", "difference", "low", "high", "p"]);
    assert!(accuracy["difference"].as_f64().unwrap() > 0.0);
    assert!(bench.ocelli(&format!("score diff a.txt b.txt {how}")).succeeded().out.contains("b - a"));
}

#[test]
fn folders_of_sequences_are_matched_by_name() {
    let bench = Bench::new();
    for name in ["A", "B"] {
        bench.write(&format!("truth/{name}/gt/gt.txt"), TRUTH);
        bench.write(&format!("found/{name}.txt"), if name == "A" { GOOD } else { POOR });
    }
    bench.write("found/C.txt", GOOD);
    let said = bench.ocelli("score mot --pred found --truth truth --json").succeeded();
    let document = said.json();
    assert_eq!(document["units"], 2);
    assert_eq!(document["metrics"]["num_switches"], 1.0);
    assert_eq!(document["notes"].as_array().unwrap().len(), 1, "{document}");
    let perfect = bench.ocelli("score mot --truth truth --self-test --json").succeeded().json();
    assert_eq!(perfect["holds"], true);
}

#[test]
fn wrong_input_is_named_in_a_line() {
    let bench = Bench::new();
    pairs(&bench);
    bench.write("short.txt", "0.5\n");
    bench.write("nan.txt", "0.5\nNaN\n");
    bench.write("gt.txt", TRUTH);
    bench.write("twice.txt", "1,7,0,0,10,10\n1,7,5,0,10,10\n");
    bench.write("negative.txt", "1,7,0,0,-10,10\n");
    bench.write("coco.json", "{\"images\": [{\"id\": 1, \"width\": 9");
    bench.write("dets.json", "[]");
    let refused = [
        ("score nothing --truth same.txt", "there are: lfw"),
        ("score lfw --truth same.txt", "--pred"),
        ("score lfw --pred a.txt", "--truth"),
        ("score lfw --pred none.txt --truth same.txt", "none.txt: no such file"),
        ("score lfw --pred short.txt --truth same.txt", "short.txt"),
        ("score lfw --pred nan.txt --truth same.txt", "nan.txt:2"),
        ("score lfw --pred a.txt --truth same.txt --variant best", "no variant `best`"),
        ("score lfw --pred a.txt --truth same.txt --set fold=3", "no setting `fold`"),
        ("score lfw --pred a.txt --truth same.txt --set folds=many", "folds"),
        ("score lfw --pred a.txt --truth same.txt --bootstrap 1", "at least 2"),
        ("score mot --pred twice.txt --truth gt.txt", "id 7"),
        ("score mot --pred negative.txt --truth gt.txt", "negative.txt:1"),
        ("score coco --pred dets.json --truth coco.json", "coco.json"),
        ("score diff a.txt short.txt --protocol lfw --truth same.txt", "short.txt"),
    ];
    for (command, part) in refused {
        bench.ocelli(command).refused(&[part]);
    }
}

#[test]
fn annotations_are_converted_and_what_is_lost_is_said() {
    let bench = Bench::new();
    let object = "<object><name>cat</name><difficult>1</difficult><bndbox><xmin>1</xmin><ymin>2</ymin>\
                  <xmax>11</xmax><ymax>12</ymax></bndbox></object>";
    let size = "<size><width>40</width><height>30</height><depth>3</depth></size>";
    bench.write("voc/a.xml", format!("<annotation><filename>a.jpg</filename>{size}{object}</annotation>"));
    let said = bench.ocelli("convert --from voc --to coco voc out.json").succeeded();
    assert!(said.err.contains("difficult") || said.out.contains("difficult"), "{} {}", said.out, said.err);
    let perfect = bench.ocelli("score coco --truth out.json --self-test --json").succeeded().json();
    assert_eq!(perfect["holds"], true);
    bench.ocelli("convert --from coco --to yolo out.json yolo").succeeded();
    assert_eq!(bench.names("yolo").iter().filter(|name| name.starts_with("a.")).count(), 1);
    bench.ocelli("convert --from coco --to voc tiny.toml x").refused(&["tiny.toml"]);
    bench.ocelli("convert --from voc --to coco nowhere x.json").refused(&["nowhere"]);
    assert!(!bench.exists("x.json"));
}
