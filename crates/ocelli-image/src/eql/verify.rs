//! Reference-case components: the LVIS evaluator and the mask codec.

use ocelli_method::{Array, Component, Data, Outputs, Replay, ReplayError};
use ocelli_metrics::detection::coco::Shape;
use ocelli_metrics::detection::lvis::{Knowledge, LvisOptions, Tail};
use ocelli_metrics::detection::{Found, Geometry, ImageRecord, Picture, Truth};
use ocelli_metrics::mask::{Region, Rle};
use serde::Deserialize;

/// The components.
pub(super) const COMPONENTS: &[Component] =
    &[Component { name: "metric.lvis", run: lvis }, Component { name: "mask.polygon", run: polygon }];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LvisConfig {
    iou_type: String,
    max_dets: u32,
    n_images: i64,
    /// Height and width.
    image_hw: [u32; 2],
}

/// A number of a case that counts from 1, as an index below `count`.
fn index(name: &str, value: i64, count: usize) -> Result<u32, ReplayError> {
    match usize::try_from(value - 1) {
        Ok(index) if index < count => Ok(index as u32),
        _ => Err(ReplayError::refused(format!("{name}: {value} is not between 1 and {count}"))),
    }
}

/// Objects or detections of a case.
struct Things {
    images: Vec<i64>,
    categories: Vec<u32>,
    boxes: Vec<[f64; 4]>,
    /// For masks.
    regions: Vec<Region>,
}

impl Things {
    fn new(
        case: &Replay<'_>,
        kind: &str,
        config: &LvisConfig,
        categories: usize,
    ) -> Result<Self, ReplayError> {
        let name = |what: &str| format!("{kind}_{what}");
        let images = case.integers(&name("images"))?.to_vec();
        for &image in &images {
            index(&name("images"), image, config.n_images.max(0) as usize)?;
        }
        let of_category = |&value| index(&name("categories"), value, categories);
        let categories: Vec<u32> =
            case.integers(&name("categories"))?.iter().map(of_category).collect::<Result<_, _>>()?;
        // Masks need no boxes.
        let (boxes, regions) = match config.iou_type.as_str() {
            "segm" => (vec![[0.0; 4]; images.len()], regions(case, &name("masks"), config)?),
            _ => (case.doubles(&name("boxes"))?.as_chunks().0.to_vec(), Vec::new()),
        };
        let counts =
            [categories.len(), boxes.len(), if regions.is_empty() { images.len() } else { regions.len() }];
        if counts.iter().any(|&n| n != images.len()) {
            return Err(ReplayError::refused(format!(
                "{kind}: {} images, but {counts:?} other entries",
                images.len()
            )));
        }
        Ok(Self { images, categories, boxes, regions })
    }

    /// The places of what is in a picture.
    fn of(&self, image: i64) -> Vec<usize> {
        (0..self.images.len()).filter(|&i| self.images[i] == image).collect()
    }

    fn boxes_at(&self, places: &[usize]) -> Vec<[f64; 4]> {
        places.iter().map(|&i| self.boxes[i]).collect()
    }

    fn regions_at(&self, places: &[usize]) -> Vec<Region> {
        places.iter().filter_map(|&i| self.regions.get(i).cloned()).collect()
    }
}

fn regions(case: &Replay<'_>, name: &str, config: &LvisConfig) -> Result<Vec<Region>, ReplayError> {
    let [height, width] = config.image_hw;
    let [_, rows, columns] = case.dims::<3>(name)?;
    if [rows, columns] != [height as usize, width as usize] {
        return Err(ReplayError::refused(format!(
            "{name}: masks of {rows} x {columns}, images of {height} x {width}"
        )));
    }
    let pixels = case.doubles(name)?;
    let bytes: Vec<u8> = pixels.iter().map(|&v| u8::from(v != 0.0)).collect();
    let region = |mask: &[u8]| Rle::from_pixels([height, width], mask).map(|rle| Region::new(&rle));
    bytes.chunks_exact(rows * columns).map(region).collect::<Result<_, _>>().map_err(ReplayError::refused)
}

/// The categories that rows (image, category) name for a picture.
fn named(case: &Replay<'_>, name: &str, image: i64, categories: usize) -> Result<Vec<u32>, ReplayError> {
    let rows = case.integers(name)?.chunks_exact(2).filter(|row| row[0] == image);
    rows.map(|row| index(name, row[1], categories)).collect()
}

fn lvis(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let config: LvisConfig = case.config()?;
    let shape: Shape = config.iou_type.parse().map_err(ReplayError::refused)?;
    if shape == Shape::Keypoints {
        return Err(ReplayError::Unsupported("iou_type `keypoints`".to_owned()));
    }
    let tails = case.integers("category_frequency")?.iter().map(|frequency| match frequency {
        0 => Some(Tail::Rare),
        1 => Some(Tail::Common),
        2 => Some(Tail::Frequent),
        _ => None,
    });
    let tails: Vec<Option<Tail>> = tails.collect();
    let options = LvisOptions { max_dets: config.max_dets, ..LvisOptions::default() };
    let inputs = LvisInputs {
        objects: Things::new(case, "gt", &config, tails.len())?,
        detections: Things::new(case, "dt", &config, tails.len())?,
        areas: case.doubles("gt_areas")?,
        scores: case.doubles("dt_scores")?,
    };
    inputs.check()?;
    let records = (1..=config.n_images).map(|image| {
        let negative = named(case, "negatives", image, tails.len())?;
        let not_exhaustive = named(case, "not_exhaustive", image, tails.len())?;
        let known = Knowledge { negative: &negative, not_exhaustive: &not_exhaustive };
        inputs.record(shape, &options, image, &known)
    });
    let records = records.collect::<Result<Vec<ImageRecord>, ReplayError>>()?;
    let ranking = options.rank(records.into_iter().collect(), tails.len()).map_err(ReplayError::refused)?;
    let all: Vec<usize> = (0..ranking.images().len()).collect();
    let measure = ranking.measure(&all);
    let by_category = measure.categories.iter().map(|category| category.ap().unwrap_or(-1.0));
    let mut outputs = Outputs::new().with("per_category_ap", Array::vector_f64(by_category));
    for (name, value) in options.metrics(&measure, &tails) {
        outputs.set(name.replace('@', "_at_"), value);
    }
    Ok(outputs)
}

