//! The real prompts, typed at in a real terminal: the example `prompts` in a pane of `tmux`.
//!
//! Rules:
//! 1. Each test has a `tmux` server of its own, and ends it.
//! 2. Nothing sleeps for a fixed time: the screen is looked at until it shows what is waited for, or time is up.

#[path = "support/pane.rs"]
mod pane;

use std::path::PathBuf;
use std::process::Command;

use pane::{Pane, until};

const OTP: &str = "ccccccbcgujhingjrdejhgfnuetrgigvejhhgbkugded";

impl Pane {
    /// Runs the example with `how` in front of it in a shell, which then prints the exit code and the modes of the
    /// terminal, and stays.
    fn run(test: &str, how: &str, what: &str) -> Self {
        let program = example();
        let script = format!(
            "trap : INT; {how} '{}' {what}; echo EXIT=$?; stty -a; echo MODES-SHOWN; exec cat >/dev/null",
            program.display()
        );
        Self::open(test, (110, 50), &["sh", "-c", &script])
    }

    /// Looks until the question `name` is open, which is when its mark stands at the end.
    fn asked(&self, name: &str) {
        let mut screen = String::new();
        until(|| {
            screen = self.screen();
            let here = screen.rfind(&format!("question {name} ")).map(|at| screen[at..].trim_end());
            here.is_some_and(|here| here.ends_with("\n>") && !here.contains("got "))
        })
        .unwrap_or_else(|()| panic!("question {name} is not open:\n{screen}"));
    }

    /// Looks until the mark stands at the end, after what `says` says.
    fn asked_again(&self, says: &str) {
        let mut screen = String::new();
        until(|| {
            screen = self.screen();
            let here = screen.rfind(says).map(|at| screen[at..].trim_end());
            here.is_some_and(|here| here.ends_with("\n>"))
        })
        .unwrap_or_else(|()| panic!("it does not ask again after `{says}`:\n{screen}"));
    }

    /// The terminal after the program: as it was, with the cursor shown.
    fn is_put_back(&self) {
        let screen = self.see("MODES-SHOWN");
        let modes = &screen[screen.rfind("EXIT=").unwrap()..];
        let modes: Vec<_> = modes.split([' ', '\n', ';']).collect();
        for mode in ["echo", "icanon", "isig", "iexten"] {
            assert!(modes.contains(&mode), "{mode} is off:\n{screen}");
        }
        assert!(self.has_cursor(), "the cursor is hidden");
    }

    fn pid(&self) -> String {
        let screen = self.see("pid=");
        let rest = screen.split("pid=").nth(1).unwrap();
        rest.split('.').next().unwrap().to_owned()
    }
}

fn example() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let program = here.parent().and_then(|deps| deps.parent()).unwrap().join("examples/prompts");
    assert!(program.exists(), "there is no {}: build it with `cargo build --example prompts`", program.display());
    program
}

fn is_running(pid: &str) -> bool {
    Command::new("kill").args(["-0", pid]).output().is_ok_and(|out| out.status.success())
}

