//! Whole ceremonies held by hand: the program in a pane of `tmux`, answered as a person answers it, from the screen alone.
//!
//! What is asked is read from the screen, and so are the words of a digest: a page that hides them, or a question that
//! does not say what to type, fails here.

#[path = "support/pane.rs"]
mod pane;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use pane::{Pane, until};

/// What is typed at wrong moments; it must not be seen either.
const WRONG_PIN: &str = "wrOng-1n";

/// The PIN that a holder chooses.
fn pin_of(who: &str) -> String {
    format!("{:.4}+Zx9", format!("{who}xxxx"))
}

/// A question as it stands on the screen.
#[derive(Clone, Debug)]
struct Asked {
    /// Who is asked.
    who: String,
    /// The step.
    step: String,
    /// Everything below the head, as one line.
    text: String,
}

impl Asked {
    /// What tells it from other questions of its step, whatever words it asks for.
    fn kind(&self) -> String {
        format!("{} {} {:.5}", self.step, self.who, self.text)
    }
}

/// A person at a shell in a terminal.
struct Person {
    pane: Pane,
    /// How many prompts, of shell and program, there were when the last answer was given.
    answered: usize,
}

impl Person {
    /// At a shell whose prompt is the exit code of what ran before.
    fn at_shell(test: &str, size: (u16, u16)) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_trustroot")).parent().expect("a folder").display().to_string();
        let path = format!("PATH={program}:{}", std::env::var("PATH").unwrap_or_default());
        let pane = Pane::open(test, size, &["env", &path, "PS1=exit=$? $ ", "ENV=", "sh", "-i"]);
        let person = Self { pane, answered: 0 };
        person.stands();
        person
    }

    /// Looks until a prompt stands at the end that was not there before; the whole screen.
    fn stands(&self) -> String {
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
    fn enter(&mut self, line: &str) {
        self.answered = prompts(&self.stands());
        self.pane.enter(line);
    }

    /// Presses one key at the prompt that stands.
    fn press(&mut self, key: &str) {
        self.answered = prompts(&self.stands());
        self.pane.press(key);
    }

    /// Runs a command of the shell to its end; what it printed, with the prompt after it.
    fn run(&mut self, command: &str) -> String {
        self.enter(command);
        let screen = self.stands();
        screen[screen.rfind(command).expect("the command was echoed")..].to_owned()
    }

    /// The question that stands, or nothing if the shell does.
    fn asked(&self) -> Option<Asked> {
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
    fn answer(&self, asked: &Asked) -> String {
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
            return pin_of(&asked.who);
        }
        assert!(answer.starts_with("Enter, when it is done"), "{asked:?}");
        String::new()
    }

    /// Answers until a question of `step` says `what`.
    fn go_to(&mut self, step: &str, what: &str) -> Asked {
        while let Some(asked) = self.asked() {
            if asked.step == step && asked.text.contains(what) {
                return asked;
            }
            let answer = self.answer(&asked);
            self.enter(&answer);
        }
        panic!("`{what}` of {step} was not asked:\n{}", self.pane.screen());
    }

    /// Answers until the shell stands; the whole screen.
    fn go_to_the_end(&mut self) -> String {
        while let Some(asked) = self.asked() {
            let answer = self.answer(&asked);
            self.enter(&answer);
        }
        self.pane.screen()
    }

    /// After Ctrl-C: what is and is not done was said, the exit code was 130, and the terminal is as it was.
    fn is_stopped_at(&mut self, step: &str) -> String {
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

fn is_shell(line: &str) -> bool {
    line.starts_with("exit=") && line.ends_with('$')
}

/// How many prompts the screen shows, answered or not.
fn prompts(screen: &str) -> usize {
    screen.lines().filter(|line| line.starts_with('>') || line.starts_with("exit=")).count()
}

/// The words of the last digest on the screen, by their numbers.
fn shown_words(screen: &str) -> BTreeMap<usize, String> {
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
fn places(text: &str) -> Vec<usize> {
    let list = text.strip_prefix("Words ").and_then(|rest| rest.split_once(" of ")).map(|(list, _)| list);
    list.unwrap_or_default().split(", ").filter_map(|place| place.parse().ok()).collect()
}

/// Nothing typed unseen is anywhere: not on the screen, not in a file, not in an object of git.
fn is_nowhere(secret: &str, screens: &[&str], repository: &Path) {
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    assert!(!screens.iter().any(|screen| screen.contains(secret)), "a secret was on the screen");
    let mut folders = vec![repository.to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files += 1;
                assert!(!holds(&std::fs::read(&path).unwrap()), "a secret is in {}", path.display());
            }
        }
    }
    let git = ["cat-file", "--batch", "--batch-all-objects"];
    let objects = Command::new("git").arg("-C").arg(repository).args(git).output().unwrap();
    assert!(objects.status.success() && files > 20);
    assert!(!holds(&objects.stdout), "a secret is in an object of git");
}

#[test]
fn a_ceremony_is_held_by_hand_with_every_trouble_of_a_first_time() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("day");
    let shown = dir.display().to_string();
    let mut person = Person::at_shell("by-hand", (80, 24));
    person.enter(&format!("trustroot rehearse --holders 2 --threshold 2 --dir {shown}"));

    // In the middle of a holder's keys: the PIN is set, the key is not made.
    person.go_to("keys.alice.generate", "Generate the key");
    person.press("C-c");
    let said = person.is_stopped_at("keys.alice.generate");
    assert!(
        said.starts_with("\nIn the record: 5 events, the last at keys.alice.provision; nobody signed yet."),
        "{said}"
    );
    assert!(said.contains(&format!("trustroot -C {shown}")), "{said}");

    // Without a verb it goes on there; the PIN typed before holds, a wrong one costs a try.
    person.run(&format!("cd {shown}"));
    person.enter("trustroot");
    let asked = person.asked().expect("it goes on");
    assert_eq!(asked.step, "keys.alice.generate");
    let screen = person.pane.see("it goes on");
    assert!(screen.contains("note: This ceremony was begun before. 5 events are in its record"), "{screen}");
    person.go_to("keys.alice.generate", "tries left: 3");
    person.enter(WRONG_PIN);
    person.go_to("keys.alice.generate", "tries left: 2");
    assert!(person.pane.screen().contains("trouble: wrong PIN; tries left: 2."));

    // One wrong word.
    let asked = person.go_to("keys.alice.vouch", "Words ");
    let right = person.answer(&asked);
    person.enter(&format!("{right}s"));
    let again = person.asked().expect("it asks again");
    assert_eq!(again.text, asked.text);
    assert!(person.pane.screen().contains("trouble: These are not words "));

    // One key press for trouble, and an exception in the record.
    person.go_to("keys.bob.token", "plug in");
    person.answered = prompts(&person.stands());
    person.pane.type_("!");
    person.go_to("keys.bob.token", "Something is wrong");
    person.enter("exception");
    person.go_to("keys.bob.token", "What happened");
    person.enter("The stream was black for a minute.");
    person.go_to("keys.bob.token", "What was done about it");
    person.enter("The conductor told it again.");
    person.go_to("keys.bob.token", "plug in");
    assert!(person.pane.screen().contains("note: Exception 1 is in the record."));

    let screen = person.go_to_the_end();
    assert!(screen.trim_end().ends_with("exit=0 $"), "{screen}");
    assert!(screen.contains("SAY   | Exception 1, "), "{screen}");
    assert!(screen.contains("\nIt verifies. To see what was checked: trustroot verify --rehearsal "), "{screen}");
    println!("{}", screen.lines().find(|line| line.starts_with("Stops in this run: ")).expect("stops are counted"));
    for secret in [&pin_of("alice"), &pin_of("bob"), WRONG_PIN] {
        is_nowhere(secret, &[&screen], &dir);
    }
}