/// All pictures of a case.
struct LvisInputs {
    objects: Things,
    detections: Things,
    areas: Vec<f64>,
    scores: Vec<f64>,
}

impl LvisInputs {
    fn check(&self) -> Result<(), ReplayError> {
        if self.areas.len() == self.objects.images.len() && self.scores.len() == self.detections.images.len()
        {
            return Ok(());
        }
        Err(ReplayError::refused("areas or scores are not as many as the objects or detections"))
    }

    /// The objects of a picture that take part, with their places.
    fn truth(&self, options: &LvisOptions, image: i64) -> (Vec<Truth>, Vec<usize>) {
        let places = self.objects.of(image);
        let truth = |&i: &usize| Truth {
            category: self.objects.categories[i],
            area: self.areas[i],
            ignore: false,
            crowd: false,
            unnoticed: false,
        };
        let truth: Vec<Truth> = places.iter().map(truth).collect();
        options.objects_kept(&truth).into_iter().map(|k| (truth[k], places[k])).unzip()
    }

    /// The detections of a picture that count, with their places.
    fn found(
        &self,
        options: &LvisOptions,
        image: i64,
        truth: &[Truth],
        known: &Knowledge<'_>,
    ) -> (Vec<Found>, Vec<usize>) {
        let places = self.detections.of(image);
        let scores: Vec<f64> = places.iter().map(|&i| self.scores[i]).collect();
        let places: Vec<usize> = options.within_limit(&scores).into_iter().map(|k| places[k]).collect();
        let found = |&i: &usize| {
            let [_, _, width, height] = self.detections.boxes[i];
            let area = self.detections.regions.get(i).map_or(width * height, |region| region.area() as f64);
            Found { category: self.detections.categories[i], score: self.scores[i], area }
        };
        let found: Vec<Found> = places.iter().map(found).collect();
        options.detections_kept(&found, truth, known).into_iter().map(|k| (found[k], places[k])).unzip()
    }

    fn record(
        &self,
        shape: Shape,
        options: &LvisOptions,
        image: i64,
        known: &Knowledge<'_>,
    ) -> Result<ImageRecord, ReplayError> {
        let (truth, truth_places) = self.truth(options, image);
        let (found, found_places) = self.found(options, image, &truth, known);
        let boxes = [self.objects.boxes_at(&truth_places), self.detections.boxes_at(&found_places)];
        let regions = [self.objects.regions_at(&truth_places), self.detections.regions_at(&found_places)];
        let geometry = match shape {
            Shape::Masks => Geometry::Masks { truth: &regions[0], found: &regions[1] },
            _ => Geometry::Boxes { truth: &boxes[0], found: &boxes[1] },
        };
        let picture = Picture { image, truth: &truth, found: &found, geometry };
        let matcher = options.matcher().map_err(ReplayError::refused)?;
        matcher.image(&picture, |category| known.unmatched(category)).map_err(ReplayError::refused)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolygonConfig {
    height: u32,
    width: u32,
    n: usize,
}

fn polygon(case: &Replay<'_>) -> Result<Outputs, ReplayError> {
    let PolygonConfig { height, width, n } = case.config()?;
    let mut outputs = Outputs::new();
    for i in 0..n {
        let xy = case.doubles(&format!("polygon{i}"))?;
        let mask = Rle::from_polygon([height, width], &xy).map_err(ReplayError::refused)?;
        let pixels = Array::new([height as usize, width as usize], Data::U8(mask.to_pixels()));
        outputs.set(format!("mask{i}"), pixels.map_err(ReplayError::refused)?);
        outputs.set(format!("counts{i}"), Array::integers(mask.counts().iter().map(|&c| i64::from(c))));
        let text = mask.to_text().into_bytes();
        outputs.set(
            format!("string{i}"),
            Array::new([text.len()], Data::U8(text)).map_err(ReplayError::refused)?,
        );
        outputs.set(format!("area{i}"), Array::integers([mask.area() as i64]));
        outputs.set(format!("bbox{i}"), Array::vector_f64(mask.bbox()));
    }
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ocelli_method::verify::{Folder, Selection, Status, verify};

    #[test]
    fn reference_cases_pass() {
        let cases = Folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../goldens"));
        let selection = Selection { device: "cpu".to_owned(), ..Selection::default() };
        let replayed = verify(&[&super::super::METHOD], &cases, &cases, &selection, &mut |_| ()).unwrap();
        let own: Vec<_> = replayed.results.iter().filter(|r| r.method == "eql").collect();
        assert_eq!(own.len(), 4);
        for result in own {
            assert!(matches!(result.status, Status::Pass), "{}: {}", result.case, result.reason);
        }
    }
}
