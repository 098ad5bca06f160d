//! Backbones against the outputs that PyTorch 2.15 gives, with torchvision's networks and a transcription of CLIP's tower,
//! for hashed parameters and pictures, in double precision.
#![allow(clippy::unwrap_used)] // What is unwrapped here was made here.

use burn::tensor::Tensor;
use ocelli_method::random::{hash_fill, hash_uniform};
use ocelli_nn::backbones::{MobileNetV2Config, ResNetConfig, ResNetDepth, VitConfig};
use ocelli_nn::tensor::{from_values, values};
use ocelli_nn::{Pass, Path, Store, device};

/// What PyTorch gave: the shape, the first four numbers and the last, and the sum of all squares.
struct Expected {
    shape: [usize; 2],
    first: [f32; 4],
    last: f32,
    squares: f64,
}

/// Runs a network that `build` makes on pictures `[B, 3, H, W]`, all of it hashed, and compares.
fn check<N>(
    shape: [usize; 4],
    build: impl Fn(&Path) -> N,
    run: impl Fn(&N, Tensor<4>) -> Tensor<2>,
    expected: &Expected,
) {
    let store = Store::new(&device("cpu").unwrap(), 0);
    let network = build(&store.root());
    for entry in store.entries() {
        entry.set(from_values(hash_fill(entry.name(), entry.shape()), [entry.len()], store.device()));
    }
    let pictures = from_values(hash_uniform("pictures", shape.iter().product()), shape, store.device());
    let output = run(&network, pictures);
    assert_eq!(output.dims(), expected.shape);
    let got = values(output);
    let close = |got: f32, want: f32| assert!((got - want).abs() < 1e-4, "{got} {want}");
    got.iter().zip(expected.first).for_each(|(&got, want)| close(got, want));
    close(got[got.len() - 1], expected.last);
    let squares: f64 = got.iter().map(|&v| f64::from(v).powi(2)).sum();
    assert!((squares / expected.squares - 1.0).abs() < 1e-4, "{squares} {}", expected.squares);
}

#[test]
fn mobilenet_v2_is_torchvisions() {
    check(
        [2, 3, 64, 64],
        |path| MobileNetV2Config::default().build(path),
        |network, x| network.forward(x, &Pass::eval()),
        &Expected {
            shape: [2, 1000],
            first: [-0.115475, -0.043082, 0.00272, -0.034364],
            last: 0.209237,
            squares: 29.709646854882912,
        },
    );
}

#[test]
fn a_narrow_mobilenet_v2_on_oblong_pictures_is_torchvisions() {
    check(
        [2, 3, 40, 56],
        |path| MobileNetV2Config { width: 0.35, classes: 10, ..MobileNetV2Config::default() }.build(path),
        |network, x| network.forward(x, &Pass::eval()),
        &Expected {
            shape: [2, 10],
            first: [0.064994, 0.061474, -0.017027, -0.066453],
            last: -0.027289,
            squares: 0.06077921029528507,
        },
    );
}

#[test]
fn resnet_50_is_torchvisions() {
    check(
        [1, 3, 64, 64],
        |path| ResNetConfig::new(ResNetDepth::D50).build_classifier(path, 10),
        |network, x| network.forward(x, &Pass::eval()),
        &Expected {
            shape: [1, 10],
            first: [-0.561308, -0.483641, 0.512194, -1.253332],
            last: 0.011332,
            squares: 8.43126210258474,
        },
    );
}

#[test]
fn the_image_tower_is_clips() {
    let config = VitConfig { input_size: 48, patch: 16, width: 128, layers: 3, embedding: 24 };
    check(
        [2, 3, 48, 48],
        |path| config.build(&path.at("visual")),
        |tower, x| tower.forward(x, &Pass::eval()),
        &Expected {
            shape: [2, 24],
            first: [-2.44707, -3.511278, 0.576624, 4.955323],
            last: -5.061519,
            squares: 318.32868334325144,
        },
    );
}
