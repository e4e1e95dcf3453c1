//! Ceremonies whose holders sit at machines of their own, over real git repositories.

#[path = "support/stage.rs"]
mod stage;
#[path = "support/community.rs"]
mod community;

use community::Community;
use trustroot::conduct::Ending;

#[test]
fn a_genesis_from_five_homes() {
    let mut ours = Community::new(5, 3);
    assert_eq!(ours.hold(&[], |_, _| true), Ending::Closed);
    let report = ours.stage.report();
    assert!(report.accepted(), "{:#?}", report.findings);
    assert!(ours.homes.values().any(|home| home.offline));
}
