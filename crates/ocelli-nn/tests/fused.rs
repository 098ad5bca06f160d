//! Fused passes against the layers one by one, for every backbone.
#![allow(clippy::unwrap_used)] // helpers of tests

use burn::tensor::Tensor;
use ocelli_method::random::hash_uniform;
use ocelli_nn::backbones::{
    IrConfig, IrDepth, IrDialect, IrHead, IrTrunk, IrUnit, IrUnitKind, MobileFaceNet, MobileFaceNetTail,
    MobileNetV2Config, ResNetConfig, ResNetDepth, ResNetFace, ResNetFaceDialect, SequentialMobileFaceNet,
    SphereFace, VitConfig,
};
use ocelli_nn::layers::{
    BatchNormConfig, BlockActivation, Conv2dConfig, ConvBlock, Linear, LinearBlock, Prelu, RowBlock,
};
use ocelli_nn::tensor::{from_values, values};
use ocelli_nn::{Init, Joint, Pass, Precision, Role, Store, device};

fn store() -> Store {
    Store::new(&device("cpu").expect("there is always a processor"), 5)
}

/// Moves statistics, scales and slopes away from where they start, where folding them would change nothing.
fn unsettle(store: &Store) {
    for entry in store.entries().into_iter().filter(|e| e.role() != Role::Kernel) {
        let noise = hash_uniform(entry.name(), entry.len());
        let value = |noise: f32| match entry.name().rsplit('.').next() {
            Some("running_var") => 1.0 + 0.5 * noise,
            Some("weight") => 0.8 + 0.4 * noise,
            _ => 0.2 * noise,
        };
        let noise: Vec<f32> = noise.into_iter().map(value).collect();
        entry.set(from_values(noise, [entry.len()], store.device()));
    }
}

fn pictures(shape: [usize; 4], store: &Store) -> Tensor<4> {
    from_values(hash_uniform("x", shape.iter().product::<usize>()), shape, store.device())
}

/// The largest difference, and the largest number.
fn difference(got: &[f32], want: &[f32]) -> (f32, f32) {
    assert_eq!(got.len(), want.len());
    let largest = |numbers: &mut dyn Iterator<Item = f32>| numbers.fold(0.0, |a: f32, b| a.max(b.abs()));
    assert!(got.iter().all(|v| v.is_finite()));
    (largest(&mut got.iter().zip(want).map(|(a, b)| a - b)), largest(&mut want.iter().copied()))
}

/// Runs a network in both passes, twice, and after a change of its parameters.
fn check<const D: usize>(what: &str, store: &Store, run: impl Fn(&Pass) -> Tensor<D>) {
    unsettle(store);
    for change in 0..2 {
        if change == 1 {
            let scaled = store.entries().into_iter().filter(|e| e.role() == Role::Kernel);
            scaled.for_each(|entry| entry.set(entry.plain().mul_scalar(0.9)));
        }
        let want = values(run(&Pass::eval()));
        for _ in 0..2 {
            let (error, size) = difference(&values(run(&Pass::fused())), &want);
            assert!(error <= 1e-5 * size, "{what}: {error} of {size}");
        }
        let half = values(run(&Pass::fused_in(Precision::Bf16)));
        let cosine = |a: &[f32], b: &[f32]| {
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        };
        let cosine = cosine(&half, &want);
        assert!(cosine > 0.999, "{what}: cosine {cosine} in bfloat16");
        assert!(half != want, "{what}: bfloat16 changes something");
    }
    check_sealed(what, store, run);
}

/// A pass that seals gives the bits of one that does not, time and again, and leaves no large parameter behind.
fn check_sealed<const D: usize>(what: &str, store: &Store, run: impl Fn(&Pass) -> Tensor<D>) {
    // Transposed and other kernels that are not packed, of which there are few, keep their values.
    let held = |store: &Store| {
        let kernels = store.entries().into_iter().filter(|e| e.role() == Role::Kernel && e.shape().len() > 1);
        kernels.filter(|entry| !entry.is_released()).map(|entry| entry.name().to_owned()).collect::<Vec<_>>()
    };
    for precision in [Precision::Single, Precision::Bf16] {
        let state = store.state();
        let want = values(run(&Pass::fused_in(precision)));
        assert!(held(store).len() > 1, "{what}: nothing to be released");
        for _ in 0..2 {
            assert_eq!(values(run(&Pass::sealed_in(precision))), want, "{what}: sealed");
        }
        let held = held(store);
        assert!(held.iter().all(|name| name == "visual.proj"), "{what}: {held:?} are held");
        assert!(store.check_held().is_err());
        store.load_all(&state).unwrap();
        assert!(store.check_held().is_ok());
        assert_eq!(values(run(&Pass::fused_in(precision))), want, "{what}: loaded again");
    }
}

