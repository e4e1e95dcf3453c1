//! `trustroot client`: a TUF client on the command line, with the options that the public conformance suite uses.
//!
//! Its exit codes are 0 and 1 only: whatever is wrong, nothing was taken that was not verified.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use trustroot_client::source::{self, Source};
use trustroot_client::{Client, Error, Found, Limits, Progress, bootstrap};
use trustroot_core::digest::Digest;
use trustroot_core::text::escape;
use trustroot_core::trusted::TrustedRoot;

use super::failure::{Failure, Kind};
use super::{clock, print};
use crate::ui::report;

/// A TUF client: follow a trust root, and download what it vouches for.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The folder of the trusted metadata.
    #[arg(long, value_name = "DIR", global = true)]
    metadata_dir: Option<PathBuf>,
    /// Where the repository publishes its metadata: https, http, file, or a folder. Given again, a mirror.
    #[arg(long, value_name = "URL", global = true)]
    metadata_url: Vec<String>,
    /// The path of a target to download. Given again, another one.
    #[arg(long, value_name = "PATH", global = true)]
    target_name: Vec<String>,
    /// Where the repository publishes its targets. Given again, a mirror.
    #[arg(long, value_name = "URL", global = true)]
    target_base_url: Vec<String>,
    /// The folder that targets are downloaded into.
    #[arg(long, value_name = "DIR", global = true)]
    target_dir: Option<PathBuf>,
    /// Ask nobody: use what is in the folders.
    #[arg(long, global = true)]
    offline: bool,
    #[command(subcommand)]
    act: Act,
}

#[derive(clap::Subcommand)]
enum Act {
    /// Start from a root that you have from a place you trust.
    Init {
        /// The root: a file, or a URL together with --fingerprint.
        root: String,
        /// The payload digest of the root, as somebody said it elsewhere: 64 hexadecimal digits, or 32 words.
        #[arg(long, value_name = "HEX|WORDS")]
        fingerprint: Option<String>,
        /// Another place where the same root has to lie; nothing is taken if they differ. May be given several times.
        #[arg(long, value_name = "URL")]
        also: Vec<String>,
    },
    /// Bring the metadata up to date.
    Refresh,
    /// Bring the metadata up to date, and download targets.
    Download,
}

/// How often newer metadata that came during a download is followed at once.
const AGAIN: u32 = 3;

/// Runs the verb.
pub(super) fn run(here: &Path, args: &Args) -> Result<(), Failure> {
    let mut done = act(here, args);
    if let Err(failure) = &mut done {
        // 1, whatever it was: that is what those who drive clients expect.
        failure.kind = Kind::Refused;
    }
    done
}

fn act(here: &Path, args: &Args) -> Result<(), Failure> {
    let limits = Limits::default();
    let progress = Mutex::new(Shown::default());
    let Some(dir) = &args.metadata_dir else {
        return Err(Failure::new(Kind::Usage, "--metadata-dir is missing").hint("see --help"));
    };
    let client = Client::new(&here.join(dir), limits.clone()).watched(move |what| {
        if let Ok(mut shown) = progress.lock() {
            shown.show(what);
        }
    });
    match &args.act {
        Act::Init { root, fingerprint, also } => init(here, &client, &limits, root, fingerprint.as_deref(), also),
        Act::Refresh => refresh(here, args, &client, &limits, &[]).map(drop),
        Act::Download => download(here, args, &client, &limits),
    }
}

fn init(
    here: &Path,
    client: &Client,
    limits: &Limits,
    root: &str,
    fingerprint: Option<&str>,
    also: &[String],
) -> Result<(), Failure> {
    let address = located(here, root);
    let far = address.contains("://");
    if far && fingerprint.is_none() && !address.starts_with("file://") {
        let failure = Failure::new(Kind::Usage, "a root from the network is anybody's until its fingerprint is known");
        return Err(failure.hint("give --fingerprint with the digits or words that the project said elsewhere"));
    }
    let said = fingerprint.map(bootstrap::spoken).transpose()?;
    let bytes = bootstrap::fetch(&address, limits).map_err(|error| match error {
        Error::Fetch { .. } => {
            Failure::new(Kind::Refused, error.to_string()).hint("check the path or address of the root")
        }
        error => error.into(),
    })?;
    if let Some(said) = said {
        bootstrap::is_said(&bytes, &said, client.verifier())?;
    }
    for place in also {
        bootstrap::is_also_at(&bytes, &located(here, place), limits)?;
    }
    let trusted = client.init(&bytes)?;
    report::people(&begun(&trusted, fingerprint.is_some()));
    Ok(())
}

