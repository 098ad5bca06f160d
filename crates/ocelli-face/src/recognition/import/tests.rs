use std::fs;

use ocelli_method::random::hash_fill;
use ocelli_nn::weights::safetensors;

use super::*;

/// A tiny network's weights, each from its name and shape.
fn weights() -> (BackboneConfig, StateDict) {
    let config = BackboneConfig {
        widths: [4, 6, 8, 10],
        units: [1, 2, 1, 1],
        input_size: 32,
        embedding: 12,
        ..BackboneConfig::default()
    };
    let store = Store::new(&ocelli_nn::device("cpu").unwrap(), 0);
    config.build(&store.root());
    let array = |(name, shape): (String, Vec<usize>)| {
        let values = hash_fill(&name, &shape);
        (name, Array::f32(shape, values).unwrap())
    };
    (config, StateDict::from_pairs(store.shapes().into_iter().map(array)).unwrap())
}

/// Imports a state dict after a change of its tensors.
fn changed(
    options: &ImportOptions,
    change: impl Fn(&str, Array) -> Option<(String, Array)>,
) -> Result<Imported, ImportError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let pairs = weights().1.into_iter().filter_map(|(name, array)| change(&name, array));
    safetensors::write(&path, &StateDict::from_pairs(pairs).unwrap(), &Default::default()).unwrap();
    import(&path, options)
}

/// Imports as [`changed`] with one tensor replaced, or left out.
fn replaced(
    options: &ImportOptions,
    place: &str,
    by: impl Fn(Array) -> Option<(String, Array)>,
) -> Result<Imported, ImportError> {
    changed(options, |name, array| if name == place { by(array) } else { Some((name.to_owned(), array)) })
}

fn strict() -> ImportOptions {
    ImportOptions::new("curricularface")
}

#[test]
fn every_weight_finds_its_place() {
    let imported =
        changed(&strict(), |name, array| Some((format!("module.backbone.{name}"), array))).unwrap();
    let (config, state) = weights();
    assert_eq!(imported.passport().backbone, config);
    assert_eq!(imported.stripped.as_deref(), Some("module.backbone."));
    assert_eq!(imported.report.matched.len(), state.len());
    assert_eq!(imported.notes, Vec::<String>::new());
    // Counters are integers in the network and may be anything in a file.
    for (name, array) in imported.recognizer.store().state() {
        assert_eq!(array.to_f32(), state.get(&name).unwrap().to_f32(), "{name}");
    }
}

#[test]
fn what_was_imported_opens_as_a_recognizer() {
    let imported = changed(&strict(), |name, array| Some((name.to_owned(), array))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.safetensors");
    imported.recognizer.save(&path).unwrap();
    let opened = Recognizer::open(&path, "cpu").unwrap();
    assert_eq!(opened.passport(), imported.passport());
    let picture = image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([x as u8 * 8, y as u8 * 8, 90]));
    let pictures = [picture];
    assert_eq!(opened.embed(&pictures, true).unwrap(), imported.recognizer.embed(&pictures, true).unwrap());
    // A file with a passport says itself what it is of, whatever its names.
    let again = import(&path, &ImportOptions::new("arcface")).unwrap();
    assert_eq!(again.passport().method, "arcface");
    assert_eq!(again.passport().backbone, imported.passport().backbone);
}

#[test]
fn keys_that_do_not_fit_are_named() {
    let place = "body.3.res_layer.3.weight";
    let renamed =
        replaced(&strict(), place, |array| Some(("body.3.res_layer.conv.weight".to_owned(), array)));
    let error = renamed.unwrap_err().to_string();
    assert!(error.contains("read as ir-tiny for 32x32 pixels"), "{error}");
    assert!(error.contains("did the file call it body.3.res_layer.conv.weight?"), "{error}");

    let missing = replaced(&strict(), place, |_| None).unwrap_err().to_string();
    assert!(missing.contains("missing     body.3.res_layer.3.weight [8, 8, 3, 3]"), "{missing}");

    let misshapen = replaced(&strict(), place, |_| {
        Some((place.to_owned(), Array::f32([9, 8, 3, 3], vec![0.0; 648]).unwrap()))
    });
    let misshapen = misshapen.unwrap_err().to_string();
    assert!(misshapen.contains("[8, 8, 3, 3] in the network and [9, 8, 3, 3] in the file"), "{misshapen}");
}

#[test]
fn only_missing_weights_can_be_allowed() {
    let options = ImportOptions { allow_missing: true, ..strict() };
    let place = "body.3.res_layer.3.weight";
    let imported = replaced(&options, place, |_| None).unwrap();
    assert_eq!(imported.report.missing.len(), 1);
    assert!(imported.notes[0].starts_with("not in the file, so with"), "{:?}", imported.notes);
    assert!(imported.notes[0].ends_with(place), "{:?}", imported.notes);
    let renamed = replaced(&options, place, |array| Some(("other.weight".to_owned(), array)));
    assert!(matches!(renamed, Err(ImportError::Keys { .. })));
}

#[test]
fn values_that_are_no_numbers_are_refused() {
    let place = "body.0.res_layer.1.weight";
    let spoilt = |value: f64| {
        let result = replaced(&strict(), place, |array| {
            let mut values = array.to_f64();
            values[7] = value;
            Some((place.to_owned(), Array::new(array.shape(), Data::F64(values)).unwrap()))
        });
        result.unwrap_err().to_string()
    };
    assert!(
        spoilt(f64::NAN).contains("`body.0.res_layer.1.weight` holds 1 NaN and 0 infinite values of 144")
    );
    assert!(spoilt(f64::INFINITY).contains("0 NaN and 1 infinite"));
    // A finite number in double precision that single precision does not have.
    assert!(spoilt(1e300).contains("0 NaN and 1 infinite"));

    let negative = changed(&strict(), |name, array| {
        let array = match name.ends_with("running_var") {
            true => Array::vector(array.to_f32().into_iter().map(|v| -v)),
            false => array,
        };
        Some((name.to_owned(), array))
    });
    let error = negative.unwrap_err().to_string();
    assert!(error.contains("`input_layer.1.running_var` holds 4 negative values"), "{error}");
    assert!(error.contains(" more like it)"), "{error}");
}

#[test]
fn the_network_can_be_named() {
    let options = ImportOptions { name: Some(BackboneName::MobileFaceNetGdc), ..strict() };
    let error = changed(&options, |name, array| Some((name.to_owned(), array))).unwrap_err().to_string();
    assert!(error.contains("read as mobilefacenet-gdc for 112x112 pixels"), "{error}");
    let options = ImportOptions { name: Some(BackboneName::IrTiny), ..strict() };
    assert!(changed(&options, |name, array| Some((name.to_owned(), array))).is_ok());
}

#[test]
fn a_file_that_is_no_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.pth");
    assert!(matches!(import(&path, &strict()), Err(ImportError::File(_))), "absent");
    for bytes in [&b""[..], b"PK\x03\x04", b"\x80\x02", b"not weights at all"] {
        fs::write(&path, bytes).unwrap();
        let error = import(&path, &strict()).unwrap_err().to_string();
        assert!(error.contains("checkpoint.pth"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
