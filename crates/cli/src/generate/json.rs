//! Writing JSON straight into bytes: fragments of text as they are, values in their spelling. No tree, no
//! formatting machinery; this is what lets one core make several hundred thousand events a second.

use std::net::Ipv4Addr;

/// Something that has a spelling.
pub(super) trait Put {
    /// Appends the spelling.
    fn put(&self, out: &mut Vec<u8>);
}

/// Writes each part after the other: `put!(out; r#"{"pid":"#, 17_u32, "}")`.
macro_rules! put {
    ($out:expr; $($part:expr),+ $(,)?) => {{
        let out: &mut Vec<u8> = $out;
        $( $crate::generate::json::Put::put(&$part, out); )+
    }};
}
pub(super) use put;

/// A fragment of JSON, written as it is.
impl Put for &str {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Put for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        u64::from(*self).put(out);
    }
}

impl Put for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
    }
}

impl Put for Ipv4Addr {
    fn put(&self, out: &mut Vec<u8>) {
        let [a, b, c, d] = self.octets().map(u32::from);
        put!(out; a, ".", b, ".", c, ".", d);
    }
}

/// Text inside a JSON string: quotes, backslashes and control characters are escaped.
pub(super) struct Text<'a>(pub(super) &'a str);

impl Put for Text<'_> {
    #[allow(
        clippy::indexing_slicing,
        reason = "both ends are positions of bytes of this text, start <= position"
    )]
    fn put(&self, out: &mut Vec<u8>) {
        let bytes = self.0.as_bytes();
        let mut start = 0;
        for (position, &byte) in bytes.iter().enumerate() {
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                continue;
            }
            out.extend_from_slice(&bytes[start..position]);
            start = position + 1;
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                _ => put!(out; "\\u", Hex(u64::from(byte), 4)),
            }
        }
        out.extend_from_slice(&bytes[start..]);
    }
}

/// A pattern whose every `%` stands for the number; the rest is [`Text`].
pub(super) struct Filled<'a>(pub(super) &'a str, pub(super) u32);

impl Put for Filled<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        let mut parts = self.0.split('%');
        Text(parts.next().unwrap_or_default()).put(out);
        for part in parts {
            put!(out; self.1, Text(part));
        }
    }
}

/// The lowest so many hexadecimal digits of a number, at most 16.
pub(super) struct Hex(pub(super) u64, pub(super) u32);

impl Put for Hex {
    #[allow(clippy::indexing_slicing, reason = "four bits index sixteen digits")]
    fn put(&self, out: &mut Vec<u8>) {
        for digit in (0..self.1).rev() {
            out.push(b"0123456789abcdef"[(self.0 >> (4 * digit)) as usize & 15]);
        }
    }
}

/// 128 bits spelled as a UUID, without braces.
pub(super) struct Guid(pub(super) u64, pub(super) u64);

impl Put for Guid {
    fn put(&self, out: &mut Vec<u8>) {
        let (high, low) = (self.0, self.1);
        put!(out; Hex(high >> 32, 8), "-", Hex(high >> 16, 4), "-", Hex(high, 4), "-", Hex(low >> 48, 4), "-", Hex(low, 12));
    }
}

impl<A: Put, B: Put> Put for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        put!(out; self.0, self.1);
    }
}

impl<A: Put, B: Put, C: Put> Put for (A, B, C) {
    fn put(&self, out: &mut Vec<u8>) {
        put!(out; self.0, self.1, self.2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(part: impl Put) -> String {
        let mut out = Vec::new();
        part.put(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn text_is_escaped_as_json_wants_it() {
        for text in [
            "",
            "plain",
            r"C:\Windows\System32",
            "a \"b\"\r\n\tc\u{1}\u{1f}",
            "ünïcode \\",
        ] {
            let quoted = format!("\"{}\"", spelled(Text(text)));
            assert_eq!(
                serde_json::from_str::<String>(&quoted).ok().as_deref(),
                Some(text),
                "{quoted}"
            );
        }
    }

    #[test]
    fn values_have_their_usual_spelling() {
        assert_eq!(spelled(Ipv4Addr::new(10, 0, 255, 1)), "10.0.255.1");
        assert_eq!(spelled(Hex(0xfff_1a2b, 4)), "1a2b");
        assert_eq!(
            spelled(Guid(0x0123_4567_89ab_cdef, 0x1_0000_0000_0002)),
            "01234567-89ab-cdef-0001-000000000002"
        );
        assert_eq!(spelled(Filled(r"a\%-%", 7)), r"a\\7-7");
    }
}
