//! Values that lie in memory or in a container, alike to who reads them.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::Result;
use super::element::Element;
use super::read::Container;

/// A list of numbers: of its own, or a section of a container that it keeps open. What is built in memory and what was
/// opened from a file can thus be one type.
#[derive(Clone)]
pub struct Column<T>(Place<T>);

#[derive(Clone)]
enum Place<T> {
    Own(Vec<T>),
    /// The number of the section, which is of this type.
    Section(Arc<Container>, usize),
}

impl<T: Element> Column<T> {
    /// The elements of a section.
    ///
    /// # Errors
    /// As [`Container::view`].
    pub fn open(container: &Arc<Container>, name: &str) -> Result<Self> {
        container.view::<T>(name)?;
        let number = container.sections().iter().position(|section| section.name == name);
        Ok(Self(Place::Section(Arc::clone(container), number.unwrap_or_default())))
    }

    /// The values for changing: a section is copied first.
    pub fn to_mut(&mut self) -> &mut Vec<T> {
        if let Place::Section(..) = self.0 {
            self.0 = Place::Own(self.to_vec());
        }
        match &mut self.0 {
            Place::Own(values) => values,
            Place::Section(..) => unreachable!("it was just made its own"),
        }
    }
}

impl<T: Element> Deref for Column<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Place::Own(values) => values,
            // It could be viewed when the column was opened, so it can be viewed now.
            Place::Section(container, number) => {
                T::view(container.content(&container.sections()[*number])).unwrap_or(&[])
            }
        }
    }
}

impl<T> From<Vec<T>> for Column<T> {
    fn from(values: Vec<T>) -> Self {
        Self(Place::Own(values))
    }
}

impl<T: Element + fmt::Debug> fmt::Debug for Column<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.0 {
            Place::Own(_) => "own",
            Place::Section(..) => "section",
        };
        write!(f, "Column({place}, {} x {})", self.len(), T::TYPE)
    }
}
