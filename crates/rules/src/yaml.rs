//! YAML with places: every key and value knows where in the file it stands.
//!
//! Built on the events of `saphyr-parser` rather than on a ready-made tree, because a rule file needs what such trees do
//! not keep: whether a scalar was quoted, where both of two equal keys stand, and the documents before a broken one.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput};

use crate::codes::{self, Code};
use crate::diagnostic::Span;

/// Deepest nesting of lists and mappings.
const MAX_DEPTH: usize = 64;
/// Most nodes that the aliases of one file may copy.
const MAX_ALIASED: usize = 100_000;

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    /// From the first character (a quote, for quoted text) to the last.
    pub(crate) span: Span,
    pub(crate) data: Data<'a>,
}

#[derive(Debug, Clone)]
pub(crate) enum Data<'a> {
    /// Text, and how it was written.
    Scalar(Cow<'a, str>, Style),
    List(Vec<Node<'a>>),
    Map(Vec<Entry<'a>>),
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Without quotes: may be a number, a boolean or null.
    Plain,
    /// In quotes, or tagged `!!str`: text.
    Quoted,
    /// `|`: text, line by line.
    Literal,
    /// `>`: text, its lines joined.
    Folded,
}

/// A key of a mapping and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) key_span: Span,
    pub(crate) value: Node<'a>,
}

/// What is wrong with the YAML itself.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) code: &'static Code,
    pub(crate) span: Span,
    pub(crate) message: String,
}

/// The documents of a file that are sound, and what is wrong with the others. Empty documents are left out.
pub(crate) fn parse(text: &str) -> (Vec<Node<'_>>, Vec<Problem>) {
    let mut builder = Builder {
        source: Source::new(text),
        ..Builder::default()
    };
    if let Some(at) = text.find('\0') {
        // The parser takes it for the end of the text, and would silently drop the rest.
        builder.problem(
            &codes::NOT_YAML,
            place(text, at),
            "the text holds a NUL character",
        );
        return (Vec::new(), builder.problems);
    }
    let mut parser = Parser::new_from_str(text);
    builder.run(&mut parser);
    (builder.documents, builder.problems)
}

/// The place of a byte in a text, as a point. Lines end as YAML ends them: at `\n`, `\r\n` or a lone `\r`.
pub(crate) fn place(text: &str, byte: usize) -> Span {
    let before = text.get(..byte).unwrap_or(text);
    let mut span = Span {
        line: 1,
        column: 1,
        len: 0,
    };
    let mut characters = before.chars().peekable();
    while let Some(c) = characters.next() {
        if c == '\n' || (c == '\r' && characters.peek() != Some(&'\n')) {
            span.line = span.line.saturating_add(1);
            span.column = 1;
        } else {
            span.column = span.column.saturating_add(1);
        }
    }
    span
}

/// The byte at which a place stands: the inverse of [`place`]. Places beyond a line's end are at its end.
pub(crate) fn offset(text: &str, line: u32, column: u32) -> usize {
    let start = line_start(text, line);
    let rest = text.get(start..).unwrap_or_default();
    let on_line = rest.find(['\n', '\r']).unwrap_or(rest.len());
    let steps = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
    let within = rest
        .char_indices()
        .nth(steps)
        .map_or(rest.len(), |(at, _)| at);
    start + within.min(on_line)
}

fn line_start(text: &str, line: u32) -> usize {
    let mut left = line.saturating_sub(1);
    let mut at = 0;
    let bytes = text.as_bytes();
    while left > 0 {
        let Some(found) = bytes
            .get(at..)
            .and_then(|rest| rest.iter().position(|b| matches!(b, b'\n' | b'\r')))
        else {
            return text.len();
        };
        at += found;
        at += if bytes
            .get(at..)
            .is_some_and(|rest| rest.starts_with(b"\r\n"))
        {
            2
        } else {
            1
        };
        left -= 1;
    }
    at
}

fn point(mark: Marker) -> Span {
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Span {
        line: narrow(mark.line()),
        column: narrow(mark.col().saturating_add(1)),
        len: 0,
    }
}

fn span(start: Marker, end: Marker) -> Span {
    let len = end.index().saturating_sub(start.index());
    Span {
        len: u32::try_from(len).unwrap_or(u32::MAX),
        ..point(start)
    }
}

/// A list or mapping whose end has not come yet.
struct Open<'a> {
    anchor: usize,
    start: Marker,
    items: Items<'a>,
}

