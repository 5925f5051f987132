//! Checking the regular expressions of rules.

use regex_syntax::ast::Span as AstSpan;

use crate::REGEX_SIZE_LIMIT;
use crate::codes;
use crate::report::Report;
use crate::yaml::Node;

/// Complains when `pattern`, the text of `value`, or `whole`, which adds flags and anchors to it, does not compile; warns when
/// plain text would do.
pub(crate) fn check(
    value: &Node<'_>,
    pattern: &str,
    whole: &str,
    report: &mut Report<'_>,
) -> Option<()> {
    let fault = match regex_syntax::Parser::new().parse(pattern) {
        Ok(_) => None,
        Err(regex_syntax::Error::Parse(error)) => Some((error.kind().to_string(), *error.span())),
        Err(regex_syntax::Error::Translate(error)) => {
            Some((error.kind().to_string(), *error.span()))
        }
        Err(other) => {
            report.add(
                &codes::BAD_REGEX,
                value.span,
                format!("not a regular expression: {other}"),
            );
            return None;
        }
    };
    if let Some((message, AstSpan { start, end })) = fault {
        let before = pattern
            .get(..start.offset)
            .unwrap_or_default()
            .chars()
            .count();
        let len = pattern
            .get(start.offset..end.offset)
            .unwrap_or_default()
            .chars()
            .count();
        let place = report.within(value, before, len);
        report.add(
            &codes::BAD_REGEX,
            place,
            format!("not a regular expression: {message}"),
        );
        return None;
    }
    if let Err(error) = ::regex::RegexBuilder::new(whole)
        .size_limit(REGEX_SIZE_LIMIT)
        .build()
    {
        let message = match error {
            ::regex::Error::CompiledTooBig(limit) => {
                format!(
                    "this regular expression needs more than {limit} bytes once compiled; use smaller repetitions"
                )
            }
            other => format!("not a regular expression: {other}"),
        };
        report.add(&codes::BAD_REGEX, value.span, message);
        return None;
    }
    if let Some(modifiers) = plain_alternative(pattern) {
        let help = match modifiers.as_str() {
            "" => "the text itself, without modifiers, says the same".to_owned(),
            modifiers => format!("the modifiers `{modifiers}` and the text itself say the same"),
        };
        report.advise(
            &codes::PLAIN_REGEX,
            value.span,
            "plain text would do for this regular expression",
            help,
        );
    }
    Some(())
}

/// The modifiers with which plain text would match what this regular expression does; none when it is not that simple.
pub(crate) fn plain_alternative(pattern: &str) -> Option<String> {
    let (cased, rest) = match pattern.strip_prefix("(?i)") {
        Some(rest) => ("", rest),
        None => ("|cased", pattern),
    };
    let (at_start, rest) = match rest.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix(".*").unwrap_or(rest)),
    };
    let unescaped = |rest: &str| {
        rest.chars()
            .rev()
            .skip(1)
            .take_while(|c| *c == '\\')
            .count()
            % 2
            == 0
    };
    let (at_end, rest) = match rest.strip_suffix('$') {
        Some(body) if unescaped(rest) => (true, body),
        _ => (false, rest.strip_suffix(".*").unwrap_or(rest)),
    };
    let mut characters = rest.chars();
    while let Some(c) = characters.next() {
        let plain = match c {
            '\\' => !characters.next()?.is_alphanumeric(),
            c => {
                !regex_syntax::is_meta_character(c)
                    || matches!(c, '-' | '&' | '#' | '~' | ']' | '}')
            }
        };
        if !plain {
            return None;
        }
    }
    if rest.is_empty() {
        return None;
    }
    let position = match (at_start, at_end) {
        (true, true) => "",
        (true, false) => "|startswith",
        (false, true) => "|endswith",
        (false, false) => "|contains",
    };
    Some(format!("{position}{cased}"))
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

    #[test]
    fn regexes_that_are_plain_text_are_seen() {
        for (pattern, modifiers) in [
            ("abc", Some("|contains|cased")),
            ("(?i)abc", Some("|contains")),
            (".*abc.*", Some("|contains|cased")),
            ("^abc", Some("|startswith|cased")),
            (r"(?i)\\cmd\.exe$", Some("|endswith")),
            ("^abc$", Some("|cased")),
            (r"abc\$", Some("|contains|cased")),
            (r"abc\\$", Some("|endswith|cased")),
            ("a.c", None),
            (r"a\d", None),
            ("a|b", None),
            ("", None),
            (".*", None),
            (r"abc\.*", None),
        ] {
            assert_eq!(
                plain_alternative(pattern).as_deref(),
                modifiers,
                "{pattern}"
            );
        }
    }
}
