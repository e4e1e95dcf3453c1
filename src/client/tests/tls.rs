//! Redirects from and to servers that speak TLS. Whoever asks over https is never led to a server that does not: what it
//! asks for, and that nothing newer is there, would be open to anybody on the way.
//!
//! The certificate is made here, for 127.0.0.1 alone. The client trusts it in a process of its own, through the variable that
//! names the system's certificates to it.
#![cfg(all(unix, not(target_vendor = "apple")))]

mod again;
mod simulator;

use again::{ended, started};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use simulator::{Repository, Server, start};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use trustroot_core::key::PublicKey;

const TIMESTAMP: &str = "metadata/timestamp.json";

/// DER: a tag, the length, and what is in it.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let inner = parts.concat();
    let length = match u8::try_from(inner.len()) {
        Ok(short) if short < 0x80 => vec![short],
        Ok(byte) => vec![0x81, byte],
        Err(_) => [&[0x82], &u16::try_from(inner.len()).unwrap().to_be_bytes()[..]].concat(),
    };
    [&[tag], &length[..], &inner].concat()
}

/// A key, and a certificate of it that it signed itself (RFC 5280): no authority's, so a server may show it.
fn certificate() -> (Vec<u8>, Vec<u8>) {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let spki = PublicKey::from_p256_point(key.public_key().as_ref()).unwrap();
    let ecdsa_with_sha256 = der(0x30, &[&der(0x06, &[b"\x2a\x86\x48\xce\x3d\x04\x03\x02"])]);
    let common_name = [&der(0x06, &[b"\x55\x04\x03"])[..], &der(0x0c, &[b"test"])].concat();
    let name = der(0x30, &[&der(0x31, &[&der(0x30, &[&common_name])])]);
    let times = der(0x30, &[&der(0x17, &[b"200101000000Z"]), &der(0x18, &[b"99991231235959Z"])]);
    let address = der(0x30, &[&der(0x87, &[&[127, 0, 0, 1]])]);
    let alternative = der(0x30, &[&der(0x06, &[b"\x55\x1d\x11"]), &der(0x04, &[&address])]);
    let (version, serial) = (der(0xa0, &[&der(0x02, &[&[2]])]), der(0x02, &[&[1]]));
    let extensions = der(0xa3, &[&der(0x30, &[&alternative])]);
    let signed =
        der(0x30, &[&version, &serial, &ecdsa_with_sha256, &name, &times, &name, spki.spki_der(), &extensions]);
    let signature = key.sign(&SystemRandom::new(), &signed).unwrap();
    let certificate = der(0x30, &[&signed, &ecdsa_with_sha256, &der(0x03, &[&[0], signature.as_ref()])]);
    (key.to_pkcs8v1().unwrap().as_ref().to_vec(), certificate)
}

fn pem(certificate: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for chunk in certificate.chunks(3) {
        let number = chunk.iter().chain(&[0, 0]).take(3).fold(0, |number, byte| number << 8 | usize::from(*byte));
        let digit = |place| if place > chunk.len() { '=' } else { char::from(DIGITS[number >> (18 - 6 * place) & 63]) };
        text.extend((0..4).map(digit));
    }
    text + "\n-----END CERTIFICATE-----\n"
}

/// Serves what `behind` serves, over TLS, and says where. `trusted` is written: the certificate.
fn over_tls(behind: &Server, trusted: &Path) -> String {
    let (key, certificate) = certificate();
    std::fs::write(trusted, pem(&certificate)).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate)], PrivatePkcs8KeyDer::from(key).into())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let behind = behind.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, behind) = (Arc::clone(&config), behind.clone());
            std::thread::spawn(move || drop(pass(stream, config, &behind)));
        }
    });
    address
}

/// Passes one request after the other on, each over a connection of its own.
fn pass(stream: TcpStream, config: Arc<ServerConfig>, behind: &str) -> std::io::Result<()> {
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let mut onward = TcpStream::connect(behind)?;
        onward.write_all(head.as_bytes())?;
        onward.shutdown(Shutdown::Write)?;
        let mut answer = Vec::new();
        onward.read_to_end(&mut answer)?;
        stream.get_mut().write_all(&answer)?;
    }
}

fn lead(repository: &Repository, to: &str) {
    repository.server.answer(TIMESTAMP, 302, &format!("Location: {to}\r\n"));
}

#[test]
fn a_redirect_never_leads_from_https_to_http() {
    let (repository, case) = start();
    let trusted = case.folder.path().join("trusted.pem");
    let secure = over_tls(&repository.server, &trusted);
    let refresh = |from: &str| {
        let mut client = started(&[], &[from.to_owned()], case.folder.path(), &[]);
        ended(client.env("SSL_CERT_FILE", &trusted).env_remove("SSL_CERT_DIR").spawn().unwrap())
    };
    // It stands for any server on the way, and has what the right one has.
    let other = Server::start();
    other.put("moved", repository.server.get(TIMESTAMP));

    for to in [other.url("moved"), other.url("moved").replace("http:", "HTTP:")] {
        lead(&repository, &to);
        let (well, said) = refresh(&secure);
        assert!(!well && said.contains("timestamp.json from https://") && said.contains("https to http"), "{said}");
        assert_eq!((case.here(), other.asked()), ([1, 0, 0, 0], vec![]), "{to}");
    }
    // Nor back again, where a redirect led to https.
    lead(&repository, &format!("{secure}/back"));
    repository.server.answer("back", 302, &format!("Location: {}\r\n", other.url("moved")));
    let (well, said) = refresh(&repository.server.url(""));
    assert!(!well && said.contains("https to http"), "{said}");
    assert_eq!((case.here(), other.asked()), ([1, 0, 0, 0], vec![]));

    // Not because the server or its certificate would not do: from https to https, and from http to https.
    repository.server.put("moved", repository.server.get(TIMESTAMP));
    let (path, whole) = ("/moved".to_owned(), format!("{secure}/moved"));
    for (from, to) in [(&secure, &path), (&secure, &whole), (&repository.server.url(""), &whole)] {
        lead(&repository, to);
        let (well, said) = refresh(from);
        assert!(well, "{from} to {to}: {said}");
        assert!(repository.server.asked().contains(&"moved".to_owned()), "{from} to {to}");
    }
}

/// What a server says is believed no more for its certificate, but without one that is trusted it is not asked at all.
#[test]
fn a_certificate_that_nobody_trusts_ends_it() {
    let (repository, case) = start();
    let secure = over_tls(&repository.server, &case.folder.path().join("its.pem"));
    let others = case.folder.path().join("others.pem");
    over_tls(&repository.server, &others);
    let mut client = started(&[], &[secure], case.folder.path(), &[]);
    let (well, said) = ended(client.env("SSL_CERT_FILE", &others).env_remove("SSL_CERT_DIR").spawn().unwrap());
    assert!(!well && said.contains("certificate"), "{said}");
    assert!(repository.server.asked().is_empty());
}
