//! People with their joints, in the JSON of the pose toolkits: a list of `{image, joints, joints_vis, center, scale}`.
//!
//! This is the form in which MPII Human Pose and LSP travel (`joints` `[J][2]`, 1-based pixels). Scoring needs the size of
//! a person as well: the head box (`head_box`) or the torso box (`torso_box`), two corners `[x1, y1, x2, y2]`, which the
//! official evaluation file keeps apart from the annotations. Predictions need `joints` alone.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::read_text;
use crate::error::DataError;
use crate::image::write_atomically;

/// A person in a picture. Keys that are not listed here are left aside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JointedPerson {
    /// The picture's file name.
    #[serde(default)]
    pub image: String,
    /// Position of each joint in pixels.
    pub joints: Vec<[f64; 2]>,
    /// Whether each joint is labelled: 0 or 1. All are when the list is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joints_vis: Option<Vec<f64>>,
    /// Centre of the person in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub center: Option<[f64; 2]>,
    /// Size of the person in units of 200 pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Corners of the head's box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_box: Option<[f64; 4]>,
    /// Corners of the torso's box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torso_box: Option<[f64; 4]>,
}

impl JointedPerson {
    /// Whether each joint is labelled.
    pub fn visible(&self) -> Vec<bool> {
        match &self.joints_vis {
            Some(list) => list.iter().map(|v| *v > 0.0).collect(),
            None => vec![true; self.joints.len()],
        }
    }
}

/// Reads a list of people.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Content`] with the line and column of what is no such JSON, with the number of a
/// person who has more or fewer `joints_vis` than joints or than the first person, and for an empty list.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<JointedPerson>, DataError> {
    let path = path.as_ref();
    let people: Vec<JointedPerson> =
        serde_json::from_str(&read_text(path)?).map_err(|e| DataError::content(path, e.to_string()))?;
    let Some(first) = people.first() else {
        return Err(DataError::content(path, "the list of people is empty"));
    };
    for (i, person) in people.iter().enumerate() {
        let (found, wanted) = (person.joints.len(), first.joints.len());
        if found != wanted || wanted == 0 {
            let reason = format!("person {i} has {found} joints, the first one {wanted}");
            return Err(DataError::content(path, reason));
        }
        if person.joints_vis.as_ref().is_some_and(|list| list.len() != found) {
            return Err(DataError::content(
                path,
                format!("person {i} has not a `joints_vis` for each joint"),
            ));
        }
    }
    Ok(people)
}

/// Writes a list of people.
///
/// # Errors
/// [`DataError::Content`] for numbers that JSON does not know; [`DataError::Write`].
pub fn write(path: impl AsRef<Path>, people: &[JointedPerson]) -> Result<(), DataError> {
    let path = path.as_ref();
    let text = serde_json::to_vec(people).map_err(|e| DataError::content(path, e.to_string()))?;
    write_atomically(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn people_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let text = r#"[{"image": "a.jpg", "joints": [[1, 2.5], [3, 4]], "joints_vis": [1, 0], "scale": 2.5,
                        "center": [10, 20], "head_box": [1, 2, 3, 4], "torso": 1}, {"joints": [[0, 0], [1, 1]]}]"#;
        std::fs::write(&path, text).unwrap();
        let people = read(&path).unwrap();
        assert_eq!((people[0].visible(), people[1].visible()), (vec![true, false], vec![true, true]));
        assert_eq!(people[0].head_box, Some([1.0, 2.0, 3.0, 4.0]));
        write(&path, &people).unwrap();
        assert_eq!(read(&path).unwrap(), people);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let message = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read(&path).unwrap_err().to_string()
        };
        assert!(message("[]").contains("empty"));
        assert!(message("[{\"joints\": [[1, 2]]}, {\"joints\": []}]").contains("person 1 has 0 joints"));
        assert!(message("[{\"joints\": [[1, 2]], \"joints_vis\": []}]").contains("person 0 has not"));
        assert!(message("[{\"joints\": [[1, 2]]").contains("line 1"));
        assert!(message("[{\"joints\": [[1, NaN]]}]").contains("line 1"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\[\\]{}joints:0-2,\" ]{0,60}") {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.json");
            std::fs::write(&path, text).unwrap();
            let _ = read(&path);
        }
    }
}
