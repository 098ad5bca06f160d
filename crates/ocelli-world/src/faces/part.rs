//! The classes of the part mask.

use serde::{Deserialize, Serialize};

/// What a pixel of the part mask shows.
///
/// The first eleven are the classes of face parsing on Helen and LaPa, in their usual order. **Left and right are
/// the viewer's** at frontal pose: the left eye is the one in the left half of the picture, the subject's right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Part {
    /// Not the subject.
    Background = 0,
    /// Skin of the face, with any beard.
    Skin = 1,
    /// Brow on the picture's left.
    LeftBrow = 2,
    /// Brow on the picture's right.
    RightBrow = 3,
    /// Eye on the picture's left, between its lids.
    LeftEye = 4,
    /// Eye on the picture's right, between its lids.
    RightEye = 5,
    /// Nose.
    Nose = 6,
    /// Upper lip.
    UpperLip = 7,
    /// Inside of the open mouth.
    InnerMouth = 8,
    /// Lower lip.
    LowerLip = 9,
    /// Hair of the head.
    Hair = 10,
    /// Ears.
    Ear = 11,
    /// Neck.
    Neck = 12,
    /// Clothes.
    Clothes = 13,
    /// Anything worn or held over the face: glasses (frames, dark lenses), mask, scarf, hat, object, hand.
    Occluder = 14,
}

impl Part {
    /// Number of classes of [`Part`].
    pub const COUNT: usize = 15;

    /// Number of classes of face parsing: those up to and with hair.
    pub const PARSING_COUNT: usize = 11;

    /// The class in an eleven-class parsing mask, where ears, neck, clothes and occluders are background.
    pub fn parsing_class(self) -> u8 {
        let class = self as u8;
        if usize::from(class) < Part::PARSING_COUNT { class } else { 0 }
    }

    /// The part with this class number.
    pub fn from_class(class: u8) -> Option<Part> {
        const ALL: [Part; Part::COUNT] = [
            Part::Background,
            Part::Skin,
            Part::LeftBrow,
            Part::RightBrow,
            Part::LeftEye,
            Part::RightEye,
            Part::Nose,
            Part::UpperLip,
            Part::InnerMouth,
            Part::LowerLip,
            Part::Hair,
            Part::Ear,
            Part::Neck,
            Part::Clothes,
            Part::Occluder,
        ];
        ALL.get(usize::from(class)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_numbers_round_trip() {
        for class in 0..Part::COUNT as u8 {
            assert_eq!(Part::from_class(class).unwrap() as u8, class);
        }
        assert!(Part::from_class(15).is_none());
        assert_eq!((Part::Hair.parsing_class(), Part::Neck.parsing_class()), (10, 0));
    }
}