#[test]
fn ir_networks() {
    for (dialect, squeeze) in [(IrDialect::CurricularFace, false), (IrDialect::TFace, true)] {
        let store = store();
        let config = IrConfig { dialect, squeeze, ..IrConfig::tiny(32, 24) };
        let network = config.build(&store.root());
        let x = pictures([2, 3, 32, 32], &store);
        check("ir", &store, |pass| network.forward(x.clone(), pass).embedding);
    }
    let store = store();
    let config = IrConfig { input_size: 32, ..IrConfig::published(IrDialect::TFace, IrDepth::D18, true) };
    let network = config.build(&store.root());
    let x = pictures([1, 3, 32, 32], &store);
    check("ir 18", &store, |pass| network.forward(x.clone(), pass).features);
}

#[test]
fn ir_units() {
    use IrUnitKind::{Plain, PlainSe, PlainSpelled, TFace, TFaceBottleneck, TFaceBottleneckSe, TFaceSe};
    for kind in [Plain, PlainSpelled, PlainSe, TFace, TFaceSe, TFaceBottleneck, TFaceBottleneckSe] {
        for (output, stride) in [(32, 2), (48, 2), (32, 1)] {
            let store = store();
            let unit = IrUnit::new(&store.root(), kind, 32, output, stride);
            let x = pictures([3, 32, 9, 9], &store);
            check(&format!("{kind:?} {output}/{stride}"), &store, |pass| unit.forward(x.clone(), pass));
        }
    }
}

#[test]
fn trunk_and_head() {
    let store = store();
    let trunk = IrTrunk::new(&store.root(), &[16, 32], &[1, 2]);
    let head = IrHead::new(&store.root(), 32, 6, 20);
    let x = pictures([3, 3, 24, 24], &store);
    check("trunk and head", &store, |pass| head.forward(trunk.forward(x.clone(), pass), pass));
}

#[test]
fn mobile_facenets() {
    for tail in [MobileFaceNetTail::Gdc, MobileFaceNetTail::Gnap] {
        let store = store();
        let network = MobileFaceNet::new(&store.root(), tail);
        let x = pictures([2, 3, 112, 112], &store);
        check("MobileFaceNet", &store, |pass| network.forward(x.clone(), pass).embedding);
    }
    let store = store();
    let network = SequentialMobileFaceNet::new(&store.root(), 128);
    let x = pictures([1, 3, 112, 112], &store);
    check("sequential MobileFaceNet", &store, |pass| network.forward(x.clone(), pass).embedding);
}

#[test]
fn resnets() {
    for depth in [ResNetDepth::D18, ResNetDepth::D50] {
        let store = store();
        let network = ResNetConfig::new(depth).build(&store.root());
        let x = pictures([1, 3, 65, 64], &store);
        check("ResNet", &store, |pass| network.forward(x.clone(), pass));
    }
    for dialect in [ResNetFaceDialect::CurricularFace, ResNetFaceDialect::LossSearch] {
        let store = store();
        let network = ResNetFace::of(dialect, &store.root(), ResNetDepth::D18, 32, 16);
        let x = pictures([2, 3, 32, 32], &store);
        check("ResNetFace", &store, |pass| network.forward(x.clone(), pass).embedding);
    }
}

#[test]
fn mobile_net() {
    let store = store();
    let config = MobileNetV2Config { width: 0.35, classes: 10, ..MobileNetV2Config::default() };
    let network = config.build(&store.root());
    let x = pictures([2, 3, 40, 56], &store);
    check("MobileNetV2", &store, |pass| network.forward(x.clone(), pass));
}

#[test]
fn classifiers() {
    let store = store();
    let network = ResNetConfig::new(ResNetDepth::D18).build_classifier(&store.root(), 10);
    let x = pictures([2, 3, 64, 64], &store);
    check("ResNet with a classifier", &store, |pass| network.forward(x.clone(), pass));
}

#[test]
fn vision_transformers() {
    for (patch, width, batch) in [(16, 128, 2), (8, 64, 1)] {
        let store = store();
        let config = VitConfig { input_size: 48, patch, width, layers: 3, embedding: 24 };
        let network = config.build(&store.root().at("visual"));
        let x = pictures([batch, 3, 48, 48], &store);
        check("ViT", &store, |pass| network.forward(x.clone(), pass));
    }
}

#[test]
fn sphereface() {
    let store = store();
    let network = SphereFace::sphere20(&store.root(), [48, 32], 16);
    let x = pictures([2, 3, 48, 32], &store);
    check("SphereFace", &store, |pass| network.forward(x.clone(), pass).embedding);
}

