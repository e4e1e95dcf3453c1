//! Moments: eight bytes of a distance, and a text. What is taken has one form, and moving ends at the ends of time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::time::Timestamp;

fuzz_target!(|input: (i64, &str)| {
    let (distance, text) = input;
    let lenient = Timestamp::parse_lenient(text);
    if let Ok(moment) = Timestamp::parse(text) {
        assert_eq!((lenient, moment.to_string().as_str()), (Ok(moment), text));
    }
    for moment in [lenient, Timestamp::from_day(text), Timestamp::from_unix(distance)].into_iter().flatten() {
        assert_eq!(Timestamp::parse(&moment.to_string()), Ok(moment));
        assert_eq!(Timestamp::from_unix(moment.unix()), Ok(moment));
        for moved in [moment.plus_seconds(distance), moment.plus_days(distance)] {
            assert_eq!(moved.cmp(&moment), moved.unix().cmp(&moment.unix()));
            assert!(if distance < 0 { moved <= moment } else { moved >= moment }, "{moment} {distance} {moved}");
            assert_eq!(Timestamp::parse(&moved.to_string()), Ok(moved));
        }
    }
});
