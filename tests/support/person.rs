//! A person at a shell in a terminal, who reads what the screen says and types what it asks for.
//!
//! Rules:
//! 1. What is asked is read from the screen, and so are the words of a digest: a page that hides them, or a question
//!    that does not say what to type, fails.
//! 2. Whoever needs this includes `support/pane.rs` as `pane` beside it.

#![allow(dead_code, unreachable_pub, reason = "tests include this file as a module of their own, and use a part of it")]

use std::collections::BTreeMap;
use std::path::Path;

use super::pane::{Pane, until};

/// A question as it stands on the screen.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Who is asked.
    pub(crate) who: String,
    /// The step.
    pub(crate) step: String,
    /// Everything below the head, as one line.
    pub(crate) text: String,
}

impl Asked {
    /// What tells it from other questions of its step, whatever words it asks for.
    pub(crate) fn kind(&self) -> String {
        format!("{} {} {:.5}", self.step, self.who, self.text)
    }
}

/// A person at a shell in a terminal.
pub(crate) struct Person {
    pub(crate) pane: Pane,
    /// How many prompts, of shell and program, there were when the last answer was given.
    pub(crate) answered: usize,
    /// What is typed where the screen asks for a secret.
    secret: Box<dyn Fn(&Asked) -> String>,
}

