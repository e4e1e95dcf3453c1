//! Whole ceremonies held by hand: the program in a pane of `tmux`, answered as a person answers it, from the screen alone.

#[path = "support/pane.rs"]
mod pane;
#[path = "support/person.rs"]
mod person;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use pane::until;
use person::{Person, places, prompts, shown_words};

/// What is typed at wrong moments; it must not be seen either.
const WRONG_PIN: &str = "wrOng-1n";

/// The PIN that a holder chooses.
fn pin_of(who: &str) -> String {
    format!("{:.4}+Zx9", format!("{who}xxxx"))
}

fn at_shell(test: &str, size: (u16, u16)) -> Person {
    Person::at_shell(test, size, &[], |asked| pin_of(&asked.who))
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
    let mut person = at_shell("by-hand", (80, 24));
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
    let mut person = at_shell("words", (80, 24));
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
    let mut person = at_shell("closed", (60, 20));
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

    let mut person = at_shell("reopened", (120, 40));
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
    let mut person = at_shell("every", (100, 40));
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
