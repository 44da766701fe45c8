//! Numbers of things, as people write them.

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of something whose plural ends in s.
pub(super) fn counted(number: u64, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {thing}{ending}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_as_people_write_them() {
        assert_eq!(counted(0, "job"), "0 jobs");
        assert_eq!(counted(1, "job"), "1 job");
        assert_eq!(counted(999, "element"), "999 elements");
        assert_eq!(counted(1_000_000, "element"), "1,000,000 elements");
        assert_eq!(grouped(12_345), "12,345");
    }
}
