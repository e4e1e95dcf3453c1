//! Digests as words to be read aloud: the PGP word list (Juola and Zimmermann, 1996).
//!
//! Rules:
//! 1. The 1st, 3rd, 5th … byte is a word of two syllables, the 2nd, 4th, 6th … a word of three. No word is in both
//!    lists, so a word that was dropped, doubled or swapped shows itself, and [`parse`] says where.
//! 2. Places are counted from 1, as people count.
//! 3. Words are shown in the capitals of the list and compared without regard to case.

use crate::digest::Digest;
use crate::text;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// How many words a digest has.
pub const COUNT: usize = 32;
/// The longest text that [`parse`] reads, in bytes; 32 words with numbers and ornaments need about 600.
pub const MAX_BYTES: usize = 4096;

/// The 32 words of a digest.
pub fn words(digest: &Digest) -> [&'static str; COUNT] {
    let mut words = [""; COUNT];
    for (i, (word, byte)) in words.iter_mut().zip(digest.as_bytes()).enumerate() {
        *word = column(i)[usize::from(*byte)];
    }
    words
}

/// The words in four rows of eight, for reading aloud.
pub fn rows(digest: &Digest) -> [[&'static str; 8]; 4] {
    let words = words(digest);
    let mut rows = [[""; 8]; 4];
    for (row, eight) in rows.iter_mut().zip(words.chunks_exact(8)) {
        row.copy_from_slice(eight);
    }
    rows
}

/// The words at these places (1 to 32), with one space between them; nothing if a place does not exist.
pub fn ask(digest: &Digest, places: &[usize]) -> Option<String> {
    let words = words(digest);
    let asked: Option<Vec<&str>> = places.iter().map(|place| words.get(place.checked_sub(1)?).copied()).collect();
    asked.map(|words| words.join(" "))
}

/// Whether `typed` is the words at these places (1 to 32), whatever the case and the white space. No places, and
/// places that do not exist, are answered by nothing.
pub fn answers(digest: &Digest, places: &[usize], typed: &str) -> bool {
    let Some(asked) = ask(digest, places) else { return false };
    let same = |(asked, typed): (&str, &str)| asked.eq_ignore_ascii_case(typed);
    !places.is_empty() && split(typed).count() == places.len() && asked.split(' ').zip(split(typed)).all(same)
}

/// Why a text is not the words of a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// Longer than [`MAX_BYTES`].
    #[error("the text is longer than 4096 bytes; a digest is 32 words")]
    Long,
    /// A word of neither list.
    #[error("word {place}, \"{word}\", is not in the list{}", near.map(|near| alloc::format!("; did you mean \"{near}\"?")).unwrap_or_default())]
    Unknown {
        /// Where, from 1.
        place: usize,
        /// The word, escaped.
        word: String,
        /// The nearest word that could stand there.
        near: Option<&'static str>,
    },
    /// The word here belongs to the other list, and there are too few words.
    #[error("a word is missing at place {place} or before it: there are {count} words, a digest has 32")]
    Missing {
        /// Where the lists fall out of step, from 1.
        place: usize,
        /// How many words there are.
        count: usize,
    },
    /// The word here belongs to the other list, and there are too many words.
    #[error("there is a word too many at place {place} or before it: there are {count} words, a digest has 32")]
    Extra {
        /// Where the lists fall out of step, from 1.
        place: usize,
        /// How many words there are.
        count: usize,
    },
    /// The words here and after it belong to each other's lists.
    #[error("words {place} and {} are swapped", place + 1)]
    Swapped {
        /// The first of the two, from 1.
        place: usize,
    },
    /// The word here belongs to the other list.
    #[error("word {place}, \"{word}\", cannot stand at this place: words of two and of three syllables take turns")]
    Column {
        /// Where, from 1.
        place: usize,
        /// The word, as the list writes it.
        word: &'static str,
    },
    /// Each word could stand where it stands, but there are not 32.
    #[error("there are {0} words; a digest has 32")]
    Count(usize),
}