/// Goes through every question, right answers and wrong ones.
fn every_form(pane: &Pane) {
    pane.asked("line");
    let screen = pane.screen();
    assert!(screen.contains("[alice]  open.line"), "{screen}");
    assert!(screen.contains("question line \\u{1b}[2Jforeign"), "{screen}");
    assert!(screen.contains("answer: a line, such as \"14:05\"   (! = trouble)"), "{screen}");
    pane.enter("");
    pane.asked_again("nothing was typed");
    pane.type_("Zoë Lx");
    pane.press("BSpace");
    pane.enter("!");
    pane.see("got line <Zoë L!>");

    pane.asked("words");
    pane.enter("acid bath");
    assert!(!pane.see("got words <acid bath>").contains("expected-word"));

    pane.asked("consent");
    pane.enter("generat");
    pane.see("got consent <generat>");

    pane.asked("one");
    pane.enter("4");
    pane.asked_again("\"4\" is not in the list");
    pane.enter("2");
    pane.see("got one bob");

    pane.asked("several");
    pane.enter("yes");
    pane.asked_again("\"yes\" is not in the list");
    pane.enter("1 eve");
    pane.asked_again("taken: bob; left out: ada, eve");
    pane.enter("1");
    pane.asked_again("taken: bob, eve; left out: ada");
    pane.enter("yes");
    pane.see("got several bob+eve");

    pane.asked("ready");
    pane.enter(OTP);
    pane.asked_again("that was a one-time password");
    pane.enter("");
    pane.see("got ready ready");

    pane.asked("pin");
    pane.enter("!1234");
    pane.asked_again("too short: at least 6");
    pane.enter(OTP);
    pane.asked_again("it is thrown away; touch a token only when its light blinks\ntype it again:");
    pane.enter("918273");
    pane.asked_again("the same again:");
    pane.enter("918274");
    pane.asked_again("the two are different");
    pane.type_("55555");
    pane.press("C-u");
    pane.type_("9182734");
    pane.press("BSpace");
    pane.enter("");
    pane.asked_again("the two are different; type it again, twice:\n> \nthe same again:");
    pane.enter("918273");
    pane.see("got pin of 6 bytes");

    pane.asked("last");
    // Without Enter.
    pane.type_("!");
    pane.see("got last interjected");
    let screen = pane.see("EXIT=0");
    for typed in ["91827", "5555", "!1234"] {
        assert!(!screen.contains(typed), "a secret was shown:\n{screen}");
    }
    pane.is_put_back();
}

#[test]
fn every_form_is_asked_and_answered() {
    every_form(&Pane::run("forms", "", "all"));
}

#[test]
fn every_form_is_asked_and_answered_on_a_dumb_terminal() {
    every_form(&Pane::run("dumb", "TERM=dumb", "all"));
}

#[test]
fn every_form_is_asked_when_standard_input_is_a_pipe() {
    let pane = Pane::run("pipe", "echo from-the-pipe |", "all");
    pane.asked("line");
    pane.enter("from the terminal");
    pane.see("got line <from the terminal>");
    pane.asked("words");
    pane.press("C-c");
    pane.see("error: interrupted");
    pane.see("EXIT=130");
    pane.is_put_back();
}

#[test]
fn ctrl_c_and_ctrl_d_end_any_prompt_and_put_the_terminal_back() {
    for (n, end) in ["C-c", "C-d"].into_iter().enumerate() {
        let pane = Pane::run(&format!("end-first-{n}"), "", "all");
        pane.asked("line");
        pane.press(end);
        pane.see("error: interrupted");
        pane.see("EXIT=130");
        pane.is_put_back();
    }
    // In the middle of a line, and in the middle of a secret.
    let pane = Pane::run("end-line", "", "all");
    pane.asked("line");
    pane.type_("half");
    pane.see("> half");
    pane.press("C-c");
    pane.see("EXIT=130");
    pane.is_put_back();

    for (n, end) in ["C-c", "C-d"].into_iter().enumerate() {
        let pane = Pane::run(&format!("end-secret-{n}"), "", "all");
        for (name, answer) in
            [("line", "x"), ("words", "x"), ("consent", "x"), ("one", "ada"), ("several", "all"), ("ready", "")]
        {
            pane.asked(name);
            pane.enter(answer);
        }
        pane.asked("pin");
        if end == "C-c" {
            pane.type_("9182");
        }
        pane.press(end);
        pane.see("EXIT=130");
        pane.is_put_back();
        assert!(!pane.screen().contains("9182"));
    }
}

#[test]
fn what_is_typed_in_a_wait_is_neither_shown_nor_an_answer() {
    let pane = Pane::run("wait", "", "wait");
    pane.see("touch it now");
    // The wait ends when this line has arrived.
    pane.enter("typed-too-early");
    pane.asked("after");
    pane.enter("in time");
    let screen = pane.see("got after <in time>");
    assert!(!screen.contains("typed-too-early"), "{screen}");
    pane.see("EXIT=0");
    pane.is_put_back();
}

