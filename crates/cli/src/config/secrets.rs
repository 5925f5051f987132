//! `${NAME}` takes a value from the environment, `${file:/path}` from a file (without its last line break), `$$` is a
//! dollar sign. So secrets stay out of the configuration file.

/// Replaces every reference in `text`.
///
/// # Errors
/// A message that names the variable or file that is missing, or the reference that is not closed.
pub(super) fn resolve(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(reference) = after.strip_prefix('{') {
            let (name, after) = reference.split_once('}').ok_or_else(|| {
                format!("`${{{reference}` is not closed: write `}}` after the name")
            })?;
            out.push_str(&look_up(name)?);
            rest = after;
        } else {
            // A regular expression's anchor, most likely: a dollar sign alone is itself.
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn look_up(name: &str) -> Result<String, String> {
    if let Some(path) = name.strip_prefix("file:") {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("secret file `{path}` cannot be read: {error}"))?;
        return Ok(text
            .strip_suffix('\n')
            .map_or(text.as_str(), |text| {
                text.strip_suffix('\r').unwrap_or(text)
            })
            .to_owned());
    }
    std::env::var(name).map_err(|_| {
        format!(
            "environment variable `{name}` is not set: set it, or write `$${{` for a literal `${{`"
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::resolve;

    #[test]
    fn replaces_environment_files_and_dollars() {
        let home = std::env::var("PATH").unwrap();
        assert_eq!(resolve("a${PATH}b").unwrap(), format!("a{home}b"));
        assert_eq!(resolve("5$$ and $ alone").unwrap(), "5$ and $ alone");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret\n").unwrap();
        assert_eq!(
            resolve(&format!("${{file:{}}}", file.path().display())).unwrap(),
            "s3cret"
        );
    }

    #[test]
    fn says_what_is_missing() {
        assert!(
            resolve("${HAECHI_NO_SUCH_VARIABLE}")
                .unwrap_err()
                .contains("HAECHI_NO_SUCH_VARIABLE")
        );
        assert!(resolve("${open").unwrap_err().contains("not closed"));
        assert!(
            resolve("${file:/no/such/file}")
                .unwrap_err()
                .contains("/no/such/file")
        );
    }
}