/// Reads 32 words. White space, case, the numbers in front of words and `.,:;-|` between them have no meaning.
///
/// # Errors
/// The first word that is wrong, and how; see [`WordsError`].
pub fn parse(typed: &str) -> Result<Digest, WordsError> {
    if typed.len() > MAX_BYTES {
        return Err(WordsError::Long);
    }
    let words: Vec<&str> = split(typed).collect();
    let count = words.len();
    let mut bytes = [0; COUNT];
    for (i, word) in words.iter().enumerate() {
        let place = i + 1;
        let Some(byte) = byte_of(word, i) else {
            let Some(other) = byte_of(word, place) else {
                let shown: String = text::escape(word).chars().take(40).collect();
                return Err(WordsError::Unknown { place, word: shown, near: nearest(word, i) });
            };
            let next_too = words.get(place).is_some_and(|next| byte_of(next, i).is_some());
            return Err(match count {
                0..COUNT => WordsError::Missing { place, count },
                COUNT if next_too && only_these_two(&words, i) => WordsError::Swapped { place },
                COUNT => WordsError::Column { place, word: column(place)[usize::from(other)] },
                _ => WordsError::Extra { place, count },
            });
        };
        if let Some(slot) = bytes.get_mut(i) {
            *slot = byte;
        }
    }
    if count == COUNT { Ok(Digest::from_bytes(bytes)) } else { Err(WordsError::Count(count)) }
}

/// Whether everything after the pair at `i` fits again, so that a swap explains it.
fn only_these_two(words: &[&str], i: usize) -> bool {
    words.iter().enumerate().skip(i + 2).all(|(i, word)| byte_of(word, i).is_some())
}

fn split(typed: &str) -> impl Iterator<Item = &str> {
    let between = |c: char| c.is_whitespace() || c.is_ascii_digit() || ".,:;-|".contains(c);
    typed.split(between).filter(|word| !word.is_empty())
}

/// The list for the place at `index`, from 0.
fn column(index: usize) -> &'static [&'static str; 256] {
    if index.is_multiple_of(2) { &EVEN } else { &ODD }
}

/// The byte that `word` stands for at `index`, from 0.
fn byte_of(word: &str, index: usize) -> Option<u8> {
    let at = column(index).iter().position(|known| known.eq_ignore_ascii_case(word))?;
    u8::try_from(at).ok()
}

/// The only word of the list for `index` that is nearest to `word`, if it is near.
fn nearest(word: &str, index: usize) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let lower: Vec<String> = column(index).iter().map(|known| known.to_ascii_lowercase()).collect();
    let near = text::nearest(&word, lower.iter().map(String::as_str))?.to_string();
    column(index).iter().find(|known| known.eq_ignore_ascii_case(&near)).copied()
}

