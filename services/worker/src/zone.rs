//! Time zones of this machine. Nothing is compiled in: an image without zoneinfo is found out.

use std::fs;

use chrono::{DateTime, FixedOffset, Utc};
use tz::TimeZone;

const FOLDER: &str = "/usr/share/zoneinfo";

/// *moment* on the clocks of zone *name*, and what that zone calls its time ("CEST").
pub fn in_zone(
    moment: DateTime<Utc>,
    name: &str,
) -> Result<(DateTime<FixedOffset>, String), String> {
    let zone = load(name)?;
    let kind = zone
        .find_local_time_type(moment.timestamp())
        .map_err(|error| format!("zone {name}: {error}"))?;
    let offset = FixedOffset::east_opt(kind.ut_offset())
        .ok_or_else(|| format!("zone {name}: an offset of {} seconds", kind.ut_offset()))?;
    let abbreviation = kind.time_zone_designation().to_owned();
    Ok((moment.with_timezone(&offset), abbreviation))
}

/// Refuses a `TZ` that names no zone: chrono would silently take UTC, and run at the wrong hour.
pub fn check_tz(value: Option<&str>) -> Result<(), String> {
    match value {
        None | Some("") => Ok(()),
        Some(text) => TimeZone::from_posix_tz(text)
            .map(|_| ())
            .map_err(|_| format!("TZ={text}: no such zone in {FOLDER}, nor a rule")),
    }
}

fn load(name: &str) -> Result<TimeZone, String> {
    let is_plain = |part: &str| {
        let is_sound = |c: char| c.is_ascii_alphanumeric() || "_-+".contains(c);
        !part.is_empty() && part.chars().all(is_sound)
    };
    if !name.split('/').all(is_plain) {
        return Err(format!("wanted a zone such as Europe/Paris, got {name:?}"));
    }
    let path = format!("{FOLDER}/{name}");
    let bytes = fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
    TimeZone::from_tz_data(&bytes).map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::{check_tz, in_zone};
    use chrono::DateTime;

    #[test]
    fn winter_and_summer_far_beyond_the_table() {
        for (utc, local, name) in [
            ("2060-01-01T12:00:00Z", "2060-01-01T13:00:00+01:00", "CET"),
            ("2060-07-01T12:00:00Z", "2060-07-01T14:00:00+02:00", "CEST"),
        ] {
            let moment = DateTime::parse_from_rfc3339(utc).unwrap().to_utc();
            let (there, abbreviation) = in_zone(moment, "Europe/Paris").unwrap();
            assert_eq!(there.to_rfc3339(), local);
            assert_eq!(abbreviation, name);
        }
    }

    #[test]
    fn names_that_are_no_zone() {
        for name in ["", "../passwd", "/etc/passwd", "Europe//Paris", "Europe/"] {
            assert_eq!(
                in_zone(DateTime::UNIX_EPOCH, name).unwrap_err(),
                format!("wanted a zone such as Europe/Paris, got {name:?}")
            );
        }
        let fault = in_zone(DateTime::UNIX_EPOCH, "Europe/Atlantis").unwrap_err();
        assert!(
            fault.starts_with("/usr/share/zoneinfo/Europe/Atlantis: "),
            "{fault}"
        );
    }

    #[test]
    fn a_wrong_tz_is_refused() {
        for sound in [
            None,
            Some(""),
            Some("UTC"),
            Some("Europe/Paris"),
            Some(":Europe/Paris"),
        ] {
            assert_eq!(check_tz(sound), Ok(()));
        }
        let fault = check_tz(Some("Europe/Atlantis")).unwrap_err();
        let wanted = "TZ=Europe/Atlantis: no such zone in /usr/share/zoneinfo, nor a rule";
        assert_eq!(fault, wanted);
    }
}
