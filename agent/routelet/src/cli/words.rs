//! How values read.

use std::fmt::Display;

/// A time as people say it, in its two largest units: `45s`, `6m12s`, `2h3m`, `12d4h`.
pub(super) fn time(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{}s", seconds % 60),
        3600..86_400 => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

/// A number with its noun, in the plural where that is right.
pub(super) fn count(number: u64, noun: &str) -> String {
    let all = group(number);
    match noun.strip_suffix("cy") {
        _ if number == 1 => format!("1 {noun}"),
        Some(stem) => format!("{all} {stem}cies"),
        None => format!("{all} {noun}s"),
    }
}

/// A number with separators of thousands: `1,042,325`.
pub(super) fn group(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A value, or a dash where there is none.
pub(super) fn or_dash<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Values with commas between them.
pub(super) fn commas<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_read_well() {
        let times = [0, 59, 60, 3599, 3600, 86_399, 86_400, 1_054_800].map(time);
        assert_eq!(
            times,
            [
                "0s", "59s", "1m0s", "59m59s", "1h0m", "23h59m", "1d0h", "12d5h"
            ]
        );
        let numbers = [0, 999, 1000, 1_042_325].map(group);
        assert_eq!(numbers, ["0", "999", "1,000", "1,042,325"]);
        assert_eq!(count(1, "route"), "1 route");
        assert_eq!(count(0, "route"), "0 routes");
    }
}
