//! What an answer looks like, in words, and which answer a typed line is. Pure: no terminal here.
//!
//! Rules:
//! 1. Expected words are never shown and never compared here; the conductor judges them, and a word of consent too.
//! 2. Nothing is guessed: a line that is no answer is refused in words, and the question stands.
//! 3. What a YubiKey types when it is touched by accident is no answer to anything.

use crate::seams::{Answer, Choice, Form};
use std::collections::BTreeSet;
use trustroot_core::text::escape;

/// The most bytes that a typed line may have.
const LONGEST: usize = 1_000;

/// The same as [`expects`] of what is seen when it comes.
pub(super) const SEEN: &str = "nothing, it is seen when it is there; Enter looks now";

/// What the line that follows the prompt says about the answer.
pub(super) fn expects(form: &Form) -> String {
    let or_nothing = |optional: &bool| if *optional { "; Enter alone for none" } else { "" };
    match form {
        Form::Line { example, optional } if example.is_empty() => format!("a line{}", or_nothing(optional)),
        Form::Line { example, optional } => format!("a line, such as \"{}\"{}", escape(example), or_nothing(optional)),
        Form::Exactly { optional, .. } => format!("the words, typed in full{}", or_nothing(optional)),
        Form::Consent { word } => format!("the word \"{word}\", typed in full"),
        Form::One(choices) if is_numbered(choices) => "one number or one name from the list".to_owned(),
        Form::One(_) => "one name from the list".to_owned(),
        Form::Several(choices) => {
            let what = if is_numbered(choices) { "the numbers or names" } else { "the names" };
            format!("\"all\", or {what} to leave out")
        }
        Form::Ready => "Enter, when it is done".to_owned(),
        Form::Secret { min, max } if min == max => format!("{min} characters, which are not shown"),
        Form::Secret { min, max } => format!("{min} to {max} characters, which are not shown"),
    }
}

/// Whether choices can be called by number: none of them is named like the number of another.
fn is_numbered(choices: &[Choice]) -> bool {
    choices.iter().all(|choice| choice.key.parse().map_or(true, |n: usize| n == 0 || n > choices.len()))
}

/// The list of choices: one a line, or as many as fit where none needs an explanation.
pub(super) fn listed(choices: &[Choice], width: usize) -> Vec<String> {
    let widest = choices.iter().map(|choice| escape(&choice.key).len()).max().unwrap_or(0);
    let line = |(i, choice): (usize, &Choice)| {
        let number = if is_numbered(choices) { format!("{:>3}  ", i + 1) } else { "  ".to_owned() };
        format!("{number}{:widest$}  {}", escape(&choice.key), choice.label.line())
    };
    let lines: Vec<String> = choices.iter().enumerate().map(line).collect();
    let bare = choices.iter().all(|choice| choice.label.line().is_empty());
    let across = if bare { width / (widest + 7) } else { 1 };
    lines.chunks(across.max(1)).map(|row| row.concat().trim_end().to_owned()).collect()
}

/// What a typed line comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The answer.
    Answer(Answer),
    /// Some of several are left out; this set is the answer once it is affirmed.
    Affirm(BTreeSet<String>),
    /// No answer, and why.
    No(String),
}

/// What `line`, trimmed, comes to. `pending` is the set that was read back and waits for a `yes`.
pub(super) fn hear(form: &Form, line: &str, pending: Option<&BTreeSet<String>>) -> Heard {
    let line = line.trim();
    if line == "!" {
        return Heard::Answer(Answer::Interject);
    }
    if line.len() > LONGEST {
        return Heard::No(format!("that is longer than {LONGEST} bytes"));
    }
    if is_otp(line) {
        return Heard::No(OTP.to_owned());
    }
    match form {
        Form::Line { optional, .. } | Form::Exactly { optional, .. } if line.is_empty() && !optional => {
            Heard::No("nothing was typed".to_owned())
        }
        Form::Line { .. } | Form::Exactly { .. } => Heard::Answer(Answer::Line(line.to_owned())),
        Form::Consent { word } if line.is_empty() => Heard::No(format!("type \"{word}\" to consent, or ! to stop")),
        Form::Consent { .. } => Heard::Answer(Answer::Line(line.to_owned())),
        Form::One(choices) => match find(choices, line) {
            Ok(choice) => Heard::Answer(Answer::One(choice.key.clone())),
            Err(words) => Heard::No(words),
        },
        Form::Several(choices) => several(choices, line, pending),
        Form::Ready if line.is_empty() => Heard::Answer(Answer::Ready),
        Form::Ready => Heard::No("press Enter alone when it is done".to_owned()),
        Form::Secret { .. } => Heard::No("a secret is not typed here".to_owned()),
    }
}

