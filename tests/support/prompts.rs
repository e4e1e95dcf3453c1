//! Asks questions at the real terminal and prints the answers, for `tests/terminal.rs` to type at.
//!
//! `prompts all` asks one question of every form, `prompts wait` asks after a wait in which a line must be typed, `prompts
//! see` asks three times for something that is seen when it comes: the file `it-is-there`.
//! The exit code is 0 when every question was answered, 130 when interrupted, 3 when nothing could be asked.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use trustroot::seams::{Answer, Audience, AudienceError, Choice, Form, Question, Tone};
use trustroot::ui::{report, terminal::Terminal};
use trustroot_core::event::{Act, StepId};
use trustroot_core::page::Text;
use trustroot_core::text::Handle;

fn main() -> ExitCode {
    let what = std::env::args().nth(1).unwrap_or_default();
    println!("pid={}.", std::process::id());
    let outcome = Terminal::new().and_then(|mut terminal| match what.as_str() {
        "wait" => wait(&mut terminal),
        "see" => see(&mut terminal),
        _ => all(&mut terminal),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::people(&report::failure(&error, &[]));
            ExitCode::from(if matches!(error, AudienceError::Interrupted) { 130 } else { 3 })
        }
    }
}

fn question(name: &'static str, form: Form) -> Question {
    Question {
        step: StepId::new(Act::Open, name),
        act: Act::Open,
        name,
        who: Handle::new("alice").expect("a handle"),
        prompt: Text::own(format!("question {name}")).and_foreign(" \u{1b}[2Jforeign"),
        form,
        affirms: None,
    }
}

fn ask(terminal: &mut Terminal, name: &'static str, form: Form) -> Result<(), AudienceError> {
    let got = match terminal.ask(&question(name, form))? {
        Answer::Line(line) => format!("<{line}>"),
        Answer::One(key) => key,
        Answer::Several(keys) => keys.into_iter().collect::<Vec<_>>().join("+"),
        Answer::Ready => "ready".to_owned(),
        Answer::Interject => "interjected".to_owned(),
    };
    terminal.say(Tone::Done, &Text::own(format!("got {name} ")).and_foreign(got))
}

fn all(terminal: &mut Terminal) -> Result<(), AudienceError> {
    let choices = || {
        let choice = |key: &str| Choice { key: key.to_owned(), label: Text::own(format!("the {key}")) };
        vec![choice("ada"), choice("bob"), choice("eve")]
    };
    ask(terminal, "line", Form::Line { example: "14:05".to_owned(), optional: false })?;
    ask(terminal, "words", Form::Exactly { expect: "expected-word".to_owned(), optional: false })?;
    ask(terminal, "consent", Form::Consent { word: "generate" })?;
    ask(terminal, "one", Form::One(choices()))?;
    ask(terminal, "several", Form::Several(choices()))?;
    ask(terminal, "ready", Form::Ready)?;
    let pin = terminal.secret(&question("pin", Form::Secret { min: 6, max: 8 }), true)?;
    terminal.say(Tone::Done, &Text::own(format!("got pin of {} bytes", pin.expose().len())))?;
    ask(terminal, "last", Form::Ready)
}

fn see(terminal: &mut Terminal) -> Result<(), AudienceError> {
    for name in ["first", "second", "third"] {
        let got = terminal.ask_or_see(&question(name, Form::Ready), &mut || Path::new("it-is-there").exists())?;
        terminal.say(Tone::Done, &Text::own(format!("got {name} {got:?}")))?;
    }
    ask(terminal, "after", Form::Ready)
}

fn wait(terminal: &mut Terminal) -> Result<(), AudienceError> {
    terminal.wait(&"touch it now".into(), &mut || {
        // Until a whole line lies in the terminal's queue or the terminal is gone; for the test that ends it here, long.
        let end = Instant::now() + Duration::from_secs(60);
        while rustix::io::ioctl_fionread(std::io::stdin()).is_ok_and(|bytes| bytes < 2) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
    })?;
    ask(terminal, "after", Form::Line { example: "x".to_owned(), optional: true })
}
