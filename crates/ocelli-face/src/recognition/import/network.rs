//! Which network a state dict is of, read from its names and shapes.
//!
//! Every network is looked at through several of its tensors, so that one that is missing, renamed or of another shape
//! does not change the answer: it is the comparison of keys that shall name it.

use std::collections::{BTreeMap, BTreeSet};

use ocelli_nn::backbones::{IrConfig, IrDialect};
use ocelli_nn::weights::StateDict;

use crate::recognition::backbone::{BackboneConfig, BackboneName};

/// The network found in a state dict.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recognised {
    /// How to build it.
    pub(super) config: BackboneConfig,
    /// Why this one, where the state dict is not exactly of it.
    pub(super) remark: Option<String>,
}

/// The side of aligned faces, for which all networks were published.
const USUAL_SIZE: usize = 112;

/// The network that the names and shapes tell of.
///
/// # Errors
/// A sentence on what was found instead, where no network comes close.
pub(super) fn recognise(state: &StateDict) -> Result<Recognised, String> {
    let has = |part: &str| state.names().any(|name| name.starts_with(part));
    if has("body.") {
        return ir(state);
    }
    if has("conv_6_dw.") {
        let config = named(BackboneName::MobileFaceNetFaceX, state)?;
        return Ok(Recognised { config, remark: None });
    }
    if ["conv2_dw.", "conv_23.", "conv_6_sep."].into_iter().any(has) {
        // The last part of the network tells the two apart; only one of them has a linear layer.
        let gnap = has("output_layer.bn1.") || has("output_layer.bn2.");
        let name = if gnap { BackboneName::MobileFaceNetGnap } else { BackboneName::MobileFaceNetGdc };
        return Ok(Recognised { config: BackboneConfig::published(name), remark: None });
    }
    if has("layer1.") && has("layer3.") {
        return resnet(state);
    }
    if ["conv1_1.", "conv4_3.", "fc5."].into_iter().any(has) {
        return Ok(Recognised { config: named(BackboneName::SphereFace20, state)?, remark: None });
    }
    let roots: BTreeSet<&str> = state.names().map(|name| name.split('.').next().unwrap_or(name)).collect();
    let shown: Vec<&str> = roots.iter().copied().take(8).collect();
    let more = if roots.len() > shown.len() { ", …" } else { "" };
    Err(format!(
        "its names start with {}{more}, as those of no face recognition network known here: those of IR start with \
         input_layer, body, output_layer, those of MobileFaceNet with conv1, conv2_dw, conv_23, those of ResNet with \
         conv1, layer1, fc, those of SphereFace with conv1_1, relu1_1, fc5",
        shown.join(", ")
    ))
}

/// The configuration of the network called `name` for a state dict: its input size, and what else is free, come from
/// the shapes.
///
/// # Errors
/// A sentence on why the shapes do not tell.
pub(super) fn named(name: BackboneName, state: &StateDict) -> Result<BackboneConfig, String> {
    use BackboneName as N;
    let published = BackboneConfig::published(name);
    let input_size = match name {
        N::IrTiny => return IrTraits::read(state).tiny(state),
        N::MobileFaceNetGdc | N::MobileFaceNetGnap => USUAL_SIZE,
        N::MobileFaceNetFaceX => return Ok(facex(state)),
        N::ResNet50 | N::ResNet101 | N::ResNet152 => input_size(state, "fc.weight", 2048, 32),
        N::SphereFace20 => return sphereface(state),
        name => {
            let channels = name.ir().map_or(512, |config| config.widths[3]);
            input_size(state, "output_layer.3.weight", channels, 16)
        }
    };
    Ok(BackboneConfig { input_size, ..published })
}