fn several(choices: &[Choice], line: &str, pending: Option<&BTreeSet<String>>) -> Heard {
    let mut taken: BTreeSet<String> = choices.iter().map(|choice| choice.key.clone()).collect();
    // The names of choices come first, should one of them be called "all" or "yes".
    let named = choices.iter().any(|choice| choice.key == line);
    match pending {
        Some(affirmed) if !named && line.eq_ignore_ascii_case("yes") => {
            return Heard::Answer(Answer::Several(affirmed.clone()));
        }
        _ if !named && line.eq_ignore_ascii_case("all") => return Heard::Answer(Answer::Several(taken)),
        _ => {}
    }
    if line.is_empty() {
        return Heard::No("nothing was typed".to_owned());
    }
    for word in line.split([' ', ',']).filter(|word| !word.is_empty()) {
        match find(choices, word) {
            Ok(choice) => taken.remove(&choice.key),
            Err(words) => return Heard::No(words),
        };
    }
    Heard::Affirm(taken)
}

fn find<'c>(choices: &'c [Choice], word: &str) -> Result<&'c Choice, String> {
    if word.is_empty() {
        return Err("nothing was typed".to_owned());
    }
    let number = if is_numbered(choices) { word.parse::<usize>().ok().and_then(|n| n.checked_sub(1)) } else { None };
    let named = choices.iter().find(|choice| choice.key == word);
    named.or_else(|| choices.get(number?)).ok_or_else(|| format!("\"{}\" is not in the list", escape(word)))
}

/// The words for a set that was chosen by leaving some out.
pub(super) fn read_back(choices: &[Choice], taken: &BTreeSet<String>) -> String {
    let list = |kept: bool| {
        let keys =
            choices.iter().filter(|choice| taken.contains(&choice.key) == kept).map(|choice| escape(&choice.key));
        let keys = keys.collect::<Vec<_>>().join(", ");
        if keys.is_empty() { "nobody and nothing".to_owned() } else { keys }
    };
    format!(
        "taken: {}; left out: {}\ntype \"yes\" if that is right, or begin again from \"all\"",
        list(true),
        list(false)
    )
}

/// What is said when a YubiKey typed a one-time password.
const OTP: &str = "that was a one-time password: a YubiKey types one when it is touched.\n\
                   it is thrown away; touch a token only when its light blinks";

/// Whether a line is what a YubiKey types when it is touched outside a command: 32 to 48 modhex letters, as a rule 44.
fn is_otp(line: &str) -> bool {
    (32..=48).contains(&line.len()) && line.bytes().all(|b| b"cbdefghijklnrtuv".contains(&b))
}

