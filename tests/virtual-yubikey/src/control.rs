//! The control socket: one line in, one line out, for hands that are not in the same process.
//!
//! | line | what it does | answer |
//! | --- | --- | --- |
//! | `touch` | touches the card | `ok`, or `nobody waits` |
//! | `waiting` | | `true` while the card waits for a touch, or `false` |
//! | `touched always`, `never`, `asked`, or a number | from now on touched at once, never, by `touch`, after milliseconds | `ok` |
//! | `pull`, `insert` | pulls the card, puts it back | `ok` |
//! | `fault INS SW` | the next command INS is answered by SW, both hexadecimal | `ok` |
//! | `fault pull-before INS`, `fault pull-after INS` | the card is pulled before or after it does the next command INS | `ok` |
//! | `fault hold-after INS` | the answer to the next command INS is held back when its work is done | `ok` |
//! | `held`, `let-go` | whether an answer is held back; it is given | `true` or `false`; `ok`, or `nothing is held` |
//! | `fault serial N`, `fault firmware A.B.C`, `fault policies PIN TOUCH` | attestations say this | `ok` |
//! | `fault bad-signatures`, `other-key`, `imported`, `stranger` | see [`Faults`] | `ok` |
//! | `fault none` | takes every fault back | `ok` |
//! | `tries` | | tries left of PIN and PUK |

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use crate::card::Faults;
use crate::reader::{Reader, Touch};

/// Answers at the socket `path` for ever; a socket that is left there from before is replaced.
///
/// # Errors
/// The socket cannot be made.
pub fn serve(path: &Path, reader: &Reader) -> io::Result<()> {
    if path.exists() {
        std::fs::remove_file(path)?;
    }
    for caller in UnixListener::bind(path)?.incoming() {
        // A caller that goes away in the middle is no reason to end.
        let _ = caller.and_then(|caller| converse(&caller, reader));
    }
    Ok(())
}

fn converse(caller: &UnixStream, reader: &Reader) -> io::Result<()> {
    for line in BufReader::new(caller).lines() {
        writeln!(&mut &*caller, "{}", order(&line?, reader))?;
    }
    Ok(())
}

/// Reads when a card is to be touched.
pub fn touch(text: &str) -> Option<Touch> {
    match text {
        "always" => Some(Touch::Always),
        "never" => Some(Touch::Never),
        "asked" => Some(Touch::Asked),
        milliseconds => Some(Touch::After(Duration::from_millis(milliseconds.parse().ok()?))),
    }
}

/// Reads a firmware such as `5.7.4`.
pub fn firmware(text: &str) -> Option<[u8; 3]> {
    let numbers: Option<Vec<u8>> = text.split('.').map(|number| number.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// Does what one line says, and gives the answer.
fn order(line: &str, reader: &Reader) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["touch"] if reader.touch() => {}
        ["touch"] => return "nobody waits".to_owned(),
        ["waiting"] => return reader.is_waiting().to_string(),
        ["held"] => return reader.is_holding().to_string(),
        ["let-go"] if reader.let_go() => {}
        ["let-go"] => return "nothing is held".to_owned(),
        ["pull"] => reader.pull(),
        ["insert"] => reader.put_back(),
        ["tries"] => return reader.card(|card| format!("{} {}", card.tries().0, card.tries().1)),
        ["touched", when] => match touch(when) {
            Some(when) => reader.touched(when),
            None => return format!("not understood: {line}"),
        },
        ["fault", ref fault @ ..] => {
            let mut is_understood = false;
            reader.fault(|faults| is_understood = set(faults, fault).is_some());
            if !is_understood {
                return format!("not understood: {line}");
            }
        }
        _ => return format!("not understood: {line}"),
    }
    "ok".to_owned()
}

/// Sets one fault; nothing if the words name none.
fn set(faults: &mut Faults, words: &[&str]) -> Option<()> {
    let byte = |text| u8::from_str_radix(text, 16).ok();
    match *words {
        ["none"] => *faults = Faults::default(),
        ["bad-signatures"] => faults.bad_signatures = true,
        ["other-key"] => faults.other_key = true,
        ["imported"] => faults.imported = true,
        ["stranger"] => faults.stranger = true,
        ["pull-before", instruction] => faults.pull_before = Some(byte(instruction)?),
        ["pull-after", instruction] => faults.pull_after = Some(byte(instruction)?),
        ["hold-after", instruction] => faults.hold_after = Some(byte(instruction)?),
        ["serial", serial] => faults.serial = Some(serial.parse().ok()?),
        ["firmware", text] => faults.firmware = Some(firmware(text)?),
        ["policies", pin, touch] => faults.policies = Some((pin.parse().ok()?, touch.parse().ok()?)),
        [instruction, status] => {
            faults.next.insert(byte(instruction)?, u16::from_str_radix(status, 16).ok()?);
        }
        _ => return None,
    }
    Some(())
}
