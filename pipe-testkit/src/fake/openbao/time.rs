//! Times and durations as OpenBao writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// `2026-11-24T02:34:17.18110557Z`: nanoseconds without trailing zeros.
pub(in super::super) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = date(since.as_secs() / 86_400);
    let second = since.as_secs() % 86_400;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = format!(".{:09}", since.subsec_nanos());
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Seconds since 1970.
pub(super) fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Whole seconds, rounded up.
pub(super) fn seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// `1h0m0s`, as Go prints a duration.
pub(super) fn long(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// `1h`, as OpenBao prints a duration in its warnings.
pub(super) fn short(seconds: u64) -> String {
    let mut text = long(seconds);
    for (end, cut) in [("m0s", "0s"), ("h0m", "0m")] {
        if text.ends_with(end) {
            text.truncate(text.len() - cut.len());
        }
    }
    text
}

/// Seconds of a number, of text with units (`1h30m`) or of text without (seconds).
pub(super) fn parse_seconds(value: &Value) -> Result<u64, String> {
    let text = match value {
        Value::Null => return Ok(0),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return Err("could not parse duration from input".to_owned()),
    };
    if let Some(positive) = text.strip_prefix('-') {
        let whole = positive.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
        return Err(format!("cannot provide negative value '-{whole}'"));
    }
    if text.is_empty() {
        return Ok(0);
    }
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    with_units(&text).ok_or_else(|| format!("time: invalid duration {text:?}"))
}

fn with_units(mut text: &str) -> Option<u64> {
    let mut milliseconds = 0;
    while !text.is_empty() {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let number = text[..digits].parse::<u64>().ok()?;
        let rest = &text[digits..];
        let unit = &rest[..rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len())];
        let scale = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        milliseconds += number.checked_mul(scale)?;
        text = &rest[unit.len()..];
    }
    Some(milliseconds / 1000)
}

/// Year, month and day of a day counted from 1970, by Howard Hinnant's `civil_from_days`.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_go_prints_them() {
        let at = |seconds, nanos| rfc3339(UNIX_EPOCH + Duration::new(seconds, nanos));
        assert_eq!(at(0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(at(1_795_487_657, 181_105_570), "2026-11-24T02:34:17.18110557Z");
        assert_eq!(at(951_782_400, 5), "2000-02-29T00:00:00.000000005Z");
    }

    #[test]
    fn durations_are_read_and_printed_as_the_server_does() {
        let read = |text: &str| parse_seconds(&text.into());
        assert_eq!(read("1h30m5s"), Ok(5405));
        assert_eq!(read("5400"), Ok(5400));
        assert_eq!(read("500ms"), Ok(0));
        assert!(read("x").is_err() && read("5x").is_err() && read("-5").is_err());
        assert_eq!([long(3600), short(3600)], ["1h0m0s", "1h"]);
        assert_eq!([short(90), short(20), short(5400)], ["1m30s", "20s", "1h30m"]);
    }
}
