//! Conditions read by cutting the text: at `or`, then at `and`, then `not`, then `x of`, then parentheses.

/// Whether the condition holds, where `selection` says of a name whether it does; `names` are all of them.
pub(crate) fn holds(text: &str, names: &[&str], selection: &dyn Fn(&str) -> bool) -> bool {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    expression(&words, names, selection)
}

fn expression(words: &[&str], names: &[&str], selection: &dyn Fn(&str) -> bool) -> bool {
    let alternatives = cut(words, "or");
    if alternatives.len() > 1 {
        return alternatives
            .iter()
            .any(|part| expression(part, names, selection));
    }
    let parts = cut(words, "and");
    if parts.len() > 1 {
        return parts.iter().all(|part| expression(part, names, selection));
    }
    match words {
        ["not", rest @ ..] => !expression(rest, names, selection),
        [quantity, "of", pattern] => {
            let chosen: Vec<&&str> = names.iter().filter(|name| fits(name, pattern)).collect();
            let holding = chosen.iter().filter(|name| selection(name)).count();
            match *quantity {
                "all" => holding == chosen.len(),
                "any" => holding >= 1,
                number => holding >= number.parse().unwrap(),
            }
        }
        ["(", inside @ .., ")"] => expression(inside, names, selection),
        [name] => selection(name),
        other => panic!("this is no condition: {other:?}"),
    }
}

/// The parts between the words that are `at`, outside of parentheses.
fn cut<'w, 't>(words: &'w [&'t str], at: &str) -> Vec<&'w [&'t str]> {
    let mut depth = 0;
    let mut from = 0;
    let mut parts = Vec::new();
    for (index, word) in words.iter().enumerate() {
        match *word {
            "(" => depth += 1,
            ")" => depth -= 1,
            word if depth == 0 && word == at => {
                parts.push(&words[from..index]);
                from = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&words[from..]);
    parts
}

fn fits(name: &str, pattern: &str) -> bool {
    if name.starts_with('_') {
        return false;
    }
    match pattern.split_once('*') {
        None => pattern == "them" || name == pattern,
        Some((start, end)) => name.starts_with(start) && name.ends_with(end),
    }
}
