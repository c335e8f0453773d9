//! What XML 1.0 can carry.

/// Whether a character may stand in a document (XML 1.0, production 2). Others can't be written at
/// all, not even as references.
pub(crate) fn is_char(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// A text as a document can carry it: U+FFFD stands for what it can't.
pub(crate) fn carried(text: &str) -> String {
    text.chars()
        .map(|char| if is_char(char) { char } else { char::REPLACEMENT_CHARACTER })
        .collect()
}
