//! From the names that cases use to the evaluators' functions and back.

use crate::case::{Case, Outputs};
use ocelli_metrics::identification::{
    IdentificationTask, expectation_margin, mate_strict, mates_from_labels, rank_k, rank_one,
};
use ocelli_metrics::ijb::{self, TemplateOptions, TemplatePairs, TemplatePictures};
use ocelli_metrics::lfw::{
    KFold, KFoldOptions, LfwVariant, ThresholdGrid, balanced_accuracy, k_fold, k_fold_distances,
};
use ocelli_metrics::reid::{self, Pictures, ReidOptions};
use ocelli_metrics::roc::{FarRule, OperatingPoint, PairScores, Scan};
use ocelli_metrics::similarity::{self, Measure};
use ocelli_metrics::{Matrix, MetricError};

pub(crate) type Answer = Result<Outputs, Box<dyn std::error::Error>>;
pub(crate) type Component = (&'static str, &'static str, fn(&Case) -> Answer);

/// Method, component, and how it is computed.
pub(crate) const COMPONENTS: &[Component] = &[
    ("curricularface", "metric.lfw", lfw_distances),
    ("curricularface", "metric.roc", roc),
    ("curricularface", "metric.ident", identification),
    ("curricularface", "metric.ijb", templates),
    ("npcface", "metric.lfw", |case| lfw_scores(case, LfwVariant::NpcFace)),
    ("search-softmax", "metric.lfw", |case| lfw_scores(case, LfwVariant::SearchSoftmax)),
    ("ir-softmax", "metric.verification", verification),
    ("ir-softmax", "metric.identification", distractors),
    ("ir-softmax", "metric.reid", reid_market),
    ("bc-net", "metric.reid", reid_clothes),
    ("fan", "metric.survface", survface),
    ("dvg-face", "metric", near_infrared),
    ("ddl", "metric.rank1", rank_one_by_subset),
    ("m2fpa", "metric", rank_one_by_pose),
    ("aenet", "metric.recall_at_fpr", recall_at_fpr),
    ("aenet", "metric.pad", presentation_attack),
    ("aurora-guard", "metric", liveness),
];

pub(crate) fn outputs<const N: usize>(list: [(&str, Vec<f64>); N]) -> Answer {
    Ok(list.map(|(name, values)| (name.to_owned(), values)).into_iter().collect())
}

fn matrix<'a>(case: &'a Case, name: &'static str) -> Result<Matrix<'a>, MetricError> {
    Matrix::new(name, case.input(name), case.shape(name))
}

fn pair_scores(case: &Case, scores: &str, labels: &str) -> Result<PairScores, MetricError> {
    PairScores::new(case.input(scores), &case.booleans(labels))
}

fn tars(points: &[OperatingPoint]) -> Vec<f64> {
    points.iter().map(|p| p.tar).collect()
}

fn thresholds(points: &[OperatingPoint]) -> Vec<f64> {
    points.iter().filter_map(|p| p.threshold).collect()
}

fn as_f64(values: &[usize]) -> Vec<f64> {
    values.iter().map(|v| *v as f64).collect()
}

fn lfw_distances(case: &Case) -> Answer {
    let embeddings = matrix(case, "embeddings")?;
    let distance_grid = ThresholdGrid {
        start: case.number("threshold_start"),
        stop: case.number("threshold_stop"),
        step: case.number("threshold_step"),
    };
    let options = KFoldOptions { folds: case.count("folds"), distance_grid, ..KFoldOptions::default() };
    let distances = LfwVariant::CurricularFace.values_of_pairs(embeddings)?;
    let report = k_fold_distances(&distances, &case.booleans("issame"), &options)?;
    outputs([
        ("accuracy", report.accuracy.fold_accuracy),
        ("best_threshold", report.accuracy.fold_threshold),
        ("mean_accuracy", vec![report.accuracy.mean_accuracy]),
        ("tpr", report.mean_tpr),
        ("fpr", report.mean_fpr),
        ("false_reject_pairs", as_f64(&report.false_reject_pairs)),
    ])
}

fn lfw_scores(case: &Case, variant: LfwVariant) -> Answer {
    let (scores, same) = (case.input("scores"), case.booleans("labels"));
    assert_eq!(scores.len(), case.count("folds") * case.count("pairs_per_fold"));
    let num_thresholds = case.count("num_thresholds");
    let options = KFoldOptions { folds: case.count("folds"), num_thresholds, ..KFoldOptions::default() };
    let KFold { mean_accuracy, standard_error, .. } = k_fold(variant, scores, &same, &options)?;
    let mut answer = outputs([("mean", vec![mean_accuracy]), ("std_err", vec![standard_error])])?;
    if variant == LfwVariant::SearchSoftmax {
        let pairs = PairScores::new(scores, &same)?;
        let points = pairs.tar_at_far_by_histogram(&case.numbers("far_targets"), num_thresholds)?;
        answer.insert("vr_at_far".into(), tars(&points));
    }
    Ok(answer)
}

