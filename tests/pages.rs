//! The pages that people hold, and those of histories, as a browser lays them out: on paper, and on a telephone.
//!
//! Rules of what is looked at:
//! 1. Nothing is wider than the paper or the screen, and nothing is cut off inside its box.
//! 2. Each step has boxes for time and initials that a pen fits into, and no page break cuts a step that fits on a page.
//! 3. A page is whole by itself: no script, and nothing that is fetched.
//!
//! Needs a browser of the Chromium kind and `pdftotext` (packages chromium and poppler-utils); `scripts/setup test` installs
//! them, and `scripts/test` says so where they are not to be had.

#[path = "support/stage.rs"]
mod stage;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use stage::{Stage, instead, interject, one};
use trustroot::conduct::Ending;

/// The width of a narrow telephone, and that of the text on a sheet of A4, in CSS pixels.
const PHONE: u32 = 360;
const SHEET: u32 = 680;
/// What fits on a sheet of A4 between running head and foot, in CSS pixels.
const PAGE: f64 = 930.0;
/// The least box that a pen fits into, in CSS pixels: a centimetre wide, six millimetres high.
const BOX: (f64, f64) = (38.0, 23.0);

/// Pages by name: of our own rehearsal, and of one with names as long as they may be and an exception.
static PAGES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let mut pages = BTreeMap::new();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("ceremony");
    for folder in std::fs::read_dir(own).unwrap().map(|entry| entry.unwrap().path()) {
        for name in ["script.html", "record.html"].iter().filter(|name| folder.join(name).exists()) {
            pages.insert(format!("own {name}"), std::fs::read_to_string(folder.join(name)).unwrap());
        }
    }
    let long = "W".repeat(100);
    let stage = Stage::changed(3, 2, |plan| plan.replace("name = \"Alice Ashwood\"", &format!("name = \"{long}\"")));
    let logged =
        [instead("sign.bob.sign", "consent", interject()), instead("sign.bob.sign", "trouble", one("exception"))];
    assert_eq!(stage.hold(&logged).ending(), Ending::Closed);
    for name in ["script.html", "record.html"] {
        let page = stage.tree()[&format!("{}/{name}", stage.dir())].bytes().unwrap().to_vec();
        let page = String::from_utf8(page).unwrap();
        assert!(page.contains(&long));
        pages.insert(format!("long {name}"), page);
    }
    assert_eq!(pages.len(), 4);
    pages
});

/// Pages of histories by name, which tests/history left: each kind of trouble alone, and all of them together.
static HISTORIES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("histories");
    let left = std::fs::read_dir(&folder).expect("tests/history ran before (cargo test --test history)");
    let page = |path: std::path::PathBuf| {
        (format!("history {}", path.file_stem().unwrap().display()), std::fs::read_to_string(&path).unwrap())
    };
    let pages: BTreeMap<_, _> = left.map(|entry| page(entry.unwrap().path())).collect();
    assert!(pages.len() > 10 && pages.contains_key("history all"), "{:?}", pages.keys());
    pages
});

