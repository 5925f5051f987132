//! Text patterns with the wildcards `*` and `?`.

/// A pattern over a whole value: the pieces, one after the other, must cover it from start to end.
///
/// Adjacent literals and adjacent [`Piece::AnyString`]s are merged, and no literal is empty. No pieces at all match the empty
/// value only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Pattern {
    /// What must follow what.
    pub pieces: Vec<Piece>,
}

/// One piece of a [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Piece {
    /// Exactly this text (in either case, unless the test is cased).
    Literal(String),
    /// `?`: any one character, a line end too.
    AnyChar,
    /// `*`: any text, the empty one and one with line ends too.
    AnyString,
}
