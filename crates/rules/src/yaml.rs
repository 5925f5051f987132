//! YAML with places: every key and value knows where in the file it stands.
//!
//! Built on the events of `saphyr-parser` rather than on a ready-made tree, because a rule file needs what such trees do
//! not keep: whether a scalar was quoted, where both of two equal keys stand, and the documents before a broken one.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput, Tag};

use crate::codes::{self, Code};
use crate::diagnostic::Span;
use crate::place::{Source, place, quoted_len};

/// Deepest nesting of lists and mappings.
const MAX_DEPTH: usize = 64;
/// Most nodes that the anchors and aliases of one file may copy.
const MAX_COPIED: usize = 100_000;

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

#[derive(Default)]
struct Builder<'a> {
    source: Source<'a>,
    documents: Vec<Node<'a>>,
    problems: Vec<Problem>,
    open: Vec<Open<'a>>,
    root: Option<Node<'a>>,
    anchors: HashMap<usize, Node<'a>>,
    /// Nodes copied so far.
    copied: usize,
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
                let style = self.style(style, tag.as_deref(), start);
                let span = self.scalar_span(style, start, end);
                return self.finish(
                    anchor,
                    Node {
                        span,
                        data: Data::Scalar(text, style),
                    },
                );
            }
            Event::Alias(anchor) => return self.alias(anchor, start, end),
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), start);
                return self.begin(anchor, start, Items::List(Vec::new()));
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), start);
                let items = Items::Map {
                    entries: Vec::new(),
                    key: None,
                    seen: HashSet::new(),
                };
                return self.begin(anchor, start, items);
            }
            Event::SequenceEnd | Event::MappingEnd => return self.end_collection(end),
            Event::Nothing | Event::StreamStart | Event::StreamEnd => {}
        }
        true
    }

    fn style(&mut self, style: ScalarStyle, tag: Option<&Tag>, start: Marker) -> Style {
        let text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
        self.refuse_tag(tag.filter(|_| !text), start);
        match style {
            ScalarStyle::Plain if !text => Style::Plain,
            ScalarStyle::Literal => Style::Literal,
            ScalarStyle::Folded => Style::Folded,
            ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                Style::Quoted
            }
        }
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, start: Marker) {
        if let Some(tag) = tag {
            let message = format!("the tag `{tag}` has no meaning in a rule");
            self.problem(&codes::UNSUPPORTED_YAML, point(start), message);
        }
    }

    fn scalar_span(&mut self, style: Style, start: Marker, end: Marker) -> Span {
        let span = span(start, end);
        let quoted = match style {
            Style::Quoted => quoted_len(self.source.at(start.index())),
            Style::Plain | Style::Literal | Style::Folded => None,
        };
        let len = quoted.map_or(span.len, |len| u32::try_from(len).unwrap_or(u32::MAX));
        Span { len, ..span }
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

    fn end_collection(&mut self, end: Marker) -> bool {
        let Some(Open {
            anchor,
            start,
            items,
        }) = self.open.pop()
        else {
            return true;
        };
        let data = match items {
            Items::List(list) => Data::List(list),
            Items::Map { entries, .. } => Data::Map(entries),
        };
        self.finish(
            anchor,
            Node {
                span: span(start, end),
                data,
            },
        )
    }

    fn end_document(&mut self) {
        let empty = |node: &Node<'_>| matches!(&node.data, Data::Scalar(text, Style::Plain) if text.is_empty());
        if let Some(root) = self.root.take().filter(|root| !empty(root))
            && self.problems.len() == self.problems_before
        {
            self.documents.push(root);
        }
    }

    /// Takes a node that is complete; false when its anchor makes the file too large.
    fn finish(&mut self, anchor: usize, node: Node<'a>) -> bool {
        if anchor > 0 {
            if !self.may_copy(&node) {
                return false;
            }
            self.anchors.insert(anchor, node.clone());
        }
        self.add(node);
        true
    }

    fn may_copy(&mut self, node: &Node<'_>) -> bool {
        self.copied = self.copied.saturating_add(node.size());
        let allowed = self.copied <= MAX_COPIED && self.open.len() + node.depth() <= MAX_DEPTH;
        if !allowed {
            let message = "anchors and aliases make the file too large, or nest it too deep";
            self.problem(&codes::TOO_BIG, node.span, message);
        }
        allowed
    }

    fn alias(&mut self, anchor: usize, start: Marker, end: Marker) -> bool {
        let at = span(start, end);
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            let message = "an alias inside the value that it names, or in another document";
            self.problem(&codes::UNSUPPORTED_YAML, at, message);
            return false;
        };
        let allowed = self.may_copy(&node);
        if allowed {
            self.add(node);
        }
        allowed
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
