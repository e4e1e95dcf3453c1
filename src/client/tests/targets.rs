//! Searches and downloads under attack, one a test (TUF 5.6.7 and 5.7), and several clients at once.

mod simulator;

use simulator::{Case, Delegation, Fault, Repository, Targets, now, start, targets, to};
use trustroot_client::{Client, Error};
use trustroot_core::check::Check;
use trustroot_core::digest::Digest;
use trustroot_core::search::MAX_ROLES;

// ------------------------------------------------------------------------------------------------- 5.6.7: delegations

/// A repository with this tree of delegations; each role's key is 30 and its place.
fn tree(edges: &[(&str, &str, &[&'static str], bool)]) -> (Repository, Case) {
    let (mut repository, case) = start();
    let mut roles: Vec<&str> = Vec::new();
    for (from, name, paths, terminating) in edges {
        if !roles.contains(name) {
            roles.push(name);
        }
        let number = 30 + roles.iter().position(|role| role == name).unwrap() as u8;
        repository.targets.entry((*name).to_owned()).or_insert_with(|| targets(number));
        let delegation = Delegation { terminating: *terminating, ..to(name, number, paths) };
        repository.targets.get_mut(*from).unwrap().to.push(delegation);
    }
    repository.publish();
    (repository, case)
}

#[track_caller]
fn visits(edges: &[(&str, &str, &[&'static str], bool)], order: &[&str]) {
    let (repository, case) = tree(edges);
    assert!(matches!(case.find(&repository, "missing"), Err(Error::NoTarget(_))));
    let asked: Vec<_> = repository.server.asked().into_iter().skip(4).collect();
    let expected: Vec<_> =
        order.iter().map(|role| format!("{}.{role}.json", repository.targets[*role].version)).collect();
    assert_eq!(asked, expected);
}

#[test]
fn delegations_are_searched_in_order_and_depth_first() {
    let all: &[&str] = &["*"];
    let to_both = [("targets", "A", all, false), ("targets", "B", all, false)];
    visits(&to_both[..1], &["A"]);
    visits(&to_both, &["A", "B"]);
    visits(&[&to_both[..], &[("B", "C", all, false)]].concat(), &["A", "B", "C"]);
    visits(&[&to_both[..], &[("A", "C", all, false), ("A", "D", all, false)]].concat(), &["A", "C", "D", "B"]);
    visits(&[&to_both[..], &[("A", "C", all, false), ("C", "D", all, false)]].concat(), &["A", "C", "D", "B"]);
}

#[test]
fn a_branch_that_does_not_match_is_passed_over_with_all_below_it() {
    let (all, some): (&[&str], &[&str]) = (&["*"], &["*.py"]);
    visits(&[("targets", "A", some, false), ("targets", "B", all, false), ("A", "C", all, false)], &["B"]);
    visits(
        &[("targets", "A", all, false), ("targets", "B", all, false), ("A", "C", some, false), ("C", "D", all, false)],
        &["A", "B"],
    );
}

#[test]
fn a_role_that_two_delegate_to_is_visited_once_where_it_first_matches() {
    let all: &[&str] = &["*"];
    for (of_a, order) in [(all, ["A", "C", "B"]), (&["*.py"], ["A", "B", "C"])] {
        let edges = [
            ("targets", "A", all, false),
            ("targets", "B", all, false),
            ("B", "C", all, false),
            ("A", "C", of_a, false),
        ];
        visits(&edges, &order);
    }
}

#[test]
fn a_terminating_delegation_ends_the_search() {
    let all: &[&str] = &["*"];
    visits(
        &[("targets", "A", all, false), ("targets", "B", all, false), ("A", "C", all, true), ("A", "D", all, false)],
        &["A", "C"],
    );
    visits(
        &[("targets", "A", all, false), ("targets", "B", all, false), ("A", "C", all, true), ("C", "D", all, false)],
        &["A", "C", "D"],
    );
    // One that does not match ends nothing.
    visits(&[("targets", "A", &["*.py"], true), ("targets", "B", all, false)], &["B"]);
}

#[test]
fn a_circle_of_delegations_ends() {
    let all: &[&str] = &["*"];
    visits(
        &[
            ("targets", "A", all, false),
            ("targets", "B", all, false),
            ("B", "C", all, false),
            ("C", "D", all, false),
            ("D", "B", all, false),
        ],
        &["A", "B", "C", "D"],
    );
}

/// Who signs a role cannot have a client look at others without end.
#[test]
fn a_search_ends_after_so_many_roles() {
    let (mut repository, case) = start();
    for number in 0..=MAX_ROLES {
        let name = format!("{number}");
        repository.top().to.push(to(&name, 30, &["*"]));
        repository.targets.insert(name, targets(30));
    }
    repository.publish();
    let ended = case.find(&repository, "nowhere");
    assert!(matches!(ended, Err(Error::Refused(refusal)) if refusal.check() == Check::MetaMissing));
    assert_eq!(repository.server.asked()[4..].len(), MAX_ROLES);
}

/// Nor has who signs a role it hold many large files at once, however few bytes each may have.
#[test]
fn a_search_ends_after_so_many_bytes() {
    let (mut repository, mut case) = start();
    for name in ["A", "B"] {
        repository.top().to.push(to(name, 30, &["*"]));
        repository.targets.insert(name.into(), targets(30));
    }
    repository.targets.get_mut("B").unwrap().files.insert("b".into(), b"b".to_vec());
    repository.publish();
    let lengths = ["1.A.json", "1.B.json"].map(|name| repository.server.get(&format!("metadata/{name}")).len() as u64);
    case.limits.delegated = lengths[0] + lengths[1];
    assert!(case.find(&repository, "b").is_ok());
    case.limits.delegated -= 1;
    let ended = case.find(&repository, "b");
    assert!(matches!(ended, Err(Error::Refused(refusal)) if refusal.check() == Check::MetaMissing));
}

#[test]
fn a_role_is_believed_only_for_paths_that_lead_to_it() {
    let (mut repository, case) =
        tree(&[("targets", "B", &["releases/*/*"], false), ("B", "D", &["releases/y/*.zip"], false)]);
    let files = &mut repository.targets.get_mut("D").unwrap().files;
    files.insert("releases/y/1.zip".into(), b"y".to_vec());
    files.insert("releases/z/1.zip".into(), b"z".to_vec());
    repository.publish();
    assert_eq!(case.find(&repository, "releases/y/1.zip").unwrap(), "D");
    assert!(matches!(case.find(&repository, "releases/z/1.zip"), Err(Error::NoTarget(_))));
}

#[test]
fn hashed_bins_and_succinct_bins() {
    let (mut repository, case) = start();
    let hash = Digest::of(b"a.txt").to_string();
    let mut bin = to("bin", 30, &[]);
    bin.prefixes = vec![hash[..2].to_owned()];
    repository.top().to.push(bin);
    let files = [("a.txt".to_owned(), b"a".to_vec())].into();
    repository.targets.insert("bin".into(), Targets { files, ..targets(30) });
    repository.publish();
    assert_eq!(case.find(&repository, "a.txt").unwrap(), "bin");

    for bits in [1, 2, 4, 8, 12] {
        let (mut repository, case) = start();
        repository.top().bins = Some((bits, "bins", 31));
        let number = u32::from_str_radix(&hash[..8], 16).unwrap() >> (32 - bits);
        let digits = (bits as usize).div_ceil(4);
        let name = format!("bins-{number:0digits$x}");
        let files = [("a.txt".to_owned(), b"a".to_vec())].into();
        repository.targets.insert(name.clone(), Targets { files, ..targets(31) });
        repository.publish();
        repository.server.asked();
        assert_eq!(case.find(&repository, "a.txt").unwrap(), name);
        assert_eq!(repository.server.asked()[4..], [format!("1.{name}.json")], "no other bin is asked for");
    }
}

#[test]
fn a_delegated_role_that_is_bad_ends_the_search_and_is_not_stored() {
    let all: &[&str] = &["*"];
    let edges = [("targets", "A", all, false), ("targets", "B", all, false)];
    for fault in ["signer", "expired", "missing"] {
        let (mut repository, case) = tree(&edges);
        repository.targets.get_mut("B").unwrap().files.insert("a".into(), b"a".to_vec());
        let bad = repository.targets.get_mut("A").unwrap();
        match fault {
            "signer" => bad.keys.signers = vec![66],
            "expired" => bad.expires = now(),
            _ => {}
        }
        repository.publish();
        if fault == "missing" {
            let name = format!("metadata/{}.A.json", repository.targets["A"].version);
            repository.server.remove(&name);
        }
        assert!(case.find(&repository, "a").is_err(), "{fault}");
        assert_eq!(case.names().len(), 4, "{fault}");
    }
}

#[test]
fn each_delegation_is_judged_by_the_keys_of_its_own_delegator() {
    let mut repository = Repository::new();
    repository.top().to = vec![to("left", 30, &["l*"]), to("right", 31, &["r*"])];
    // Both delegate to `shared`, and only the left one knows the key that signs it.
    let left = Targets { to: vec![to("shared", 40, &["*"])], ..targets(30) };
    let right = Targets { to: vec![to("shared", 41, &["*"])], ..targets(31) };
    let files = [("l".to_owned(), b"l".to_vec()), ("r".to_owned(), b"r".to_vec())].into();
    repository.targets.insert("left".into(), left);
    repository.targets.insert("right".into(), right);
    repository.targets.insert("shared".into(), Targets { files, ..targets(40) });
    repository.publish();
    let case = Case::new(&repository);
    let mirrors = [case.source(&repository.server.url("metadata"))];
    let client = case.client();
    let mut session = client.refresh(&mirrors, now()).unwrap();
    assert_eq!(session.find("l").unwrap().role, "shared");
    assert!(matches!(session.find("r"), Err(Error::Refused(refusal)) if refusal.check() == Check::MetaQuorum));
    drop(session);

    // What one run stored of `shared` is judged again in the next one, by whoever leads to it there.
    assert_eq!(case.find(&repository, "l").unwrap(), "shared");
    let other = case.find(&repository, "r");
    assert!(matches!(other, Err(Error::Refused(refusal)) if refusal.check() == Check::MetaQuorum));
    assert_eq!(case.find(&repository, "l").unwrap(), "shared");
}

#[test]
fn role_names_lead_nowhere() {
    for name in ["../up", "/etc/passwd", "?", "#", "Root", "..", "."] {
        let mut repository = Repository::new();
        repository.top().to = vec![to(name, 30, &["*"])];
        repository.targets.insert(name.to_owned(), targets(30));
        repository.publish();
        let case = Case::new(&repository);
        assert!(matches!(case.find(&repository, "missing"), Err(Error::NoTarget(_))), "{name}");
        assert_eq!(case.names().len(), 5, "{name}");
        assert_eq!(case.here(), [1, 2, 2, 2], "{name}");
    }
}

// ----------------------------------------------------------------------------------------------------- 5.7: the target

fn with_file(path: &str, content: &[u8]) -> (Repository, Case) {
    let (mut repository, case) = start();
    repository.top().files.insert(path.to_owned(), content.to_vec());
    repository.publish();
    (repository, case)
}

#[test]
fn a_target_is_fetched_once() {
    let (repository, case) = with_file("path/to/a", b"content");
    assert_eq!(case.download(&repository, "path/to/a").unwrap(), b"content");
    repository.server.asked();
    assert_eq!(case.download(&repository, "path/to/a").unwrap(), b"content");
    assert_eq!(repository.server.asked(), ["2.root.json", "timestamp.json"]);
}

#[test]
fn a_substituted_target_never_appears() {
    for other in [&b"Content"[..], b"content and more", b"con"] {
        let (repository, case) = with_file("a", b"content");
        let name = format!("targets/{}.a", Digest::of(b"content"));
        repository.server.put(&name, other.to_vec());
        assert!(case.download(&repository, "a").is_err());
        assert!(!case.folder.path().join("targets/a").exists());
        repository.server.put(&name, b"content".to_vec());
        assert_eq!(case.download(&repository, "a").unwrap(), b"content", "the next try is not spoiled by this one");
    }
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let content: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let (repository, case) = with_file("big", &content);
    repository.server.fault(&format!("targets/{}.big", Digest::of(&content)), Fault::Half);
    assert!(matches!(case.download(&repository, "big"), Err(Error::Fetch { .. })));
    let part = std::fs::read_dir(case.folder.path().join("targets/.trustroot")).unwrap().next().unwrap().unwrap();
    assert_eq!(part.metadata().unwrap().len(), 50_000);
    assert_eq!(case.download(&repository, "big").unwrap(), content);
    assert!(!case.folder.path().join("targets/.trustroot").exists());
}

#[test]
fn a_server_that_gives_no_part_is_asked_for_the_whole() {
    let content = vec![7; 100_000];
    let (repository, case) = with_file("big", &content);
    let name = format!("targets/{}.big", Digest::of(&content));
    repository.server.fault(&name, Fault::Half);
    case.download(&repository, "big").unwrap_err();
    repository.server.fault(&name, Fault::WholeOnly);
    assert_eq!(case.download(&repository, "big").unwrap(), content);
}

#[test]
fn a_part_that_was_spoiled_is_fetched_anew() {
    let content = vec![7; 100_000];
    let (repository, case) = with_file("big", &content);
    repository.server.fault(&format!("targets/{}.big", Digest::of(&content)), Fault::Half);
    case.download(&repository, "big").unwrap_err();
    let part = std::fs::read_dir(case.folder.path().join("targets/.trustroot")).unwrap().next().unwrap().unwrap();
    std::fs::write(part.path(), vec![8; 50_000]).unwrap();
    assert_eq!(case.download(&repository, "big").unwrap(), content);
}

#[test]
fn a_target_that_would_leave_the_folder_is_refused() {
    for path in ["../a", "a/../../b", ".."] {
        let (repository, case) = with_file(path, b"x");
        assert!(matches!(case.download(&repository, path), Err(Error::Path(_))), "{path}");
        assert!(!case.folder.path().join("a").exists());
    }
}

// ------------------------------------------------------------------------------------------------------ several at once

/// As a mirror does it that is slow for one process and quick for the next.
#[test]
fn a_target_that_comes_late_takes_no_newer_ones_place() {
    let (mut repository, case) = with_file("app", b"old");
    let (bases, client) = ([case.source(&repository.server.url("targets"))], case.client());
    let find = |repository: &Repository| {
        let mirrors = [case.source(&repository.server.url("metadata"))];
        case.client().refresh(&mirrors, now()).unwrap().find("app").unwrap()
    };
    let here = case.folder.path().join("targets");
    let slow = find(&repository);
    repository.top().files.insert("app".to_owned(), b"new".to_vec());
    repository.publish();
    assert_eq!(case.download(&repository, "app").unwrap(), b"new");
    let late = client.download(&slow, &bases, &here);
    assert!(matches!(late, Err(Error::Stale(ref path)) if path == "app"), "{late:?}");
    assert_eq!(std::fs::read(here.join("app")).unwrap(), b"new");
    // What changed may be something else; then what has come is used.
    repository.top().files.insert("other".to_owned(), b"other".to_vec());
    std::fs::remove_file(here.join("app")).unwrap();
    let slow = find(&repository);
    repository.publish();
    case.refresh(&repository).unwrap();
    let late = client.download(&slow, &bases, &here);
    assert!(matches!(late, Err(Error::Stale(_))), "{late:?}");
    repository.server.asked();
    assert_eq!(case.download(&repository, "app").unwrap(), b"new");
    assert!(!repository.server.asked().iter().any(|name| name.ends_with("app")), "what has come is used");
}

#[test]
fn clients_that_refresh_at_once_take_turns() {
    let (mut repository, case) = start();
    for _ in 0..20 {
        repository.publish_root();
    }
    repository.publish();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(|| case.refresh(&repository).unwrap())).collect();
        for one in all {
            assert_eq!(one.join().unwrap(), [21, 2, 2, 2]);
        }
    });
    let client: Client = case.client();
    assert_eq!(simulator::versions(&client.offline(now()).unwrap()), [21, 2, 2, 2]);
}

#[test]
fn a_clock_that_is_off_changes_nothing_that_is_stored() {
    let (mut repository, mut case) = start();
    case.refresh(&repository).unwrap();
    for seconds in [3600, -3600, 365 * 86_400, -365 * 86_400] {
        case.time = now().plus_seconds(seconds);
        // A year ahead everything is expired; else it is as before.
        assert_eq!(case.refresh(&repository).is_ok(), seconds < 86_400, "{seconds}");
        assert_eq!(case.here(), [1, 1, 1, 1]);
    }
    case.time = now();
    repository.publish();
    assert_eq!(case.refresh(&repository).unwrap(), [1, 2, 2, 2]);
}
