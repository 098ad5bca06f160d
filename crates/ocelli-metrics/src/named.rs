//! Enumerations that users write by name.

/// Gives an enumeration of unit variants its names: `ALL`, `name`, `Display`, `FromStr` and serialisation as text.
macro_rules! named_variants {
    ($type:ident, $kind:literal, { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            /// All variants, the default first.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name a user writes.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::MetricError;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|v| v.name() == name).ok_or_else(|| {
                    let names: Vec<_> = Self::ALL.iter().map(|v| v.name()).collect();
                    $crate::MetricError::UnknownName {
                        kind: $kind,
                        name: name.to_owned(),
                        known: names.join(", "),
                    }
                })
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    };
}

pub(crate) use named_variants;