#[test]
fn the_words_asked_for_stand_on_the_screen_above_the_question() {
    let folder = tempfile::tempdir().unwrap();
    let mut person = Person::at_shell("words", (80, 24));
    person
        .enter(&format!("trustroot rehearse --holders 1 --threshold 1 --dir {}", folder.path().join("day").display()));
    let mut seen = 0;
    while let Some(asked) = person.asked() {
        let visible = person.pane.tmux(&["capture-pane", "-p"]);
        let visible = shown_words(&String::from_utf8_lossy(&visible.stdout));
        for place in places(&asked.text) {
            assert!(visible.contains_key(&place), "word {place} is not on the screen of {}", asked.kind());
            seen += 1;
        }
        let answer = person.answer(&asked);
        person.enter(&answer);
    }
    assert_eq!(seen, 15, "the plan's, two who heard the key, the review's, and another machine's");
}

#[test]
fn a_window_that_is_closed_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("day");
    let shown = dir.display().to_string();
    let mut person = Person::at_shell("closed", (60, 20));
    let rehearse = format!("trustroot rehearse --holders 1 --threshold 1 --dir {shown}");
    person.enter(&format!("sh -c 'echo pid=$$.; exec {rehearse}'"));
    person.go_to("sign.alice.sign", "The PIN of token");
    person.pane.type_(&pin_of("alice"));
    let before = person.pane.screen();
    let pid = before.rsplit("pid=").next().and_then(|rest| rest.split('.').next()).expect("a number").to_owned();
    let runs = || Command::new("kill").args(["-0", &pid]).output().is_ok_and(|out| out.status.success());
    assert!(runs());
    person.pane.tmux(&["kill-pane"]);
    until(|| !runs()).expect("the program ends with its window");

    let mut person = Person::at_shell("reopened", (120, 40));
    person.enter(&format!("trustroot -C {shown}"));
    let asked = person.asked().expect("it goes on");
    assert_eq!(asked.step, "sign.alice.sign");
    let after = person.go_to_the_end();
    assert!(after.contains("\nIt verifies.") && after.trim_end().ends_with("exit=0 $"), "{after}");
    is_nowhere(&pin_of("alice"), &[&before, &after], &dir);
}

#[test]
fn ctrl_c_at_every_question_leads_back_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let shown = folder.path().join("day").display().to_string();
    let mut person = Person::at_shell("every", (100, 40));
    person.enter(&format!("trustroot rehearse --holders 1 --threshold 1 --dir {shown}"));
    let mut stopped = BTreeSet::new();
    while let Some(asked) = person.asked() {
        if stopped.insert(asked.kind()) {
            person.press("C-c");
            person.is_stopped_at(&asked.step);
            person.enter(&format!("trustroot -C {shown}"));
            assert_eq!(person.asked().expect("it goes on").step, asked.step);
        } else {
            let answer = person.answer(&asked);
            person.enter(&answer);
        }
    }
    assert!(person.pane.screen().contains("\nIt verifies."));
    assert!(stopped.len() >= 16, "{stopped:?}");
}
