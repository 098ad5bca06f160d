//! Outlines as evaluators want them, from outlines as files give them.

use ocelli_data::annotations::detection::{Detection, ImageEntry, Object, Segmentation};
use ocelli_metrics::detection::coco::Shape;
use ocelli_metrics::detection::{Found, Geometry, Matcher, Picture, PointObject, Truth, Unmatched};
use ocelli_metrics::mask::{Region, Rle, union_of_polygons};
use ocelli_metrics::{MetricError, detection::ImageRecord};

/// Why a picture cannot be scored, in words that go with its name.
pub(super) type Reason = String;

/// What the official tools take as a detection's box and area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Those of its box, for the first result has one.
    Box,
    /// Those of its mask or keypoints.
    Outline,
}

impl Extent {
    /// By the first of the results.
    pub(super) fn of(detections: &[Detection]) -> Self {
        match detections.first() {
            Some(Detection { bbox: None, .. }) => Self::Outline,
            _ => Self::Box,
        }
    }
}

/// A mask of a file as run lengths.
fn mask(image: &ImageEntry, segmentation: &Segmentation) -> Result<Rle, Reason> {
    let own = image.size.map(|[width, height]| [height, width]);
    let refused = |e: MetricError| e.to_string();
    let same_size = |size: [u32; 2]| match own {
        Some(own) if own != size => Err(format!(
            "a mask of {} x {} pixels on a picture of {} x {} (height x width)",
            size[0], size[1], own[0], own[1]
        )),
        _ => Ok(size),
    };
    match segmentation {
        Segmentation::Polygons(polygons) => {
            let size =
                own.ok_or("polygons need the picture's `width` and `height`, which the truth does not give")?;
            union_of_polygons(size, polygons).map_err(refused)
        }
        Segmentation::Runs { size, counts } => {
            Rle::from_counts(same_size(*size)?, counts.clone()).map_err(refused)
        }
        Segmentation::Compressed { size, counts } => {
            Rle::from_text(same_size(*size)?, counts).map_err(refused)
        }
    }
}

/// The mask of an object.
pub(super) fn object_mask(image: &ImageEntry, object: &Object) -> Result<Rle, Reason> {
    let segmentation = object.segmentation.as_deref().ok_or("it has no `segmentation`");
    segmentation
        .map_err(str::to_owned)
        .and_then(|s| mask(image, s))
        .map_err(|e| format!("annotation {}: {e}", object.id))
}

/// The mask of a detection; its box where it has none.
fn detection_mask(image: &ImageEntry, detection: &Detection) -> Result<Rle, Reason> {
    match (&detection.segmentation, detection.bbox) {
        (Some(segmentation), _) => mask(image, segmentation),
        (None, Some([x, y, width, height])) => {
            let (right, bottom) = (x + width, y + height);
            let corners = Segmentation::Polygons(vec![vec![x, y, x, bottom, right, bottom, right, y]]);
            mask(image, &corners)
        }
        (None, None) => Err("a result without `segmentation` and `bbox`".to_owned()),
    }
}

/// The box around keypoints.
fn around(points: &[[f64; 3]]) -> [f64; 4] {
    let ends = |axis: usize| {
        let values = points.iter().map(|p| p[axis]);
        values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], v| [low.min(v), high.max(v)])
    };
    let ([left, right], [top, bottom]) = (ends(0), ends(1));
    [left, top, right - left, bottom - top]
}

/// The box and area of a detection that masks or keypoints alone describe.
fn extent_of_outline(image: &ImageEntry, detection: &Detection) -> Result<([f64; 4], f64), Reason> {
    if detection.segmentation.is_some() {
        let mask = detection_mask(image, detection)?;
        return Ok((detection.bbox.unwrap_or_else(|| mask.bbox()), mask.area() as f64));
    }
    match (&detection.keypoints, detection.bbox) {
        (Some(points), _) => {
            let bbox = around(points);
            Ok((bbox, bbox[2] * bbox[3]))
        }
        (None, _) => Err("a result without `bbox`, `segmentation` and `keypoints`".to_owned()),
    }
}

/// A picture laid out for the matcher.
#[derive(Debug)]
pub(super) struct Outlines<'a> {
    pub(super) truth: Vec<Truth>,
    pub(super) found: Vec<Found>,
    truth_shapes: Shapes<'a>,
    found_shapes: Shapes<'a>,
    sigmas: &'a [f64],
    /// Objects whose area the file did not give.
    pub(super) areas_made: usize,
}

#[derive(Debug)]
enum Shapes<'a> {
    Boxes(Vec<[f64; 4]>),
    Masks(Vec<Region>),
    Objects(Vec<PointObject<'a>>),
    Points(Vec<&'a [[f64; 3]]>),
}

impl Shapes<'_> {
    fn select(&mut self, kept: &[usize]) {
        match self {
            Self::Boxes(list) => select(list, kept),
            Self::Masks(list) => select(list, kept),
            Self::Objects(list) => select(list, kept),
            Self::Points(list) => select(list, kept),
        }
    }
}

/// Keeps the entries at these rising places.
fn select<T>(list: &mut Vec<T>, kept: &[usize]) {
    let mut place = 0;
    let mut next = kept.iter().peekable();
    list.retain(|_| {
        let keep = next.next_if_eq(&&place).is_some();
        place += 1;
        keep
    });
}

