//! One annotation format into another: read into the shared model, counted for what the target cannot hold, written.
//!
//! Formats fall into kinds that hold different things: boxes in pictures, actions in videos, moments that sentences
//! describe. Within a kind any format turns into any other.

mod moments;

use std::path::{Path, PathBuf};

use ocelli_data::annotations::activitynet::Annotations;
use ocelli_data::annotations::charades_cg::{self, DescribedVideo};
use ocelli_data::annotations::coco::Detail;
use ocelli_data::annotations::detection::{DetectionSet, Flags, ImageEntry, Object, categories_of};
use ocelli_data::annotations::pictures::fill_sizes;
use ocelli_data::annotations::{coco, imglab, lvis, open_images, thumos, voc, wider, yolo};
use serde::Serialize;

use crate::protocol::find;
use crate::{Result, ScoreError};

/// A format, as the command knows it.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// What users call it.
    pub name: &'static str,
    /// The files it consists of, in one line.
    pub summary: &'static str,
    /// Whether it can be written.
    pub writes: bool,
    kind: Kind,
}

/// What a format holds, with how it is read and written.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Objects in pictures.
    Boxes {
        read: fn(&Path, Option<&Path>) -> Result<DetectionSet>,
        write: fn(&Path, &DetectionSet) -> Result<()>,
        keeps: &'static [Part],
    },
    /// Actions in videos.
    Actions { read: fn(&Path) -> Result<Annotations>, write: fn(&Path, &Annotations) -> Result<()> },
    /// Moments of videos that sentences describe; `lost` says in words what the form cannot hold.
    Moments {
        read: fn(&Path) -> Result<Vec<DescribedVideo>>,
        write: fn(&Path, &[DescribedVideo]) -> Result<()>,
        lost: fn(&[DescribedVideo]) -> Vec<String>,
    },
}

/// Something that not every format of boxes can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Outlines,
    Keypoints,
    Crowds,
    Difficult,
    Truncated,
    Occluded,
    Groups,
    Ignored,
    Attributes,
    Negatives,
    Frequencies,
    Categories,
    EmptyPictures,
}

const PARTS: [Part; 13] = [
    Part::Outlines,
    Part::Keypoints,
    Part::Crowds,
    Part::Difficult,
    Part::Truncated,
    Part::Occluded,
    Part::Groups,
    Part::Ignored,
    Part::Attributes,
    Part::Negatives,
    Part::Frequencies,
    Part::Categories,
    Part::EmptyPictures,
];

impl Part {
    /// How much of it a set has.
    fn count(self, set: &DetectionSet) -> usize {
        let flagged = |flag: fn(&Flags) -> bool| set.objects.iter().filter(|o| flag(&o.flags)).count();
        let images = |has: fn(&ImageEntry) -> bool| set.images.iter().filter(|image| has(image)).count();
        match self {
            Self::Outlines => set.objects.iter().filter(|o| o.segmentation.is_some()).count(),
            Self::Keypoints => set.objects.iter().filter(|o| o.keypoints.is_some()).count(),
            Self::Crowds => flagged(|f| f.crowd),
            Self::Difficult => flagged(|f| f.difficult),
            Self::Truncated => flagged(|f| f.truncated),
            Self::Occluded => flagged(|f| f.occluded),
            Self::Groups => flagged(|f| f.group_of),
            Self::Ignored => flagged(|f| f.ignore),
            Self::Attributes => set.objects.iter().filter(|o| !o.attributes.is_empty()).count(),
            Self::Negatives => images(|i| !i.negative.is_empty() || !i.not_exhaustive.is_empty()),
            Self::Frequencies => set.categories.iter().filter(|c| c.frequency.is_some()).count(),
            Self::Categories => {
                if set.categories.len() > 1 {
                    set.categories.len()
                } else {
                    0
                }
            }
            Self::EmptyPictures => {
                let mut empty = vec![true; set.images.len()];
                set.objects.iter().for_each(|o| empty[o.image as usize] = false);
                empty.into_iter().filter(|empty| *empty).count()
            }
        }
    }

    /// What is lost of `count` of them.
    fn loss(self, count: usize) -> String {
        let objects = if count == 1 { "1 object".to_owned() } else { format!("{count} objects") };
        let pictures = if count == 1 { "1 picture".to_owned() } else { format!("{count} pictures") };
        let marked = |what: &str| format!("{objects} marked {what}: the mark is lost");
        match self {
            Self::Outlines => format!("{objects} with an outline: the box alone is kept"),
            Self::Keypoints => format!("{objects} with keypoints: they are lost"),
            Self::Crowds => marked("as a crowd"),
            Self::Difficult => marked("difficult"),
            Self::Truncated => marked("truncated"),
            Self::Occluded => marked("occluded"),
            Self::Groups => marked("as a group"),
            Self::Ignored => marked("to be ignored"),
            Self::Attributes => format!("{objects} with attributes: not all of them are kept"),
            Self::Negatives => {
                format!("{pictures} with categories known to be absent or not exhaustive: they are lost")
            }
            Self::Frequencies => format!("{count} categories with a frequency: it is lost"),
            Self::Categories => format!("{count} categories: all objects become faces"),
            Self::EmptyPictures => format!("{pictures} without objects: left out"),
        }
    }
}

