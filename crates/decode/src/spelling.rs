//! How values are spelled in a record. The parser's tape holds numbers as numbers and objects as
//! their members; where their text begins and ends is known from the structural characters of its first
//! stage, which stand in the order of the tape.

/// Finds the text of tape nodes in the record they were parsed from.
pub(crate) struct Spelling<'a> {
    source: &'a [u8],
    structurals: &'a [u32],
    /// A structural, and the tape node that it or the next one that is a value begins.
    structural: usize,
    node: usize,
}

impl<'a> Spelling<'a> {
    /// `structurals` are offsets into `source` of the brackets, colons and commas outside strings and of the first byte of each scalar.
    pub(crate) fn new(source: &'a [u8], structurals: &'a [u32]) -> Self {
        Self {
            source,
            structurals,
            structural: 0,
            node: 0,
        }
    }

    /// The number at this tape node: its offset and text.
    pub(crate) fn number(&mut self, node: usize) -> Option<(usize, &'a [u8])> {
        let start = self.seek(node)?;
        let text = self.source.get(start..)?;
        let len = text
            .iter()
            .position(|byte| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n'))
            .unwrap_or(text.len());
        Some((start, text.get(..len)?))
    }

    /// The object at this tape node: its offset and text.
    pub(crate) fn object(&mut self, node: usize) -> Option<(usize, &'a [u8])> {
        let start = self.seek(node)?;
        let mut depth = 0usize;
        for &position in self.structurals.get(self.structural..)? {
            let position = position as usize;
            match self.source.get(position)? {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            if depth == 0 {
                return Some((start, self.source.get(start..=position)?));
            }
        }
        None
    }

    /// Where the text of a node begins. Nodes are mostly asked for in ascending order, so one pass serves an event.
    fn seek(&mut self, node: usize) -> Option<usize> {
        if node < self.node {
            self.structural = 0;
            self.node = 0;
        }
        loop {
            let position = *self.structurals.get(self.structural)? as usize;
            if !matches!(self.source.get(position)?, b'}' | b']' | b':' | b',') {
                if self.node == node {
                    return Some(position);
                }
                self.node += 1;
            }
            self.structural += 1;
        }
    }
}