/// What people are told when a client begins.
fn begun(trusted: &TrustedRoot, said: bool) -> String {
    let root = trusted.metadata();
    let digest: Digest = root.payload().digest();
    let mut text = format!("begins at version {} of the root; payload digest {digest}\n", root.version());
    if !said {
        text.push_str("hint: compare this digest with one that the project published elsewhere\n");
    }
    if root.expires() <= clock::now() {
        text.push_str(&format!(
            "note: this root expired at {}. That is no fault: refresh looks for newer ones, each signed by the keys of the \
             one before. If none is found, get a newer root from the project\n",
            root.expires()
        ));
    }
    text
}

/// A path is meant from the folder that the command works in.
fn located(here: &Path, address: &str) -> String {
    if address.contains("://") { address.to_owned() } else { here.join(address).display().to_string() }
}

fn sources(here: &Path, urls: &[String], limits: &Limits, option: &str) -> Result<Vec<Box<dyn Source>>, Failure> {
    if urls.is_empty() {
        return Err(Failure::new(Kind::Usage, format!("{option} is missing")).hint("see --help"));
    }
    urls.iter().map(|url| source::from_text(&located(here, url), limits).map_err(Failure::from)).collect()
}

/// Refreshes, and finds the targets called `names`, in this order, as far as none is refused.
fn refresh(
    here: &Path,
    args: &Args,
    client: &Client,
    limits: &Limits,
    names: &[String],
) -> Result<Vec<Result<Found, Failure>>, Failure> {
    let mirrors = if args.offline { Vec::new() } else { sources(here, &args.metadata_url, limits, "--metadata-url")? };
    let mut session =
        if args.offline { client.offline(clock::now())? } else { client.refresh(&mirrors, clock::now())? };
    let (root, timestamp, snapshot) = session.trusted().set();
    let versions = [
        ("root", root.version()),
        ("timestamp", timestamp.version()),
        ("snapshot", snapshot.version()),
        ("targets", session.trusted().metadata().version()),
    ];
    let versions: Vec<_> = versions.iter().map(|(role, version)| format!("{role} {version}")).collect();
    let state = if args.offline { "as it lies here" } else { "up to date" };
    report::people(&format!("{state}: {}", versions.join(", ")));
    if !session.notes().is_empty() {
        report::people(&report::findings(session.notes()));
    }
    let mut found = Vec::new();
    for name in names {
        found.push(session.find(name).map_err(Failure::from));
        if found.last().is_some_and(Result::is_err) {
            break;
        }
    }
    Ok(found)
}

fn download(here: &Path, args: &Args, client: &Client, limits: &Limits) -> Result<(), Failure> {
    if args.target_name.is_empty() {
        return Err(Failure::new(Kind::Usage, "--target-name is missing").hint("see --help"));
    }
    let Some(dir) = &args.target_dir else {
        return Err(Failure::new(Kind::Usage, "--target-dir is missing").hint("see --help"));
    };
    let dir = here.join(dir);
    let bases =
        if args.offline { Vec::new() } else { sources(here, &args.target_base_url, limits, "--target-base-url")? };
    let (mut left, mut again) = (args.target_name.as_slice(), AGAIN);
    'refreshed: loop {
        for found in refresh(here, args, client, limits, left)? {
            let found = found?;
            if args.offline && !client.cached(&found, &dir)? {
                let what = format!("{} is not in the folder, or is not what is trusted", escape(&found.path));
                return Err(Failure::new(Kind::Refused, what).hint("download it once without --offline"));
            }
            match client.download(&found, &bases, &dir) {
                Ok(file) => print(&file.path.display().to_string())?,
                Err(error @ Error::Stale(_)) if again > 0 => {
                    report::people(&format!("note: {error}; that is followed now"));
                    again -= 1;
                    continue 'refreshed;
                }
                Err(error) => return Err(error.into()),
            }
            left = &left[1..];
        }
        return Ok(());
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if let Error::Refused(refusal) = &error {
            let hint = refusal.finding().hint.is_none().then(|| error.hint().to_owned());
            let mut failure = Self::new(Kind::Refused, "refused; nothing was kept that was not verified");
            failure.findings.push(refusal.finding().clone());
            failure.hints.extend(hint);
            return failure;
        }
        Self::new(Kind::Refused, error.to_string()).hint(error.hint())
    }
}

/// What is shown of the work, where somebody watches: at most two lines a second.
struct Shown {
    last: Instant,
    watched: bool,
}

impl Default for Shown {
    fn default() -> Self {
        Self { last: Instant::now(), watched: report::watched() }
    }
}

impl Shown {
    fn show(&mut self, what: Progress<'_>) {
        if let Progress::Mirror(error) = what {
            report::people(&format!("note: the next mirror is tried: {error}"));
            return;
        }
        if !self.watched || self.last.elapsed() < Duration::from_millis(500) {
            return;
        }
        self.last = Instant::now();
        match what {
            Progress::Root(version) => report::people(&format!("root {version} is verified …")),
            Progress::Target { path, have, of } => {
                report::people(&format!("{}: {have} of {of} bytes …", escape(path)));
            }
            Progress::Mirror(_) => {}
        }
    }
}
