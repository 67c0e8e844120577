//! References (`&amp;`, `&#x41;`) and the characters that XML 1.0 can carry.
//!
//! Only the five built-in names and numbers are known: there is no DOCTYPE that could define more.

/// True if XML 1.0 can carry the character (production `Char`).
pub(super) fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// The character that the inside of a reference (without `&` and `;`) stands for.
pub(super) fn resolve(name: &str) -> Result<char, String> {
    let Some(number) = name.strip_prefix('#') else {
        return match name {
            "lt" => Ok('<'),
            "gt" => Ok('>'),
            "amp" => Ok('&'),
            "apos" => Ok('\''),
            "quot" => Ok('"'),
            _ => Err(format!(
                "unknown entity `&{name};`; known are &lt; &gt; &amp; &apos; &quot; and numbers as in &#10;"
            )),
        };
    };
    let (digits, radix) = match number.strip_prefix('x') {
        Some(hex) => (hex, 16),
        None => (number, 10),
    };
    let plain = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    plain
        .then(|| u32::from_str_radix(digits, radix).ok())
        .flatten()
        .and_then(char::from_u32)
        .filter(|c| is_xml_char(*c))
        .ok_or_else(|| format!("`&{name};` is not a character that XML can carry"))
}

/// The value between an attribute's quotes, with references replaced and line ends and tabs as blanks, as
/// XML asks for. An error carries the byte offset in `raw`.
pub(super) fn attribute_value(raw: &str) -> Result<String, (usize, String)> {
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        let at = raw.len() - rest.len();
        rest = &rest[c.len_utf8()..];
        match c {
            '&' => {
                let end = rest.find(';').filter(|end| *end <= 64);
                let end = end.ok_or((at, "`&` must be written `&amp;`".to_string()))?;
                value.push(resolve(&rest[..end]).map_err(|e| (at, e))?);
                rest = &rest[end + 1..];
            }
            '<' => return Err((at, "`<` in a value must be written `&lt;`".to_string())),
            '\r' => {
                rest = rest.strip_prefix('\n').unwrap_or(rest);
                value.push(' ');
            }
            '\n' | '\t' => value.push(' '),
            c => value.push(c),
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_normalised_and_references_replaced() {
        assert_eq!(
            attribute_value("a &lt; b\r\n&#x41;&#10;&amp;").as_deref(),
            Ok("a < b A\n&")
        );
        assert_eq!(attribute_value("x & y").unwrap_err().0, 2);
        assert!(attribute_value("&nbsp;").unwrap_err().1.contains("&nbsp;"));
        for bad in [
            "&#0;",
            "&#xD800;",
            "&#;",
            "&#+5;",
            "&#x110000;",
            "&#99999999999;",
        ] {
            assert!(attribute_value(bad).is_err(), "{bad}");
        }
    }
}
