//! Numbers of things in sentences.

use std::fmt::Display;

/// A number of things: "1 epoch", "20 epochs".
///
/// `thing` is the English word for one; the rule for several is that of regular nouns.
///
/// ```
/// use tagwise_base::words::counted;
///
/// assert_eq!(counted(1, "label set"), "1 label set");
/// assert_eq!(counted(0, "class"), "0 classes");
/// assert_eq!(counted(2, "index entry"), "2 index entries");
/// ```
pub fn counted(count: usize, thing: &str) -> String {
    counted_as(count, count, thing)
}

/// The same with the number as it is to be shown.
///
/// ```
/// use tagwise_base::words::counted_as;
///
/// assert_eq!(counted_as(5400, "5,400", "image"), "5,400 images");
/// ```
pub fn counted_as(count: usize, shown: impl Display, thing: &str) -> String {
    format!("{shown} {}", plural(count, thing))
}

/// The word for so many things.
///
/// ```
/// use tagwise_base::words::plural;
///
/// assert_eq!((plural(1, "match").as_str(), plural(3, "match").as_str()), ("match", "matches"));
/// ```
pub fn plural(count: usize, thing: &str) -> String {
    if count == 1 {
        return thing.into();
    }
    let sibilant = ["s", "x", "z", "ch", "sh"];
    // Its last sound is a k.
    let is_hard = thing.ends_with("epoch");
    if !is_hard && sibilant.iter().any(|end| thing.ends_with(end)) {
        return format!("{thing}es");
    }
    match thing.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_one_and_all_other_numbers_are_several() {
        for (thing, several) in [
            ("epoch", "epochs"),
            ("class", "classes"),
            ("box", "boxes"),
            ("match", "matches"),
            ("entry", "entries"),
            ("array", "arrays"),
            ("label set", "label sets"),
        ] {
            assert_eq!(plural(1, thing), thing);
            for count in [0, 2, 11, 21, 101] {
                assert_eq!(plural(count, thing), several);
            }
        }
    }
}
