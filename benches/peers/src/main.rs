//! What `measure.py` measures with: the files, the server, and the bare cost beside which every client stands.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use trustroot_client::{Fast, Limits, clock};
use trustroot_core::key::PublicKey;
use trustroot_core::metadata::build::{self, Keyholders, new_key_id};
use trustroot_core::metadata::envelope::assemble;
use trustroot_core::metadata::fields::MetaFile;
use trustroot_core::metadata::targets::Target;
use trustroot_core::metadata::{Metadata, root::Root};
use trustroot_core::payload::Payload;
use trustroot_core::signature::{Signed, Verifier as _};
use wait4::Wait4 as _;

type Done = Result<(), Box<dyn Error>>;

fn main() -> Done {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["generate", roots, targets, folder] => generate(roots.parse()?, targets.parse()?, Path::new(folder)),
        ["serve", folder] => serve(Path::new(folder)),
        ["checks", folder] => checks(Path::new(folder)),
        ["transfer", roots, url] => transfer(roots.parse()?, url),
        ["run", program, ref words @ ..] => run(program, words),
        ["version", root] => version(Path::new(root)),
        _ => Err("usage: generate ROOTS TARGETS FOLDER | serve FOLDER | checks FOLDER | transfer ROOTS URL | version ROOT | run PROGRAM [WORD...]".into()),
    }
}

// ------------------------------------------------------------------------------------------------------ the bare cost

/// Prints the seconds that the signatures of all roots take to check, once each, on every core.
fn checks(folder: &Path) -> Done {
    let mut all: Vec<(PublicKey, Vec<u8>, Vec<u8>)> = Vec::new();
    for version in 1.. {
        let Ok(bytes) = std::fs::read(folder.join(format!("{version}.root.json"))) else { break };
        let root = Metadata::<Root>::parse("root", &bytes)?;
        for signature in root.signatures() {
            let key = root.body().keys()[&signature.keyid].public().ok_or("a key")?.clone();
            Signed::check(&key, root.payload(), &signature.sig, &Fast)?;
            all.push((key, root.payload().bytes().to_vec(), signature.sig.clone()));
        }
    }
    let cores = std::thread::available_parallelism()?.get();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for part in all.chunks(all.len().div_ceil(cores)) {
            scope.spawn(|| assert!(part.iter().all(|(key, payload, signature)| Fast.verify(key, payload, signature))));
        }
    });
    println!("{}", start.elapsed().as_secs_f64());
    Ok(())
}

/// Prints the seconds that it takes to fetch what a client fetches, over as many connections as ours uses.
fn transfer(roots: usize, url: &str) -> Done {
    let next = AtomicUsize::new(2);
    let agent: ureq::Agent = ureq::Agent::config_builder().max_idle_connections_per_host(16).build().into();
    let get = |name: &str| -> Result<usize, ureq::Error> {
        let mut bytes = Vec::new();
        agent.get(format!("{url}/{name}")).call()?.into_body().into_reader().read_to_end(&mut bytes)?;
        Ok(bytes.len())
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        let work = || loop {
            let version = next.fetch_add(1, Ordering::Relaxed);
            if version > roots {
                return Ok::<_, ureq::Error>(());
            }
            get(&format!("{version}.root.json"))?;
        };
        let threads: Vec<_> = (0..Limits::default().connections).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })?;
    for name in ["timestamp.json", "1.snapshot.json", "1.targets.json"] {
        get(name)?;
    }
    println!("{}", start.elapsed().as_secs_f64());
    Ok(())
}

/// Runs a program to its end, and prints the seconds that it took and the KiB that it held at most. It is done from here since
/// the system counts what the parent held when it began, and this is a small one.
fn run(program: &str, words: &[&str]) -> Done {
    let start = Instant::now();
    let used = Command::new(program).args(words).spawn()?.wait4()?;
    let took = start.elapsed().as_secs_f64();
    if !used.status.success() {
        return Err(format!("{program}: {}", used.status).into());
    }
    println!("{took} {}", used.rusage.maxrss / 1024);
    Ok(())
}