/// How a picture is laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout<'a> {
    pub(super) shape: Shape,
    pub(super) extent: Extent,
    /// For keypoints.
    pub(super) sigmas: &'a [f64],
}

impl<'a> Outlines<'a> {
    /// `truth` tells how an object of this area is treated, `category` where a category stands.
    pub(super) fn new(
        layout: Layout<'a>,
        scene: &super::scenes::Scene<'a>,
        truth: impl Fn(&Object, f64) -> Truth,
        category: impl Fn(u32) -> u32,
    ) -> Result<Self, Reason> {
        let image = scene.image;
        let mut outlines = Self {
            truth: Vec::with_capacity(scene.objects.len()),
            found: Vec::with_capacity(scene.detections.len()),
            truth_shapes: layout.truth_shapes(scene)?,
            found_shapes: layout.found_shapes(scene)?,
            sigmas: layout.sigmas,
            areas_made: 0,
        };
        for (i, object) in scene.objects.iter().enumerate() {
            let area = object.area.unwrap_or_else(|| {
                outlines.areas_made += 1;
                match &outlines.truth_shapes {
                    Shapes::Masks(masks) => masks[i].area() as f64,
                    _ => object.bbox[2] * object.bbox[3],
                }
            });
            outlines.truth.push(truth(object, area));
        }
        for (i, detection) in scene.detections.iter().enumerate() {
            let area = match (layout.extent, &outlines.found_shapes) {
                (Extent::Box, _) => {
                    let bbox = detection.bbox.ok_or("a result without `bbox`, which the first result has")?;
                    bbox[2] * bbox[3]
                }
                (Extent::Outline, Shapes::Masks(masks)) => masks[i].area() as f64,
                (Extent::Outline, _) => extent_of_outline(image, detection)?.1,
            };
            outlines.found.push(Found {
                category: category(detection.category),
                score: detection.score,
                area,
            });
        }
        Ok(outlines)
    }

    /// Keeps the objects at these places.
    pub(super) fn keep_objects(&mut self, kept: &[usize]) {
        select(&mut self.truth, kept);
        self.truth_shapes.select(kept);
    }

    /// Keeps the detections at these places.
    pub(super) fn keep_detections(&mut self, kept: &[usize]) {
        select(&mut self.found, kept);
        self.found_shapes.select(kept);
    }

    pub(super) fn matched(
        &self,
        matcher: &Matcher,
        image: i64,
        unmatched: impl Fn(u32) -> Unmatched,
    ) -> Result<ImageRecord, Reason> {
        let geometry = match (&self.truth_shapes, &self.found_shapes) {
            (Shapes::Masks(truth), Shapes::Masks(found)) => Geometry::Masks { truth, found },
            (Shapes::Objects(truth), Shapes::Points(found)) => {
                Geometry::Keypoints { truth, found, sigmas: self.sigmas }
            }
            (Shapes::Boxes(truth), Shapes::Boxes(found)) => Geometry::Boxes { truth, found },
            _ => return Err("truth and detections are laid out for different shapes".to_owned()),
        };
        let picture = Picture { image, truth: &self.truth, found: &self.found, geometry };
        matcher.image(&picture, unmatched).map_err(|e| e.to_string())
    }
}

impl<'a> Layout<'a> {
    fn truth_shapes(&self, scene: &super::scenes::Scene<'a>) -> Result<Shapes<'a>, Reason> {
        let objects = scene.objects.iter();
        Ok(match self.shape {
            Shape::Boxes => Shapes::Boxes(objects.map(|o| o.bbox).collect()),
            Shape::Masks => {
                let region = |object: &&Object| Ok(Region::new(&object_mask(scene.image, object)?));
                Shapes::Masks(objects.map(region).collect::<Result<_, Reason>>()?)
            }
            Shape::Keypoints => {
                let points = |object: &&'a Object| {
                    let keypoints = object.keypoints.as_ref();
                    let keypoints =
                        keypoints.ok_or_else(|| format!("annotation {} has no `keypoints`", object.id))?;
                    let area = object.area.unwrap_or(object.bbox[2] * object.bbox[3]);
                    Ok(PointObject { points: &keypoints.points, bbox: object.bbox, area })
                };
                Shapes::Objects(objects.map(points).collect::<Result<_, Reason>>()?)
            }
        })
    }

    fn found_shapes(&self, scene: &super::scenes::Scene<'a>) -> Result<Shapes<'a>, Reason> {
        let detections = scene.detections.iter();
        Ok(match (self.shape, self.extent) {
            (Shape::Boxes, Extent::Box) => {
                let bbox =
                    |d: &&Detection| d.bbox.ok_or("a result without `bbox`, which the first result has");
                Shapes::Boxes(detections.map(bbox).collect::<Result<_, _>>()?)
            }
            (Shape::Boxes, Extent::Outline) => {
                let bbox = |d: &&Detection| Ok(extent_of_outline(scene.image, d)?.0);
                Shapes::Boxes(detections.map(bbox).collect::<Result<_, Reason>>()?)
            }
            (Shape::Masks, _) => {
                let region = |d: &&Detection| Ok(Region::new(&detection_mask(scene.image, d)?));
                Shapes::Masks(detections.map(region).collect::<Result<_, Reason>>()?)
            }
            (Shape::Keypoints, _) => {
                let points = |d: &&'a Detection| d.keypoints.as_deref().ok_or("a result without `keypoints`");
                Shapes::Points(detections.map(points).collect::<Result<_, _>>()?)
            }
        })
    }
}