/// Refuses to build a network far larger than its file: names, shapes and descriptions are cheap to forge.
///
/// # Errors
/// A sentence with the size.
pub(super) fn check_size(config: &BackboneConfig, state: &StateDict) -> Result<(), String> {
    if config.name != BackboneName::IrTiny {
        return Ok(());
    }
    let product = |factors: [usize; 4]| factors.into_iter().fold(1, usize::saturating_mul);
    let side = config.input_size.div_ceil(16);
    let linear = product([config.embedding, config.widths[3], side, side]);
    // Two 3x3 convolutions a unit.
    let units =
        config.units.iter().zip(config.widths).map(|(&units, width)| product([units, 18, width, width]));
    let weights = units.fold(linear, usize::saturating_add);
    match weights / 4 > state.elements() {
        true => {
            Err(format!("it tells of a network with over {weights} weights but holds {}", state.elements()))
        }
        false => Ok(()),
    }
}

/// Side of the pictures for which the linear layer `[D, channels · s · s]` is made, `s` being the side of the last map
/// at that stride; the usual one where the shape does not tell, or where it is one of those that fit.
fn input_size(state: &StateDict, linear: &str, channels: usize, stride: usize) -> usize {
    let side = |shape: &[usize]| {
        let [_, inputs] = *shape else { return None };
        let side = (inputs / channels.max(1)).isqrt();
        (side > 0 && side.checked_mul(side)?.checked_mul(channels)? == inputs).then_some(side)
    };
    let size =
        state.get(linear).and_then(|array| side(array.shape())).map(|side| side.saturating_mul(stride));
    match size {
        Some(size) if size != USUAL_SIZE.next_multiple_of(stride) => size,
        _ => USUAL_SIZE,
    }
}

/// FaceX-Zoo's MobileFaceNet: its depthwise kernel covers the last map, its linear layer ends in the embedding. Sizes
/// that no picture has come from damage.
fn facex(state: &StateDict) -> BackboneConfig {
    let published = BackboneConfig::published(BackboneName::MobileFaceNetFaceX);
    let side = |shape: &[usize]| match *shape {
        [_, 1, height, width] if height == width && (1..=32).contains(&width) => Some(16 * width),
        _ => None,
    };
    let shape = |name: &str| state.get(name).map(|array| array.shape());
    let input_size = shape("conv_6_dw.conv.weight").and_then(side).unwrap_or(published.input_size);
    let embedding = shape("linear.weight").and_then(|shape| shape.first().copied());
    BackboneConfig { input_size, embedding: embedding.unwrap_or(published.embedding), ..published }
}

/// SphereFace-20: its linear layer covers the last map, a sixteenth of the pictures on either side, and ends in the
/// embedding. A layer of any other shape comes from damage, and tells nothing.
fn sphereface(state: &StateDict) -> Result<BackboneConfig, String> {
    let published = BackboneConfig::published(BackboneName::SphereFace20);
    let Some(&[embedding, inputs]) = state.get("fc5.weight").map(|array| array.shape()) else {
        return Ok(published);
    };
    if inputs == 512 * 7 * 6 {
        let reason =
            "it is of SphereFace-20 for pictures of 112 x 96 pixels; recognisers here take square ones";
        return Err(reason.to_owned());
    }
    let side = (inputs / 512).isqrt();
    match embedding > 0 && (1..=32).contains(&side) && side * side * 512 == inputs {
        true => Ok(BackboneConfig { input_size: 16 * side, embedding, ..published }),
        false => Ok(published),
    }
}

fn ir(state: &StateDict) -> Result<Recognised, String> {
    let traits = IrTraits::read(state);
    let candidates = BackboneName::ALL.into_iter().filter_map(|name| Some((name, name.ir()?)));
    let best = candidates
        .filter(|(_, config)| traits.same_units(config))
        .map(|(name, config)| (traits.distance(&config), name, config))
        .min_by_key(|(distance, ..)| *distance);
    let publish = |name| named(name, state);
    match best {
        Some((0, name, _)) => Ok(Recognised { config: publish(name)?, remark: None }),
        // A few units that differ are damage; many are another network.
        Some((distance, name, config))
            if distance <= traits.depths.len() / 3 && traits.has_widths(&config) =>
        {
            let remark = format!("it has {}; {name} is the closest network", traits.describe());
            Ok(Recognised { config: publish(name)?, remark: Some(remark) })
        }
        _ => match traits.tiny(state) {
            Ok(config) => Ok(Recognised { config, remark: None }),
            Err(reason) => Err(reason),
        },
    }
}

