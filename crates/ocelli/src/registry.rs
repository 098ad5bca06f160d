//! All methods by name, and the reference cases that travel with the program.

use ocelli_method::Method;
use ocelli_method::verify::{CaseSource, SourceError};

/// All methods, field by field.
pub fn methods() -> Vec<&'static Method> {
    let fields: [&[&Method]; 6] = [
        ocelli_face::METHODS,
        ocelli_image::METHODS,
        ocelli_people::METHODS,
        ocelli_video::METHODS,
        ocelli_language::METHODS,
        ocelli_vectors::METHODS,
    ];
    fields.concat()
}

/// The method called `slug`.
///
/// # Errors
/// [`UnknownMethod`] with the names that come closest.
pub fn method(slug: &str) -> Result<&'static Method, UnknownMethod> {
    methods().into_iter().find(|m| m.card.slug == slug).ok_or_else(|| UnknownMethod(slug.to_owned()))
}

/// There is no method of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownMethod(pub String);

impl std::fmt::Display for UnknownMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = methods().iter().map(|m| m.card.slug).collect();
        write!(f, "no method `{}`; `ocelli list` shows all: {}", self.0, names.join(", "))
    }
}

impl std::error::Error for UnknownMethod {}

/// The reference cases inside the program.
#[derive(Clone, Copy, Debug)]
pub struct BuiltinCases;

static CASES: &[(&str, &str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/cases.rs"));

impl CaseSource for BuiltinCases {
    fn list(&self) -> Result<Vec<(String, String)>, SourceError> {
        Ok(CASES.iter().map(|(slug, name, _)| ((*slug).to_owned(), (*name).to_owned())).collect())
    }

    fn read(&self, slug: &str, name: &str) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(CASES.iter().find(|(s, n, _)| *s == slug && *n == name).map(|(_, _, bytes)| bytes.to_vec()))
    }
}
