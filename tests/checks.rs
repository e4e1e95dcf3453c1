//! Every check has one paragraph in `docs/checks.md`, in the order of the code, and every paragraph is a check's.

use trustroot_core::check::Check;

#[test]
fn every_check_has_its_paragraph_in_order() {
    let page = include_str!("../docs/checks.md");
    let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let names: Vec<&str> = Check::ALL.iter().map(|check| check.name()).collect();
    assert_eq!(headings, names);
}

#[test]
fn no_paragraph_is_empty() {
    let page = include_str!("../docs/checks.md");
    for part in page.split("\n## ").skip(1) {
        let (name, text) = part.split_once('\n').unwrap_or((part, ""));
        let text = text.split("\n# ").next().unwrap_or_default().trim();
        assert!(text.starts_with("Looks ") || text.starts_with("Stands "), "{name} does not say what it looks at");
        assert!(text.len() > 120, "{name} says too little");
    }
}