/// What the residual units of an IR network show.
#[derive(Debug)]
struct IrTraits {
    dialect: IrDialect,
    bottleneck: bool,
    squeeze: bool,
    /// Output channels of every unit.
    depths: BTreeMap<usize, usize>,
}

/// What one unit shows.
#[derive(Debug, Default)]
struct UnitTraits {
    /// Places of its convolutions in `res_layer`.
    convolutions: BTreeSet<usize>,
    /// First dimension of its tensors, with their place in `res_layer`.
    lengths: Vec<(usize, usize)>,
    squeeze: bool,
}

impl UnitTraits {
    /// Output channels: those of most tensors after the first convolution, or after the last of a bottleneck.
    fn depth(&self) -> Option<usize> {
        let first = if self.convolutions.contains(&7) { 7 } else { 1 };
        most_common(self.lengths.iter().filter(|(place, _)| *place >= first).map(|&(_, length)| length))
    }
}

impl IrTraits {
    fn read(state: &StateDict) -> Self {
        let mut units: BTreeMap<usize, UnitTraits> = BTreeMap::new();
        for (name, array) in state.iter() {
            let Some((unit, rest)) = name.strip_prefix("body.").and_then(|rest| rest.split_once('.')) else {
                continue;
            };
            let (Ok(unit), Some(rest)) = (unit.parse(), rest.strip_prefix("res_layer.")) else { continue };
            let unit: &mut UnitTraits = units.entry(unit).or_default();
            unit.squeeze |= rest.starts_with("se_block.") || rest.starts_with("5.fc");
            let Some((Ok(place), _)) = rest.split_once('.').map(|(place, leaf)| (place.parse(), leaf)) else {
                continue;
            };
            if array.shape().len() == 4 && !rest.starts_with("5.fc") {
                unit.convolutions.insert(place);
            }
            unit.lengths.extend(array.shape().first().map(|&length| (place, length)));
        }
        let most = |holds: &dyn Fn(&UnitTraits) -> bool| {
            2 * units.values().filter(|unit| holds(unit)).count() > units.len()
        };
        // TFace's second normalisation moves the second convolution from place 3 to place 4.
        let tface = most(&|unit| unit.convolutions.contains(&4));
        Self {
            dialect: if tface { IrDialect::TFace } else { IrDialect::CurricularFace },
            bottleneck: most(&|unit| unit.convolutions.contains(&7)),
            squeeze: most(&|unit| unit.squeeze),
            depths: units.iter().filter_map(|(&k, unit)| Some((k, unit.depth()?))).collect(),
        }
    }

    fn same_units(&self, config: &IrConfig) -> bool {
        (self.dialect, self.bottleneck, self.squeeze) == (config.dialect, config.bottleneck, config.squeeze)
    }

    /// Whether no unit has a width that the network lacks, but for a damaged one.
    fn has_widths(&self, config: &IrConfig) -> bool {
        let foreign = self.depths.values().filter(|depth| !config.widths.contains(depth)).count();
        foreign <= 1
    }

    /// Units that only one of the two has, or that differ in width.
    fn distance(&self, config: &IrConfig) -> usize {
        let stages = config.units.iter().zip(config.widths);
        let expected: Vec<usize> =
            stages.flat_map(|(&units, width)| std::iter::repeat_n(width, units)).collect();
        let differing = self.depths.iter().filter(|&(&k, depth)| expected.get(k) != Some(depth)).count();
        let absent = (0..expected.len()).filter(|k| !self.depths.contains_key(k)).count();
        differing + absent
    }

