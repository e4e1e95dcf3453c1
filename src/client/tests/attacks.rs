//! Attacks on a client, one a test, in the order of the workflow (TUF 5.2 to 5.6). Each begins with a repository that is in
//! order, and says what the attacker, or a mistake, does to it.

mod simulator;

use simulator::{Fault, Repository, keys, now, start, targets, to};
use std::time::{Duration, Instant};
use trustroot_client::source::FetchError;
use trustroot_client::{Client, Error};
use trustroot_core::check::Check;

// ------------------------------------------------------------------------------------------------- the plain way, first

#[test]
fn a_first_refresh_asks_for_each_role_once_and_in_order() {
    let (repository, case) = start();
    assert_eq!(case.refresh(&repository).unwrap(), [1, 1, 1, 1]);
    assert_eq!(repository.server.asked(), ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]);
}

#[test]
fn a_second_refresh_asks_only_for_what_could_be_newer() {
    let (repository, case) = start();
    case.refresh(&repository).unwrap();
    repository.server.asked();
    case.refresh(&repository).unwrap();
    assert_eq!(repository.server.asked(), ["2.root.json", "timestamp.json"]);
}

#[test]
fn what_nothing_newer_names_is_not_asked_for() {
    let (mut repository, case) = start();
    case.refresh(&repository).unwrap();
    let old = repository.server.get("metadata/timestamp.json");
    repository.publish();
    repository.server.put("metadata/timestamp.json", old);
    repository.server.asked();
    assert_eq!(case.refresh(&repository).unwrap(), [1, 1, 1, 1]);
    assert_eq!(repository.server.asked(), ["2.root.json", "timestamp.json"]);

    let (mut repository, case) = start();
    repository.hashes = false;
    case.refresh(&repository).unwrap();
    repository.meta.insert("targets".to_owned(), 1);
    repository.publish();
    repository.server.asked();
    assert_eq!(case.refresh(&repository).unwrap(), [1, 2, 2, 1]);
    assert_eq!(repository.server.asked(), ["2.root.json", "timestamp.json", "2.snapshot.json"]);
}

#[test]
fn what_lies_here_is_what_was_received_under_plain_names() {
    let (repository, case) = start();
    let padded = [repository.server.get("metadata/timestamp.json"), b" \n".to_vec()].concat();
    repository.server.put("metadata/timestamp.json", padded.clone());
    case.refresh(&repository).unwrap();
    assert_eq!(std::fs::read(case.folder.path().join("metadata/timestamp.json")).unwrap(), padded);
    assert_eq!(
        case.names().into_iter().collect::<Vec<_>>(),
        ["root.json", "snapshot.json", "targets.json", "timestamp.json"]
    );
}

#[test]
fn without_consistent_snapshots_names_have_no_numbers() {
    let (mut repository, case) = start();
    repository.consistent = false;
    repository.top().files.insert("a.txt".into(), b"a".to_vec());
    repository.publish_root();
    repository.publish();
    assert_eq!(case.download(&repository, "a.txt").unwrap(), b"a");
    let asked = repository.server.asked();
    assert_eq!(
        asked,
        ["2.root.json", "3.root.json", "timestamp.json", "snapshot.json", "targets.json", "targets/a.txt"]
    );
}

