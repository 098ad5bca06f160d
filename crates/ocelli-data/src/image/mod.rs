//! Pictures: files to pixels, pixels to files, and what is done to a whole picture in between.
//!
//! The one picture type of the project is [`RgbImage`], 8 bits a channel. [`decode`] brings every supported file
//! format into it, [`Preparation`] brings pictures to the size a network wants, [`Canvas`] draws results on it.

mod bicubic;
mod decode;
mod draw;
mod encode;
mod font;
mod jpeg;
mod prepare;
mod resize;

pub use ::image::RgbImage;

pub use bicubic::{degrade, resample_bicubic, rescale};
pub(crate) use decode::read_file;
pub use decode::{DecodeLimits, decode, open};
pub use draw::{Canvas, Colour, palette};
pub use encode::{jpeg_bytes, png_bytes, save, write_atomically};
pub use prepare::{Fit, Preparation};
pub use resize::{Filter, Letterbox, centre_crop, crop, flip_horizontal, letterbox, resize, resize_crop};
