//! Numbers and names in a cron field.

/// A number, or a name counted from `first`.
pub(super) fn number(text: &str, first: u32, names: &[&str]) -> Option<u32> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    let index = names.iter().position(|n| n.eq_ignore_ascii_case(text))?;
    u32::try_from(index).ok().map(|i| i + first)
}