/// The words of two syllables, for the 1st, 3rd, 5th … byte.
#[rustfmt::skip]
const EVEN: [&str; 256] = [
    "aardvark", "absurd", "accrue", "acme", "adrift", "adult", "afflict", "ahead", // 00
    "aimless", "Algol", "allow", "alone", "ammo", "ancient", "apple", "artist", // 08
    "assume", "Athens", "atlas", "Aztec", "baboon", "backfield", "backward", "banjo", // 10
    "beaming", "bedlamp", "beehive", "beeswax", "befriend", "Belfast", "berserk", "billiard", // 18
    "bison", "blackjack", "blockade", "blowtorch", "bluebird", "bombast", "bookshelf", "brackish", // 20
    "breadline", "breakup", "brickyard", "briefcase", "Burbank", "button", "buzzard", "cement", // 28
    "chairlift", "chatter", "checkup", "chisel", "choking", "chopper", "Christmas", "clamshell", // 30
    "classic", "classroom", "cleanup", "clockwork", "cobra", "commence", "concert", "cowbell", // 38
    "crackdown", "cranky", "crowfoot", "crucial", "crumpled", "crusade", "cubic", "dashboard", // 40
    "deadbolt", "deckhand", "dogsled", "dragnet", "drainage", "dreadful", "drifter", "dropper", // 48
    "drumbeat", "drunken", "Dupont", "dwelling", "eating", "edict", "egghead", "eightball", // 50
    "endorse", "endow", "enlist", "erase", "escape", "exceed", "eyeglass", "eyetooth", // 58
    "facial", "fallout", "flagpole", "flatfoot", "flytrap", "fracture", "framework", "freedom", // 60
    "frighten", "gazelle", "Geiger", "glitter", "glucose", "goggles", "goldfish", "gremlin", // 68
    "guidance", "hamlet", "highchair", "hockey", "indoors", "indulge", "inverse", "involve", // 70
    "island", "jawbone", "keyboard", "kickoff", "kiwi", "klaxon", "locale", "lockup", // 78
    "merit", "minnow", "miser", "Mohawk", "mural", "music", "necklace", "Neptune", // 80
    "newborn", "nightbird", "Oakland", "obtuse", "offload", "optic", "orca", "payday", // 88
    "peachy", "pheasant", "physique", "playhouse", "Pluto", "preclude", "prefer", "preshrunk", // 90
    "printer", "prowler", "pupil", "puppy", "python", "quadrant", "quiver", "quota", // 98
    "ragtime", "ratchet", "rebirth", "reform", "regain", "reindeer", "rematch", "repay", // a0
    "retouch", "revenge", "reward", "rhythm", "ribcage", "ringbolt", "robust", "rocker", // a8
    "ruffled", "sailboat", "sawdust", "scallion", "scenic", "scorecard", "Scotland", "seabird", // b0
    "select", "sentence", "shadow", "shamrock", "showgirl", "skullcap", "skydive", "slingshot", // b8
    "slowdown", "snapline", "snapshot", "snowcap", "snowslide", "solo", "southward", "soybean", // c0
    "spaniel", "spearhead", "spellbind", "spheroid", "spigot", "spindle", "spyglass", "stagehand", // c8
    "stagnate", "stairway", "standard", "stapler", "steamship", "sterling", "stockman", "stopwatch", // d0
    "stormy", "sugar", "surmount", "suspense", "sweatband", "swelter", "tactics", "talon", // d8
    "tapeworm", "tempest", "tiger", "tissue", "tonic", "topmost", "tracker", "transit", // e0
    "trauma", "treadmill", "Trojan", "trouble", "tumor", "tunnel", "tycoon", "uncut", // e8
    "unearth", "unwind", "uproot", "upset", "upshot", "vapor", "village", "virus", // f0
    "Vulcan", "waffle", "wallet", "watchword", "wayside", "willow", "woodlark", "Zulu", // f8
];

