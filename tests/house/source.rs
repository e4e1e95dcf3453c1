//! Reads Rust source as far as the house rules need it: which paths are named, and what is called.
//!
//! Comments and literals are dropped first, then every item under `#[cfg(test)]`. What is left is a list of words and
//! signs, so a path is seen wherever it stands: in `use`, in an expression, in a macro.

/// The words and signs of `text` without comments, literals and tests. `::` is one sign.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    without_tests(&lex(text))
}

fn lex(text: &str) -> Vec<String> {
    let c: Vec<char> = text.chars().collect();
    let at = |i: usize| c.get(i).copied().unwrap_or('\0');
    let (mut out, mut i) = (Vec::new(), 0);
    while i < c.len() {
        if at(i) == '/' && at(i + 1) == '/' {
            while i < c.len() && at(i) != '\n' {
                i += 1;
            }
        } else if at(i) == '/' && at(i + 1) == '*' {
            let mut depth = 1;
            i += 2;
            while i < c.len() && depth > 0 {
                match (at(i), at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
            }
        } else if at(i) == '"' {
            i = after_string(&c, i);
        } else if at(i) == '\'' {
            // A character, or a lifetime.
            if at(i + 1) == '\\' {
                i += 3;
                while i < c.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            } else if at(i + 2) == '\'' {
                i += 3;
            } else {
                i += 1;
            }
        } else if at(i).is_alphanumeric() || at(i) == '_' {
            let start = i;
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            let word: String = c[start..i].iter().collect();
            let raw = matches!(word.as_str(), "r" | "br" | "cr") && matches!(at(i), '"' | '#');
            if raw && (at(i) == '"' || c[i..].iter().find(|c| **c != '#') == Some(&'"')) {
                i = after_raw_string(&c, i);
            } else if raw {
                i += 1; // `r#name`
            } else if matches!(word.as_str(), "b" | "c") && at(i) == '"' {
                i = after_string(&c, i);
            } else {
                out.push(word);
            }
        } else if at(i) == ':' && at(i + 1) == ':' {
            out.push("::".into());
            i += 2;
        } else {
            if !at(i).is_whitespace() {
                out.push(at(i).to_string());
            }
            i += 1;
        }
    }
    out
}

fn after_string(c: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < c.len() && c[i] != '"' {
        i += if c[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

fn after_raw_string(c: &[char], start: usize) -> usize {
    let hashes = c[start..].iter().take_while(|c| **c == '#').count();
    let mut i = start + hashes + 1;
    while i < c.len() && !(c[i] == '"' && c[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes) {
        i += 1;
    }
    i + 1 + hashes
}

/// Leaves out `#[cfg(test)]`, the attributes after it, and the item that follows.
fn without_tests(tokens: &[String]) -> Vec<String> {
    const CFG: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut out, mut i) = (Vec::new(), 0);
    while i < tokens.len() {
        if tokens[i..].iter().map(String::as_str).take(CFG.len()).eq(CFG) {
            i += CFG.len();
            let mut depth = 0_i32;
            while i < tokens.len() {
                let token = tokens[i].as_str();
                i += 1;
                match token {
                    "{" | "(" | "[" => depth += 1,
                    "}" | ")" | "]" => depth -= 1,
                    _ => {}
                }
                if depth == 0 && matches!(token, "}" | ";") {
                    break;
                }
            }
        } else {
            out.push(tokens[i].clone());
            i += 1;
        }
    }
    out
}

/// Every path of two words or more, and every single word after `use` or `extern crate`.
pub(crate) fn paths(tokens: &[String]) -> Vec<Vec<String>> {
    let (mut out, mut i) = (Vec::new(), 0);
    while i < tokens.len() {
        if tokens[i] == "use" && (i == 0 || !matches!(tokens[i - 1].as_str(), "+" | ":")) {
            i = use_tree(tokens, i + 1, &[], &mut out);
        } else if tokens[i] == "extern" && tokens.get(i + 1).is_some_and(|t| t == "crate") {
            out.extend(tokens.get(i + 2).map(|name| vec![name.clone()]));
            i += 3;
        } else if is_word(&tokens[i]) && tokens.get(i + 1).is_some_and(|t| t == "::") {
            let mut path = vec![tokens[i].clone()];
            i += 1;
            while tokens.get(i).is_some_and(|t| t == "::") && tokens.get(i + 1).is_some_and(|t| is_word(t)) {
                path.push(tokens[i + 1].clone());
                i += 2;
            }
            out.push(path);
        } else {
            i += 1;
        }
    }
    out
}

fn use_tree(tokens: &[String], mut i: usize, prefix: &[String], out: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    while i < tokens.len() {
        match tokens[i].as_str() {
            "{" => {
                i += 1;
                while i < tokens.len() && tokens[i] != "}" {
                    i = use_tree(tokens, i, &path, out);
                    if tokens.get(i).is_some_and(|t| t == ",") {
                        i += 1;
                    }
                }
                return i + 1;
            }
            "," | ";" | "}" => break,
            "as" => i += 2,
            "::" => i += 1,
            word => {
                path.push(word.to_string());
                i += 1;
            }
        }
    }
    if path.len() > prefix.len() {
        out.push(path);
    }
    i
}

fn is_word(token: &str) -> bool {
    token.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
}

/// Whether one of `names` is called as a macro.
pub(crate) fn calls_macro(tokens: &[String], names: &[&str]) -> Option<String> {
    let pair = tokens.windows(2).find(|pair| names.contains(&pair[0].as_str()) && pair[1] == "!")?;
    Some(format!("{}!", pair[0]))
}

#[test]
fn comments_literals_and_tests_are_dropped() {
    let text = r##"
        // crate::a
        /* crate::b /* nested */ crate::c */
        let x = "crate::d \" crate::e"; let y = r#"crate::f " "#; let z = b"crate::g"; let q = '"'; let w = '\'';
        fn f<'a>(x: &'a str) { crate::real::call() }
        #[cfg(test)] mod tests { use crate::h; fn g() { crate::i::j() } }
        #[cfg(test)] #[path = "x.rs"] mod more;
        fn last() { crate::also::real() }
    "##;
    let paths: Vec<String> = paths(&tokens(text)).iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["crate::real::call", "crate::also::real"]);
}

#[test]
fn use_trees_are_unfolded() {
    let text = "use crate::{a::{B, c::D as E}, super_, self as me}; pub(crate) use git2; use x::*; extern crate y;";
    let paths: Vec<String> = paths(&tokens(text)).iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["crate::a::B", "crate::a::c::D", "crate::super_", "crate::self", "git2", "x::*", "y"]);
}
