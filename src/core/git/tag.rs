//! What a tag leads to.

use super::ObjectId;

/// The object that a tag names in its first line; nothing if the bytes are no tag.
pub fn tagged(bytes: &[u8]) -> Option<ObjectId> {
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    ObjectId::from_hex(line.strip_prefix(b"object ")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString as _;

    #[test]
    fn the_first_line_names_the_object() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let read = |text: &str| tagged(text.as_bytes()).map(|id| id.to_string());
        assert_eq!(read(&format!("object {id}\ntype commit\ntag v1\n\n")).as_deref(), Some(id));
        assert_eq!(read(&format!("object {}\n", id.to_uppercase())).as_deref(), Some(id));
        for bad in
            ["", "object ", &format!("object {}", &id[1..]), &format!("object {id}0\n"), &format!("tag x\nobject {id}")]
        {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