enum Items<'a> {
    List(Vec<Node<'a>>),
    Map {
        entries: Vec<Entry<'a>>,
        key: Option<(Cow<'a, str>, Span)>,
        seen: HashSet<Cow<'a, str>>,
    },
}

/// The text, read from any character: the parser counts characters, not bytes.
#[derive(Default)]
struct Source<'a> {
    text: &'a str,
    ascii: bool,
    /// A character and the byte it begins at, from which later ones are found.
    known: (usize, usize),
}

impl<'a> Source<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            ascii: text.is_ascii(),
            known: (0, 0),
        }
    }

    /// The text from a character on.
    fn at(&mut self, character: usize) -> &'a str {
        if self.ascii {
            return self.text.get(character..).unwrap_or_default();
        }
        let (at, byte) = if character < self.known.0 {
            (0, 0)
        } else {
            self.known
        };
        let rest = self.text.get(byte..).unwrap_or_default();
        let further = rest
            .char_indices()
            .nth(character - at)
            .map_or(rest.len(), |(further, _)| further);
        self.known = (character, byte + further);
        rest.get(further..).unwrap_or_default()
    }
}

/// How many characters a quoted scalar at the start of `text` takes, its quotes among them. (The parser lets it run on over
/// the blanks and the comment behind it.)
fn quoted_len(text: &str) -> Option<usize> {
    let mut characters = text.chars().enumerate().peekable();
    let (_, quote @ ('"' | '\'')) = characters.next()? else {
        return None;
    };
    while let Some((at, c)) = characters.next() {
        if c == '\\' && quote == '"' {
            characters.next();
        } else if c == quote
            && (quote == '"' || characters.next_if(|(_, next)| *next == quote).is_none())
        {
            return Some(at + 1);
        }
    }
    None
}

#[derive(Default)]
struct Builder<'a> {
    source: Source<'a>,
    documents: Vec<Node<'a>>,
    problems: Vec<Problem>,
    open: Vec<Open<'a>>,
    root: Option<Node<'a>>,
    anchors: HashMap<usize, Node<'a>>,
    aliased: usize,
    /// Problems known when the current document began.
    problems_before: usize,
}

impl<'a> Builder<'a> {
    fn problem(&mut self, code: &'static Code, span: Span, message: impl Into<String>) {
        self.problems.push(Problem {
            code,
            span,
            message: message.into(),
        });
    }

    fn run(&mut self, parser: &mut Parser<'a, StrInput<'a>>) {
        while let Some(next) = parser.next_event() {
            match next {
                Ok((event, at)) => {
                    if !self.event(event, at.start, at.end) {
                        return;
                    }
                }
                Err(error) => {
                    let message = format!("not valid YAML: {}", error.info());
                    self.problem(&codes::NOT_YAML, point(*error.marker()), message);
                    return;
                }
            }
        }
    }