/// Why a typed secret cannot be one, if it cannot.
pub(super) fn refuse_secret(secret: &str, min: usize, max: usize) -> Option<String> {
    if is_otp(secret) {
        Some(OTP.to_owned())
    } else if secret.len() < min {
        Some(format!("too short: at least {min} characters"))
    } else if secret.len() > max {
        Some(format!("too long: at most {max} characters"))
    } else {
        None
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::seams::Question;
    use trustroot_core::event::{Act, StepId};
    use trustroot_core::page::Text;
    use trustroot_core::text::Handle;

    pub(in crate::ui) fn question(form: Form) -> Question {
        Question {
            step: StepId::new(Act::Open, "x"),
            act: Act::Open,
            name: "q",
            who: Handle::new("alice").unwrap(),
            prompt: "what is it?".into(),
            form,
            affirms: None,
        }
    }

    pub(in crate::ui) fn choices() -> Vec<Choice> {
        keyed(&["alice", "bob"])
    }

    fn keyed(keys: &[&str]) -> Vec<Choice> {
        keys.iter().map(|key| Choice { key: (*key).into(), label: Text::foreign(format!("the {key}")) }).collect()
    }

    fn set(keys: &[&str]) -> BTreeSet<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    fn no(heard: Heard) -> String {
        match heard {
            Heard::No(words) => words,
            other => panic!("{other:?}"),
        }
    }

    const OTP_TYPED: &str = "ccccccbcgujhingjrdejhgfnuetrgigvejhhgbkugded";

    #[test]
    fn lines_are_trimmed_and_never_judged() {
        let words = Form::Exactly { expect: "acid bath".into(), optional: false };
        assert_eq!(hear(&words, " Acid  bath ", None), Heard::Answer(Answer::Line("Acid  bath".into())));
        assert_eq!(no(hear(&words, "  ", None)), "nothing was typed");
        assert!(!expects(&words).contains("acid"), "the words are never shown");
        let optional = Form::Exactly { expect: "acid bath".into(), optional: true };
        assert_eq!(hear(&optional, "", None), Heard::Answer(Answer::Line(String::new())));
        let consent = Form::Consent { word: "sign" };
        assert_eq!(hear(&consent, "sing", None), Heard::Answer(Answer::Line("sing".into())));
        assert!(no(hear(&consent, "", None)).contains("\"sign\""));
        assert_eq!(hear(&consent, "!", None), Heard::Answer(Answer::Interject));
        assert!(no(hear(&words, &"x".repeat(LONGEST + 1), None)).contains("longer"));
        let hostile = Form::Line { example: "\u{1b}[2J".into(), optional: false };
        assert!(!expects(&hostile).contains('\u{1b}'));
    }

    #[test]
    fn one_is_called_by_number_or_name() {
        let form = Form::One(choices());
        for (typed, key) in [("1", "alice"), ("2", "bob"), ("bob", "bob")] {
            assert_eq!(hear(&form, typed, None), Heard::Answer(Answer::One(key.into())));
        }
        for typed in ["0", "3", "bo", "", "99999999999999999999999", "1 2"] {
            no(hear(&form, typed, None));
        }
        // A serial that looks like the number of another choice switches the numbers off.
        let serials = Form::One(keyed(&["2", "7"]));
        assert_eq!(hear(&serials, "2", None), Heard::Answer(Answer::One("2".into())));
        assert_eq!(no(hear(&serials, "1", None)), "\"1\" is not in the list");
        assert_eq!(listed(&keyed(&["2", "7"]), 80), ["  2  the 2", "  7  the 7"]);
        assert_eq!(listed(&choices(), 80), ["  1  alice  the alice", "  2  bob    the bob"]);
        let bare = ["alice", "bob", "carol"].map(|key| Choice { key: key.into(), label: Text::own("") });
        assert_eq!(listed(&bare, 80), ["  1  alice    2  bob      3  carol"]);
        assert_eq!(listed(&bare, 24), ["  1  alice    2  bob", "  3  carol"]);
    }

    #[test]
    fn several_are_all_or_less_those_left_out_and_affirmed() {
        let form = Form::Several(keyed(&["alice", "bob", "carol"]));
        assert_eq!(hear(&form, "all", None), Heard::Answer(Answer::Several(set(&["alice", "bob", "carol"]))));
        assert_eq!(hear(&form, "2, carol", None), Heard::Affirm(set(&["alice"])));
        assert_eq!(hear(&form, "1 1 2 3", None), Heard::Affirm(set(&[])));
        let pending = set(&["alice"]);
        assert_eq!(hear(&form, "Yes", Some(&pending)), Heard::Answer(Answer::Several(pending.clone())));
        assert_eq!(hear(&form, "1", Some(&pending)), Heard::Affirm(set(&["bob", "carol"])), "from all again");
        for typed in ["yes", "", "4", "2 dave"] {
            no(hear(&form, typed, None));
        }
        assert!(read_back(&choices(), &set(&["bob"])).starts_with("taken: bob; left out: alice\n"));
    }

    #[test]
    fn an_accidental_touch_answers_nothing() {
        for form in [Form::Line { example: String::new(), optional: true }, Form::Ready, Form::Consent { word: "sign" }]
        {
            assert_eq!(no(hear(&form, OTP_TYPED, None)), OTP);
        }
        assert_eq!(refuse_secret(OTP_TYPED, 6, 64).as_deref(), Some(OTP));
        assert_eq!(hear(&Form::Ready, "", None), Heard::Answer(Answer::Ready));
        no(hear(&Form::Ready, "x", None));
    }

    #[test]
    fn secrets_have_a_length_in_bytes() {
        assert_eq!(refuse_secret("123456", 6, 8), None);
        assert_eq!(refuse_secret("12345678", 6, 8), None);
        assert!(refuse_secret("12345", 6, 8).unwrap().contains("at least 6"));
        assert!(refuse_secret("ééééé", 6, 8).unwrap().contains("at most 8"));
    }
}
