//! Amounts of bytes as people write them: `4096`, `64K`, `10G`; the units are powers of 1024.

/// Why a text is no amount of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size: write bytes, or a number with K, M, G or T (powers of 1024)")]
pub struct SizeError(pub String);

const UNITS: [char; 4] = ['K', 'M', 'G', 'T'];

/// Reads an amount of bytes. `KiB`, `KB` and `k` mean the same as `K`.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let wrong = || SizeError(text.to_owned());
    let upper = text.trim().to_ascii_uppercase();
    let number = upper.trim_end_matches('B').trim_end_matches('I');
    let (digits, power) = match number.chars().last().and_then(unit_power) {
        Some(power) => (&number[..number.len() - 1], power),
        None => (number, 0),
    };
    if power == 0 && upper.ends_with('I') {
        return Err(wrong());
    }
    let whole: u64 = digits.trim().parse().map_err(|_| wrong())?;
    whole.checked_mul(1 << (10 * power)).ok_or_else(wrong)
}

fn unit_power(unit: char) -> Option<usize> {
    UNITS.into_iter().position(|known| known == unit).map(|index| index + 1)
}

/// Writes an amount for people: `512`, `1.5K`, `64M`.
pub fn format_size(bytes: u64) -> String {
    let power = (0..=UNITS.len()).rev().find(|&power| bytes >> (10 * power) > 0).unwrap_or(0);
    if power == 0 {
        return bytes.to_string();
    }
    let amount = bytes as f64 / (1u64 << (10 * power)) as f64;
    let text = if amount < 10.0 { format!("{amount:.1}") } else { format!("{amount:.0}") };
    format!("{}{}", text.trim_end_matches(".0"), UNITS[power - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024() {
        for (text, bytes) in
            [("0", 0), ("4096", 4096), ("64K", 65_536), ("1MiB", 1 << 20), ("2gb", 2 << 30)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "K", "1X", "-1", "1.5G", "99999999999T"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_written_short() {
        for (bytes, text) in [(512, "512"), (1536, "1.5K"), (64 << 20, "64M"), (1 << 30, "1G")] {
            assert_eq!(format_size(bytes), text);
        }
    }
}
