//! PKCS#11 URIs (RFC 7512), as far as they name one key.
//!
//! Rules:
//! 1. `pkcs11:` attributes separated by `;`, then query attributes after `?`, separated by `&`; each once; `%XX` for bytes.
//! 2. The module is named (`module-path` or `module-name`), the token (`token` or `serial` or both), and the key (`id` or
//!    `object`). Whatever else is there is refused, because it would be passed over.
//! 3. A PIN in a URI is refused: `pin-value` and `pin-source`.

use crate::plan::parse::is_module;
use crate::text;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The longest URI, in bytes.
pub const MAX_BYTES: usize = 2048;

/// A URI that names one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pkcs11Uri {
    text: String,
    module: String,
    token: Option<String>,
    serial: Option<String>,
    object: Option<String>,
    id: Option<String>,
}

/// Why a text is no URI of a key. Foreign text in it is escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a PKCS#11 URI of a key: {0}")]
pub struct NotAUri(String);

impl Pkcs11Uri {
    /// Whether a text is meant as such a URI.
    pub fn is_meant(text: &str) -> bool {
        text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("pkcs11:"))
    }

    /// Reads a URI.
    ///
    /// # Errors
    /// The first rule of the head of this file that is broken.
    pub fn parse(uri: &str) -> Result<Self, NotAUri> {
        let no = |why: &str| Err(NotAUri(why.to_string()));
        if uri.len() > MAX_BYTES {
            return no("it is too long");
        }
        if !Self::is_meant(uri) {
            return no("it does not begin with \"pkcs11:\"");
        }
        let (path, query) = uri[7..].split_once('?').unwrap_or((&uri[7..], ""));
        let path = attributes(path, ';')?;
        let query = attributes(query, '&')?;
        for name in query.keys() {
            match *name {
                "module-path" | "module-name" => {}
                "pin-value" | "pin-source" => {
                    return no("a PIN has no place in it: every user of the machine sees arguments; it is asked for");
                }
                other => return Err(NotAUri(format!("the query attribute {} is not known here", text::escape(other)))),
            }
        }
        for (name, value) in &path {
            match *name {
                "token" | "serial" | "object" | "id" => {}
                "type" if value == b"private" => {}
                other => return Err(NotAUri(format!("the attribute {} is not known here", text::escape(other)))),
            }
        }
        let module = match (query.get("module-path"), query.get("module-name")) {
            (Some(path), None) => utf8(path)?,
            (None, Some(name)) => utf8(name)?,
            _ => return no("it needs `?module-path=` or `?module-name=`, and not both"),
        };
        let is_path = module.starts_with('/');
        if !is_module(&module) || is_path != query.contains_key("module-path") {
            return no("module-path is an absolute path, module-name a name of p11-kit's configuration");
        }
        let text = |name: &str| path.get(name).map(|value| utf8(value)).transpose();
        let id = path.get("id").map(hex::encode);
        if id.as_deref().is_some_and(|id| !crate::claim::is_id(id)) {
            return no("an id is 1 to 64 bytes");
        }
        let read = Self {
            text: uri.to_string(),
            module,
            token: text("token")?,
            serial: text("serial")?,
            object: text("object")?,
            id,
        };
        if read.token.is_none() && read.serial.is_none() {
            return no("it needs `token=` or `serial=`");
        }
        if read.object.is_none() == read.id.is_none() {
            return no("it needs `id=` or `object=`, and not both");
        }
        Ok(read)
    }

    /// The module: an absolute path, or a name of p11-kit's configuration.
    pub fn module(&self) -> &str {
        &self.module
    }

    /// The label of the token.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The serial number of the token.
    pub fn serial(&self) -> Option<&str> {
        self.serial.as_deref()
    }

    /// The label of the key.
    pub fn object(&self) -> Option<&str> {
        self.object.as_deref()
    }

    /// The id of the key, hexadecimal.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The URI for people, escaped.
    pub fn shown(&self) -> String {
        text::escape(&self.text)
    }
}

fn attributes(part: &str, separator: char) -> Result<BTreeMap<&str, Vec<u8>>, NotAUri> {
    let mut read = BTreeMap::new();
    for attribute in part.split(separator).filter(|attribute| !attribute.is_empty()) {
        let Some((name, value)) = attribute.split_once('=') else {
            return Err(NotAUri(format!("\"{}\" has no value", text::escape(attribute))));
        };
        if read.insert(name, decoded(value)?).is_some() {
            return Err(NotAUri(format!("{} stands there twice", text::escape(name))));
        }
    }
    Ok(read)
}

fn decoded(value: &str) -> Result<Vec<u8>, NotAUri> {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)?.try_into().ok());
        let (Some(high), Some(low)): (Option<u8>, Option<u8>) = (digit(rest.next()), digit(rest.next())) else {
            return Err(NotAUri("after % come two hexadecimal digits".to_string()));
        };
        bytes.push(high << 4 | low);
    }
    Ok(bytes)
}

fn utf8(value: &[u8]) -> Result<String, NotAUri> {
    match core::str::from_utf8(value) {
        Ok(value) if !value.is_empty() && !value.contains('\0') => Ok(value.to_string()),
        _ => Err(NotAUri("a value is empty, or is not UTF-8".to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_by_token_and_label_or_id() {
        let uri =
            Pkcs11Uri::parse("pkcs11:token=My%20HSM;object=online;type=private?module-path=/usr/lib/x.so").unwrap();
        assert_eq!((uri.module(), uri.token(), uri.object()), ("/usr/lib/x.so", Some("My HSM"), Some("online")));
        let uri = Pkcs11Uri::parse("PKCS11:id=%01%aF;serial=0a1b?module-name=softhsm2").unwrap();
        assert_eq!((uri.module(), uri.serial(), uri.id()), ("softhsm2", Some("0a1b"), Some("01af")));
    }

    #[test]
    fn what_names_no_key_is_refused() {
        let refuses = |uri: &str, why: &str| {
            let error = Pkcs11Uri::parse(uri).unwrap_err().to_string();
            assert!(error.contains(why), "{uri}: {error}");
        };
        refuses("file:online.pem", "does not begin");
        refuses("pkcs11:token=a;object=b", "module-path");
        refuses("pkcs11:token=a;object=b?module-path=/x&module-name=y", "not both");
        refuses("pkcs11:token=a;object=b?module-path=x.so", "absolute path");
        refuses("pkcs11:token=a;object=b?module-name=/x.so", "absolute path");
        refuses("pkcs11:object=b?module-path=/x", "`token=`");
        refuses("pkcs11:token=a?module-path=/x", "`id=`");
        refuses("pkcs11:token=a;object=b;id=%01?module-path=/x", "not both");
        refuses("pkcs11:token=a;object=b?module-path=/x&pin-value=123456", "a PIN has no place");
        refuses("pkcs11:token=a;object=b?module-path=/x&pin-source=file:x", "a PIN has no place");
        refuses("pkcs11:token=a;token=b;object=b?module-path=/x", "twice");
        refuses("pkcs11:token=a;object=b;type=cert?module-path=/x", "type is not known");
        refuses("pkcs11:token=a;object=b;slot-id=1?module-path=/x", "slot-id is not known");
        refuses("pkcs11:token=%ff;object=b?module-path=/x", "UTF-8");
        refuses("pkcs11:token=%0;object=b?module-path=/x", "two hexadecimal");
        refuses("pkcs11:token=a;object?module-path=/x", "no value");
        refuses("pkcs11:token=a;id=?module-path=/x", "1 to 64");
    }
}