#[test]
fn every_activation_and_joint() {
    let store = store();
    let prelu = Prelu::new(&store.root().at("prelu"), 12);
    let activations = [
        BlockActivation::Identity,
        BlockActivation::Relu,
        BlockActivation::Relu6,
        BlockActivation::Prelu(&prelu),
        BlockActivation::Leaky(0.2),
        BlockActivation::Silu,
        BlockActivation::HardSwish,
        BlockActivation::Gelu,
        BlockActivation::GeluTanh,
        BlockActivation::QuickGelu,
    ];
    let before = BatchNormConfig::new(8).build(&store.root().at("before"));
    let after = BatchNormConfig::new(12).build(&store.root().at("after"));
    let x = pictures([2, 8, 7, 6], &store);
    let shortcut = pictures([2, 12, 7, 6], &store);
    // One convolution for all: what it keeps must follow what is asked for.
    let conv = Conv2dConfig::new(8, 12, 3).padding(1).bias().build(&store.root().at("conv"));
    unsettle(&store);
    for activation in activations {
        for joint in [None, Some(Joint::BeforeActivation), Some(Joint::AfterActivation)] {
            for norms in 0..4 {
                let block = ConvBlock::new(&conv).activation(activation);
                let block = if norms & 1 == 1 { block.before(&before) } else { block };
                let block = if norms & 2 == 2 { block.after(&after) } else { block };
                let block = match joint {
                    Some(joint) => block.shortcut(shortcut.clone(), joint),
                    None => block,
                };
                let want = values(block.clone().forward(x.clone(), &Pass::eval()));
                let (error, size) = difference(&values(block.forward(x.clone(), &Pass::fused())), &want);
                assert!(error <= 1e-5 * size, "{activation:?} {joint:?} {norms}: {error} of {size}");
            }
        }
    }
}

#[test]
fn what_is_recorded_is_not_fused() {
    let store = store();
    let conv = Conv2dConfig::new(3, 4, 3).build(&store.root().at("conv"));
    let linear = Linear::new(&store.root().at("linear"), 4, 2, true, Init::FanInUniform);
    let norm = BatchNormConfig::new(4).build(&store.root().at("norm"));
    let run = || {
        let x = pictures([1, 3, 3, 3], &store);
        let map = ConvBlock::new(&conv).after(&norm).forward(x, &Pass::fused());
        LinearBlock::new(&linear).forward(map, &Pass::fused()).sum()
    };
    store.track();
    let gradients = store.backward(&run());
    assert_eq!(gradients.len(), 5, "filters, linear weights and bias, scale and shift");
    assert!(!run().is_autodiff());
}

#[test]
fn rows_with_every_activation() {
    let store = store();
    let linear = Linear::new(&store.root().at("linear"), 10, 12, true, Init::FanInUniform);
    let prelu = Prelu::new(&store.root().at("prelu"), 12);
    unsettle(&store);
    let x = from_values::<3>(hash_uniform("x", 2 * 7 * 10), [2, 7, 10], store.device());
    let shortcut = from_values::<3>(hash_uniform("s", 2 * 7 * 12), [2, 7, 12], store.device());
    let all = [
        BlockActivation::Identity,
        BlockActivation::Relu,
        BlockActivation::Prelu(&prelu),
        BlockActivation::Silu,
        BlockActivation::Gelu,
        BlockActivation::GeluTanh,
        BlockActivation::QuickGelu,
    ];
    for activation in all {
        for joined in [false, true] {
            let block = RowBlock::new(&linear).activation(activation);
            let block = if joined { block.shortcut(shortcut.clone()) } else { block };
            let want = values(block.clone().forward(x.clone(), &Pass::eval()));
            let (error, size) = difference(&values(block.forward(x.clone(), &Pass::fused())), &want);
            assert!(error <= 1e-5 * size, "{activation:?} {joined}: {error} of {size}");
        }
    }
}

#[test]
fn a_sealed_network_is_only_run() {
    let store = store();
    let linear = Linear::new(&store.root().at("linear"), 6, 4, true, Init::FanInUniform);
    let x = || from_values::<2>(hash_uniform("x", 18), [3, 6], store.device());
    let run = |linear: &Linear, pass: &Pass| values(RowBlock::new(linear).forward(x(), pass));
    let want = run(&linear, &Pass::fused());
    // A clone may want to do something else with the values.
    let clone = linear.clone();
    assert_eq!(run(&linear, &Pass::sealed()), want);
    assert!(store.check_held().is_ok(), "shared values stay");
    assert_eq!(values(clone.forward(x())).len(), 12);
    drop(clone);
    assert_eq!(run(&linear, &Pass::sealed()), want);
    let error = store.check_held().unwrap_err().to_string();
    assert!(error.starts_with("parameter `linear.weight` holds no values"), "{error}");
    // A clone made now runs what was packed.
    assert_eq!(run(&linear.clone(), &Pass::sealed()), want);
    assert_eq!(run(&linear, &Pass::fused()), want, "so does a pass that only fuses");
    let refused = |work: &dyn Fn()| {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>(), Some(&error));
    };
    refused(&|| drop(run(&linear, &Pass::eval())));
    refused(&|| drop(run(&linear, &Pass::sealed_in(Precision::Bf16))));
    refused(&|| store.track());
    refused(&|| drop(store.state()));
    assert_eq!(run(&linear, &Pass::sealed()), want, "a refusal breaks nothing");
}