    /// First unit and width of every stage: a stage ends where the width changes.
    fn stages(&self) -> Vec<(usize, usize)> {
        let mut stages: Vec<(usize, usize)> = Vec::new();
        for (&k, &width) in &self.depths {
            if stages.last().is_none_or(|&(_, last)| last != width) {
                stages.push((k, width));
            }
        }
        stages
    }

    /// Units and width of every stage.
    fn stage_sizes(&self) -> Vec<(usize, usize)> {
        let stages = self.stages();
        let end = self.depths.keys().next_back().map_or(0, |last| last.saturating_add(1));
        let ends = stages.iter().skip(1).map(|&(start, _)| start).chain([end]);
        stages.iter().zip(ends).map(|(&(start, width), end)| (end - start, width)).collect()
    }

    /// What the units are, in words.
    fn describe(&self) -> String {
        let stages = self.stage_sizes();
        let list = |numbers: Vec<usize>| {
            let shown: Vec<String> = numbers.iter().take(8).map(usize::to_string).collect();
            let more = if numbers.len() > shown.len() { ", …" } else { "" };
            format!("{}{more}", shown.join(", "))
        };
        let dialect = match self.dialect {
            IrDialect::CurricularFace => "IR",
            IrDialect::TFace => "TFace's IR",
        };
        format!(
            "{} {dialect} units{}{} of {} channels",
            list(stages.iter().map(|&(units, _)| units).collect()),
            if self.bottleneck { " with bottleneck" } else { "" },
            if self.squeeze { " with squeeze-and-excitation" } else { "" },
            list(stages.iter().map(|&(_, width)| width).collect()),
        )
    }

    /// A network of free widths and units with these.
    fn tiny(&self, state: &StateDict) -> Result<BackboneConfig, String> {
        let unknown = || format!("it has {}, as no network known here", self.describe());
        let stages: [(usize, usize); 4] = self.stage_sizes().try_into().map_err(|_| unknown())?;
        if self.dialect == IrDialect::TFace || self.bottleneck || self.squeeze {
            return Err(unknown());
        }
        let [units, widths] = [stages.map(|(units, _)| units), stages.map(|(_, width)| width)];
        let length = |name: &str| state.get(name).and_then(|array| array.shape().first().copied());
        let output = ["3.weight", "3.bias", "4.running_mean", "4.running_var"];
        let embedding = most_common(output.iter().filter_map(|name| length(&format!("output_layer.{name}"))));
        let embedding = embedding.ok_or_else(|| {
            "it has no output_layer.3 or output_layer.4, which tell the length of the embedding".to_owned()
        })?;
        let input_size = input_size(state, "output_layer.3.weight", widths[3], 16);
        let name = BackboneName::IrTiny;
        Ok(BackboneConfig { name, input_size, embedding, widths, units, weights: None })
    }
}

/// The value that comes most often; of several such, the largest.
fn most_common(values: impl Iterator<Item = usize>) -> Option<usize> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    counts.into_iter().max_by_key(|&(value, count)| (count, value)).map(|(value, _)| value)
}

fn resnet(state: &StateDict) -> Result<Recognised, String> {
    let block = |name: &str| name.strip_prefix("layer3.")?.split('.').next()?.parse::<usize>().ok();
    let blocks = state.names().filter_map(block).collect::<BTreeSet<_>>().len();
    if !state.names().any(|name| name.starts_with("layer") && name.ends_with(".conv3.weight")) {
        return Err("it is a ResNet of basic blocks; those known here for faces have bottlenecks".to_owned());
    }
    // The depths differ most in their third stage.
    let depths = [(BackboneName::ResNet50, 6), (BackboneName::ResNet101, 23), (BackboneName::ResNet152, 36)];
    let (name, wanted) = depths
        .into_iter()
        .min_by_key(|&(_, wanted)| blocks.abs_diff(wanted))
        .unwrap_or((BackboneName::ResNet50, 6));
    let remark = (blocks != wanted)
        .then(|| format!("its third stage has {blocks} blocks; {name} with {wanted} is the closest network"));
    Ok(Recognised { config: named(name, state)?, remark })
}

