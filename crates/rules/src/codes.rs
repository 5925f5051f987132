//! Every diagnostic that this crate can give, in one table.
//!
//! A code never changes its meaning and is never used again, so that people can look it up and tools can match it.

use crate::diagnostic::Severity;

/// A kind of [`Diagnostic`](crate::Diagnostic).
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// `HC` and three digits.
    pub id: &'static str,
    /// Whether the rule still loads.
    pub severity: Severity,
    /// What it means, and what to do.
    pub meaning: &'static str,
}

macro_rules! codes {
    ($($name:ident $id:literal $severity:ident $meaning:literal)*) => {
        $(
            #[doc = $meaning]
            pub(crate) static $name: Code = Code { id: $id, severity: Severity::$severity, meaning: $meaning };
        )*
        /// All codes, in order.
        pub static CODES: &[&Code] = &[$(&$name),*];
    };
}

codes! {
    // Files and YAML.
    UNREADABLE "HC001" Error "the file or folder cannot be read; check the path and its permissions"
    NOT_UTF8 "HC002" Error "the file is not UTF-8 text; save it as UTF-8"
    NOT_YAML "HC003" Error "the file is not YAML; what follows the place is not read"
    DUPLICATE_KEY "HC004" Error "a mapping gives the same key twice; YAML forbids it and one of the two would be lost"
    TOO_BIG "HC005" Error "the file, its nesting or what a rule expands to is beyond the limits; split it"
    UNSUPPORTED_YAML "HC006" Error "YAML that a rule has no use for: tags, merge keys, keys that are not text, unknown anchors"
    NO_FILES "HC007" Warning "the folder holds no `*.yml` or `*.yaml` file"

    // Documents.
    NOT_A_RULE "HC010" Error "the document is not a rule: it needs exactly one of detection, correlation, filter and rollup"
    MISSING_KEY "HC011" Error "a key that the rule needs is not there"
    WRONG_TYPE "HC012" Error "a value is of the wrong kind, such as a list where text is wanted"
    UNKNOWN_KEY "HC013" Error "a key that means nothing here; it may be misspelt"
    ACTION "HC014" Error "`action` documents are no longer part of Sigma; write every rule out in full"
    DUPLICATE_ID "HC015" Error "two rules have the same id, so that their alerts could not be told apart; the later one is left out"

    // Detections.
    EMPTY_DETECTION "HC020" Error "a selection, or a list of values, with nothing in it"
    UNKNOWN_MODIFIER "HC021" Error "a field modifier that Sigma does not have"
    BAD_CHAIN "HC022" Error "modifiers that make no sense together or in this order"
    BAD_VALUE "HC023" Error "a value that the modifiers of its field cannot take"
    BAD_REGEX "HC024" Error "a regular expression that does not compile; look-around and back-references are not supported, so that matching takes linear time"
    BAD_NETWORK "HC025" Error "not an IP network, such as 10.0.0.0/8 or fe80::/10"
    PLACEHOLDER "HC026" Error "nothing says what a placeholder stands for; a placeholder file or a processing pipeline does"
    BAD_KEYWORD "HC028" Error "keywords are looked for in the whole event, so they can only be text"

    // Conditions.
    BAD_CONDITION "HC030" Error "the condition cannot be read"
    UNKNOWN_SELECTION "HC031" Error "the condition names a selection that is not defined, or a pattern that none fits"
    AGGREGATION "HC032" Error "aggregations in conditions (`| count() …`) are no longer part of Sigma; write a correlation rule"

    // Correlations and filters.
    UNKNOWN_CORRELATION "HC040" Error "a type of correlation that does not exist"
    BAD_TIMESPAN "HC041" Error "a timespan is a whole number and one of s, m, h, d, w, M, y, such as 15m"
    BAD_THRESHOLD "HC042" Error "a correlation's condition is a mapping of gt, gte, lt, lte, eq, neq to numbers, with the field that the number is about"
    UNKNOWN_RULE "HC043" Error "no rule that loaded has this id or name"
    AMBIGUOUS_RULE "HC044" Error "several rules have this name; refer to one by its id"
    WRONG_REFERENCE "HC045" Error "the rule referred to is of a kind that cannot be used here"
    BAD_ALIAS "HC046" Error "an alias for a rule that the correlation does not count"
    CIRCLE "HC047" Error "correlations that refer to each other in a circle"
    UNDECIDABLE "HC048" Error "a correlation's condition that no window of events can satisfy, or that holds when nothing happens"
    MISSING_GROUP "HC049" Error "a correlation groups by, or looks at, a field that the findings of another correlation do not have"

    // Rollups.
    BAD_FIELD_TYPE "HC050" Error "a field's type is one of string, bigint, double, boolean"
    BAD_ROLLUP_KIND "HC051" Error "a rollup's kind is rows or alert"

    // Correlations, further.
    BAD_EMISSION "HC052" Error "a correlation whose condition only a whole window decides cannot emit early"
    BAD_SUPPRESSION "HC053" Error "`suppress` where there are no alerts to count, or by a field that the alerts do not have"
    BAD_MEMORY "HC054" Error "how many values a correlation of new terms knows exactly is a whole number from 1 to 10,000,000"

    // What rules keep.
    BAD_BUDGET "HC055" Error "`state` that is no positive number of groups or bytes, or of a rule that keeps no groups"
    BAD_QUOTE "HC056" Error "how many events a correlation's alerts quote is a whole number from 0 to 20"

    // Processing pipelines and placeholder files.
    BAD_PIPELINE "HC070" Error "a processing pipeline or placeholder file that cannot be read as one"
    UNKNOWN_TRANSFORMATION "HC071" Error "a transformation, condition or key that pipelines do not have"
    QUERY_TRANSFORMATION "HC072" Error "a part of a pipeline that makes queries; here rules are run as they are"
    REFUSED_BY_PIPELINE "HC073" Error "a pipeline refuses the rule, or leaves nothing of it"
    BAD_FIELD_MAPPING "HC074" Error "a pipeline gives a field several names where there can be only one"

    // Warnings.
    MISSING_ID "HC101" Warning "the rule has no id; one is made from its content and changes with it"
    ODD_ID "HC102" Warning "the id is not a UUID, as Sigma wants it"
    MISSING_LOGSOURCE "HC103" Warning "without a logsource the rule looks at every event"
    UNKNOWN_LEVEL "HC104" Warning "not a level of Sigma; the rule is taken as medium"
    UNKNOWN_STATUS "HC105" Warning "not a status of Sigma"
    UNUSED_SELECTION "HC106" Warning "a selection that the condition does not use"
    ONLY_WILDCARDS "HC107" Warning "a value of wildcards alone matches anything; `exists` says so"
    PLAIN_REGEX "HC108" Warning "a regular expression that plain text would do for, faster"
    NO_EFFECT "HC109" Warning "something that changes nothing"
    DUPLICATE_NAME "HC110" Warning "several rules have the same name, so none of them can be referred to by it"
    MISSPELT_KEY "HC111" Warning "an unknown key that looks like a known one"
    AMBIGUOUS_SCALAR "HC112" Warning "a value that YAML readers take differently; put it in quotes"
    HOST_BITS "HC113" Warning "the address has bits set beyond the network's prefix; they are ignored"
    UNUSED_FILTER "HC114" Warning "the filter applies to no rule, or not to one that it names"
    UNUSED_ALIAS "HC115" Warning "the correlation neither groups by this alias nor looks at it"
    TWIN "HC116" Warning "two rules have the same logsource and condition, and so always match together"

    // Lints: what `check` looks for beyond reading the rules.
    NEVER_TRUE "HC120" Warning "a condition that no event can satisfy: the rule never matches"
    ALWAYS_TRUE "HC121" Warning "a condition that every event satisfies: the rule always matches"
    CONTRADICTION "HC122" Warning "a selection that no event can match, for it wants things of a field that exclude each other"
    INERT_SELECTION "HC123" Warning "a selection that the condition uses but that never changes its outcome"
    COVERED_VALUE "HC124" Warning "a value that another value of the same list matches anyway"
    ESCAPED_WILDCARD "HC125" Warning "a path in which `\\*` or `\\?` is a plain character, where a backslash and a wildcard were probably meant"
    LOST_BACKSLASH "HC126" Warning "two backslashes at the start of a value are one, so that a UNC or device path never matches"
    IDLE_WILDCARD "HC127" Warning "a wildcard where the modifier allows anything already"
    IDLE_REGEX_END "HC128" Warning "`.*` at the end of a regular expression, which is looked for anywhere in the value as it is"
    UNKNOWN_FIELD "HC129" Warning "a field that the events of the rule's logsource do not have"
    UNKNOWN_LOGSOURCE "HC130" Warning "a category or service that no Windows event is known to make"
    UNSERVED_LOGSOURCE "HC131" Warning "a logsource that no input of the configuration provides: the rule never sees an event"
    BAD_DATE "HC132" Warning "not a date as Sigma writes them, YYYY-MM-DD"
    BAD_TAG "HC133" Warning "not a tag as Sigma writes them, such as attack.execution, attack.t1059.001 or cve.2021-44228"
    LONG_TITLE "HC134" Warning "a title longer than the 256 characters that Sigma allows"
    QUOTED_NUMBER "HC135" Warning "a number in quotes where numbers are compared; other engines take it as text"
    UNKNOWN_RELATION "HC136" Warning "not a relation between rules that Sigma knows"
    UNEXPANDED "HC137" Warning "a value that looks like a placeholder, in a field without the modifier `expand`"
    BARE_FILE_NAME "HC138" Warning "a file name without its folder, compared with a field that holds whole paths"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(CODES.is_sorted_by(|a, b| a.id < b.id));
    }

    #[test]
    fn codes_have_the_form_they_promise() {
        for code in CODES {
            let digits = code.id.strip_prefix("HC").unwrap_or_default();
            assert!(
                digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()),
                "{code:?}"
            );
            assert_eq!(
                code.severity == Severity::Warning,
                digits.starts_with('1') || code.id == "HC007",
                "{code:?}"
            );
        }
    }
}
