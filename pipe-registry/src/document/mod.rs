//! The document as a tree, before anybody knows what is in it.

mod decode;
mod node;
mod repair;

use std::path::Path;

use zeroize::Zeroizing;

pub(crate) use self::decode::{Problem, What};
pub(crate) use self::node::Node;
pub(crate) use self::repair::decode;

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// JSON.
    Json,
    /// TOML 1.1.
    Toml,
    /// YAML 1.2, one document. Only `true` and `false` are booleans.
    Yaml,
}

impl Format {
    /// By the extension of a file: `json`, `toml`, `yaml` or `yml`.
    #[must_use]
    pub fn of(path: impl AsRef<Path>) -> Option<Self> {
        match path.as_ref().extension()?.to_str()? {
            "json" => Some(Self::Json),
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Toml => "TOML",
            Self::Yaml => "YAML",
        }
    }

    /// The tree, or what is wrong. Parsers quote the line that they do not understand, so of what
    /// they say only the position is kept.
    pub(crate) fn parse(self, text: &str) -> Result<Node, String> {
        match self {
            Self::Json => {
                serde_json::from_str(text).map_err(|error| Some((error.line(), error.column())))
            }
            Self::Toml => toml::from_str(text).map_err(|error: toml::de::Error| {
                error.span().map(|span| position(text, span.start))
            }),
            Self::Yaml => {
                let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
                serde_saphyr::from_str_with_options(text, options).map_err(|error| {
                    let place = error.location()?;
                    Some((
                        usize::try_from(place.line()).ok()?,
                        usize::try_from(place.column()).ok()?,
                    ))
                })
            }
        }
        .map_err(|place| self.fault(place))
    }

    fn fault(self, place: Option<(usize, usize)>) -> String {
        let place = place.filter(|(line, _)| *line > 0);
        let place = place.map(|(line, column)| format!(" at line {line}, column {column}"));
        let place = place.unwrap_or_default();
        format!("is not valid {}, or has a key twice{place}", self.name())
    }
}

/// Line and column of a byte, both counted from one.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// A file's text, wiped when it is no longer needed.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, &'static str> {
    use std::io::Read;
    const LIMIT: usize = 1 << 20;
    // Room for all of it at once: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LIMIT + 1));
    let file = std::fs::File::open(path).map_err(|_| "cannot be opened")?;
    let limit = u64::try_from(LIMIT).unwrap_or(u64::MAX) + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(|_| "cannot be read")?;
    if bytes.len() > LIMIT {
        return Err("is larger than 1 MiB");
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| "is not text in UTF-8")?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_goes_by_the_extension() {
        assert_eq!(Format::of("/etc/pipe.toml"), Some(Format::Toml));
        assert_eq!(Format::of("pipe.yml"), Some(Format::Yaml));
        assert_eq!(Format::of("pipe.json"), Some(Format::Json));
        assert_eq!((Format::of("pipe"), Format::of("pipe.ini")), (None, None));
    }

    #[test]
    fn a_fault_of_syntax_has_a_position_and_no_text() {
        for (format, text, place) in [
            (Format::Toml, "a = 1\nb = hunter2\n", "line 2, column 5"),
            (Format::Toml, "a = \"hunter2\"\na = 1\n", "line 2, column 1"),
            (Format::Json, "{\n  \"a\": hunter2\n}", "line 2, column 8"),
            (Format::Json, r#"{"hunter2": 1, "hunter2": 2}"#, "line 1"),
            (Format::Yaml, "a: 1\nb: [hunter2\n", "line"),
            (Format::Yaml, "hunter2: 1\nhunter2: 2\n", "line 2, column 1"),
            (Format::Yaml, "a: &a [*a, hunter2]\n", "line 1"),
        ] {
            let Err(fault) = format.parse(text) else { panic!("{text} is not valid") };
            assert!(fault.contains(place), "{text}: {fault}");
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }

    #[test]
    fn the_formats_say_the_same() {
        let json = Format::Json.parse(r#"{"a": {"b": [1, -1, 0.5, true, "yes"]}}"#);
        let toml = Format::Toml.parse("a.b = [1, -1, 0.5, true, 'yes']");
        let yaml = Format::Yaml.parse("a:\n  b: [1, -1, 0.5, true, yes]\n");
        assert_eq!(json, toml);
        assert_eq!(json, yaml);
    }
}