/// All formats, boxes first.
pub const FORMATS: &[Format] = &[
    Format {
        name: "coco",
        summary: "a JSON file of images, categories and annotations",
        writes: true,
        kind: Kind::Boxes {
            read: |path, _| Ok(coco::read(path, Detail::Full)?.set),
            write: |path, set| Ok(coco::write(path, &with_areas(set))?),
            keeps: &[
                Part::Outlines,
                Part::Keypoints,
                Part::Crowds,
                Part::Ignored,
                Part::Attributes,
                Part::Negatives,
                Part::Frequencies,
                Part::Categories,
                Part::EmptyPictures,
            ],
        },
    },
    Format {
        name: "lvis",
        summary: "a JSON file like COCO's with frequencies and verified categories; without frequencies they are counted",
        writes: true,
        kind: Kind::Boxes {
            read: |path, _| Ok(lvis::read(path, Detail::Full)?.set),
            write: write_lvis,
            keeps: &[
                Part::Outlines,
                Part::Keypoints,
                Part::Ignored,
                Part::Attributes,
                Part::Negatives,
                Part::Frequencies,
                Part::Categories,
                Part::EmptyPictures,
            ],
        },
    },
    Format {
        name: "voc",
        summary: "a folder of XML files, one a picture",
        writes: true,
        kind: Kind::Boxes {
            read: |path, _| Ok(voc::read(path)?),
            write: |path, set| Ok(voc::write(path, set)?),
            keeps: &[Part::Difficult, Part::Truncated, Part::Occluded, Part::Categories, Part::EmptyPictures],
        },
    },
    Format {
        name: "openimages",
        summary: "a CSV table of boxes; needs the sizes of the pictures",
        writes: true,
        kind: Kind::Boxes {
            read: |path, pictures| Ok(open_images::read(path, pictures)?),
            write: |path, set| Ok(open_images::write(path, set)?),
            keeps: &[Part::Truncated, Part::Occluded, Part::Groups, Part::Categories],
        },
    },
    Format {
        name: "yolo",
        summary: "a folder of text files, one a picture, and obj.names; needs the sizes of the pictures",
        writes: true,
        kind: Kind::Boxes {
            read: |path, pictures| Ok(yolo::read(path, pictures)?),
            write: |path, set| Ok(yolo::write(path, set)?),
            keeps: &[Part::Categories, Part::EmptyPictures],
        },
    },
    Format {
        name: "wider",
        summary: "a text file of all pictures and faces (wider_face_*_bbx_gt.txt)",
        writes: true,
        kind: Kind::Boxes {
            read: |path, _| Ok(wider::read(path)?),
            write: |path, set| Ok(wider::write(path, set)?),
            keeps: &[Part::Ignored, Part::EmptyPictures],
        },
    },
    Format {
        name: "imglab",
        summary: "dlib's XML file of boxes; read only, without parts",
        writes: false,
        kind: Kind::Boxes { read: read_imglab, write: |_, _| Err(read_only("imglab")), keeps: &[] },
    },
    Format {
        name: "activitynet",
        summary: "a JSON file of videos with labelled segments",
        writes: true,
        kind: Kind::Actions {
            read: |path| Ok(Annotations::read(path)?),
            write: |path, all| Ok(all.write(path)?),
        },
    },
    Format {
        name: "thumos",
        summary: "a folder of text files, one a class, of `video start end`",
        writes: true,
        kind: Kind::Actions {
            read: |path| Ok(thumos::read_annotations(&[path.to_owned()])?),
            write: |path, all| {
                std::fs::create_dir_all(path).map_err(|e| ScoreError::content(path, e.to_string()))?;
                thumos::write_annotations(path, all)?;
                Ok(())
            },
        },
    },
    Format {
        name: "charades-sta",
        summary: "a text file of lines `video start end##sentence`",
        writes: true,
        kind: Kind::Moments {
            read: moments::read_sta,
            write: moments::write_sta,
            lost: moments::lost_in_sta,
        },
    },
    Format {
        name: "charades-cg",
        summary: "a JSON file of videos with sentences and timestamps, as ActivityNet Captions have it too",
        writes: true,
        kind: Kind::Moments {
            read: |path| Ok(charades_cg::read(path)?),
            write: |path, videos| Ok(charades_cg::write(path, videos)?),
            lost: |_| Vec::new(),
        },
    },
];

fn read_only(name: &str) -> ScoreError {
    ScoreError::Files(format!("`{name}` is read, not written"))
}

