//! The names that a pickle may use. There are no others.

use super::super::dtype::Dtype;

/// A name from the list: a class or function that the machine has its own meaning for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    /// `collections.OrderedDict` and other mappings that start empty or from another mapping.
    Mapping(&'static str),
    /// `collections.defaultdict`: its first argument makes missing values and is dropped.
    DefaultDict,
    /// `set`, `frozenset`.
    Set,
    /// `bytes`, which old protocols call for none, and `bytearray`.
    Bytes,
    /// A type that is only ever mentioned.
    Inert(&'static str),
    /// `_codecs.encode`: how Python 3 writes bytes in old protocols.
    Encode,
    /// `copyreg._reconstructor`: how old protocols make an object of a class.
    Reconstructor,
    /// `argparse.Namespace` and the like: a record of attributes.
    Record(&'static str),
    /// `pathlib` paths: text.
    Path,
    /// `torch._utils._rebuild_tensor` and `_rebuild_tensor_v2`.
    RebuildTensor,
    /// `torch._utils._rebuild_tensor_v3`: the element type comes as an argument.
    RebuildTensorV3,
    /// `torch._utils._rebuild_parameter`.
    RebuildParameter,
    /// `torch._tensor._rebuild_from_type_v2`: a tensor of a subclass.
    RebuildFromType,
    /// `torch.storage._load_from_bytes`: a storage saved within a byte string.
    LoadFromBytes,
    /// A storage class; `None` is bytes without a type.
    Storage(Option<Dtype>),
    /// `torch.Size`.
    Size,
    /// `torch.device`.
    Device,
    /// `torch.float32` and the like.
    TorchType(Dtype),
    /// `numpy.core.multiarray._reconstruct`.
    NumpyReconstruct,
    /// `numpy.core.multiarray.scalar`.
    NumpyScalar,
    /// `numpy.dtype`.
    NumpyType,
    /// `numpy.core.numeric._frombuffer`.
    NumpyFromBuffer,
}

impl Global {
    /// The meaning of `module.name`, where it has one.
    pub(super) fn resolve(module: &str, name: &str) -> Option<Self> {
        match module {
            "collections" => match name {
                "OrderedDict" => Some(Global::Mapping("collections.OrderedDict")),
                "Counter" => Some(Global::Mapping("collections.Counter")),
                "defaultdict" => Some(Global::DefaultDict),
                _ => None,
            },
            "builtins" | "__builtin__" => builtin(name),
            "_codecs" if name == "encode" => Some(Global::Encode),
            "copyreg" | "copy_reg" if name == "_reconstructor" => Some(Global::Reconstructor),
            "argparse" if name == "Namespace" => Some(Global::Record("argparse.Namespace")),
            "types" if name == "SimpleNamespace" => Some(Global::Record("types.SimpleNamespace")),
            "pathlib" | "pathlib._local" => {
                matches!(name, "PosixPath" | "PurePosixPath" | "WindowsPath" | "PureWindowsPath")
                    .then_some(Global::Path)
            }
            "torch" | "torch.cuda" | "torch.storage" | "torch._utils" | "torch._tensor"
            | "torch.nn.parameter" => torch(module, name),
            _ => numpy(module, name),
        }
    }

    /// How the name is called in a tree of values.
    pub(super) fn name(self) -> String {
        match self {
            Global::Mapping(name) | Global::Record(name) | Global::Inert(name) => name.to_owned(),
            Global::TorchType(dtype) => format!("torch.{}", dtype.name()),
            Global::Storage(Some(dtype)) => format!("torch storage class of {}", dtype.name()),
            other => format!("{other:?}"),
        }
    }
}

fn builtin(name: &str) -> Option<Global> {
    Some(match name {
        "set" | "frozenset" => Global::Set,
        "bytes" | "bytearray" => Global::Bytes,
        "dict" => Global::Mapping("dict"),
        "list" => Global::Inert("list"),
        "int" | "long" => Global::Inert("int"),
        "float" => Global::Inert("float"),
        "bool" => Global::Inert("bool"),
        "str" | "unicode" => Global::Inert("str"),
        "object" => Global::Inert("object"),
        _ => return None,
    })
}

fn torch(module: &str, name: &str) -> Option<Global> {
    Some(match (module, name) {
        ("torch", "Size") => Global::Size,
        ("torch", "device") => Global::Device,
        ("torch", "Tensor") => Global::Inert("torch.Tensor"),
        ("torch.nn.parameter", "Parameter") => Global::Inert("torch.nn.Parameter"),
        ("torch.nn.parameter", "Buffer") => Global::Inert("torch.nn.Buffer"),
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::RebuildTensor,
        ("torch._utils", "_rebuild_tensor_v3") => Global::RebuildTensorV3,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Global::RebuildParameter,
        ("torch._tensor", "_rebuild_from_type_v2") => Global::RebuildFromType,
        ("torch.storage", "_load_from_bytes") => Global::LoadFromBytes,
        ("torch.storage", "UntypedStorage" | "_UntypedStorage") => Global::Storage(None),
        ("torch" | "torch.cuda" | "torch.storage", class) if class.ends_with("Storage") => {
            Global::Storage(Some(Dtype::from_storage_class(class)?))
        }
        ("torch", dtype) => Global::TorchType(Dtype::from_name(dtype)?),
        _ => return None,
    })
}

fn numpy(module: &str, name: &str) -> Option<Global> {
    Some(match (module, name) {
        ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Global::NumpyReconstruct,
        ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Global::NumpyScalar,
        ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Global::NumpyFromBuffer,
        ("numpy", "dtype") => Global::NumpyType,
        ("numpy", "ndarray") => Global::Inert("numpy.ndarray"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_closed() {
        for (module, name) in [
            ("os", "system"),
            ("posix", "system"),
            ("builtins", "eval"),
            ("builtins", "exec"),
            ("builtins", "getattr"),
            ("__builtin__", "__import__"),
            ("torch", "load"),
            ("torch", "nn"),
            ("torch", ""),
            ("torch", "Storage"),
            ("torch", "ComplexFloatStorage"),
            ("torch.storage", "_StorageBase"),
            ("torch.nn.modules.linear", "Linear"),
            ("numpy", "load"),
            ("numpy.core.multiarray", "fromfile"),
            ("collections", "namedtuple"),
            ("copyreg", "__newobj__"),
            ("functools", "partial"),
            ("", ""),
        ] {
            assert_eq!(Global::resolve(module, name), None, "{module}.{name}");
        }
        assert_eq!(Global::resolve("torch", "HalfStorage"), Some(Global::Storage(Some(Dtype::F16))));
        assert_eq!(Global::resolve("torch", "bfloat16"), Some(Global::TorchType(Dtype::BF16)));
    }
}
