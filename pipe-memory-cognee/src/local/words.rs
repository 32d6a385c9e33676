//! What a word is for the search.

use bm25::Tokenizer;

/// Letters and digits in small letters: names of domains and factors are searched for as they are
/// written, so nothing is stemmed and no word is left out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Words;

impl Tokenizer for Words {
    fn tokenize(&self, text: &str) -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric());
        words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_is_between_signs() {
        assert_eq!(
            Words.tokenize("INT-0001: Zahlungs-Daten,äöü!"),
            ["int", "0001", "zahlungs", "daten", "äöü"]
        );
    }
}
