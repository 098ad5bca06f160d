//! What is timed: cases, whose names say all about them.

use anyhow::{Context, bail, ensure};
use burn::tensor::{Device, Tensor};
use ocelli_method::random::hash_uniform;
use ocelli_nn::tensor::from_values;

/// What is timed, read off its name: a kind, `+grad` where gradients are wanted too, and numbers, each after the letter
/// it goes by: `conv2d+grad b8 c64 o64 h56 k3`. Peers go by the same names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    kind: String,
    /// Whether the run records and walks back.
    pub(super) gradients: bool,
    numbers: Vec<(char, usize)>,
}

/// A case made ready: a call runs it once.
pub(super) struct Ready {
    pub(super) run: Box<dyn FnMut()>,
    /// Floating-point operations of a run, where most of its time goes into them.
    pub(super) operations: Option<f64>,
}

impl Case {
    /// # Errors
    /// When the name is not of that form.
    pub(super) fn parse(name: &str) -> anyhow::Result<Self> {
        let mut words = name.split_whitespace();
        let kind = words.next().context("a case has a name")?;
        let (kind, gradients) = kind.strip_suffix("+grad").map_or((kind, false), |kind| (kind, true));
        let mut numbers: Vec<(char, usize)> = Vec::new();
        for word in words {
            let mut letters = word.chars();
            let number = letters.next().map(|letter| (letter, letters.as_str().parse::<usize>()));
            let Some((letter, Ok(number))) = number else {
                bail!("`{name}`: {word} is no letter with a number")
            };
            ensure!(numbers.iter().all(|(own, _)| *own != letter), "`{name}`: {letter} is given twice");
            numbers.push((letter, number));
        }
        Ok(Self { kind: kind.to_owned(), gradients, numbers })
    }

    pub(super) fn kind(&self) -> &str {
        &self.kind
    }

    /// The number that goes by a letter.
    ///
    /// # Errors
    /// When the name does not have it.
    pub(super) fn number(&self, letter: char) -> anyhow::Result<usize> {
        self.find(letter).with_context(|| format!("`{self}` does not say {letter}"))
    }

    /// The number that goes by a letter, or else another.
    pub(super) fn number_or(&self, letter: char, other: usize) -> usize {
        self.find(letter).unwrap_or(other)
    }

    /// The same case with another number for a letter that it has.
    pub(super) fn with(mut self, letter: char, number: usize) -> Self {
        self.numbers.iter_mut().filter(|(own, _)| *own == letter).for_each(|(_, own)| *own = number);
        self
    }

    fn find(&self, letter: char) -> Option<usize> {
        self.numbers.iter().find(|(own, _)| *own == letter).map(|(_, number)| *number)
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.kind, if self.gradients { "+grad" } else { "" })?;
        self.numbers.iter().try_for_each(|(letter, number)| write!(f, " {letter}{number}"))
    }
}

impl Ready {
    pub(super) fn new(run: impl FnMut() + 'static) -> Self {
        Self { run: Box::new(run), operations: None }
    }

    /// That does so many floating-point operations forward, and twice as many more backward.
    pub(super) fn operations(mut self, case: &Case, forward: usize) -> Self {
        let times = if case.gradients { 3.0 } else { 1.0 };
        self.operations = Some(times * forward as f64);
        self
    }
}

/// Where cases are computed.
pub(super) fn device() -> Device {
    Device::flex()
}

/// An input with values from -1 to 1 that its name decides.
pub(super) fn input<const D: usize>(name: &str, shape: [usize; D]) -> Tensor<D> {
    from_values(hash_uniform(name, shape.iter().product()), shape, &device())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_and_written() {
        let name = "conv2d+grad b8 c64 o64 h56 k3";
        let case = Case::parse(name).unwrap();
        assert_eq!((case.kind(), case.gradients, case.number('h').unwrap()), ("conv2d", true, 56));
        assert_eq!(case.to_string(), name);
        assert_eq!(case.clone().with('b', 1).with('z', 1).to_string(), "conv2d+grad b1 c64 o64 h56 k3");
        assert_eq!(case.number_or('s', 1), 1);
        assert!(case.number('s').unwrap_err().to_string().contains("does not say s"));
        for bad in ["", "conv2d b", "conv2d 8", "conv2d bx", "conv2d b8 b9"] {
            assert!(Case::parse(bad).is_err(), "{bad}");
        }
    }
}
