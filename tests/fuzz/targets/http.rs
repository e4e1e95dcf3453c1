//! A server that answers with any bytes, on this machine, and the client's source over HTTP. The first byte says from where on
//! and how much is asked for; the rest is what the server sends before it closes. No more is taken than was asked for, and one
//! byte to see that there is more.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};
use trustroot_client::Limits;
use trustroot_client::source::{Source, from_text};

/// What the server sends to whoever asks.
static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

static SOURCE: LazyLock<Box<dyn Source>> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever asked may be gone.
            let _ = answer(stream);
        }
    });
    from_text(&format!("http://{address}/base"), &limits()).expect("an address")
});

fn limits() -> Limits {
    let short = Duration::from_secs(2);
    Limits { connect: short, silence: short, rate: 1 << 20, ..Limits::default() }
}

fn answer(stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    out.write_all(&ANSWER.lock().expect("a lock"))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, answer)) = bytes.split_first() else { return };
    // Nobody is to be led elsewhere: other hosts are not ours to ask.
    if answer.to_ascii_lowercase().windows(8).any(|part| part == b"location") {
        return;
    }
    answer.clone_into(&mut ANSWER.lock().expect("a lock"));
    let (from, most) = (u64::from(first & 3) * 2, u64::from(first >> 2));
    let start = Instant::now();
    match SOURCE.open("1.root.json", from, most) {
        Ok(body) => {
            assert!(body.from == 0 || body.from == from, "{} and not {from}", body.from);
            let mut taken = Vec::new();
            let read = body.bytes.take(1 << 16).read_to_end(&mut taken);
            assert!(taken.len() as u64 <= most + 1, "{} bytes of at most {most}", taken.len());
            let sent = answer.windows(taken.len().max(1)).any(|part| part == taken);
            assert!(read.is_err() || taken.is_empty() || sent || is_chunked(answer), "bytes that were not sent");
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
    }
    assert!(start.elapsed() < Duration::from_secs(8), "limits of time are kept");
});

/// Whether the bytes may come in pieces.
fn is_chunked(answer: &[u8]) -> bool {
    answer.to_ascii_lowercase().windows(7).any(|part| part == b"chunked")
}
