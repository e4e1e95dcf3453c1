//! Where a server may lead the client, and how far; and heads of answers that are too long. What comes in the end is judged
//! all the same, so here everything that is led to is right, and only the way is wrong.

mod simulator;

use simulator::{Case, Repository, start};
use std::io::Write as _;
use std::net::TcpListener;
use trustroot_client::Error;
use trustroot_client::source::FetchError;

const TIMESTAMP: &str = "metadata/timestamp.json";

fn lead(repository: &Repository, from: &str, to: &str) {
    repository.server.answer(from, 302, &format!("Location: {to}\r\n"));
}

/// What the client says of a refresh that fails on the way.
#[track_caller]
fn fails(case: &Case, repository: &Repository) -> String {
    match case.refresh(repository) {
        Err(Error::Fetch { why: FetchError::Io(why), .. }) => why,
        other => panic!("not ended on the way: {other:?}"),
    }
}

#[test]
fn five_redirects_are_followed_and_six_are_not() {
    for (count, followed) in [(1, true), (5, true), (6, false)] {
        let (repository, case) = start();
        repository.server.put("far/timestamp.json", repository.server.get(TIMESTAMP));
        let place = |number| match number {
            0 => TIMESTAMP.to_owned(),
            _ if number == count => "far/timestamp.json".to_owned(),
            _ => format!("far/{number}"),
        };
        for number in 0..count {
            lead(&repository, &place(number), &format!("/{}", place(number + 1)));
        }
        if followed {
            assert_eq!(case.refresh(&repository).unwrap(), [1, 1, 1, 1], "{count}");
        } else {
            assert_eq!(fails(&case, &repository), "too many redirects");
            assert_eq!(case.here(), [1, 0, 0, 0]);
        }
        let asked = repository.server.asked();
        assert_eq!(asked.contains(&"far/timestamp.json".to_owned()), followed, "{asked:?}");
    }
}

#[test]
fn redirects_in_a_circle_end() {
    for circle in [&[TIMESTAMP][..], &[TIMESTAMP, "far/away"]] {
        let (repository, case) = start();
        for (number, from) in circle.iter().enumerate() {
            lead(&repository, from, &format!("/{}", circle[(number + 1) % circle.len()]));
        }
        assert_eq!(fails(&case, &repository), "too many redirects");
        // The next root, and then one more than is followed.
        assert_eq!(repository.server.asked().len(), 1 + 6);
    }
}

/// A server cannot have files of this machine read, nor speak in other protocols.
#[test]
fn a_redirect_leads_to_servers_only() {
    let (repository, case) = start();
    let file = case.folder.path().join("timestamp.json");
    std::fs::write(&file, repository.server.get(TIMESTAMP)).unwrap();
    let file = file.display();
    for to in
        [format!("file://{file}"), format!("file://localhost{file}"), "ftp://127.0.0.1/a".into(), "data:,a".into()]
    {
        lead(&repository, TIMESTAMP, &to);
        assert!(matches!(case.refresh(&repository), Err(Error::Fetch { .. })), "{to}");
        assert_eq!(case.here(), [1, 0, 0, 0], "{to}");
    }
}

/// Any host may be led to: repositories move, and keep large files elsewhere. What it sends is believed no more than before.
#[test]
fn a_redirect_to_another_host_is_followed_and_trusts_it_with_nothing() {
    let (repository, case) = start();
    let other = Repository::new();
    lead(&repository, TIMESTAMP, &other.server.url("moved"));
    other.server.put("moved", repository.server.get(TIMESTAMP));
    assert_eq!(case.refresh(&repository).unwrap(), [1, 1, 1, 1]);
    assert_eq!(other.server.asked(), ["moved"]);

    other.server.put("moved", b"{}".to_vec());
    assert!(matches!(case.refresh(&repository), Err(Error::Refused(_))));
    other.server.remove("moved");
    assert!(matches!(case.refresh(&repository), Err(Error::Fetch { why: FetchError::Missing, .. })));
    assert_eq!(case.here(), [1, 1, 1, 1]);
}

#[test]
fn a_head_of_an_answer_that_is_too_long_is_not_read() {
    let (repository, case) = start();
    let long = |length| format!("X-Long: {}\r\n", "x".repeat(length));
    repository.server.answer(TIMESTAMP, 500, &long(15 << 10));
    assert!(matches!(case.refresh(&repository), Err(Error::Fetch { why: FetchError::Status(500), .. })));
    for length in [16 << 10, 1 << 20] {
        repository.server.answer(TIMESTAMP, 500, &long(length));
        let said = fails(&case, &repository);
        assert!(said.contains("header"), "{length}: {said}");
    }
}

/// What comes with a redirect is nobody's file: little of it is read, however long it says it is.
#[test]
fn what_comes_with_a_redirect_is_not_read_without_end() {
    let (repository, case) = start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/long", listener.local_addr().unwrap());
    let back = repository.server.url("far/timestamp.json");
    let sender = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {back}\r\nContent-Length: 100000000000\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        // Until the client has had enough.
        (0..1 << 12).take_while(|_| stream.write_all(&[b'x'; 64 << 10]).is_ok()).count()
    });
    lead(&repository, TIMESTAMP, &url);
    repository.server.put("far/timestamp.json", repository.server.get(TIMESTAMP));
    assert_eq!(case.refresh(&repository).unwrap(), [1, 1, 1, 1]);
    // Some of it lies in the buffers of the system.
    let sent = sender.join().unwrap();
    assert!(sent < 1 << 10, "{sent} times 64 KiB were taken");
}