/// The words of three syllables, for the 2nd, 4th, 6th … byte.
#[rustfmt::skip]
const ODD: [&str; 256] = [
    "adroitness", "adviser", "aftermath", "aggregate", "alkali", "almighty", "amulet", "amusement", // 00
    "antenna", "applicant", "Apollo", "armistice", "article", "asteroid", "Atlantic", "atmosphere", // 08
    "autopsy", "Babylon", "backwater", "barbecue", "belowground", "bifocals", "bodyguard", "bookseller", // 10
    "borderline", "bottomless", "Bradbury", "bravado", "Brazilian", "breakaway", "Burlington", "businessman", // 18
    "butterfat", "Camelot", "candidate", "cannonball", "Capricorn", "caravan", "caretaker", "celebrate", // 20
    "cellulose", "certify", "chambermaid", "Cherokee", "Chicago", "clergyman", "coherence", "combustion", // 28
    "commando", "company", "component", "concurrent", "confidence", "conformist", "congregate", "consensus", // 30
    "consulting", "corporate", "corrosion", "councilman", "crossover", "crucifix", "cumbersome", "customer", // 38
    "Dakota", "decadence", "December", "decimal", "designing", "detector", "detergent", "determine", // 40
    "dictator", "dinosaur", "direction", "disable", "disbelief", "disruptive", "distortion", "document", // 48
    "embezzle", "enchanting", "enrollment", "enterprise", "equation", "equipment", "escapade", "Eskimo", // 50
    "everyday", "examine", "existence", "exodus", "fascinate", "filament", "finicky", "forever", // 58
    "fortitude", "frequency", "gadgetry", "Galveston", "getaway", "glossary", "gossamer", "graduate", // 60
    "gravity", "guitarist", "hamburger", "Hamilton", "handiwork", "hazardous", "headwaters", "hemisphere", // 68
    "hesitate", "hideaway", "holiness", "hurricane", "hydraulic", "impartial", "impetus", "inception", // 70
    "indigo", "inertia", "infancy", "inferno", "informant", "insincere", "insurgent", "integrate", // 78
    "intention", "inventive", "Istanbul", "Jamaica", "Jupiter", "leprosy", "letterhead", "liberty", // 80
    "maritime", "matchmaker", "maverick", "Medusa", "megaton", "microscope", "microwave", "midsummer", // 88
    "millionaire", "miracle", "misnomer", "molasses", "molecule", "Montana", "monument", "mosquito", // 90
    "narrative", "nebula", "newsletter", "Norwegian", "October", "Ohio", "onlooker", "opulent", // 98
    "Orlando", "outfielder", "Pacific", "pandemic", "Pandora", "paperweight", "paragon", "paragraph", // a0
    "paramount", "passenger", "pedigree", "Pegasus", "penetrate", "perceptive", "performance", "pharmacy", // a8
    "phonetic", "photograph", "pioneer", "pocketful", "politeness", "positive", "potato", "processor", // b0
    "provincial", "proximate", "puberty", "publisher", "pyramid", "quantity", "racketeer", "rebellion", // b8
    "recipe", "recover", "repellent", "replica", "reproduce", "resistor", "responsive", "retraction", // c0
    "retrieval", "retrospect", "revenue", "revival", "revolver", "sandalwood", "sardonic", "Saturday", // c8
    "savagery", "scavenger", "sensation", "sociable", "souvenir", "specialist", "speculate", "stethoscope", // d0
    "stupendous", "supportive", "surrender", "suspicious", "sympathy", "tambourine", "telephone", "therapist", // d8
    "tobacco", "tolerance", "tomorrow", "torpedo", "tradition", "travesty", "trombonist", "truncated", // e0
    "typewriter", "ultimate", "undaunted", "underfoot", "unicorn", "unify", "universe", "unravel", // e8
    "upcoming", "vacancy", "vagabond", "vertigo", "Virginia", "visitor", "vocalist", "voyager", // f0
    "warranty", "Waterloo", "whimsical", "Wichita", "Wilmington", "Wyoming", "yesteryear", "Yucatan", // f8
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::string::ToString;

    /// The SHA-256 of the certificate "Yubico PIV Root CA Serial 263751", and its words as others computed them.
    const YUBICO: (&str, &str) = (
        "63ece914e54dd87915f34033c85af4c0696ba1512f8add66ced738331207b546",
        "flatfoot unicorn treadmill belowground topmost disruptive stormy inertia backfield vertigo crackdown \
         concurrent spaniel existence upshot recipe gazelle Hamilton ratchet enchanting cement maverick swelter \
         gossamer spyglass stethoscope classic concurrent atlas amusement scorecard detergent",
    );

    fn digest() -> Digest {
        Digest::from_hex(YUBICO.0).unwrap()
    }

    fn spoken() -> Vec<&'static str> {
        words(&digest()).to_vec()
    }

    #[test]
    fn two_lists_of_256_in_order_without_a_word_in_both() {
        let lower = |list: &[&str]| list.iter().map(|word| word.to_ascii_lowercase()).collect::<Vec<_>>();
        let all: BTreeSet<_> = lower(&EVEN).into_iter().chain(lower(&ODD)).collect();
        assert_eq!(all.len(), 512);
        assert!(lower(&EVEN).is_sorted());
        // The published list has one pair out of order, and everybody's copy keeps it.
        let mut odd = lower(&ODD);
        odd.swap(0x09, 0x0a);
        assert!(odd.is_sorted());
        assert!(all.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase())));
    }

    #[test]
    fn the_fingerprint_of_the_word_lists_own_example() {
        let bytes = hex::decode("E58294F2E9A227486E8B061B31CC528FD7FA3F19").unwrap();
        let spoken: Vec<_> = bytes.iter().enumerate().map(|(i, b)| column(i)[usize::from(*b)]).collect();
        assert_eq!(
            spoken.join(" "),
            "topmost Istanbul Pluto vagabond treadmill Pacific brackish dictator goldfish Medusa afflict bravado \
             chatter revolver Dupont midsummer stopwatch whimsical cowbell bottomless"
        );
    }

    #[test]
    fn there_and_back() {
        assert_eq!(spoken().join(" "), YUBICO.1);
        assert_eq!(parse(YUBICO.1), Ok(digest()));
        for n in 0..=255u8 {
            let digest = Digest::from_bytes([n; 32]);
            assert_eq!(parse(&words(&digest).join(" ")), Ok(digest));
        }
    }

    #[test]
    fn case_white_space_and_numbers_have_no_meaning() {
        let numbered: Vec<_> = spoken()
            .iter()
            .enumerate()
            .map(|(i, word)| alloc::format!("{}. {}\t", i + 1, word.to_uppercase()))
            .collect();
        assert_eq!(parse(&numbered.join("\r\n ")), Ok(digest()));
    }

    #[test]
    fn says_which_word_is_wrong() {
        let mut one = spoken();
        one[4] = "topmots";
        let error = parse(&one.join(" ")).unwrap_err();
        assert_eq!(error, WordsError::Unknown { place: 5, word: "topmots".to_string(), near: Some("topmost") });
        assert_eq!(error.to_string(), "word 5, \"topmots\", is not in the list; did you mean \"topmost\"?");
        one[4] = "\u{202e}x";
        assert_eq!(
            parse(&one.join(" ")),
            Err(WordsError::Unknown { place: 5, word: "\\u{202e}x".to_string(), near: None })
        );
    }

    #[test]
    fn says_where_a_word_is_missing() {
        let mut one = spoken();
        one.remove(9);
        assert_eq!(parse(&one.join(" ")), Err(WordsError::Missing { place: 10, count: 31 }));
        one.truncate(9);
        assert_eq!(parse(&one.join(" ")), Err(WordsError::Count(9)));
        assert_eq!(parse(""), Err(WordsError::Count(0)));
    }

    #[test]
    fn says_where_a_word_was_said_twice() {
        let mut one = spoken();
        one.insert(6, one[6]);
        assert_eq!(parse(&one.join(" ")), Err(WordsError::Extra { place: 8, count: 33 }));
        let more = alloc::format!("{} flatfoot", YUBICO.1);
        assert_eq!(parse(&more), Err(WordsError::Count(33)));
    }

    #[test]
    fn says_which_words_are_swapped() {
        let mut one = spoken();
        one.swap(11, 12);
        assert_eq!(parse(&one.join(" ")), Err(WordsError::Swapped { place: 12 }));
        let mut one = spoken();
        one[31] = "topmost";
        assert_eq!(parse(&one.join(" ")), Err(WordsError::Column { place: 32, word: "topmost" }));
    }

    #[test]
    fn a_text_without_end_is_not_read() {
        assert_eq!(parse(&"a ".repeat(MAX_BYTES)), Err(WordsError::Long));
    }

    #[test]
    fn asks_for_words_by_place() {
        assert_eq!(ask(&digest(), &[1, 32]).as_deref(), Some("flatfoot detergent"));
        assert_eq!(ask(&digest(), &[0]), None);
        assert_eq!(ask(&digest(), &[33]), None);
        assert!(answers(&digest(), &[1, 32], "  FLATFOOT\tdetergent\n"));
        assert!(!answers(&digest(), &[1, 32], "detergent flatfoot"));
        assert!(!answers(&digest(), &[1, 32], "flatfoot"));
        assert!(!answers(&digest(), &[], ""));
        assert!(!answers(&digest(), &[40], ""));
    }

    #[test]
    fn four_rows_of_eight() {
        assert_eq!(rows(&digest()).concat(), spoken());
    }
}
