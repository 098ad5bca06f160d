//! Tracking one object or many through time.
//!
//! | module | the question it answers |
//! |---|---|
//! | [`single`] | one given object: success and precision curves (OTB, LaSOT), AO and SR (GOT-10k) |
//! | [`mot`] | many objects: CLEAR, identity and HOTA measures of the two tools in use |
//! | [`assignment`] | the best one-to-one assignment of rows to columns |

pub mod assignment;
pub mod mot;
pub mod single;