#[cfg(test)]
mod tests {
    use ocelli_method::Array;
    use ocelli_nn::{Store, device};

    use super::*;

    /// The state dict of a network, with tensors as small as their names allow where shapes do not matter.
    fn state(config: &BackboneConfig) -> StateDict {
        let store = Store::new(&device("cpu").unwrap(), 0);
        config.build(&store.root());
        StateDict::from_pairs(store.state()).unwrap()
    }

    fn tiny(widths: [usize; 4], units: [usize; 4]) -> BackboneConfig {
        BackboneConfig { widths, units, input_size: 48, embedding: 24, ..BackboneConfig::default() }
    }

    #[test]
    fn a_tiny_network_is_rebuilt_from_its_shapes() {
        for config in [tiny([4, 6, 8, 10], [1, 1, 1, 1]), tiny([8, 4, 2, 6], [2, 1, 3, 1])] {
            assert_eq!(recognise(&state(&config)).unwrap(), Recognised { config, remark: None });
        }
    }

    #[test]
    fn published_networks_are_told_apart() {
        use BackboneName as N;
        for name in [N::TfaceIr18, N::MobileFaceNetGdc, N::MobileFaceNetGnap, N::MobileFaceNetFaceX] {
            let config = BackboneConfig::published(name);
            assert_eq!(recognise(&state(&config)).unwrap(), Recognised { config, remark: None }, "{name}");
        }
        let small = BackboneConfig {
            input_size: 64,
            embedding: 96,
            ..BackboneConfig::published(N::MobileFaceNetFaceX)
        };
        assert_eq!(recognise(&state(&small)).unwrap().config, small);
        let sphere =
            BackboneConfig { input_size: 32, embedding: 24, ..BackboneConfig::published(N::SphereFace20) };
        assert_eq!(recognise(&state(&sphere)).unwrap(), Recognised { config: sphere, remark: None });
        let official = Array::f32([1, 512 * 42], vec![0.0; 512 * 42]).unwrap();
        let official = StateDict::from_pairs([("fc5.weight", official)]).unwrap();
        assert!(recognise(&official).unwrap_err().contains("112 x 96"));
        let forged = Array::f32([1 << 40, 0], Vec::new()).unwrap();
        let forged = StateDict::from_pairs([("fc5.weight", forged)]).unwrap();
        assert_eq!(recognise(&forged).unwrap().config, BackboneConfig::published(N::SphereFace20));
    }

    /// Names and shapes of the units alone: enough to tell the depths, without building the networks.
    fn units_of(config: &IrConfig) -> StateDict {
        let mut state = StateDict::new();
        let mut input = config.widths[0];
        let mut k = 0;
        for (&units, &width) in config.units.iter().zip(&config.widths) {
            for _ in 0..units {
                let places: &[usize] = match (config.bottleneck, config.dialect) {
                    (true, _) => &[1, 4, 7],
                    (false, IrDialect::TFace) => &[1, 4],
                    (false, IrDialect::CurricularFace) => &[1, 3],
                };
                for &place in places {
                    let narrow = if config.bottleneck && place < 7 { width / 4 } else { width };
                    let array = Array::f32([narrow, 1, 1, 1], vec![0.0; narrow]).unwrap();
                    state.insert(format!("body.{k}.res_layer.{place}.weight"), array).unwrap();
                }
                state
                    .insert(format!("body.{k}.res_layer.0.weight"), Array::vector(vec![1.0; input]))
                    .unwrap();
                if config.squeeze {
                    let name = if config.dialect == IrDialect::TFace { "se_block" } else { "5" };
                    let array = Array::f32([1, width, 1, 1], vec![0.0; width]).unwrap();
                    state.insert(format!("body.{k}.res_layer.{name}.fc1.weight"), array).unwrap();
                }
                input = width;
                k += 1;
            }
        }
        state
    }

