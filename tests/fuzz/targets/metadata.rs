//! Metadata of all four kinds. Assembled again from its payload and signatures, a file says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trustroot_core::metadata::envelope::assemble;
use trustroot_core::metadata::{
    Body, Metadata, root::Root, snapshot::Snapshot, targets::Targets, timestamp::Timestamp,
};

fn look<T: Body>(bytes: &[u8]) {
    if let Ok(file) = Metadata::<T>::parse("file", bytes) {
        let signatures = file.signatures().iter().map(|one| (one.keyid.clone(), one.sig.clone()));
        let again = assemble(file.payload(), signatures);
        let again = Metadata::<T>::parse("file", &again).expect("what was read is read again");
        assert_eq!(again.payload(), file.payload());
        let alone = Metadata::<T>::of_payload("file", file.payload().bytes()).expect("a payload is read alone");
        assert_eq!((alone.version(), alone.expires()), (file.version(), file.expires()));
    }
    if let Ok(alone) = Metadata::<T>::of_payload("file", bytes) {
        assert_eq!(alone.payload().bytes(), bytes);
    }
}

fuzz_target!(|bytes: &[u8]| {
    look::<Root>(bytes);
    look::<Snapshot>(bytes);
    look::<Timestamp>(bytes);
    look::<Targets>(bytes);
    let targets = Metadata::<Targets>::parse("file", bytes).ok();
    if let Some(delegations) = targets.as_ref().and_then(|file| file.body().delegations()) {
        for (name, _) in delegations.for_path("a/b.txt") {
            assert!(delegations.role(&name).is_some(), "a role that is asked has keys");
        }
    }
});
