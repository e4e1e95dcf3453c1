//! Commands and answers as ISO 7816-4 writes them: short and extended.

/// Status words.
pub(crate) mod status {
    pub(crate) const OK: u16 = 0x9000;
    pub(crate) const WRONG_LENGTH: u16 = 0x6700;
    /// The PIN or the management key is missing, or nobody touched.
    pub(crate) const NOT_SATISFIED: u16 = 0x6982;
    pub(crate) const BLOCKED: u16 = 0x6983;
    pub(crate) const CONDITIONS: u16 = 0x6985;
    pub(crate) const BAD_DATA: u16 = 0x6a80;
    pub(crate) const NOT_FOUND: u16 = 0x6a82;
    pub(crate) const BAD_P1_P2: u16 = 0x6a86;
    pub(crate) const NO_REFERENCE: u16 = 0x6a88;
    pub(crate) const WRONG_SLOT: u16 = 0x6b00;
    pub(crate) const NO_INSTRUCTION: u16 = 0x6d00;
    pub(crate) const NO_CLASS: u16 = 0x6e00;
    /// A wrong secret; the low digit is the number of tries left.
    pub(crate) const TRIES: u16 = 0x63c0;
    /// More is there; the low byte says how much of it.
    pub(crate) const MORE: u16 = 0x6100;
}

/// One command.
pub(crate) struct Command<'a> {
    pub(crate) class: u8,
    pub(crate) instruction: u8,
    pub(crate) p1: u8,
    pub(crate) p2: u8,
    pub(crate) data: &'a [u8],
    /// The most bytes that the answer may have.
    pub(crate) expected: usize,
}

impl<'a> Command<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let [class, instruction, p1, p2, rest @ ..] = bytes else { return None };
        let (data, expected) = match rest {
            [] => (&[][..], 0),
            [le] => (&[][..], short(*le)),
            [0, high, low] => (&[][..], extended([*high, *low])),
            [0, high, low, body @ ..] if !body.is_empty() => {
                let n = usize::from(u16::from_be_bytes([*high, *low]));
                match body.split_at_checked(n)? {
                    (data, []) => (data, 0),
                    (data, [high, low]) => (data, extended([*high, *low])),
                    _ => return None,
                }
            }
            [lc, body @ ..] => match body.split_at_checked(usize::from(*lc))? {
                (data, []) => (data, 256),
                (data, [le]) => (data, short(*le)),
                _ => return None,
            },
        };
        Some(Self { class: *class, instruction: *instruction, p1: *p1, p2: *p2, data, expected })
    }
}

fn short(le: u8) -> usize {
    if le == 0 { 256 } else { usize::from(le) }
}

fn extended(le: [u8; 2]) -> usize {
    match u16::from_be_bytes(le) {
        0 => 65_536,
        n => usize::from(n),
    }
}
