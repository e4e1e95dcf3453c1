//! Addresses of git repositories, and what may be shown of them.
//!
//! Rules:
//! 1. https, ssh (also as `user@host:path`), `file://` and plain paths are addresses. Everything else that git or its
//!    helpers would take (`ext::`, `git://`, `http://`, …) is refused, and so is whatever a program could take for an option.
//! 2. A secret is never shown: of https nothing before the host, of ssh no password ([`Address::shown`]). The same goes for
//!    what programs say of addresses ([`without_credentials`]).

use crate::text::escape;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use core::fmt;

/// The longest address, in bytes.
const LONGEST: usize = 2048;

/// The address of a repository.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    kind: Kind,
    secret: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Https,
    Ssh,
    File,
    Path,
}

/// Why something is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAnAddress(pub &'static str);

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// Every form but those of rule 1.
    pub fn parse(text: &str) -> Result<Self, NotAnAddress> {
        let refuse = |why| Err(NotAnAddress(why));
        if text.is_empty() || text.len() > LONGEST {
            return refuse("it is empty or too long");
        }
        if text.chars().any(char::is_control) {
            return refuse("it holds a control character");
        }
        if text.starts_with('-') {
            return refuse("it begins with '-', like an option");
        }
        let scheme = text.split_once("://");
        let helper = text.split_once("::").map(|(name, _)| name);
        let word =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        if helper.is_some_and(word) {
            return refuse("it names a helper program, and none is started");
        }
        let (kind, secret) = match scheme {
            Some((name, rest)) if word(name) => match name {
                "https" => (Kind::Https, Self::check_authority(rest, "")?),
                "ssh" => (Kind::Ssh, Self::check_authority(rest, "[]:")?),
                "file" if rest.starts_with('/') => (Kind::File, false),
                "file" => return refuse("file:// is followed by a whole path"),
                "http" => return refuse("http neither hides nor proves anything; https does"),
                _ => return refuse("its kind is none of https, ssh and file"),
            },
            _ => match text.split_once(':') {
                // As git has it: a colon before the first slash makes it ssh.
                Some((host, path)) if !host.contains('/') => {
                    let (user, name) = host.rsplit_once('@').unwrap_or(("", host));
                    Self::check_user(user)?;
                    Self::check_host(name)?;
                    if path.is_empty() || path.starts_with('-') {
                        return refuse("no path follows the host, or one like an option");
                    }
                    (Kind::Ssh, host.contains('@') && host.contains(':'))
                }
                _ => (Kind::Path, false),
            },
        };
        Ok(Self { text: text.to_owned(), kind, secret })
    }

    /// Looks at `user:password@host:port` before the path. Says whether there is a password, or for https anything before the
    /// host, which may be a token.
    fn check_authority(rest: &str, inside: &str) -> Result<bool, NotAnAddress> {
        let (authority, path) = rest.split_once('/').ok_or(NotAnAddress("no path follows the host"))?;
        if path.is_empty() {
            return Err(NotAnAddress("no path follows the host"));
        }
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        Self::check_user(user.unwrap_or_default())?;
        let name = if let Some(v6) = host.strip_prefix('[') {
            v6.split_once(']').map_or("", |(name, _)| name)
        } else {
            host.split_once(':').map_or(host, |(name, _)| name)
        };
        Self::check_host(name)?;
        let of_ssh = !inside.is_empty();
        Ok(user.is_some_and(|user| !of_ssh || user.contains(':')))
    }

    /// What stands before the host holds nothing at which [`without_credentials`] would see an address end (RFC 3986, 2.1 has
    /// `%XX` for that), so that no part of a password is left in what is shown.
    fn check_user(user: &str) -> Result<(), NotAnAddress> {
        if user.starts_with('-') {
            return Err(NotAnAddress("its user begins with '-', like an option"));
        }
        if user.contains(ends_address) {
            return Err(NotAnAddress(
                "its user or password holds a space or quote, which addresses write as %20, %22, %27 …",
            ));
        }
        Ok(())
    }

    fn check_host(host: &str) -> Result<(), NotAnAddress> {
        let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'%');
        if host.is_empty() || host.starts_with('-') || !host.bytes().all(letter) {
            return Err(NotAnAddress("its host has no name of letters, digits, '-' and '.'"));
        }
        Ok(())
    }

    /// The address as it is given to git. It may hold a secret: never shown.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it holds a password or token, which other programs of this machine could see.
    pub fn holds_secret(&self) -> bool {
        self.secret
    }

    /// The path on this machine, if that is what it is.
    pub fn path(&self) -> Option<&str> {
        match self.kind {
            Kind::Path => Some(&self.text),
            Kind::File => self.text.strip_prefix("file://"),
            Kind::Https | Kind::Ssh => None,
        }
    }

    /// The address as it is shown.
    pub fn shown(&self) -> String {
        if self.kind == Kind::Ssh && !self.secret {
            escape(&self.text)
        } else {
            escape(&without_credentials(&self.text))
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// Whether an address in a sentence ends before this character.
fn ends_address(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\'' | '"' | '<' | '>' | '`')
}

/// `text` without what stands before the host in any address in it. Nothing is escaped.
pub fn without_credentials(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let token = after.split(ends_address).next().unwrap_or_default();
        let authority = token.split('/').next().unwrap_or_default();
        let port = authority.split_once(':').map_or("", |(_, port)| port);
        // A password with a slash in it is no address any more, and is shown as little.
        let odd = !port.bytes().all(|b| b.is_ascii_digit());
        let until = if authority.contains('@') { authority.rfind('@') } else { token.rfind('@').filter(|_| odd) };
        rest = after.get(until.map_or(0, |at| at + 1)..).unwrap_or_default();
    }
    out.push_str(rest);
    // What is like `user:password@host:path`, as ssh has it.
    if out.contains('@') { scp_like(&out) } else { out }
}