fn verification(case: &Case) -> Answer {
    let options = KFoldOptions { folds: case.count("folds"), ..KFoldOptions::default() };
    let report = k_fold(LfwVariant::IrSoftmax, case.input("score"), &case.booleans("same"), &options)?;
    let points =
        pair_scores(case, "score", "same")?.tar_at_far(&case.numbers("fars"), FarRule::NextStrict)?;
    outputs([
        ("accuracy", vec![report.mean_accuracy]),
        ("fold_accuracy", report.fold_accuracy),
        ("threshold", report.fold_threshold),
        ("tar", tars(&points)),
    ])
}

fn roc(case: &Case) -> Answer {
    let points =
        pair_scores(case, "scores", "labels")?.tar_at_far(&case.numbers("fars"), FarRule::RankRound)?;
    let far = points.iter().map(|p| p.far).collect();
    outputs([("tar", tars(&points)), ("far", far), ("threshold", thresholds(&points))])
}

fn identification(case: &Case) -> Answer {
    let mates = mates_from_labels(&case.booleans("labels"), case.shape("labels"))?;
    let ranks: Vec<usize> = case.numbers("ranks").iter().map(|r| *r as usize).collect();
    let task = IdentificationTask::from_fars(&case.numbers("fars"));
    let points = rank_k(matrix(case, "scores")?, &mates, &task, &ranks)?;
    outputs([
        ("dir", points.iter().flat_map(|p| p.dir.clone()).collect()),
        ("far", points.iter().map(|p| p.far).collect()),
        ("threshold", points.iter().map(|p| p.threshold).collect()),
    ])
}

fn templates(case: &Case) -> Answer {
    let [template_ids, media, first, second] = ["templates", "medias", "p1", "p2"].map(|n| case.integers(n));
    let pictures = TemplatePictures {
        features: matrix(case, "img_feats")?,
        detector_scores: case.input("face_scores"),
        templates: &template_ids,
        media: &media,
    };
    let pairs = TemplatePairs { first: &first, second: &second, same: &case.booleans("label") };
    let options = TemplateOptions {
        flip: case.flag("use_flip_test"),
        keep_norms: case.flag("use_norm_score"),
        detector_score: case.flag("use_detector_score"),
    };
    let report = ijb::evaluate(pictures, pairs, options, &case.numbers("fars"))?;
    outputs([
        ("tpr", tars(&report.points)),
        ("scores", report.scores),
        ("template_feats", report.templates.features),
        ("unique_templates", report.templates.ids.iter().map(|id| *id as f64).collect()),
    ])
}

fn distractors(case: &Case) -> Answer {
    let found = mate_strict(matrix(case, "probe")?, matrix(case, "mate")?, matrix(case, "distractors")?)?;
    outputs([("rank1", vec![found.accuracy])])
}

fn reid_market(case: &Case) -> Answer {
    let ranks = case.numbers("ranks");
    let options = ReidOptions::market(ranks.iter().fold(1.0f64, |a, b| a.max(*b)) as usize);
    let report = reid_report(case, ["query", "gallery"], "id", options)?;
    let mut answer = outputs([("map", vec![report.map_trapezoid]), ("map_plain", vec![report.map])])?;
    for rank in ranks {
        answer.insert(format!("rank{rank}"), vec![report.cmc[rank as usize - 1]]);
    }
    Ok(answer)
}

fn reid_clothes(case: &Case) -> Answer {
    let sets = ["query_features", "gallery_features"];
    let measure: Measure = case.config["metric"].as_str().unwrap_or_default().parse()?;
    let options =
        ReidOptions { measure, ..ReidOptions::plain(case.flag("camera_filter"), case.count("max_rank")) };
    let report = reid_report(case, sets, "pid", options)?;
    outputs([
        ("map", vec![report.map]),
        ("cmc", report.cmc),
        ("n_valid", as_f64(&[report.valid_queries])),
        ("distances", similarity::pairwise(matrix(case, sets[0])?, matrix(case, sets[1])?, measure)?),
    ])
}

