//! The records of COCO's JSON as they stand in the file, typed, so that large files cost little more than what is kept.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::super::detection::{Attribute, Frequency, Segmentation};

/// A whole file; `FULL` reads outlines and keypoints as well.
#[derive(Deserialize)]
pub(super) struct FileRow<'a, const FULL: bool> {
    #[serde(borrow)]
    pub(super) images: Option<Rows<ImageRow<'a>>>,
    #[serde(borrow)]
    pub(super) categories: Option<Rows<CategoryRow<'a>>>,
    pub(super) annotations: Option<Rows<AnnotationRow<FULL>>>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct ImageRow<'a> {
    pub(super) id: i64,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) file_name: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) coco_url: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) neg_category_ids: Option<Vec<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_exhaustive_category_ids: Option<Vec<i64>>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct CategoryRow<'a> {
    pub(super) id: i64,
    #[serde(borrow, default)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    pub(super) supercategory: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) frequency: Option<Frequency>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) keypoints: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct AnnotationRow<const FULL: bool> {
    pub(super) id: Option<i64>,
    pub(super) image_id: i64,
    pub(super) category_id: i64,
    pub(super) bbox: Option<BoxRow>,
    pub(super) area: Option<f64>,
    #[serde(default)]
    pub(super) iscrowd: Flag,
    #[serde(default)]
    pub(super) ignore: Flag,
    #[serde(default)]
    pub(super) segmentation: Outline<FULL>,
    #[serde(default)]
    pub(super) keypoints: Points<FULL>,
    pub(super) num_keypoints: Option<u32>,
    #[serde(default)]
    pub(super) attributes: Attributes,
    pub(super) score: Option<f64>,
}

/// What a detector found, as in a file of results.
#[derive(Deserialize)]
pub(super) struct ResultRow<const FULL: bool> {
    pub(super) image_id: i64,
    pub(super) category_id: i64,
    pub(super) score: f64,
    pub(super) bbox: Option<BoxRow>,
    #[serde(default)]
    pub(super) segmentation: Outline<FULL>,
    #[serde(default)]
    pub(super) keypoints: Points<FULL>,
}

/// A list whose errors name the record.
pub(super) struct Rows<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Rows<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
            type Value = Rows<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of records")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut rows = Vec::new();
                loop {
                    let next = list.next_element();
                    match next.map_err(|e| de::Error::custom(format!("record {}: {e}", rows.len())))? {
                        Some(row) => rows.push(row),
                        None => return Ok(Rows(rows)),
                    }
                }
            }
        }
        deserializer.deserialize_seq(List(PhantomData))
    }
}

/// `[x, y, width, height]`, or an empty list for none.
#[derive(Clone, Copy, Default)]
pub(super) struct BoxRow(pub(super) Option<[f64; 4]>);

impl<'de> Deserialize<'de> for BoxRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Four;
        impl<'de> Visitor<'de> for Four {
            type Value = BoxRow;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a box of 4 numbers")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<BoxRow, A::Error> {
                let mut numbers = [0.0; 4];
                for (i, number) in numbers.iter_mut().enumerate() {
                    match list.next_element()? {
                        Some(value) => *number = value,
                        None if i == 0 => return Ok(BoxRow(None)),
                        None => return Err(de::Error::invalid_length(i, &self)),
                    }
                }
                match list.next_element::<IgnoredAny>()? {
                    None => Ok(BoxRow(Some(numbers))),
                    Some(_) => Err(de::Error::invalid_length(5, &self)),
                }
            }
        }
        deserializer.deserialize_seq(Four)
    }
}

/// Yes or no as 0 and 1, `false` and `true`, or null.
#[derive(Clone, Copy, Default)]
pub(super) struct Flag(pub(super) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Flag;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0, 1, false or true")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Flag, E> {
                Ok(Flag(value != 0))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Flag, E> {
                Ok(Flag(value != 0))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Flag, E> {
                Ok(Flag(value != 0.0))
            }
            fn visit_unit<E>(self) -> Result<Flag, E> {
                Ok(Flag(false))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// An outline, passed over unless `READ`.
#[derive(Default)]
pub(super) struct Outline<const READ: bool>(pub(super) Option<Box<Segmentation>>);

impl<'de, const READ: bool> Deserialize<'de> for Outline<READ> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if READ {
            let outline = deserializer.deserialize_any(OutlineVisitor)?;
            return Ok(Self(outline.map(Box::new)));
        }
        IgnoredAny::deserialize(deserializer).map(|_| Self(None))
    }
}

struct OutlineVisitor;

impl<'de> Visitor<'de> for OutlineVisitor {
    type Value = Option<Segmentation>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of polygons, or an object with `size` and `counts`")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut polygons: Vec<Vec<f64>> = Vec::new();
        while let Some(polygon) = list.next_element()? {
            polygons.push(polygon);
        }
        Ok((!polygons.is_empty()).then_some(Segmentation::Polygons(polygons)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut size, mut counts) = (None, None);
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match key.as_ref() {
                "size" => size = Some(map.next_value::<[u32; 2]>()?),
                "counts" => counts = Some(map.next_value_seed(CountsSeed)?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let size = size.ok_or_else(|| de::Error::missing_field("size"))?;
        Ok(Some(match counts.ok_or_else(|| de::Error::missing_field("counts"))? {
            Counts::Runs(counts) => Segmentation::Runs { size, counts },
            Counts::Text(counts) => Segmentation::Compressed { size, counts },
        }))
    }
}

enum Counts {
    Runs(Vec<u32>),
    Text(String),
}

struct CountsSeed;

impl<'de> DeserializeSeed<'de> for CountsSeed {
    type Value = Counts;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Counts, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CountsSeed {
    type Value = Counts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("run lengths, or their compressed text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Counts, E> {
        Ok(Counts::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Counts, A::Error> {
        let mut runs = Vec::new();
        while let Some(run) = list.next_element()? {
            runs.push(run);
        }
        Ok(Counts::Runs(runs))
    }
}

/// Keypoints in threes, passed over unless `READ`.
#[derive(Default)]
pub(super) struct Points<const READ: bool>(pub(super) Option<Vec<[f64; 3]>>);

impl<'de, const READ: bool> Deserialize<'de> for Points<READ> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !READ {
            return IgnoredAny::deserialize(deserializer).map(|_| Self(None));
        }
        let numbers: Vec<f64> = Option::deserialize(deserializer)?.unwrap_or_default();
        let (points, rest) = numbers.as_chunks::<3>();
        if !rest.is_empty() {
            return Err(de::Error::invalid_length(numbers.len(), &"x, y, visibility of each keypoint"));
        }
        Ok(Self((!points.is_empty()).then(|| points.to_vec())))
    }
}

/// Attributes by name; what is neither number, word nor flag is passed over.
#[derive(Default)]
pub(super) struct Attributes(pub(super) BTreeMap<String, Attribute>);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Value {
            Known(Attribute),
            Other(IgnoredAny),
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Whole {
            Named(BTreeMap<String, Value>),
            Other(IgnoredAny),
        }
        let known = |(name, value)| match value {
            Value::Known(value) => Some((name, value)),
            Value::Other(_) => None,
        };
        Ok(Self(match Whole::deserialize(deserializer)? {
            Whole::Named(values) => values.into_iter().filter_map(known).collect(),
            Whole::Other(_) => BTreeMap::new(),
        }))
    }
}