impl Person {
    /// At a shell whose prompt is the exit code of what ran before, with more variables in its environment.
    pub(crate) fn at_shell(
        test: &str,
        size: (u16, u16),
        variables: &[String],
        secret: impl Fn(&Asked) -> String + 'static,
    ) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_trustroot")).parent().expect("a folder").display().to_string();
        let path = format!("PATH={program}:{}", std::env::var("PATH").unwrap_or_default());
        let mut command = vec!["env", &path, "PS1=exit=$? $ ", "ENV="];
        command.extend(variables.iter().map(String::as_str));
        command.extend(["sh", "-i"]);
        let pane = Pane::open(test, size, &command);
        let person = Self { pane, answered: 0, secret: Box::new(secret) };
        person.stands();
        person
    }

    /// Looks until a prompt stands at the end that was not there before; the whole screen.
    pub(crate) fn stands(&self) -> String {
        let mut screen = String::new();
        until(|| {
            screen = self.pane.screen();
            let last = screen.trim_end().lines().last().unwrap_or_default().trim_end().to_owned();
            prompts(&screen) > self.answered && (last == ">" || is_shell(&last))
        })
        .unwrap_or_else(|()| panic!("nothing is asked:\n{screen}"));
        screen
    }

    /// Types a line at the prompt that stands.
    pub(crate) fn enter(&mut self, line: &str) {
        self.answered = prompts(&self.stands());
        self.pane.enter(line);
    }

    /// Presses one key at the prompt that stands.
    pub(crate) fn press(&mut self, key: &str) {
        self.answered = prompts(&self.stands());
        self.pane.press(key);
    }

    /// Runs a command of the shell to its end; what it printed, with the prompt after it.
    pub(crate) fn run(&mut self, command: &str) -> String {
        self.enter(command);
        let screen = self.stands();
        screen[screen.rfind(command).expect("the command was echoed")..].to_owned()
    }

    /// The question that stands, or nothing if the shell does.
    pub(crate) fn asked(&self) -> Option<Asked> {
        let screen = self.stands();
        if is_shell(screen.trim_end().lines().last().unwrap_or_default().trim_end()) {
            return None;
        }
        let (_, question) = screen.rsplit_once("\n[").expect("a question has a head");
        let (head, text) = question.split_once('\n').expect("a question has a text");
        let (who, step) = head.split_once("]  ").expect("a head names person and step");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(Asked { who: who.to_owned(), step: step.trim().to_owned(), text })
    }

    /// What a person answers who does what the screen says.
    pub(crate) fn answer(&self, asked: &Asked) -> String {
        let (_, answer) = asked.text.split_once("answer: ").expect("a question says what an answer looks like");
        let quoted = |text: &str| text.split('"').nth(1).expect("something quoted").to_owned();
        if answer.starts_with("the words,") {
            let words = shown_words(&self.pane.screen());
            return places(&asked.text).iter().map(|place| words[place].clone()).collect::<Vec<_>>().join(" ");
        }
        if answer.starts_with("the word \"") || answer.starts_with("a line, such as") || answer.starts_with("\"all\"") {
            return quoted(answer);
        }
        if answer.contains(" characters, which are not shown") {
            return (self.secret)(asked);
        }
        assert!(answer.starts_with("Enter, when it is done"), "{asked:?}");
        String::new()
    }

    /// Does what is asked for. A token that lies there is seen by itself, sooner or later than the question for it is read.
    fn does(&mut self, asked: &Asked) {
        if asked.text.contains("it is seen when it is there") {
            return until(|| self.asked().is_none_or(|now| now.text != asked.text))
                .unwrap_or_else(|()| panic!("nothing is seen:\n{}", self.pane.screen()));
        }
        let answer = self.answer(asked);
        self.enter(&answer);
    }

    /// Answers until a question of `step` says `what`.
    pub(crate) fn go_to(&mut self, step: &str, what: &str) -> Asked {
        while let Some(asked) = self.asked() {
            if asked.step == step && asked.text.contains(what) {
                return asked;
            }
            self.does(&asked);
        }
        panic!("`{what}` of {step} was not asked:\n{}", self.pane.screen());
    }

    /// Answers until the shell stands; the whole screen.
    pub(crate) fn go_to_the_end(&mut self) -> String {
        while let Some(asked) = self.asked() {
            self.does(&asked);
        }
        self.pane.screen()
    }

    /// After Ctrl-C: what is and is not done was said, the exit code was 130, and the terminal is as it was.
    pub(crate) fn is_stopped_at(&mut self, step: &str) -> String {
        let screen = self.stands();
        let said = &screen[screen.rfind("\nIn the record: ").unwrap_or_else(|| panic!("it says nothing:\n{screen}"))..];
        assert!(said.contains(&format!("\nNot done: {step}, and what comes after it.")), "{said}");
        assert!(said.contains("\nerror: stopped by Ctrl-C"), "{said}");
        assert!(said.contains("\nhint: nothing is lost; to go on at that step: trustroot"), "{said}");
        assert!(said.trim_end().ends_with("exit=130 $"), "{said}");
        let said = said.to_owned();
        assert!(self.pane.has_cursor(), "the cursor is hidden");
        let modes = self.run("stty -a");
        let modes: Vec<_> = modes.split([' ', '\n', ';']).collect();
        for mode in ["echo", "icanon", "isig", "iexten"] {
            assert!(modes.contains(&mode), "{mode} is off: {modes:?}");
        }
        said
    }
}

pub(crate) fn is_shell(line: &str) -> bool {
    line.starts_with("exit=") && line.ends_with('$')
}

/// How many prompts the screen shows, answered or not.
pub(crate) fn prompts(screen: &str) -> usize {
    screen.lines().filter(|line| line.starts_with('>') || line.starts_with("exit=")).count()
}

/// The words of the last digest on the screen, by their numbers.
pub(crate) fn shown_words(screen: &str) -> BTreeMap<usize, String> {
    let mut words = BTreeMap::new();
    for line in screen.lines().filter(|line| line.starts_with("    ")) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        for cell in cells.chunks(2) {
            if let [number, word] = cell
                && let Ok(number) = number.parse::<usize>()
                && word.chars().all(char::is_alphabetic)
            {
                words.insert(number, (*word).to_owned());
            }
        }
    }
    words
}

/// Which words are asked for.
pub(crate) fn places(text: &str) -> Vec<usize> {
    let list = text.strip_prefix("Words ").and_then(|rest| rest.split_once(" of ")).map(|(list, _)| list);
    list.unwrap_or_default().split(", ").filter_map(|place| place.parse().ok()).collect()
}