#[test]
fn signals_end_a_prompt_and_put_the_terminal_back() {
    for signal in ["TERM", "INT", "HUP"] {
        let pane = Pane::run(&format!("signal-{signal}"), "", "all");
        pane.asked("line");
        // A signal between the mark and the wait for a key ends the process too, but a second later and without words.
        let waits = || {
            let state = Command::new("ps").args(["-o", "stat=", "-p", &pane.pid()]).output().unwrap();
            state.stdout.starts_with(b"S")
        };
        until(waits).expect("it waits for a key");
        assert!(Command::new("kill").args([&format!("-{signal}"), &pane.pid()]).status().unwrap().success());
        pane.see("error: interrupted");
        pane.see("EXIT=130");
        pane.is_put_back();
    }
}

#[test]
fn ctrl_c_in_a_wait_stops_before_the_next_question_and_twice_at_once() {
    let pane = Pane::run("wait-twice", "", "wait");
    pane.see("touch it now");
    // Two signals that come before the first is taken are one, so it is pressed as a person would, until it works. The
    // wait itself lasts longer than the test.
    until(|| {
        pane.press("C-c");
        pane.screen().contains("EXIT=")
    })
    .expect("Ctrl-C, again and again, ends the wait");
    assert!(!pane.see("EXIT=130").contains("error: interrupted"), "it ended at once");
    pane.is_put_back();

    let pane = Pane::run("wait-once", "", "wait");
    pane.see("touch it now");
    pane.press("C-c");
    pane.enter("the line that ends the wait");
    let screen = pane.see("EXIT=130");
    assert!(screen.contains("error: interrupted") && !screen.contains("question after"), "{screen}");
}

#[test]
fn what_comes_by_itself_ends_the_question_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let pane = Pane::run("see", &format!("cd '{}';", folder.path().display()), "see");
    pane.asked("first");
    assert!(pane.screen().contains("answer: nothing, it is seen when it is there; Enter looks now   (! = trouble)"));
    pane.enter("");
    pane.see("got first Ready");
    pane.asked("second");
    pane.enter(OTP);
    pane.asked_again("touch a token only when its light blinks\nanswer: Enter, when it is done");
    pane.type_("!");
    pane.see("got second Interject");
    pane.asked("third");
    std::fs::write(folder.path().join("it-is-there"), "").unwrap();
    pane.see("> (it is there)\ndone: got third Ready");
    // What is typed from then on answers nothing before the next question stands.
    pane.asked("after");
    pane.press("C-c");
    pane.see("EXIT=130");
    pane.is_put_back();

    for (n, end) in ["C-c", "C-d"].into_iter().enumerate() {
        let pane = Pane::run(&format!("see-end-{n}"), "", "see");
        pane.asked("first");
        pane.press(end);
        pane.see("EXIT=130");
        pane.is_put_back();
    }
    let pane = Pane::run("see-signal", "", "see");
    pane.asked("first");
    assert!(Command::new("kill").arg(pane.pid()).status().unwrap().success());
    pane.see("error: interrupted");
    pane.see("EXIT=130");
    pane.is_put_back();
}

#[test]
fn closing_the_window_ends_the_program() {
    for (what, until_seen) in [("all", "question line"), ("wait", "touch it now")] {
        let pane = Pane::run(&format!("close-{what}"), "", what);
        pane.see(until_seen);
        let pid = pane.pid();
        assert!(is_running(&pid));
        pane.tmux(&["kill-window"]);
        until(|| !is_running(&pid)).unwrap_or_else(|()| panic!("it still runs after {what}"));
    }
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    let out = Command::new(example()).arg("all").output().unwrap();
    assert_eq!(out.status.code(), Some(3));
    assert_eq!(
        String::from_utf8_lossy(&out.stderr),
        "error: the question could not be asked: standard error is not a terminal\n\
         hint: run this in a terminal, or give a file of answers\n"
    );
}
