//! What `scann_config.pb` says about an index.

use super::wire::{Result, Value, each};

/// How an index compares vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// The largest inner product is best.
    DotProduct,
    /// The smallest squared distance is best.
    SquaredL2,
}

/// How the vectors themselves are kept for the exact step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Single precision, `dataset.npy`.
    Float32,
    /// Eight bits and a multiplier a dimension, `int8_dataset.npy` and `int8_multipliers.npy`.
    Int8,
    /// The upper half of single precision, `bfloat16_dataset.npy`.
    Bfloat16,
}

/// How an index divides vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TreeSettings {
    /// Partitions that a search looks into.
    pub leaves: usize,
    /// The weight of orthogonality in the choice of a second partition, if vectors have two.
    pub soar: Option<f64>,
    /// With second partitions, how many candidates are taken for each that is wanted, as many are found twice: from 1 to 2.
    pub overretrieve: f64,
    /// The ratio that centres were fitted with, if it is not that of plain means.
    pub avq: Option<f64>,
    /// Whether partitions were found by direction.
    pub spherical: bool,
    /// Whether the package compares queries with centres in eight bits; centres are stored in full. See
    /// [`ScannIndex::searched_centres`](super::ScannIndex::searched_centres).
    pub integer_centres: bool,
    /// Whether the package finds partitions by a coarser tree above them, which misses some.
    pub upper: bool,
}

/// How an index codes vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CodeSettings {
    /// Codewords a block.
    pub words: usize,
    /// Whether codes are of the difference to the partition's centre.
    pub residual: bool,
    /// The score threshold of the anisotropic weights; none for nearest codewords.
    pub threshold: Option<f64>,
    /// Whether candidates are ranked by tables in eight bits.
    pub integer: bool,
}

/// How an index was built and is searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How vectors are compared.
    pub distance: Distance,
    /// Results a query.
    pub neighbors: usize,
    /// Candidates that are compared exactly; none when there is no such step.
    pub reorder: Option<usize>,
    /// How the vectors are kept; `None` when they are not.
    pub stored: Option<Stored>,
    /// Partitions, if there are.
    pub tree: Option<TreeSettings>,
    /// Codes; none when every vector is compared exactly.
    pub codes: Option<CodeSettings>,
}

/// What the package supposes where a number is absent.
const UNLIMITED: usize = i32::MAX as usize;

impl Settings {
    /// Whether tables of scores become whole numbers by cutting off what follows the point. The package rounds them, but
    /// where partitions hold codes of vectors as they are, each has a searcher of its own, made without the setting.
    pub fn cuts_tables(&self) -> bool {
        self.tree.is_some() && self.codes.is_some_and(|codes| !codes.residual)
    }

    /// Reads the message `ScannConfig`.
    pub(super) fn parse(message: &[u8]) -> Result<Self> {
        let mut distance = None;
        let mut settings = Self {
            distance: Distance::DotProduct,
            neighbors: UNLIMITED,
            reorder: None,
            stored: None,
            tree: None,
            codes: None,
        };
        let mut brute = None;
        each(message, |number, value| {
            match number {
                3 => settings.neighbors = value.count()?,
                5 => distance = Some(parse_distance(value.bytes()?)?),
                7 => brute = Some(parse_stored(value.bytes()?, 4)?),
                8 => settings.tree = Some(TreeSettings::parse(value.bytes()?)?),
                13 => settings.codes = Some(CodeSettings::parse(value.bytes()?)?),
                17 => {
                    settings.stored = Some(parse_stored(value.bytes()?, 5)?);
                    settings.reorder = Some(first_count(value.bytes()?)?);
                }
                _ => (),
            }
            Ok(())
        })?;
        settings.distance = distance.ok_or("it does not say how vectors are compared")?;
        match (settings.codes, brute) {
            (Some(_), None) => (),
            (None, Some(stored)) => settings.stored = Some(stored),
            _ => return Err("it should either code vectors or compare all of them exactly".to_owned()),
        }
        match settings.tree.and_then(|tree| tree.soar).is_some()
            && !settings.codes.is_some_and(|c| c.residual)
        {
            true => Err("second partitions without codes of residuals are not supported".to_owned()),
            false => Ok(settings),
        }
    }
}

/// The message `DistanceMeasureConfig`.
fn parse_distance(message: &[u8]) -> Result<Distance> {
    let mut name = "SquaredL2Distance";
    each(message, |number, value| {
        if number == 1 {
            name = value.text()?;
        }
        Ok(())
    })?;
    match name {
        "DotProductDistance" => Ok(Distance::DotProduct),
        "SquaredL2Distance" => Ok(Distance::SquaredL2),
        other => Err(format!("vectors are compared by `{other}`, which is not supported")),
    }
}

