//! Where a redirect leads: a reference (RFC 9110, 10.2.2), resolved against the address that was asked for (RFC 3986, 5.2).

/// The most redirects that are followed for one file.
pub(crate) const MOST: usize = 5;

/// The address that `location` means in an answer from `asked`, without a fragment; nothing if that is no server's, or if it
/// leads from https to http.
pub(crate) fn resolved(asked: &str, location: &str) -> Option<String> {
    let location = location.split('#').next().unwrap_or_default();
    if let Some((scheme, rest)) = with_scheme(location) {
        let scheme = scheme.to_ascii_lowercase();
        let known = match scheme.as_str() {
            "https" => true,
            // Also after a first redirect that led to https.
            "http" => !asked.starts_with("https:"),
            _ => false,
        };
        let known = known && rest.starts_with("//");
        return known.then(|| format!("{scheme}:{rest}"));
    }
    let (scheme, rest) = asked.split_once("://")?;
    if location.starts_with("//") {
        return Some(format!("{scheme}:{location}"));
    }
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let path = path.split('?').next().unwrap_or_default();
    let (folder, _) = path.rsplit_once('/').unwrap_or_default();
    let (below, query) = location.split_at(location.find('?').unwrap_or(location.len()));
    let path = match below {
        "" => path.to_owned(),
        _ if below.starts_with('/') => without_dots(below),
        _ => without_dots(&format!("{folder}/{below}")),
    };
    Some(format!("{scheme}://{host}{path}{query}"))
}

/// The scheme of a reference that has one, and what follows it (RFC 3986, 3.1).
fn with_scheme(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let fits = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|one| one.is_ascii_alphanumeric() || "+-.".contains(one));
    fits.then_some((scheme, rest))
}

/// A path without `.` and `..` (RFC 3986, 5.2.4).
fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        // What is left is a folder.
        parts.push("");
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved_as_the_rfc_does() {
        // RFC 3986, 5.4, as far as these lead to servers.
        for (location, expected) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("g#s", "http://a/b/c/g"),
            ("g?y#s", "http://a/b/c/g?y"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../../g", "http://a/g"),
            ("g..", "http://a/b/c/g.."),
            ("./../g", "http://a/b/g"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("HTTPS://other:8443/x", "https://other:8443/x"),
            ("a/b:c", "http://a/b/c/a/b:c"),
        ] {
            assert_eq!(resolved("http://a/b/c/d;p?q", location).as_deref(), Some(expected), "{location}");
        }
        for nowhere in ["file:///etc/passwd", "ftp://a/b", "data:,a", "http:g", "mailto:a@b"] {
            assert_eq!(resolved("http://a/b", nowhere), None, "{nowhere}");
        }
        assert_eq!(resolved("https://a", "b").as_deref(), Some("https://a/b"));
        assert_eq!(resolved("https://a/b", "HTTP://a/b"), None);
    }
}
