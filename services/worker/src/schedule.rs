//! When the next daily run is due, on a clock that may jump twice a year.

use chrono::{DateTime, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};

/// Reads a time of day, `HH:MM`.
pub fn parse_at(text: &str) -> Result<NaiveTime, String> {
    NaiveTime::parse_from_str(text, "%H:%M")
        .map_err(|error| format!("WORKER_AT: wanted HH:MM, got {text:?} ({error})"))
}

/// The first moment after *now* at which local clocks show *at*. An hour that clocks go through
/// twice counts once; where clocks jump over *at*, the first minute after the jump stands for it.
pub fn next_run<Z: TimeZone>(now: &DateTime<Z>, at: NaiveTime) -> Option<DateTime<Z>> {
    now.date_naive()
        .iter_days()
        .filter_map(|day| first_moment(&now.timezone(), day.and_time(at)))
        .find(|moment| moment > now)
}

/// No zone has ever jumped by more than a day.
fn first_moment<Z: TimeZone>(zone: &Z, wanted: NaiveDateTime) -> Option<DateTime<Z>> {
    (0..=24 * 60)
        .filter_map(|minutes| wanted.checked_add_signed(TimeDelta::minutes(minutes)))
        .find_map(|local| zone.from_local_datetime(&local).earliest())
}

#[cfg(test)]
mod tests {
    use super::{next_run, parse_at};
    use chrono::{DateTime, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, TimeZone};

    /// Central Europe in 2027: +02:00 from 28 March 01:00 UTC to 31 October 01:00 UTC.
    #[derive(Clone)]
    struct Europe;

    fn hours(count: i32) -> FixedOffset {
        FixedOffset::east_opt(count * 3600).unwrap()
    }

    impl TimeZone for Europe {
        type Offset = FixedOffset;

        fn from_offset(_: &FixedOffset) -> Self {
            Self
        }

        fn offset_from_local_date(&self, day: &NaiveDate) -> MappedLocalTime<FixedOffset> {
            self.offset_from_local_datetime(&day.and_hms_opt(0, 0, 0).unwrap())
        }

        fn offset_from_local_datetime(
            &self,
            local: &NaiveDateTime,
        ) -> MappedLocalTime<FixedOffset> {
            let fits = |offset: &FixedOffset| {
                self.offset_from_utc_datetime(&(*local - *offset)) == *offset
            };
            match (Some(hours(2)).filter(fits), Some(hours(1)).filter(fits)) {
                (Some(summer), Some(winter)) => MappedLocalTime::Ambiguous(summer, winter),
                (Some(only), None) | (None, Some(only)) => MappedLocalTime::Single(only),
                (None, None) => MappedLocalTime::None,
            }
        }

        fn offset_from_utc_date(&self, day: &NaiveDate) -> FixedOffset {
            self.offset_from_utc_datetime(&day.and_hms_opt(0, 0, 0).unwrap())
        }

        fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> FixedOffset {
            let moment = |text| NaiveDateTime::parse_from_str(text, "%F %H:%M").unwrap();
            let summer = moment("2027-03-28 01:00")..moment("2027-10-31 01:00");
            hours(if summer.contains(utc) { 2 } else { 1 })
        }
    }

    fn next(now: &str, at: &str) -> String {
        let now = DateTime::parse_from_rfc3339(now).unwrap();
        let next = next_run(&now.with_timezone(&Europe), parse_at(at).unwrap()).unwrap();
        assert!(next > now);
        next.to_rfc3339()
    }

    #[test]
    fn today_or_tomorrow() {
        let noon = "2027-07-01T12:00:00+02:00";
        assert_eq!(next(noon, "12:01"), "2027-07-01T12:01:00+02:00");
        assert_eq!(next(noon, "12:00"), "2027-07-02T12:00:00+02:00");
        assert_eq!(next(noon, "03:30"), "2027-07-02T03:30:00+02:00");
    }

    #[test]
    fn an_hour_that_is_skipped() {
        let before = "2027-03-27T12:00:00+01:00";
        assert_eq!(next(before, "02:30"), "2027-03-28T03:00:00+02:00");
        let after = "2027-03-28T03:00:00+02:00";
        assert_eq!(next(after, "02:30"), "2027-03-29T02:30:00+02:00");
    }

    #[test]
    fn an_hour_that_comes_twice() {
        let before = "2027-10-30T12:00:00+02:00";
        assert_eq!(next(before, "02:30"), "2027-10-31T02:30:00+02:00");
        let between = "2027-10-31T02:30:00+02:00";
        assert_eq!(next(between, "02:30"), "2027-11-01T02:30:00+01:00");
    }

    #[test]
    fn times_that_are_none() {
        for text in ["", "3", "24:00", "03:60", "03:30:00", "noon"] {
            let fault = parse_at(text).unwrap_err();
            let start = format!("WORKER_AT: wanted HH:MM, got {text:?} (");
            assert!(fault.starts_with(&start), "{fault}");
        }
    }
}