    #[test]
    fn every_ir_network_is_told_by_its_units() {
        let networks = BackboneName::ALL.into_iter().filter_map(|name| Some((name, name.ir()?)));
        for (name, config) in networks {
            let mut found = units_of(&config);
            let last =
                Array::f32([1, config.widths[3] * 14 * 14], vec![0.0; config.widths[3] * 196]).unwrap();
            found.insert("output_layer.3.weight", last).unwrap();
            let Recognised { config, remark } = recognise(&found).unwrap();
            assert_eq!((config.name, config.input_size, remark), (name, 224, None));
        }
    }

    #[test]
    fn a_damaged_unit_does_not_change_the_network() {
        let config = BackboneName::Ir50.ir().unwrap();
        // One unit is gone, another of a width of its own.
        let pairs = units_of(&config).into_iter().filter(|(name, _)| !name.starts_with("body.23."));
        let mut found = StateDict::from_pairs(pairs).unwrap();
        found.insert("body.5.res_layer.4.weight", Array::vector([1.0])).unwrap();
        let recognised = recognise(&found).unwrap();
        assert_eq!(recognised.config, BackboneConfig::published(BackboneName::Ir50));
        assert_eq!(
            recognised.remark.unwrap(),
            "it has 3, 4, 14, 2 IR units of 64, 128, 256, 512 channels; ir-50 is the closest network"
        );
    }

    #[test]
    fn a_forged_name_builds_no_giant() {
        let mut found = state(&tiny([4, 6, 8, 10], [1, 1, 1, 1]));
        found
            .insert("body.4000000000.res_layer.1.weight", Array::f32([10, 1, 1, 1], vec![0.0; 10]).unwrap())
            .unwrap();
        let config = recognise(&found).unwrap().config;
        assert_eq!(config.units[3], 3_999_999_998);
        assert!(check_size(&config, &found).unwrap_err().contains("over 7200000000648 weights"));
        let honest = tiny([4, 6, 8, 10], [1, 1, 1, 1]);
        check_size(&honest, &state(&honest)).unwrap();
    }

    #[test]
    fn other_networks_are_refused_in_words() {
        let found = |names: &[&str]| {
            let pairs = names.iter().map(|name| (*name, Array::vector([1.0])));
            recognise(&StateDict::from_pairs(pairs).unwrap()).unwrap_err()
        };
        assert!(
            found(&["head.kernel", "head.t"]).starts_with("its names start with head, as those of no face")
        );
        assert!(found(&["layer1.0.conv1.weight", "layer3.0.conv1.weight"]).contains("basic blocks"));
        let se = |k: usize| {
            [format!("body.{k}.res_layer.se_block.fc1.weight"), format!("body.{k}.res_layer.1.weight")]
        };
        let names: Vec<String> = (0..3).flat_map(se).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(
            found(&names).contains("3 IR units with squeeze-and-excitation of 1 channels"),
            "{}",
            found(&names)
        );
    }

    #[test]
    fn input_sizes() {
        let size = |inputs: usize, channels, stride| {
            let array = Array::f32([1, inputs], vec![0.0; inputs]).unwrap();
            input_size(&StateDict::from_pairs([("fc.weight", array)]).unwrap(), "fc.weight", channels, stride)
        };
        assert_eq!(size(8 * 49, 8, 16), 112);
        assert_eq!(size(8 * 16, 8, 16), 64);
        // 112 pixels leave four at stride 32, as 128 do.
        assert_eq!(size(8 * 16, 8, 32), 112);
        assert_eq!(size(8 * 49, 8, 32), 224);
        assert_eq!(size(8 * 49 + 1, 8, 16), 112, "no square map");
        assert_eq!(input_size(&StateDict::new(), "fc.weight", 8, 16), 112);
    }
}