/// The official tools of COCO and LVIS want an area of every object: where the source has none, it is that of the box.
fn with_areas(set: &DetectionSet) -> DetectionSet {
    let mut own = set.clone();
    for object in own.objects.iter_mut().filter(|object| object.area.is_none()) {
        object.area = Some(object.bbox[2] * object.bbox[3]);
    }
    own
}

/// LVIS wants a frequency of every category: where the source has none, the pictures that show it are counted.
fn write_lvis(path: &Path, set: &DetectionSet) -> Result<()> {
    let mut own = with_areas(set);
    if own.categories.iter().any(|category| category.frequency.is_none()) {
        own.count_frequencies();
    }
    Ok(lvis::write(path, &own)?)
}

fn read_imglab(path: &Path, _: Option<&Path>) -> Result<DetectionSet> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let label = |object: &imglab::ImglabBox| object.label.clone().unwrap_or_else(|| "object".to_owned());
    let images = imglab::read(path)?;
    let names: std::collections::BTreeSet<String> = images.iter().flat_map(|i| &i.boxes).map(label).collect();
    let mut set = DetectionSet { categories: categories_of(&names), ..DetectionSet::default() };
    let place = |name: &str| set.categories.iter().position(|c| c.name == name).unwrap_or(0) as u32;
    let (mut entries, mut objects) = (Vec::new(), Vec::new());
    for (index, image) in images.iter().enumerate() {
        let name = image.file.strip_prefix(folder).unwrap_or(&image.file);
        let file_name = name.to_string_lossy().into_owned();
        entries.push(ImageEntry { id: index as i64 + 1, file_name, ..ImageEntry::default() });
        objects.extend(image.boxes.iter().map(|b| Object {
            image: index as u32,
            category: place(&label(b)),
            bbox: b.xywh.map(f64::from),
            flags: Flags { ignore: b.ignore, ..Flags::default() },
            ..Object::default()
        }));
    }
    objects.iter_mut().zip(1..).for_each(|(object, id)| object.id = id);
    set.images = entries;
    set.objects = objects;
    Ok(set)
}

/// What is to be turned into what.
#[derive(Clone, Debug)]
pub struct Request {
    /// The format of the input.
    pub from: String,
    /// The format of the output.
    pub to: String,
    /// The file or folder to read.
    pub input: PathBuf,
    /// The file or folder to write.
    pub output: PathBuf,
    /// The folder of the pictures, for sizes that the input does not give.
    pub pictures: Option<PathBuf>,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Converted {
    /// Pictures or videos.
    pub images: usize,
    /// Objects, segments or sentences.
    pub objects: usize,
    /// Categories or labels.
    pub categories: usize,
    /// What the target cannot hold, in words, with numbers.
    pub losses: Vec<String>,
}

/// The format called `name`.
///
/// # Errors
/// [`ScoreError::Unknown`] with all names.
pub fn format(name: &str) -> Result<&'static Format> {
    let known = find("format", name, FORMATS.iter().map(|format| format.name))?;
    let found = FORMATS.iter().find(|format| format.name == known);
    Ok(found.expect("the name was found among the formats"))
}

/// Turns one format into another.
///
/// # Errors
/// [`ScoreError::Unknown`] for a format that is not known; [`ScoreError::Files`] for formats of different kinds; whatever is
/// wrong with the input or keeps the output from being written.
pub fn convert(request: &Request) -> Result<Converted> {
    let (from, to) = (format(&request.from)?, format(&request.to)?);
    if !to.writes {
        return Err(read_only(to.name));
    }
    match (from.kind, to.kind) {
        (Kind::Boxes { read, .. }, Kind::Boxes { write, keeps, .. }) => {
            let mut set = read(&request.input, request.pictures.as_deref())?;
            if let Some(folder) = &request.pictures {
                fill_sizes(&mut set, folder)?;
            }
            write(&request.output, &set)?;
            let lost = PARTS.iter().filter(|part| !keeps.contains(part));
            let lost = lost.map(|part| (part, part.count(&set))).filter(|(_, count)| *count > 0);
            Ok(Converted {
                images: set.images.len(),
                objects: set.objects.len(),
                categories: set.categories.len(),
                losses: lost.map(|(part, count)| part.loss(count)).collect(),
            })
        }
        (Kind::Actions { read, .. }, Kind::Actions { write, .. }) => {
            let all = read(&request.input)?;
            write(&request.output, &all)?;
            Ok(Converted {
                images: all.videos.len(),
                objects: all.videos.iter().map(|video| video.segments.len()).sum(),
                categories: all.labels.len(),
                losses: Vec::new(),
            })
        }
        (Kind::Moments { read, .. }, Kind::Moments { write, lost, .. }) => {
            let videos = read(&request.input)?;
            write(&request.output, &videos)?;
            Ok(Converted {
                images: videos.len(),
                objects: videos.iter().map(|video| video.sentences.len()).sum(),
                categories: 0,
                losses: lost(&videos),
            })
        }
        _ => Err(ScoreError::Files(format!("`{}` and `{}` hold different things", from.name, to.name))),
    }
}
