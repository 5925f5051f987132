//! What an unquoted scalar of YAML means: null, a boolean, a number or text (the core schema of YAML 1.2.2, section 10.3).

use crate::yaml::Style;

/// A scalar, understood.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    /// A whole number, as its shortest decimal spelling.
    Int(String),
    /// Any other finite number.
    Float(f64),
    Text(&'a str),
}

impl<'a> Scalar<'a> {
    pub(crate) fn read(text: &'a str, style: Style) -> Self {
        if style != Style::Plain {
            return Self::Text(text);
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" | "True" | "TRUE" => Self::Bool(true),
            "false" | "False" | "FALSE" => Self::Bool(false),
            plain => integer(plain)
                .map(Self::Int)
                .or_else(|| float(plain).map(Self::Float))
                .unwrap_or(Self::Text(plain)),
        }
    }

    /// The number, if it is one. Text that spells a number counts: quoting it changes nothing.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Int(spelling) => spelling.parse().ok(),
            Self::Float(number) => Some(*number),
            Self::Text(text) => {
                integer(text).map_or_else(|| float(text), |spelling| spelling.parse().ok())
            }
            Self::Null | Self::Bool(_) => None,
        }
        .filter(|number| number.is_finite())
    }
}

/// A whole number of any size, or one in hexadecimal or octal that fits 128 bits, in decimal.
fn integer(text: &str) -> Option<String> {
    let radix = |digits: &str, radix| {
        u128::from_str_radix(digits, radix)
            .ok()
            .map(|n| n.to_string())
    };
    let prefixed = |prefix| {
        text.strip_prefix(prefix)
            .filter(|digits: &&str| !digits.starts_with('+'))
    };
    if let Some(digits) = prefixed("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = prefixed("0o") {
        return radix(digits, 8);
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match digits.trim_start_matches('0') {
        "" => Some("0".to_owned()),
        significant => Some(format!("{sign}{significant}")),
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, when finite.
fn float(text: &str) -> Option<f64> {
    let looks_right = text.bytes().any(|b| b.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    // Adding zero turns −0 into 0, so that equal numbers have equal bits.
    looks_right
        .then(|| text.parse::<f64>().ok())
        .flatten()
        .filter(|number| number.is_finite())
        .map(|n| n + 0.0)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        match Scalar::read(text, Style::Plain) {
            Scalar::Null => "null".to_owned(),
            Scalar::Bool(value) => value.to_string(),
            Scalar::Int(spelling) => format!("int {spelling}"),
            Scalar::Float(number) => format!("float {number}"),
            Scalar::Text(text) => format!("text {text}"),
        }
    }

    #[test]
    fn plain_scalars_mean_what_the_core_schema_says() {
        for (written, meant) in [
            ("", "null"),
            ("~", "null"),
            ("NULL", "null"),
            ("nULL", "text nULL"),
            ("True", "true"),
            ("yes", "text yes"),
            ("4625", "int 4625"),
            ("+7", "int 7"),
            ("-0", "int 0"),
            ("007", "int 7"),
            ("0x1F", "int 31"),
            ("0x+1", "text 0x+1"),
            ("0o17", "int 15"),
            ("99999999999999999999", "int 99999999999999999999"),
            ("1.50", "float 1.5"),
            (".5", "float 0.5"),
            ("5.", "float 5"),
            ("-0.0", "float 0"),
            ("1e3", "float 1000"),
            ("1e999", "text 1e999"),
            ("inf", "text inf"),
            (".inf", "text .inf"),
            (".", "text ."),
            ("1.2.3", "text 1.2.3"),
            ("1_000", "text 1_000"),
            ("2024-01-01", "text 2024-01-01"),
        ] {
            assert_eq!(plain(written), meant, "{written}");
        }
    }

    #[test]
    fn quotes_make_text_but_numbers_can_still_be_read_from_it() {
        let scalar = Scalar::read("4625", Style::Quoted);
        assert_eq!(scalar, Scalar::Text("4625"));
        assert_eq!(scalar.number(), Some(4625.0));
        assert_eq!(Scalar::Text("many").number(), None);
        assert_eq!(Scalar::Text("nan").number(), None);
    }
}
