//! Storage classes and the schemes behind them. Pure.

use super::error::Error;
use crate::erasure::Scheme;

/// The class of an object that names none.
pub(crate) const STANDARD: &str = "STANDARD";

/// Every class that is taken, with its scheme. Amazon's classes that differ only in price and
/// access time are stored as the standard one and keep their name.
const CLASSES: [(&str, Scheme); 11] = [
    (STANDARD, Scheme::FourTwo),
    ("REDUCED_REDUNDANCY", Scheme::FiveOne),
    ("SIXFOLD_SCRATCH", Scheme::SixZero),
    ("STANDARD_IA", Scheme::FourTwo),
    ("ONEZONE_IA", Scheme::FourTwo),
    ("INTELLIGENT_TIERING", Scheme::FourTwo),
    ("GLACIER", Scheme::FourTwo),
    ("GLACIER_IR", Scheme::FourTwo),
    ("DEEP_ARCHIVE", Scheme::FourTwo),
    ("OUTPOSTS", Scheme::FourTwo),
    ("EXPRESS_ONEZONE", Scheme::FourTwo),
];

/// A class and its scheme by the name that a client gives; the standard one without a name.
pub(crate) fn parse(name: Option<&str>) -> Result<(&'static str, Scheme), Error> {
    let name = name.filter(|name| !name.is_empty()).unwrap_or(STANDARD);
    CLASSES.iter().find(|class| class.0 == name).copied().ok_or(Error::InvalidStorageClass)
}

/// The class as reads show it: the standard one is not mentioned.
pub(crate) fn shown(name: &str) -> Option<String> {
    (name != STANDARD).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_choose_schemes() {
        for (name, scheme) in [
            (None, Scheme::FourTwo),
            (Some(""), Scheme::FourTwo),
            (Some("STANDARD"), Scheme::FourTwo),
            (Some("REDUCED_REDUNDANCY"), Scheme::FiveOne),
            (Some("SIXFOLD_SCRATCH"), Scheme::SixZero),
            (Some("GLACIER_IR"), Scheme::FourTwo),
        ] {
            assert_eq!(parse(name).unwrap().1, scheme, "{name:?}");
        }
        assert!(matches!(parse(Some("standard")), Err(Error::InvalidStorageClass)));
        assert!(matches!(parse(Some("CHEAP")), Err(Error::InvalidStorageClass)));
    }

    #[test]
    fn the_standard_class_is_not_shown() {
        assert_eq!(shown("STANDARD"), None);
        assert_eq!(shown("GLACIER").as_deref(), Some("GLACIER"));
    }
}
