//! What a code means, with a wrong example and the right one: the sections of `docs/diagnostics.md`, which the binary carries.

const PAGE: &str = include_str!("../../../../docs/diagnostics.md");

/// The section about a code, without its heading, as Markdown.
pub(crate) fn section(code: &str) -> Option<&'static str> {
    let mut sections = PAGE.split("\n### ").skip(1);
    sections.find_map(|section| {
        let (heading, text) = section.split_once('\n')?;
        let text = text.split("\n## ").next().unwrap_or(text);
        (heading.trim() == code).then(|| text.trim())
    })
}

/// The section as plain text: for terminals, and tools that do not read Markdown.
pub(crate) fn plain(section: &str) -> String {
    let mut text = String::new();
    let mut in_block = false;
    for line in section.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
            continue;
        }
        if in_block && !line.is_empty() {
            text.push_str("    ");
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_table_with_its_meaning_and_has_a_section() {
        for code in crate::diagnostics::codes() {
            let row = format!(
                "| [{0}](#{1}) | {2} | {3} |",
                code.id,
                code.id.to_lowercase(),
                code.severity,
                code.meaning
            );
            assert!(
                PAGE.contains(&row),
                "docs/diagnostics.md lacks the row\n{row}"
            );
            let section = section(code.id)
                .unwrap_or_else(|| panic!("docs/diagnostics.md has no section ### {}", code.id));
            assert!(section.len() > 40, "the section {} says nothing", code.id);
        }
    }

    #[test]
    fn the_page_has_no_code_that_is_not_there() {
        let codes: Vec<&str> = crate::diagnostics::codes()
            .iter()
            .map(|code| code.id)
            .collect();
        for section in PAGE.split("\n### ").skip(1) {
            let heading = section.lines().next().unwrap_or_default().trim();
            assert!(codes.contains(&heading), "{heading} is no code");
        }
        assert_eq!(PAGE.matches("\n| [HC").count(), codes.len());
    }

    #[test]
    fn plain_text_has_no_fences_and_indents_examples() {
        assert_eq!(
            plain("Says.\n```yaml\na: 1\n\nb: 2\n```\nEnd."),
            "Says.\n    a: 1\n\n    b: 2\nEnd.\n"
        );
    }
}
