//! What a scalar without quotes is, as `kubectl` and the API server read it.
//!
//! Both convert YAML to JSON with a fork of go-yaml v2, which is between YAML 1.1 and 1.2: `y`, `no` and `On` are booleans, `010`
//! is the number 8 and `1_000` is 1000, but `1:30` is text. A number that is whole once it is JSON, such as `1e3`, is a whole
//! number.

use crate::cluster::reading::Scalar;

/// The value of a scalar that is neither in quotes nor tagged. What is no JSON, such as `.inf`, is an error that says so.
pub(super) fn plain(text: &str) -> Result<Scalar, &'static str> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" => return Err("not a number, which JSON cannot represent"),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" => {
            return Err("infinity, which JSON cannot represent");
        }
        _ => number(text).unwrap_or_else(|| Scalar::Text(text.to_owned())),
    })
}

fn number(text: &str) -> Option<Scalar> {
    match text.bytes().next()? {
        b'.' => float(text),
        b'0'..=b'9' | b'+' | b'-' => {
            let plain = text.replace('_', "");
            integer(&plain).or_else(|| float(&plain))
        }
        _ => None,
    }
}

/// A whole number with a prefix that says its base: `0x`, `0o` or `0`, `0b`.
fn integer(text: &str) -> Option<Scalar> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    let is_digits = !digits.is_empty() && digits.bytes().all(|c| (c as char).is_digit(base));
    if !is_digits {
        return None;
    }
    let Ok(number) = i128::from_str_radix(digits, base) else {
        return digits.parse().ok().map(Scalar::Float);
    };
    let number = if negative { -number } else { number };
    Some(match (i64::try_from(number), u64::try_from(number)) {
        (Ok(number), _) => Scalar::Integer(number),
        (_, Ok(number)) => Scalar::Large(number),
        _ => Scalar::Float(number as f64),
    })
}

/// Digits with a point or an exponent.
fn float(text: &str) -> Option<Scalar> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let is_digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_mantissa =
        is_digits(whole) && is_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let is_exponent = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && is_digits(digits)
    });
    if !(is_mantissa && is_exponent) {
        return None;
    }
    // Out of range: go-yaml takes it for text.
    let number = text
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())?;
    Some(match json_integer(number) {
        Some(whole) => Scalar::Integer(whole),
        None => Scalar::Float(number),
    })
}

/// A number that Go writes into JSON without a point or an exponent, and reads as a whole number.
fn json_integer(number: f64) -> Option<i64> {
    // Every f64 below this bound that is whole is an i64.
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    (number.fract() == 0.0 && number.abs() < BOUND).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn scalars_are_what_go_yaml_makes_of_them() {
        use Scalar::{Bool, Float, Integer, Large, Null};
        let text = |text: &str| Scalar::Text(text.to_owned());
        for (written, expected) in [
            ("y", Bool(true)),
            ("N", Bool(false)),
            ("On", Bool(true)),
            ("off", Bool(false)),
            ("yEs", text("yEs")),
            ("tRue", text("tRue")),
            ("", Null),
            ("~", Null),
            ("nil", text("nil")),
            ("010", Integer(8)),
            ("08", Integer(8)),
            ("0o17", Integer(15)),
            ("0x1F", Integer(31)),
            ("0b101", Integer(5)),
            ("-0b11", Integer(-3)),
            ("+7", Integer(7)),
            ("1_000", Integer(1000)),
            ("1__", Integer(1)),
            ("_1", text("_1")),
            ("0x", text("0x")),
            ("0xg", text("0xg")),
            ("-", text("-")),
            ("--1", text("--1")),
            ("1e3", Integer(1000)),
            ("1.0", Integer(1)),
            ("1.5", Float(1.5)),
            (".5", Float(0.5)),
            (".", text(".")),
            (".5x", text(".5x")),
            ("1e", text("1e")),
            ("1e999", text("1e999")),
            ("18446744073709551615", Large(u64::MAX)),
            ("18446744073709551616", Float(18_446_744_073_709_551_616.0)),
            ("64512:100", text("64512:100")),
            ("1:30", text("1:30")),
            ("2001-12-14", text("2001-12-14")),
            ("192.0.2.1", text("192.0.2.1")),
            ("1.2.3", text("1.2.3")),
            ("::1", text("::1")),
            ("90s", text("90s")),
            ("<<", text("<<")),
        ] {
            assert_eq!(plain(written), Ok(expected), "{written}");
        }
        for none in [".inf", "-.Inf", ".NaN"] {
            assert!(plain(none).is_err(), "{none}");
        }
    }
}