/// How vectors are kept, from the messages `BruteForceConfig` and `ExactReordering`, which differ in the number of
/// their field for eight bits.
fn parse_stored(message: &[u8], fixed_point: u32) -> Result<Stored> {
    let (mut int8, mut bfloat16) = (false, false);
    each(message, |number, value| {
        match number {
            _ if number == fixed_point => int8 = enabled(value)?,
            _ if number == fixed_point + if fixed_point == 4 { 1 } else { 2 } => bfloat16 = enabled(value)?,
            _ => (),
        }
        Ok(())
    })?;
    match (int8, bfloat16) {
        (false, false) => Ok(Stored::Float32),
        (true, false) => Ok(Stored::Int8),
        (false, true) => Ok(Stored::Bfloat16),
        (true, true) => Err("vectors cannot be kept in two ways".to_owned()),
    }
}

/// Field 1 of a message, a boolean.
fn enabled(value: Value<'_>) -> Result<bool> {
    let mut enabled = false;
    each(value.bytes()?, |number, value| {
        if number == 1 {
            enabled = value.flag()?;
        }
        Ok(())
    })?;
    Ok(enabled)
}

/// Field 1 of a message, a count.
fn first_count(message: &[u8]) -> Result<usize> {
    let mut found = UNLIMITED;
    each(message, |number, value| {
        if number == 1 {
            found = value.count()?;
        }
        Ok(())
    })?;
    Ok(found)
}

/// A number that is absent when it is NaN.
fn some(value: Value<'_>) -> Result<Option<f64>> {
    Ok(Some(value.float()?).filter(|v| !v.is_nan()))
}

impl TreeSettings {
    /// The message `PartitioningConfig`.
    fn parse(message: &[u8]) -> Result<Self> {
        let mut tree = Self {
            leaves: UNLIMITED,
            soar: None,
            overretrieve: OVERRETRIEVE,
            avq: None,
            spherical: false,
            integer_centres: false,
            upper: false,
        };
        each(message, |number, value| {
            match number {
                12 => return Err(PROJECTED.to_owned()),
                20 => (tree.soar, tree.overretrieve) = parse_soar(value.bytes()?)?,
                21 => {
                    each(value.bytes()?, |number, value| {
                        if number == 3 {
                            tree.leaves = value.count()?;
                        }
                        Ok(())
                    })?;
                }
                23 => tree.spherical = value.flag()?,
                28 => tree.integer_centres = value.count()? == 2,
                31 if value.count()? != 0 => {
                    return Err("it is divided by another tree than one of centres".to_owned());
                }
                51 => tree.avq = some(value)?,
                54 => tree.upper = enabled(value)?,
                _ => (),
            }
            Ok(())
        })?;
        Ok(tree)
    }
}

/// What is said of an index whose vectors were projected.
pub(super) const PROJECTED: &str =
    "its vectors were projected (`pca` or `truncate`) before they were divided, which is not supported";

/// What the package supposes where second partitions come without the number.
const OVERRETRIEVE: f64 = 2.0;

/// The message `DatabaseSpillingConfig`: the weight of orthogonality and the candidates for each that is wanted.
fn parse_soar(message: &[u8]) -> Result<(Option<f64>, f64)> {
    let (mut kind, mut lambda, mut overretrieve) = (0, 1.5, OVERRETRIEVE);
    each(message, |number, value| {
        match number {
            1 => kind = value.count()?,
            4 => lambda = value.float()?,
            5 => overretrieve = value.float()?,
            _ => (),
        }
        Ok(())
    })?;
    if !(1.0..=2.0).contains(&overretrieve) {
        return Err(format!("{overretrieve} candidates are taken for each that is wanted, not from 1 to 2"));
    }
    match kind {
        0 => Ok((None, overretrieve)),
        4 => Ok((Some(lambda), overretrieve)),
        other => Err(format!("vectors spill into other partitions in a way ({other}) that is not supported")),
    }
}

impl CodeSettings {
    /// The message `HashConfig`, which must hold an `AsymmetricHasherConfig`.
    fn parse(message: &[u8]) -> Result<Self> {
        let mut codes = None;
        each(message, |number, value| {
            if number == 5 {
                codes = Some(Self::parse_asymmetric(value.bytes()?)?);
            }
            Ok(())
        })?;
        codes.ok_or_else(|| "vectors are coded in another way than by product codes".to_owned())
    }

    fn parse_asymmetric(message: &[u8]) -> Result<Self> {
        let mut codes = Self { words: 256, residual: false, threshold: None, integer: false };
        each(message, |number, value| {
            match number {
                2 => codes.words = value.count()?,
                20 => codes.integer = value.count()? != 0,
                22 => codes.residual = value.flag()?,
                23 if value.count()? != 0 => {
                    return Err("its codes are not plain product codes, which is not supported".to_owned());
                }
                28 => codes.threshold = some(value)?,
                31 | 32 if value.flag()? => {
                    return Err("its codes are corrected by norms, which is not supported".to_owned());
                }
                _ => (),
            }
            Ok(())
        })?;
        Ok(codes)
    }
}
