//! Plans, as people write them and as records freeze them. A plan that is taken has one frozen form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::plan::Plan;
use trustroot_core::plan::lint::lint;

fuzz_target!(|bytes: &[u8]| {
    let read = std::str::from_utf8(bytes).ok().map(Plan::from_toml);
    for read in read.into_iter().chain([Plan::from_json(bytes)]) {
        match read {
            Ok(plan) => {
                assert_eq!(Plan::from_json(&plan.to_canonical()).as_ref(), Ok(&plan));
                lint(&plan, Some(plan.day));
            }
            Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
        }
    }
});