/// Prints the version of a root.
fn version(root: &Path) -> Done {
    println!("{}", Metadata::<Root>::parse("root", &std::fs::read(root)?)?.version());
    Ok(())
}

// ---------------------------------------------------------------------------------------------------------- the files

type Signs = Box<dyn Fn(&[u8]) -> Vec<u8>>;

fn p256(number: u8) -> (PublicKey, Signs) {
    let key = p256::ecdsa::SigningKey::from_slice(&[number; 32]).expect("a scalar");
    let public = PublicKey::from_p256_point(key.verifying_key().to_sec1_point(false).as_bytes()).expect("a point");
    let sign = move |message: &[u8]| {
        let signature: p256::ecdsa::Signature = p256::ecdsa::signature::Signer::sign(&key, message);
        signature.to_der().as_bytes().to_vec()
    };
    (public, Box::new(sign))
}

/// A chain of roots, each signed by three of the same five holders in turn, and targets of one file name each.
fn generate(roots: u64, targets: u32, folder: &Path) -> Done {
    std::fs::create_dir_all(folder)?;
    let holders: Vec<_> = (1..=5).map(p256).collect();
    let online = p256(9);
    let all = || Keyholders { keys: holders.iter().map(|key| key.0.clone()).collect(), threshold: 3 };
    let one = || Keyholders { keys: BTreeSet::from([online.0.clone()]), threshold: 1 };
    let expires = clock::now().plus_days(30);
    let write = |name: &str, payload: &Payload, signers: &[&(PublicKey, Signs)]| -> Result<Vec<u8>, Box<dyn Error>> {
        let id = |key: &(PublicKey, Signs)| new_key_id(&key.0).expect("a kind of key that is written");
        let bytes = assemble(payload, signers.iter().map(|key| (id(key), key.1(payload.bytes()))));
        std::fs::write(folder.join(name), &bytes)?;
        Ok(bytes)
    };
    let turn = |version: u64| -> Vec<_> { holders.iter().cycle().skip(version as usize % 5).take(3).collect() };
    for version in 1..=roots {
        let (root, targets, snapshot, timestamp, extra) = (all(), all(), one(), one(), BTreeMap::new());
        let root = build::Root { version, expires, root, targets, snapshot, timestamp, extra };
        write(&format!("{version}.root.json"), &root.payload()?, &turn(version))?;
    }
    let target = |n: u32| (format!("folder-{}/file-{n}.tar.gz", n % 100), Target::of(&n.to_be_bytes()));
    let targets = (0..targets).map(target).collect();
    let targets = build::Targets { version: 1, expires, targets, delegations: None, extra: BTreeMap::new() };
    let targets = write("1.targets.json", &targets.payload()?, &turn(0))?;
    let meta = BTreeMap::from([("targets.json".to_owned(), MetaFile::of(1, &targets))]);
    let snapshot = build::Snapshot { version: 1, expires, meta };
    let snapshot = write("1.snapshot.json", &snapshot.payload()?, &[&online])?;
    let snapshot = MetaFile::of(1, &snapshot);
    let timestamp = build::Timestamp { version: 1, expires, snapshot };
    write("timestamp.json", &timestamp.payload()?, &[&online])?;
    Ok(())
}

// --------------------------------------------------------------------------------------------------------- the server

/// Serves the files of a folder from memory, until its input ends. Prints its address.
fn serve(folder: &Path) -> Done {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path: PathBuf = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).ok_or("a name")?.to_owned();
        files.insert(format!("/{name}"), std::fs::read(&path)?);
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    let files: &'static BTreeMap<String, Vec<u8>> = Box::leak(Box::new(files));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || drop(answer(stream, files)));
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn answer(stream: TcpStream, files: &BTreeMap<String, Vec<u8>>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    loop {
        let Some(first) = lines.next().transpose()? else { return Ok(()) };
        for line in lines.by_ref() {
            if line?.is_empty() {
                break;
            }
        }
        let path = first.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match files.get(path) {
            Some(bytes) => ("200 OK", bytes.as_slice()),
            None => ("404 Not Found", &b""[..]),
        };
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        // One write, so that no client waits for a second packet.
        out.write_all(&[head.as_bytes(), body].concat())?;
    }
}
