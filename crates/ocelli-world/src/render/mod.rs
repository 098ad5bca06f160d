//! A small renderer: meshes, a multisampled visibility buffer, lights, and a film that behaves like a camera.
//!
//! Geometry is rasterised at 2×2 samples a pixel, but a pixel is shaded only once for each object seen in it, so
//! edges are smooth and painting, which is what costs, is done once. Projection is orthographic (weak
//! perspective): the subject's depth is small beside its distance.
//!
//! Camera axes are x to the right, y up, z towards the viewer; picture coordinates are x to the right and y down
//! with pixel `(0, 0)` covering `[0, 1) × [0, 1)`.

pub mod camera;
pub mod film;
pub mod geometry;
pub mod light;
pub mod mesh;
pub mod noise;
pub mod raster;
