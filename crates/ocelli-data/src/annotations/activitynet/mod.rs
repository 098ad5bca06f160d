//! ActivityNet's files: annotations, results of detection and of proposals, and the table of videos.
//!
//! [`Annotations::read`] takes the official `activity_net.v1-3.min.json` (`database: {video: {subset, duration,
//! annotations: [{segment: [start, end], label}]}}`) and the flat form of BSN, BMN and DBG (`{v_video: {duration_second,
//! annotations}}`), whose subsets stand in `video_info_new.csv` ([`VideoInfo`]). [`Results::read`] takes
//! `{results: {video: [{score, segment, label}]}}`, where proposals have no label.
//!
//! [`VideoClasses`] are scores of the classes of whole videos.
//!
//! Segments are in seconds. One that ends before it starts is passed on as it is: the published files hold such.

mod annotations;
mod classes;
mod info;
mod results;

pub use annotations::{Annotations, LabelledSegment, VideoAnnotation};
pub use classes::VideoClasses;
pub use info::{VideoInfo, read_names, read_video_info, write_video_info};
pub use results::{Predicted, Results, VideoResults};

#[cfg(test)]
mod tests;
