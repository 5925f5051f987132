//! Checking the regular expressions of rules.

use regex_syntax::ast::Span as AstSpan;
use regex_syntax::hir::{Class, Hir, HirKind};
use regex_syntax::utf8::Utf8Sequences;

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
    if let Err(message) = compiles(whole) {
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

/// Whether a regular expression compiles within [`REGEX_SIZE_LIMIT`]; if not, why.
pub(crate) fn compiles(whole: &str) -> Result<(), String> {
    if compiles_surely(whole) {
        return Ok(());
    }
    let built = ::regex::RegexBuilder::new(whole)
        .size_limit(REGEX_SIZE_LIMIT)
        .build();
    match built {
        Ok(_) => Ok(()),
        Err(::regex::Error::CompiledTooBig(limit)) => Err(format!(
            "this regular expression needs more than {limit} bytes once compiled; use smaller repetitions"
        )),
        Err(other) => Err(format!("not a regular expression: {other}")),
    }
}

/// Whether it is known without compiling it that a regular expression compiles within [`REGEX_SIZE_LIMIT`]; `false` says nothing. To compile
/// one takes a thousand times as long, and most of a rule set's are never used.
fn compiles_surely(pattern: &str) -> bool {
    regex_syntax::parse(pattern).is_ok_and(|hir| states(&hir) <= REGEX_SIZE_LIMIT / BYTES_PER_STATE)
}

/// More than a state of an automaton takes, twice over.
const BYTES_PER_STATE: usize = 192;
/// Of a class with more ranges than this, the states are not counted one by one.
const COUNTED_RANGES: usize = 16;
/// States that a range of characters takes at most: so many bytes, in so many sequences of up to four.
const STATES_PER_RANGE: usize = 40;

/// No less than the states of the automaton for a part of a regular expression.
fn states(hir: &Hir) -> usize {
    let sum = |parts: &[Hir]| {
        let states = parts.iter().map(|part| states(part).saturating_add(1));
        states.fold(1, usize::saturating_add)
    };
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(Class::Bytes(class)) => class.ranges().len() + 1,
        HirKind::Class(Class::Unicode(class)) if class.ranges().len() > COUNTED_RANGES => {
            class.ranges().len() * STATES_PER_RANGE
        }
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = class.ranges().iter();
            let sequences = ranges.flat_map(|range| Utf8Sequences::new(range.start(), range.end()));
            sequences.map(|sequence| sequence.len()).sum::<usize>() + 1
        }
        HirKind::Capture(capture) => states(&capture.sub).saturating_add(2),
        HirKind::Repetition(repetition) => {
            // `x*` is `x` and a way back; `x{3,}` is two more of it before.
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            (states(&repetition.sub).saturating_add(2)).saturating_mul(times as usize)
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => sum(parts),
    }
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
    fn what_compiles_surely_compiles() {
        let parts = [
            "a",
            ".",
            r"\w",
            r"\d",
            r"[^\x00-\x1f]",
            "(?i)straße",
            r"\p{L}",
            "[a-z0-9+/]",
            r"\W",
            "(?:ab|cd|e?)",
        ];
        let times = ["", "{40}", "{3,80}", "{600,}", "{0,2500}", "*"];
        let mut known = 0;
        for (part, times) in parts
            .iter()
            .flat_map(|part| times.map(|times| (part, times)))
        {
            for pattern in [
                format!("(?:{part}){times}"),
                format!("(?:x{part}{{7}}|y){times}$"),
            ] {
                if compiles_surely(&pattern) {
                    known += 1;
                    // Within half of the limit even: the estimate is on the safe side.
                    let built = ::regex::RegexBuilder::new(&pattern)
                        .size_limit(REGEX_SIZE_LIMIT / 2)
                        .build();
                    assert!(built.is_ok(), "{pattern}");
                }
            }
        }
        assert!(known > 60, "{known}");
        assert!(!compiles_surely("(") && !compiles_surely(r"(?:\w{100}){100}"));
    }

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