    /// Takes one event; false when the rest of the file should not be read.
    fn event(&mut self, event: Event<'a>, start: Marker, end: Marker) -> bool {
        match event {
            Event::DocumentStart(_) => {
                self.anchors.clear();
                self.open.clear();
                self.root = None;
                self.problems_before = self.problems.len();
            }
            Event::DocumentEnd => self.end_document(),
            Event::Scalar(text, style, anchor, tag) => {
                let tagged_text = tag
                    .as_ref()
                    .is_some_and(|t| t.is_yaml_core_schema() && t.suffix == "str");
                if let (Some(tag), false) = (&tag, tagged_text) {
                    self.problem(
                        &codes::UNSUPPORTED_YAML,
                        point(start),
                        format!("the tag `{tag}` has no meaning in a rule"),
                    );
                }
                let mut span = span(start, end);
                if matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted)
                    && let Some(len) = quoted_len(self.source.at(start.index()))
                {
                    span.len = u32::try_from(len).unwrap_or(u32::MAX);
                }
                let style = match style {
                    ScalarStyle::Plain if !tagged_text => Style::Plain,
                    ScalarStyle::Literal => Style::Literal,
                    ScalarStyle::Folded => Style::Folded,
                    _ => Style::Quoted,
                };
                let node = Node {
                    span,
                    data: Data::Scalar(text, style),
                };
                self.remember(anchor, &node);
                self.add(node);
            }
            Event::Alias(anchor) => return self.alias(anchor, start, end),
            Event::SequenceStart(anchor, _) => {
                return self.begin(anchor, start, Items::List(Vec::new()));
            }
            Event::MappingStart(anchor, _) => {
                let items = Items::Map {
                    entries: Vec::new(),
                    key: None,
                    seen: HashSet::new(),
                };
                return self.begin(anchor, start, items);
            }
            Event::SequenceEnd | Event::MappingEnd => self.end_collection(end),
            Event::Nothing | Event::StreamStart | Event::StreamEnd => {}
        }
        true
    }

    fn begin(&mut self, anchor: usize, start: Marker, items: Items<'a>) -> bool {
        if self.open.len() >= MAX_DEPTH {
            self.problem(
                &codes::TOO_BIG,
                point(start),
                format!("nested more than {MAX_DEPTH} levels deep"),
            );
            return false;
        }
        self.open.push(Open {
            anchor,
            start,
            items,
        });
        true
    }

    fn end_collection(&mut self, end: Marker) {
        let Some(Open {
            anchor,
            start,
            items,
        }) = self.open.pop()
        else {
            return;
        };
        let data = match items {
            Items::List(list) => Data::List(list),
            Items::Map { entries, .. } => Data::Map(entries),
        };
        let node = Node {
            span: span(start, end),
            data,
        };
        self.remember(anchor, &node);
        self.add(node);
    }

    fn end_document(&mut self) {
        let empty = |node: &Node<'_>| matches!(&node.data, Data::Scalar(text, Style::Plain) if text.is_empty());
        if let Some(root) = self.root.take().filter(|root| !empty(root))
            && self.problems.len() == self.problems_before
        {
            self.documents.push(root);
        }
    }

    fn remember(&mut self, anchor: usize, node: &Node<'a>) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
    }

    fn alias(&mut self, anchor: usize, start: Marker, end: Marker) -> bool {
        let at = span(start, end);
        let Some(node) = self.anchors.get(&anchor) else {
            self.problem(
                &codes::UNSUPPORTED_YAML,
                at,
                "an alias inside the value that it names, or in another document",
            );
            return false;
        };
        self.aliased = self.aliased.saturating_add(node.size());
        if self.aliased > MAX_ALIASED || self.open.len() + node.depth() > MAX_DEPTH {
            self.problem(
                &codes::TOO_BIG,
                at,
                "aliases make the file too large or nest it too deep",
            );
            return false;
        }
        let node = node.clone();
        self.add(node);
        true
    }

    /// Puts a finished node where it belongs: into the innermost open collection, or as the document's root.
    fn add(&mut self, node: Node<'a>) {
        let mut problem = None;
        match self.open.last_mut().map(|open| &mut open.items) {
            None => self.root = Some(node),
            Some(Items::List(list)) => list.push(node),
            Some(Items::Map { entries, key, seen }) => match key.take() {
                Some((key, key_span)) => entries.push(Entry {
                    key,
                    key_span,
                    value: node,
                }),
                None => {
                    let (text, trouble) = read_key(node.data, entries, seen, node.span);
                    problem = trouble.map(|(code, message)| (code, node.span, message));
                    *key = Some((text, node.span));
                }
            },
        }
        if let Some((code, span, message)) = problem {
            self.problem(code, span, message);
        }
    }
}

/// A mapping's key as text, and what is wrong with it.
fn read_key<'a>(
    data: Data<'a>,
    entries: &[Entry<'a>],
    seen: &mut HashSet<Cow<'a, str>>,
    span: Span,
) -> (Cow<'a, str>, Option<(&'static Code, String)>) {
    let Data::Scalar(text, style) = data else {
        return (
            Cow::Borrowed(""),
            Some((&codes::UNSUPPORTED_YAML, "a key must be text".to_owned())),
        );
    };
    if text == "<<" && style == Style::Plain {
        let message = "merge keys (`<<`) are not part of YAML 1.2; write the keys out".to_owned();
        return (text, Some((&codes::UNSUPPORTED_YAML, message)));
    }
    if seen.insert(text.clone()) {
        return (text, None);
    }
    let first = entries
        .iter()
        .find(|entry| entry.key == text)
        .map_or(span.line, |entry| entry.key_span.line);
    let message = format!("the key `{text}` is given twice, first on line {first}");
    (text, Some((&codes::DUPLICATE_KEY, message)))
}

impl Node<'_> {
    /// How many nodes this one and those inside it are.
    fn size(&self) -> usize {
        1 + match &self.data {
            Data::Scalar(..) => 0,
            Data::List(items) => items.iter().map(Node::size).sum(),
            Data::Map(entries) => entries.iter().map(|entry| 1 + entry.value.size()).sum(),
        }
    }

    /// How many collections deep it nests.
    fn depth(&self) -> usize {
        match &self.data {
            Data::Scalar(..) => 0,
            Data::List(items) => 1 + items.iter().map(Node::depth).max().unwrap_or(0),
            Data::Map(entries) => {
                1 + entries
                    .iter()
                    .map(|entry| entry.value.depth())
                    .max()
                    .unwrap_or(0)
            }
        }
    }
}
