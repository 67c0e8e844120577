//! The order of names as people count: `A_9.xml` before `A_10.xml`. Pure.

use std::cmp::Ordering;

/// Compares two names: runs of digits as numbers of any length, all else byte by byte. Names that differ in leading zeros
/// alone stand in the order of their bytes.
pub(crate) fn compare(one: &str, other: &str) -> Ordering {
    let (mut a, mut b) = (one.as_bytes(), other.as_bytes());
    while let (Some(&left), Some(&right)) = (a.first(), b.first()) {
        let step = if left.is_ascii_digit() && right.is_ascii_digit() {
            number(&mut a).cmp(&number(&mut b))
        } else {
            (a, b) = (&a[1..], &b[1..]);
            left.cmp(&right)
        };
        if step != Ordering::Equal {
            return step;
        }
    }
    a.len().cmp(&b.len()).then_with(|| one.cmp(other))
}

/// Takes the digits in front: how many without leading zeros, and which. Of two numbers that compares as their values.
fn number<'t>(text: &mut &'t [u8]) -> (usize, &'t [u8]) {
    let end = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(end);
    *text = rest;
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    (end - zeros, &digits[zeros..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_and_the_rest_is_bytes() {
        let right = [
            "",
            "A",
            "NU_9-15.xml",
            "NU_15-105.xml",
            "NU_15-1050.xml",
            "NU_18446744073709551616.xml",
            "NU_18446744073709551617.xml",
            "NU_x",
            "a1",
            "a01",
            "a1b",
            "a02",
            "a2",
            "a10",
            "ä",
        ];
        let mut names = right.to_vec();
        names.reverse();
        names.sort_by(|one, other| compare(one, other));
        // `a01` and `a1` are one number; what stands behind decides, and at last the text
        let want = [&right[..8], &["a01", "a1", "a1b", "a02", "a2", "a10", "ä"]].concat();
        assert_eq!(names, want);
    }
}