/// `user:password@host` as `host`, word by word.
fn scp_like(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        let cut = word.rfind('@').filter(|at| {
            let before = word.get(..*at).unwrap_or_default();
            before.contains(':') && !before.contains("://") && !before.contains('/')
        });
        match cut {
            Some(at) => out.push_str(&format!("…{}", word.get(at..).unwrap_or_default())),
            None => out.push_str(word),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn addresses() {
        for good in [
            "https://example.org/a.git",
            "https://example.org:8443/a",
            "ssh://git@example.org/a.git",
            "ssh://example.org:2222/~/a",
            "ssh://[::1]:22/a",
            "git@example.org:team/a.git",
            "example.org:a",
            "file:///srv/a.git",
            "/srv/a.git",
            "../a b.git",
            "stick.bundle",
            "./odd:name",
        ] {
            let read = Address::parse(good).unwrap();
            assert_eq!((read.as_str(), read.shown().as_str(), read.holds_secret()), (good, good, false), "{good}");
        }
    }

    #[test]
    fn what_is_no_address() {
        for bad in [
            "",
            "-u",
            "--upload-pack=touch x",
            "ext::sh -c touch% x",
            "fd::3",
            "transport::https://example.org/a",
            "http://example.org/a",
            "git://example.org/a",
            "ftp://example.org/a",
            "HTTPS://example.org/a",
            "https://example.org",
            "https:///a",
            "https://-x/a",
            "ssh://-oProxyCommand=x/a",
            "ssh://-u@example.org/a",
            "-oProxyCommand=x:a",
            "git@-oProxyCommand=x:a",
            "example.org:-x",
            "example.org:",
            "a b:c",
            "https://bob:hunter`2@example.org/a",
            "https://bob:hun ter2@example.org/a",
            "ssh://bob:hun'ter2@example.org/a",
            "file://host/a",
            "/srv/a\n",
            &"x".repeat(2049),
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        for (text, shown) in [
            ("https://bob:hunter2@example.org/a", "https://example.org/a"),
            ("https://ghp_hunter2@example.org/a", "https://example.org/a"),
            ("https://bob:hun@ter2@example.org/a@b", "https://example.org/a@b"),
            ("ssh://bob:hunter2@example.org/a", "ssh://example.org/a"),
        ] {
            let read = Address::parse(text).unwrap();
            assert!(read.holds_secret(), "{text}");
            assert_eq!((read.shown(), alloc::format!("{read:?}")), (shown.to_string(), shown.to_string()));
            let said = alloc::format!("fatal: unable to access '{text}/': Could not resolve host; also {text}");
            assert!(!without_credentials(&said).contains("hun"), "{}", without_credentials(&said));
        }
        assert_eq!(without_credentials("To https://u:a/b@c/d x"), "To https://c/d x");
        assert!(!without_credentials("ssh: bob:hunter2@example.org:a").contains("hunter2"));
        assert_eq!(without_credentials("From git@example.org:a, ssh://git@h/x"), "From git@example.org:a, ssh://h/x");
    }
}
