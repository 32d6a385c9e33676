//! Saying what is wrong in words that are free of the document's own.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use crate::Fault;
use crate::document::{Node, Problem, What};
use crate::kind::join;

/// Shorter words are no secrets worth the name, and are in every sentence.
const SHORTEST: usize = 4;

/// The words of a part of the document, to be kept out of what is said about it.
pub(crate) struct Words {
    known: BTreeSet<String>,
    /// The longest first, so that none is hidden in part only.
    hidden: Vec<Zeroizing<String>>,
}

impl Words {
    /// All values, whole and word by word, and the keys; but not the names of settings.
    pub(crate) fn new(node: &Node, known: BTreeSet<String>) -> Self {
        let mut hidden = Vec::new();
        node.texts(&mut |text| {
            let words = text.split(|c: char| !c.is_alphanumeric()).chain([text]);
            let hide = |word: &&str| word.len() >= SHORTEST && !known.contains(*word);
            hidden.extend(words.filter(hide).map(|word| Zeroizing::new(word.to_owned())));
        });
        hidden.sort_by_key(|word| std::cmp::Reverse(word.len()));
        Self { known, hidden }
    }

    /// The text with every word of the document made `…`.
    pub(crate) fn hide(&self, text: &str) -> String {
        let text =
            self.hidden.iter().fold(text.to_owned(), |text, word| text.replace(&**word, "…"));
        // Constructors' errors are one line already; custom messages need not be.
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn fault(&self, place: &str, problem: &Problem) -> Fault {
        let mut place = place.to_owned();
        for segment in &problem.path {
            let is_number = segment.len() < 4 && segment.bytes().all(|b| b.is_ascii_digit());
            let shown = if is_number || self.known.contains(segment) { segment } else { "*" };
            place = join(&place, shown);
        }
        match &problem.what {
            What::Missing(name) => Fault::new(join(&place, name), "is missing"),
            What::UnknownField { known, .. } => Fault::new(
                place,
                format!("has an unknown setting; the known ones are {}", list(known.iter())),
            ),
            What::UnknownVariant { known } => {
                Fault::new(place, format!("expected one of {}", list(known.iter())))
            }
            What::Invalid { expected } => Fault::new(place, format!("expected {expected}")),
            What::Custom(text) => Fault::new(place, self.hide(text)),
        }
    }
}

/// `` `a`, `b` ``, or that there are none.
pub(crate) fn list(names: impl IntoIterator<Item: AsRef<str>>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;

    #[test]
    fn words_of_the_document_are_hidden_in_whole_and_in_part() {
        let json = r#"{"url": "https://bot:hunter2@bao.example", "a": [424242], "odd-key": true}"#;
        let node = Format::Json.parse(json).unwrap();
        let known = ["url", "a"].map(str::to_owned).into();
        let words = Words::new(&node, known);
        assert_eq!(words.hide("no url: https://bot:hunter2@bao.example"), "no url: …");
        assert_eq!(words.hide("hunter2 is\nno host; 424242"), "… is no host; …");
        assert_eq!(words.hide("odd-key is unknown"), "… is unknown");
    }
}
