//! [`named_values!`]: settings with a few values, each of which has a name in files and in the environment.

/// The names of the values of `$setting`, and the conversions from and to them.
macro_rules! named_values {
    ($setting:ident, $invalid:ident: $($value:ident = $name:literal,)+) => {
        impl $setting {
            /// The name in files and in the environment.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)+
                }
            }
        }

        impl std::fmt::Display for $setting {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $setting {
            type Err = $invalid;

            fn from_str(text: &str) -> Result<Self, $invalid> {
                match text {
                    $($name => Ok(Self::$value),)+
                    _ => Err($invalid(())),
                }
            }
        }
    };
}
pub(crate) use named_values;