/// Runs the browser on a file, without a network; what it prints.
fn browser(folder: &Path, arguments: &[&str], file: &str) -> String {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names.iter().find(|name| {
        let version = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    });
    let output = Command::new("timeout")
        .args(["120", found.expect("a browser is there (package chromium)")])
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"])
        .args(["--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .args(arguments)
        .arg(format!("file://{}", folder.join(file).display()))
        .env("HOME", folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Looks at a page in a frame of some width: gives what is wrong, by lines, and the height of each step.
const LOOK: &str = r#"
const wrong = [], heights = [], doc = frame.contentDocument, view = frame.contentWindow;
const name = el => el.tagName + '.' + el.className + ' "' + el.textContent.trim().slice(0, 40) + '"';
for (const el of doc.body.querySelectorAll('*')) {
  if (el.closest('.stamp')) continue;
  const at = el.getBoundingClientRect(), style = view.getComputedStyle(el);
  if (at.width && (at.right > width + 0.5 || at.left < -0.5)) wrong.push('outside: ' + name(el));
  if (style.display !== 'inline' && el.clientWidth && el.scrollWidth > el.clientWidth + 1) wrong.push('too wide: ' + name(el));
  if (style.overflowY !== 'visible' && el.scrollHeight > el.clientHeight + 1) wrong.push('cut off: ' + name(el));
}
if (doc.documentElement.scrollWidth > width) wrong.push('the page scrolls sideways');
for (const step of doc.querySelectorAll('section')) {
  const outer = step.getBoundingClientRect();
  heights.push(Math.ceil(outer.height));
  for (const box of step.querySelectorAll('.fill span')) {
    const at = box.getBoundingClientRect();
    if (at.width < BOX_WIDTH || at.height < BOX_HEIGHT) wrong.push('no pen fits into: ' + name(box));
    if (at.left < outer.left || at.right > outer.right || at.bottom > outer.bottom) wrong.push('outside its step: ' + name(box));
  }
}
document.body.textContent = 'LOOKED ' + JSON.stringify({ wrong, heights }) + ' END';
"#;

/// What is wrong with the page at this width, and how high each of its steps is.
fn look(html: &str, width: u32) -> (Vec<String>, Vec<f64>) {
    let folder = stage::folder();
    // Inside a script, a tag must not end it.
    let text = serde_json::to_string(html).unwrap().replace("</", "<\\/");
    let look = LOOK.replace("BOX_WIDTH", &BOX.0.to_string()).replace("BOX_HEIGHT", &BOX.1.to_string());
    let around = format!(
        "<!doctype html><meta charset=utf-8><body><iframe style='width:{width}px;height:800px;border:0'></iframe><script>\n\
         const width = {width}, frame = document.querySelector('iframe');\n\
         frame.onload = () => {{ {look} }};\nframe.srcdoc = {text};\n</script>"
    );
    std::fs::write(folder.path().join("around.html"), around).unwrap();
    let dom = browser(folder.path(), &["--dump-dom"], "around.html");
    let found = dom.split_once("LOOKED ").and_then(|(_, rest)| rest.split_once(" END"));
    let (json, _) = found.unwrap_or_else(|| panic!("the browser did not look: {}", &dom[..dom.len().min(400)]));
    let json = json.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let list = |name: &str| value[name].as_array().unwrap().clone();
    let wrong = list("wrong").iter().map(|line| line.as_str().unwrap().to_owned()).collect();
    (wrong, list("heights").iter().map(|height| height.as_f64().unwrap()).collect())
}

/// The rules for paper, on a screen.
fn as_printed(html: &str) -> String {
    assert!(html.contains("@media print {"));
    html.replace("@media print {", "@media all {")
}

#[test]
fn nothing_is_too_wide_or_cut_off() {
    for (name, page) in &*PAGES {
        for (width, page) in [(PHONE, page.clone()), (SHEET, as_printed(page))] {
            let (wrong, heights) = look(&page, width);
            assert_eq!(wrong, [""; 0], "{name} at {width}");
            assert!(heights.len() > 15, "{name} has steps");
        }
    }
    // Every kind of trouble together, and histories in which there is little to tell.
    for name in ["history all", "history sigstore-layouts", "history none"] {
        let page = &HISTORIES[name];
        for (width, page) in [(PHONE, page.clone()), (SHEET, as_printed(page))] {
            assert_eq!(look(&page, width).0, [""; 0], "{name} at {width}");
        }
    }
    // Somebody who looks sees what is wrong.
    let wide = "<meta charset=utf-8><body style='margin:0'><p>A</p><div style='width:400px'>B</div>";
    assert!(look(wide, PHONE).0.iter().any(|line| line.contains("outside")));
    let cut = "<meta charset=utf-8><body><div style='height:20px;overflow:hidden'>A<br>B<br>C</div>";
    assert!(look(cut, PHONE).0.iter().any(|line| line.contains("cut off")));
}

#[test]
fn there_is_room_for_time_and_initials_at_each_step_of_the_script() {
    for (name, page) in PAGES.iter().filter(|(name, _)| name.ends_with("script.html")) {
        let steps: Vec<&str> = page.split("<section").skip(1).collect();
        for step in steps {
            let step = step.split("</section>").next().unwrap();
            for label in ["Time (UTC)", "Initials", "Exception"] {
                assert!(step.contains(label), "{name}: no box \"{label}\" in {step}");
            }
        }
    }
}

/// For each opening or closing tag of these kinds, in order: the sheet of paper that it is printed on.
fn sheets(html: &str, kind: &str) -> Vec<(usize, usize)> {
    let folder = stage::folder();
    let mark = |text: String| format!("<b style='position:absolute;font:4px monospace;color:#fff'>{text}</b>");
    let mut marked = String::new();
    let mut count = 0;
    for (i, part) in html.split(&format!("<{kind}")).enumerate() {
        if i == 0 {
            marked.push_str(part);
            continue;
        }
        let (tag, rest) = part.split_once('>').unwrap();
        let (inside, after) = rest.split_once(&format!("</{kind}>")).unwrap();
        let (from, to) = (mark(format!("QQB{i}QQ")), mark(format!("QQE{i}QQ")));
        marked.push_str(&format!("<{kind}{tag}>{from}{inside}{to}</{kind}>{after}"));
        count = i;
    }
    std::fs::write(folder.path().join("marked.html"), marked).unwrap();
    let pdf = folder.path().join("marked.pdf");
    browser(folder.path(), &["--no-pdf-header-footer", &format!("--print-to-pdf={}", pdf.display())], "marked.html");
    let output = Command::new("pdftotext").args([pdf.to_str().unwrap(), "-"]).output();
    let output = output.expect("pdftotext is there (package poppler-utils)");
    let text = String::from_utf8(output.stdout).unwrap();
    let sheets: Vec<&str> = text.split('\x0c').collect();
    let of = |mark: String| {
        let on = sheets.iter().position(|sheet| sheet.contains(&mark));
        on.unwrap_or_else(|| panic!("{mark} is not printed"))
    };
    (1..=count).map(|i| (of(format!("QQB{i}QQ")), of(format!("QQE{i}QQ")))).collect()
}

#[test]
fn no_page_break_cuts_a_step_that_fits_on_a_page() {
    for (name, page) in &*PAGES {
        let (_, heights) = look(&as_printed(page), SHEET);
        let steps = sheets(page, "section");
        assert_eq!(steps.len(), heights.len());
        for (i, ((from, to), height)) in steps.iter().zip(&heights).enumerate() {
            assert!(
                from == to || *height > PAGE,
                "{name}: step {} of {height} pixels is on sheets {from} to {to}",
                i + 1
            );
        }
        let cut = steps.iter().filter(|(from, to)| from != to).count();
        assert!(cut <= 1, "{name}: {cut} steps are longer than a sheet");
        assert!(steps.last().unwrap().1 >= 5, "{name} has sheets");
        // Rows of words that are read aloud stay together wherever they are.
        for (from, to) in sheets(page, "figure") {
            assert_eq!(from, to, "{name}: a digest is cut");
        }
    }
    let long = "<meta charset=utf-8><section>A<div style='height:2000px'></div>B</section><section>C</section>";
    let found = sheets(long, "section");
    assert!(found[0].0 < found[0].1 && found[1].0 == found[1].1, "{found:?}");
}

#[test]
fn pages_are_whole_by_themselves() {
    for (name, page) in PAGES.iter().chain(&*HISTORIES) {
        for fetched in [
            "<script",
            "<link",
            "<img",
            "<iframe",
            "<object",
            "src=",
            "@import",
            "url(",
            "onload",
            "http-equiv=\"refresh",
        ] {
            assert!(!page.contains(fetched), "{name}: {fetched}");
        }
        assert!(page.contains("default-src 'none'"), "{name} forbids it to browsers too");
    }
}
