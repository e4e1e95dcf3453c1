//! The record of a ceremony, and where its replay ends. Nothing on the next page moves a cursor.
#![no_main]

#[path = "../files.rs"]
mod files;

use libfuzzer_sys::fuzz_target;
use trustroot_core::page::{plain, script};
use trustroot_core::record::{Record, records};
use trustroot_core::replay::{Next, replay};

fuzz_target!(|bytes: &[u8]| {
    let tree = files::tree(bytes);
    for dir in records(&tree) {
        let Ok(record) = Record::read(&tree, &dir) else { continue };
        let Ok(ceremony) = replay(&record, &tree) else { continue };
        assert_eq!(ceremony.events.len(), record.events.len());
        if let Next::Do(step) = ceremony.next() {
            let shown = plain::render(&script::page(&step, &ceremony), 72);
            assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
        }
    }
});