fn reid_report(
    case: &Case,
    [query, gallery]: [&'static str; 2],
    id: &str,
    options: ReidOptions,
) -> Result<reid::ReidReport, MetricError> {
    let names = [format!("query_{id}"), "query_cam".into(), format!("gallery_{id}"), "gallery_cam".into()];
    let [query_ids, query_cameras, gallery_ids, gallery_cameras] = names.map(|n| case.integers(&n));
    reid::evaluate(
        matrix(case, query)?,
        Pictures { ids: &query_ids, cameras: &query_cameras },
        matrix(case, gallery)?,
        Pictures { ids: &gallery_ids, cameras: &gallery_cameras },
        &options,
    )
}

fn survface(case: &Case) -> Answer {
    let scores = pair_scores(case, "scores", "labels")?;
    let points = scores.tar_at_far(&case.numbers("fars"), FarRule::RankFloor)?;
    let mean_accuracy = balanced_accuracy(&scores).accuracy;
    outputs([("tar", tars(&points)), ("auc", vec![scores.auc()]), ("mean_accuracy", vec![mean_accuracy])])
}

/// Cosines of all probes and gallery items.
fn cosines(case: &Case, probe: &str) -> Result<Vec<f64>, MetricError> {
    let probe = Matrix::new("probe", case.input(probe), case.shape(probe))?;
    similarity::pairwise(probe, matrix(case, "gallery")?, Measure::Cosine)
}

fn near_infrared(case: &Case) -> Answer {
    let [probe_labels, gallery_labels] = ["probe_label", "gallery_label"].map(|n| case.integers(n));
    let table = cosines(case, "probe")?;
    let table = Matrix::new("similarity", &table, [probe_labels.len(), gallery_labels.len()])?;
    let (genuine, impostor) = similarity::split_by_label(table, &probe_labels, &gallery_labels)?;
    let points =
        PairScores::from_classes(genuine, impostor)?.tar_at_far(&case.numbers("far"), FarRule::NextStrict)?;
    let rank1 = rank_one(table, &probe_labels, &gallery_labels)?.accuracy;
    outputs([("rank1", vec![rank1]), ("vr", tars(&points)), ("threshold", thresholds(&points))])
}

fn rank_one_by_subset(case: &Case) -> Answer {
    let gallery_labels = case.integers("gallery_labels");
    let mut answer = Outputs::new();
    for k in 0..case.count("subsets") {
        let probe_labels = case.integers(&format!("probe_labels.{k}"));
        let table = cosines(case, &format!("probe.{k}"))?;
        let table = Matrix::new("similarity", &table, [probe_labels.len(), gallery_labels.len()])?;
        let rank1 = rank_one(table, &probe_labels, &gallery_labels)?.accuracy;
        let margin = expectation_margin(table, &probe_labels, &gallery_labels)?;
        answer.insert(format!("rank1.{k}"), vec![rank1]);
        answer.insert(format!("expectation_margin.{k}"), vec![margin]);
    }
    Ok(answer)
}

fn rank_one_by_pose(case: &Case) -> Answer {
    let [probe_labels, gallery_labels, poses] =
        ["probe_label", "gallery_label", "pose"].map(|n| case.integers(n));
    let table = cosines(case, "probe")?;
    let table = Matrix::new("similarity", &table, [probe_labels.len(), gallery_labels.len()])?;
    let found = rank_one(table, &probe_labels, &gallery_labels)?;
    let poses: Vec<usize> = poses.iter().map(|p| *p as usize).collect();
    let count = case.config["poses"].as_array().map_or(0, Vec::len);
    let by_pose = found.by_group(&poses, count)?.into_iter().flatten().collect();
    outputs([("rank1", by_pose), ("mean", vec![found.accuracy])])
}

fn recall_at_fpr(case: &Case) -> Answer {
    let points =
        pair_scores(case, "scores", "labels")?.tar_at_far(&case.numbers("fprs"), FarRule::AtLeastOne)?;
    outputs([("recalls", tars(&points)), ("thresholds", thresholds(&points))])
}

/// Of the liveness protocols, what is a matter of ROC curves.
fn presentation_attack(case: &Case) -> Answer {
    let scores = pair_scores(case, "scores", "labels")?;
    let equal = scores.equal_error(Scan::Falling);
    only(
        case,
        [("auc", vec![scores.auc()]), ("eer", vec![equal.rate]), ("eer_threshold", vec![equal.threshold])],
    )
}

fn liveness(case: &Case) -> Answer {
    let scores = pair_scores(case, "scores", "live")?;
    let points = scores.tar_at_far(&case.numbers("fprs"), FarRule::NextStrict)?;
    let equal = scores.equal_error(Scan::Rising);
    let (rate, threshold) = (vec![equal.rate], vec![equal.threshold]);
    only(case, [("tpr_at_fpr", tars(&points)), ("eer", rate), ("eer_threshold", threshold)])
}

/// `list`, completed by the case's own values of the outputs that are computed elsewhere.
fn only<const N: usize>(case: &Case, list: [(&str, Vec<f64>); N]) -> Answer {
    let mut answer = case.expected();
    answer.extend(outputs(list)?);
    Ok(answer)
}
