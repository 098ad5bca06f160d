//! Truth and detections of files, picture by picture.

use ocelli_data::annotations::detection::{Detection, DetectionSet, ImageEntry, Object};

/// A truth and what was found, grouped by picture in the order of the pictures' numbers.
#[derive(Debug)]
pub(super) struct Scenes<'a> {
    set: &'a DetectionSet,
    detections: &'a [Detection],
    /// Pictures in the order of their numbers.
    order: Vec<u32>,
    objects: Grouped,
    found: Grouped,
    /// The place of each category in the order of their numbers.
    pub(super) category_place: Vec<u32>,
}

/// A picture with its objects and detections in file order.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) image: &'a ImageEntry,
    pub(super) objects: Vec<&'a Object>,
    pub(super) detections: Vec<&'a Detection>,
}

/// Places of records by picture.
#[derive(Debug)]
struct Grouped {
    /// Where each picture's part of `places` starts, and its end.
    starts: Vec<u32>,
    places: Vec<u32>,
}

impl Grouped {
    fn new(images: usize, of: impl Iterator<Item = u32> + Clone) -> Self {
        let mut starts = vec![0u32; images + 1];
        of.clone().for_each(|image| starts[image as usize + 1] += 1);
        for image in 0..images {
            starts[image + 1] += starts[image];
        }
        let mut next = starts.clone();
        let mut places = vec![0; starts[images] as usize];
        for (place, image) in (0u32..).zip(of) {
            let slot = &mut next[image as usize];
            places[*slot as usize] = place;
            *slot += 1;
        }
        Self { starts, places }
    }

    fn of(&self, image: u32) -> &[u32] {
        &self.places[self.starts[image as usize] as usize..self.starts[image as usize + 1] as usize]
    }
}

/// Indices in the order of numbers.
fn by_id(ids: impl Iterator<Item = i64>) -> Vec<u32> {
    let mut order: Vec<(i64, u32)> = ids.zip(0u32..).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, index)| index).collect()
}

impl<'a> Scenes<'a> {
    pub(super) fn new(set: &'a DetectionSet, detections: &'a [Detection]) -> Self {
        let images = set.images.len();
        let mut category_place = vec![0; set.categories.len()];
        for (place, index) in (0..).zip(by_id(set.categories.iter().map(|c| c.id))) {
            category_place[index as usize] = place;
        }
        Self {
            set,
            detections,
            order: by_id(set.images.iter().map(|i| i.id)),
            objects: Grouped::new(images, set.objects.iter().map(|o| o.image)),
            found: Grouped::new(images, detections.iter().map(|d| d.image)),
            category_place,
        }
    }

    /// Number of pictures.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// The names of the pictures.
    pub(super) fn image_names(&self) -> Vec<String> {
        self.order.iter().map(|&image| self.set.images[image as usize].name()).collect()
    }

    /// The names of the categories.
    pub(super) fn category_names(&self) -> Vec<String> {
        let order = by_id(self.set.categories.iter().map(|c| c.id));
        order.into_iter().map(|index| self.set.categories[index as usize].name.clone()).collect()
    }

    /// Where the detections of picture number `place` stand in the file.
    pub(super) fn found_places(&self, place: usize) -> &[u32] {
        self.found.of(self.order[place])
    }

    /// Picture number `place`.
    pub(super) fn scene(&self, place: usize) -> Scene<'a> {
        let image = self.order[place];
        Scene {
            image: &self.set.images[image as usize],
            objects: self.objects.of(image).iter().map(|&i| &self.set.objects[i as usize]).collect(),
            detections: self.found.of(image).iter().map(|&i| &self.detections[i as usize]).collect(),
        }
    }
}