#[test]
fn a_folder_is_as_good_as_a_server() {
    let (repository, case) = start();
    let copy = tempfile::tempdir().unwrap();
    for (path, bytes) in repository.server.files() {
        let path = copy.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    for address in
        [copy.path().join("metadata").display().to_string(), format!("file://{}/metadata", copy.path().display())]
    {
        let mirrors = [case.source(&address)];
        assert_eq!(simulator::versions(&case.client().refresh(&mirrors, now()).unwrap()), [1, 1, 1, 1]);
    }
}

#[test]
fn offline_uses_what_is_here_and_asks_nobody() {
    let (mut repository, case) = start();
    repository.top().files.insert("a".into(), b"a".to_vec());
    repository.publish();
    case.download(&repository, "a").unwrap();
    repository.server.asked();
    let client = case.client();
    let found = client.offline(now()).unwrap().find("a").unwrap();
    assert!(client.cached(&found, &case.folder.path().join("targets")).unwrap());
    assert!(repository.server.asked().is_empty());
    let late = client.offline(now().plus_days(11)).unwrap_err();
    assert!(matches!(late, Error::Refused(refusal) if refusal.check() == Check::Expired));
}

/// A copy may lie on a medium that nobody can write to.
#[test]
fn offline_leaves_no_trace() {
    let (repository, case) = start();
    case.refresh(&repository).unwrap();
    let copy = tempfile::tempdir().unwrap();
    for name in case.names() {
        std::fs::copy(case.folder.path().join("metadata").join(&name), copy.path().join(&name)).unwrap();
    }
    let client = Client::new(copy.path(), case.limits.clone());
    assert_eq!(simulator::versions(&client.offline(now()).unwrap()), [1, 1, 1, 1]);
    assert_eq!(std::fs::read_dir(copy.path()).unwrap().count(), 4);
    let nowhere = copy.path().join("nowhere");
    let client = Client::new(&nowhere, case.limits.clone());
    assert!(matches!(client.offline(now()), Err(Error::NoRoot(_))) && !nowhere.exists());
}

/// That something was never fetched says nothing of the repository.
#[test]
fn offline_says_what_is_not_here() {
    let (mut repository, case) = start();
    let missing = |told: Error| match told {
        Error::NotHere { file, .. } => file,
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(case.client().offline(now()).unwrap_err()), "timestamp.json");
    repository.top().to.push(to("A", 40, &["a"]));
    repository.targets.insert("A".into(), targets(40));
    repository.publish();
    case.refresh(&repository).unwrap();
    let client = case.client();
    assert_eq!(missing(client.offline(now()).unwrap().find("a").unwrap_err()), "A.json");
    assert!(matches!(client.offline(now()).unwrap().find("b").unwrap_err(), Error::NoTarget(_)));
    // Ended while a root was put in place that retires online keys: what they signed is as good as gone.
    let mark = case.folder.path().join("metadata/.rotated");
    std::fs::write(&mark, "2").unwrap();
    assert!(client.offline(now()).is_ok(), "that root was not put in place");
    std::fs::write(&mark, "1").unwrap();
    assert_eq!(missing(client.offline(now()).unwrap_err()), "timestamp.json");
}

// --------------------------------------------------------------------------------------------- 5.2, 5.3: the root

#[test]
fn nothing_is_asked_without_a_trusted_root() {
    let (mut repository, case) = start();
    let good = String::from_utf8(repository.server.get("metadata/1.root.json")).unwrap();
    repository.root = 0;
    let unsigned = keys(&[66, 67], 2).sign(&repository.root_payload());
    for bad in [b"{}".to_vec(), good.replace(",\"version\":1", "").into_bytes(), unsigned] {
        std::fs::write(case.folder.path().join("metadata/root.json"), bad).unwrap();
        assert!(case.refresh(&repository).is_err());
    }
    std::fs::remove_file(case.folder.path().join("metadata/root.json")).unwrap();
    assert!(matches!(case.refresh(&repository), Err(Error::NoRoot(_))));
    assert!(repository.server.asked().is_empty());
}

#[test]
fn a_client_follows_one_trust_root_only() {
    let (repository, case) = start();
    let mut stranger = Repository::new();
    stranger.root_keys = keys(&[66], 1);
    stranger.root = 0;
    stranger.publish_root();
    let theirs = stranger.server.get("metadata/1.root.json");
    assert!(matches!(case.client().init(&theirs), Err(Error::OtherRoot(_))));
    assert!(case.client().init(&repository.server.get("metadata/1.root.json")).is_ok());
}

#[test]
fn many_roots_in_one_run() {
    let (mut repository, case) = start();
    for number in 0..300 {
        repository.root_keys = keys(&[1 + number as u8 % 5, 2 + number as u8 % 5, 3 + number as u8 % 5], 2);
        repository.publish_root();
    }
    repository.publish();
    assert_eq!(case.refresh(&repository).unwrap()[0], 301);
    let asked = repository.server.asked();
    let place = |name: &str| asked.iter().position(|one| one == name).unwrap();
    assert!(place("302.root.json") < place("timestamp.json"), "all roots come first");
    let careful = ["2.root.json", "3.root.json", "4.root.json", "5.root.json"].map(str::to_owned);
    assert_eq!(asked[..4], careful, "nothing is asked ahead before these were answered");
    let beyond = asked.iter().filter(|name| name.ends_with(".root.json") && !repository.server.has(name)).count();
    assert!(beyond <= case.limits.connections, "nothing is asked once a root is known to be missing: {beyond}");
}

#[test]
fn a_root_in_the_middle_that_is_not_signed_by_its_predecessor() {
    let (mut repository, case) = start();
    for _ in 0..40 {
        repository.publish_root();
    }
    let stranger = keys(&[66, 67], 2).sign(&repository.root_payload());
    repository.server.put("metadata/20.root.json", stranger);
    assert_eq!(case.refused(&repository), Check::RootQuorumOld);
    assert_eq!(case.here(), [19, 0, 0, 0], "what was good before it is kept");
}

#[test]
fn a_root_that_its_own_keys_did_not_sign() {
    let (mut repository, case) = start();
    repository.root_keys = keys(&[4, 5], 2);
    repository.root_keys.signers = vec![4];
    repository.publish_root();
    assert_eq!(case.refused(&repository), Check::RootQuorum);
}

#[test]
fn an_older_root_under_the_next_number() {
    let (repository, case) = start();
    repository.server.put("metadata/2.root.json", repository.server.get("metadata/1.root.json"));
    assert_eq!(case.refused(&repository), Check::RootVersion);
}

#[test]
fn a_root_version_left_out() {
    let (mut repository, case) = start();
    repository.root += 1;
    repository.publish_root();
    repository.server.put("metadata/2.root.json", repository.server.get("metadata/3.root.json"));
    assert_eq!(case.refused(&repository), Check::RootVersion);
}

#[test]
fn nothing_is_asked_beyond_a_missing_root_and_a_folder_shows_the_gap() {
    let (mut repository, case) = start();
    repository.publish_root();
    repository.publish_root();
    repository.server.remove("metadata/2.root.json");
    assert_eq!(case.refresh(&repository).unwrap()[0], 1);
    assert!(!repository.server.asked().contains(&"3.root.json".to_owned()));
    let copy = tempfile::tempdir().unwrap();
    for (path, bytes) in repository.server.files() {
        std::fs::write(copy.path().join(path.rsplit('/').next().unwrap()), bytes).unwrap();
    }
    let mirrors = [case.source(&copy.path().display().to_string())];
    let client = case.client();
    let session = client.refresh(&mirrors, now()).unwrap();
    assert_eq!(session.notes()[0].check, Check::RootGap);
}

#[test]
fn an_expired_root_on_the_way_is_no_obstacle_and_at_the_end_is_one() {
    let (mut repository, case) = start();
    repository.root_expires = now().plus_days(-1);
    repository.publish_root();
    assert_eq!(case.refused(&repository), Check::Expired);
    assert_eq!(case.here(), [2, 0, 0, 0], "the newer root is kept, and nothing else was looked at");
    repository.root_expires = now().plus_days(50);
    repository.publish_root();
    assert_eq!(case.refresh(&repository).unwrap()[0], 3);
}

/// Whoever stole a key made clients believe in a version that nobody reaches. New keys in the root take the floor away: of
/// the timestamp by its own, of the snapshot by both, and of targets by the snapshot's.
#[test]
fn each_role_is_recovered_from_by_the_keys_that_vouch_for_it() {
    for role in ["timestamp", "snapshot", "targets"] {
        let (mut repository, case) = start();
        match role {
            "timestamp" => repository.timestamp = 100,
            "snapshot" => repository.snapshot = 100,
            _ => repository.top().version = 100,
        }
        repository.publish();
        case.refresh(&repository).unwrap();
        match role {
            "timestamp" => repository.timestamp = 0,
            "snapshot" => repository.snapshot = 0,
            _ => repository.top().version = 0,
        }
        repository.publish();
        assert_eq!(case.refused(&repository), Check::MetaRollback, "{role}");
        if role != "targets" {
            repository.timestamp_keys = keys(&[22], 1);
        }
        if role != "timestamp" {
            repository.snapshot_keys = keys(&[21], 1);
        }
        repository.publish_root();
        repository.publish();
        let expected = match role {
            "timestamp" => [2, 2, 4, 4],
            "snapshot" => [2, 4, 2, 4],
            _ => [2, 4, 4, 2],
        };
        assert_eq!(case.refresh(&repository).unwrap(), expected, "{role}");
    }
}

#[test]
fn stolen_online_keys_are_recovered_from_by_a_rotation() {
    let (mut repository, case) = start();
    (repository.timestamp, repository.snapshot) = (1_000_000, 1_000_000);
    repository.publish();
    assert_eq!(case.refresh(&repository).unwrap()[1..3], [1_000_001, 1_000_001]);
    repository.timestamp_keys = keys(&[22], 1);
    repository.snapshot_keys = keys(&[21], 1);
    (repository.timestamp, repository.snapshot) = (1, 1);
    repository.publish_root();
    repository.publish();
    assert_eq!(case.refresh(&repository).unwrap(), [2, 2, 2, 3]);
}

/// What one key of two signed was trusted while one was enough. It cannot be used any more, and nothing goes back before it.
#[test]
fn a_higher_threshold_ends_no_floor() {
    for role in ["timestamp", "snapshot"] {
        let (mut repository, case) = start();
        repository.timestamp_keys = keys(&[12, 32], 1);
        repository.snapshot_keys = keys(&[11, 31], 1);
        repository.publish_root();
        repository.publish();
        let old = repository.server.get("metadata/timestamp.json");
        (repository.timestamp_keys.signers, repository.snapshot_keys.signers) = (vec![12], vec![11]);
        repository.publish();
        assert_eq!(case.refresh(&repository).unwrap(), [2, 3, 3, 3]);

        if role == "timestamp" {
            repository.timestamp_keys = keys(&[12, 32], 2);
            repository.publish_root();
            repository.server.put("metadata/timestamp.json", old);
        } else {
            repository.snapshot_keys = keys(&[11, 31], 2);
            repository.publish_root();
            repository.top().version = 1;
            repository.publish();
        }
        assert_eq!(case.refused(&repository), Check::MetaRollback, "{role}");

        // The timestamp of the version that is here is taken, for the one that is here cannot be used.
        let again = if role == "timestamp" { 2 } else { 4 };
        (repository.timestamp, repository.snapshot, repository.top().version) = (again, again, 2);
        repository.publish();
        assert_eq!(case.refresh(&repository).unwrap(), [3, again + 1, again + 1, 3], "{role}");
    }
}

// -------------------------------------------------------------------------------- 5.4 to 5.6: timestamp, snapshot, targets

#[test]
fn each_role_signed_by_a_stranger_stops_the_refresh_there() {
    for (role, kept) in [("timestamp", [1, 1, 1, 1]), ("snapshot", [1, 2, 1, 1]), ("targets", [1, 2, 2, 1])] {
        let (mut repository, case) = start();
        case.refresh(&repository).unwrap();
        match role {
            "timestamp" => repository.timestamp_keys.signers = vec![66],
            "snapshot" => repository.snapshot_keys.signers = vec![66],
            _ => repository.top().keys.signers = vec![66],
        }
        repository.publish();
        assert_eq!(case.refused(&repository), Check::MetaQuorum, "{role}");
        assert_eq!(case.here(), kept, "{role}");
    }
}

#[test]
fn an_older_timestamp() {
    let (mut repository, case) = start();
    let old = repository.server.get("metadata/timestamp.json");
    repository.publish();
    case.refresh(&repository).unwrap();
    repository.server.put("metadata/timestamp.json", old);
    assert_eq!(case.refused(&repository), Check::MetaRollback);
    assert_eq!(case.here(), [1, 2, 2, 2]);
}

#[test]
fn another_timestamp_of_the_same_version_is_passed_over() {
    let (mut repository, case) = start();
    case.refresh(&repository).unwrap();
    let before = std::fs::read(case.folder.path().join("metadata/timestamp.json")).unwrap();
    repository.timestamp -= 1;
    repository.publish_timestamp(100, b"none");
    assert_eq!(case.refresh(&repository).unwrap(), [1, 1, 1, 1]);
    assert_eq!(std::fs::read(case.folder.path().join("metadata/timestamp.json")).unwrap(), before);
}

#[test]
fn a_timestamp_that_names_an_older_snapshot() {
    for hashes in [true, false] {
        let (mut repository, case) = start();
        repository.hashes = hashes;
        let old = repository.server.get("metadata/1.snapshot.json");
        repository.publish();
        case.refresh(&repository).unwrap();
        repository.publish_timestamp(1, &old);
        repository.server.asked();
        assert_eq!(case.refused(&repository), Check::MetaRollback);
        assert_eq!(case.here(), [1, 2, 2, 2], "such a timestamp is not kept");
        assert_eq!(repository.server.asked(), ["2.root.json", "timestamp.json"]);
    }
}

#[test]
fn expired_files_that_are_here_are_still_a_floor() {
    let (mut repository, mut case) = start();
    let old = repository.server.get("metadata/1.snapshot.json");
    repository.publish();
    case.refresh(&repository).unwrap();
    case.time = now().plus_days(15);
    repository.timestamp_expires = now().plus_days(40);
    repository.publish_timestamp(1, &old);
    assert_eq!(case.refused(&repository), Check::MetaRollback);
    // And no obstacle to what is newer.
    repository.publish();
    assert_eq!(case.refresh(&repository).unwrap(), [1, 4, 3, 3]);
}

#[test]
fn frozen_metadata_is_refused_once_it_expires() {
    for (days, check) in [(9, None), (11, Some(Check::Expired))] {
        let (repository, mut case) = start();
        case.refresh(&repository).unwrap();
        case.time = now().plus_days(days);
        match check {
            None => assert_eq!(case.refresh(&repository).unwrap(), [1, 1, 1, 1]),
            Some(check) => assert_eq!(case.refused(&repository), check),
        }
    }
}

#[test]
fn expired_files_are_not_stored() {
    for (role, kept) in [("timestamp", [1, 0, 0, 0]), ("snapshot", [1, 2, 0, 0]), ("targets", [1, 2, 2, 0])] {
        let (mut repository, case) = start();
        let past = now().plus_seconds(-1);
        match role {
            "timestamp" => repository.timestamp_expires = past,
            "snapshot" => repository.snapshot_expires = past,
            _ => repository.top().expires = past,
        }
        repository.publish();
        assert_eq!(case.refused(&repository), Check::Expired, "{role}");
        assert_eq!(case.here(), kept, "{role}");
    }
}

#[test]
fn files_of_two_moments_are_not_mixed() {
    for hashes in [true, false] {
        let (mut repository, case) = start();
        repository.hashes = hashes;
        let old = [repository.server.get("metadata/1.snapshot.json"), repository.server.get("metadata/1.targets.json")];
        repository.publish();
        repository.server.put("metadata/2.targets.json", old[1].clone());
        assert_eq!(case.refused(&repository), Check::MetaHash);
        repository.server.put("metadata/2.snapshot.json", old[0].clone());
        std::fs::remove_file(case.folder.path().join("metadata/snapshot.json")).unwrap();
        assert_eq!(case.refused(&repository), Check::MetaHash);
    }
}

#[test]
fn targets_that_go_back_or_are_forgotten_under_a_newer_snapshot() {
    for hashes in [true, false] {
        let (mut repository, case) = start();
        repository.hashes = hashes;
        repository.targets.insert("spare".into(), targets(30));
        repository.publish();
        case.refresh(&repository).unwrap();
        repository.top().version = 1;
        repository.publish_as_it_is();
        assert_eq!(case.refused(&repository), Check::MetaRollback);
        repository.top().version = 3;
        repository.targets.remove("spare");
        repository.publish_as_it_is();
        assert_eq!(case.refused(&repository), Check::MetaRollback);
        assert_eq!(case.here()[2..], [2, 2], "such a snapshot is not kept");
    }
}

#[test]
fn a_snapshot_where_the_timestamp_should_be() {
    let (mut repository, case) = start();
    repository.timestamp_keys = repository.snapshot_keys.clone();
    repository.publish_root();
    repository.server.put("metadata/timestamp.json", repository.server.get("metadata/1.snapshot.json"));
    assert_eq!(case.refused(&repository), Check::MetaType);
}

#[test]
fn what_is_missing_is_said_by_name() {
    for path in ["timestamp.json", "1.snapshot.json", "1.targets.json"] {
        let (repository, case) = start();
        repository.server.remove(&format!("metadata/{path}"));
        let error = case.refresh(&repository).unwrap_err();
        assert!(matches!(&error, Error::Fetch { file, why: FetchError::Missing, .. } if file == path), "{error}");
    }
}

// ----------------------------------------------------------------------------------------------------- what a server sends

#[test]
fn data_without_end_stops_at_the_limit() {
    for path in
        ["metadata/2.root.json", "metadata/timestamp.json", "metadata/1.snapshot.json", "metadata/1.targets.json"]
    {
        let (repository, case) = start();
        repository.server.fault(path, Fault::Endless);
        let error = case.refresh(&repository).unwrap_err();
        assert!(matches!(error, Error::Fetch { why: FetchError::TooLong(_), .. }), "{path}: {error}");
    }
}

#[test]
fn a_slow_drip_ends_soon() {
    let (repository, case) = start();
    repository.server.fault("metadata/timestamp.json", Fault::Drip);
    let start = Instant::now();
    let error = case.refresh(&repository).unwrap_err();
    assert!(matches!(error, Error::Fetch { why: FetchError::Slow, .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_server_in_trouble_is_no_end_of_the_chain() {
    let (repository, case) = start();
    repository.server.fault("metadata/2.root.json", Fault::Status(500));
    assert!(matches!(case.refresh(&repository), Err(Error::Fetch { why: FetchError::Status(500), .. })));
    repository.server.fault("metadata/2.root.json", Fault::Status(403));
    assert!(case.refresh(&repository).is_ok());
}

#[test]
fn another_mirror_takes_over_whatever_is_wrong_with_the_first() {
    let (mut repository, case) = start();
    let stale = Repository::new();
    repository.publish();
    case.refresh(&repository).unwrap();
    let dead = "http://127.0.0.1:1/metadata".to_owned();
    let mirrors = [dead, stale.server.url("metadata"), repository.server.url("metadata")].map(|url| case.source(&url));
    assert_eq!(simulator::versions(&case.client().refresh(&mirrors, now()).unwrap()), [1, 2, 2, 2]);
    let error = case.client().refresh(&mirrors[..2], now()).unwrap_err();
    assert!(matches!(error, Error::Mirrors(errors) if errors.len() == 2));
}
