"""Judges a trust root with python-tuf, the reference client.

Starts from FOLDER/root/1.root.json, or from the root that --from names, and refreshes to the end, from files and over HTTP. Then each file that was fetched
is spoiled by one bit, in memory, and must be refused: a client that accepts everything would prove nothing.
Run by scripts/cross-check, which installs python-tuf.
"""

import argparse
import functools
import http.server
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError
from tuf.api.metadata import Metadata
from tuf.ngclient import FetcherInterface, Updater

BASE = "http://repository.invalid/"


class Files(FetcherInterface):
    """Serves a folder without a network; `spoiled` is the one file that comes with a bit changed."""

    def __init__(self, folder, spoiled=None):
        self.folder, self.spoiled, self.fetched = folder, spoiled, []

    def _fetch(self, url):
        name = url.removeprefix(BASE)
        path = self.folder / name
        if not path.is_file():
            raise DownloadHTTPError("not found", 404)
        self.fetched.append(name)
        data = path.read_bytes()
        if name == self.spoiled:
            data = spoil(data)
        return iter([data])


def spoil(data):
    """The JSON with one bit of the first character of `expires` changed: still JSON, still of that length."""
    at = data.index(b'"expires"') + data[data.index(b'"expires"') + 9 :].index(b'"') + 9 + 1
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def newest(folder, role):
    """The highest number before `.ROLE.json`."""
    found = [re.fullmatch(rf"([1-9][0-9]*)\.{role}\.json", path.name) for path in folder.iterdir()]
    return max((int(match[1]) for match in found if match), default=None)


FIRST = 1
"""The root that clients start from; --from says another, where python-tuf does not read the first."""


def refresh(folder, base, fetcher, at):
    """Refreshes from nothing but the first root; raises whatever python-tuf raises."""
    bootstrap = (folder / f"{FIRST}.root.json").read_bytes()
    with tempfile.TemporaryDirectory() as store:
        updater = Updater(store, base, fetcher=fetcher, bootstrap=bootstrap)
        if at is not None:
            updater._trusted_set.reference_time = at  # python-tuf has no public way to say what time it is
        updater.refresh()
        trusted = updater._trusted_set
        ends = {"root": trusted.root.version, "snapshot": trusted.snapshot.version, "targets": trusted.targets.version}
    for role, version in ends.items():
        if version != newest(folder, role):
            raise ValueError(f"ended at {role} {version}; the newest file is {newest(folder, role)}.{role}.json")
    return ends


def check(folder, at):
    """All that is checked of one folder of metadata. Returns a line to print."""
    files = Files(folder)
    ends = refresh(folder, BASE, files, at)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        over_http = refresh(folder, f"http://127.0.0.1:{server.server_address[1]}/", None, at)
    finally:
        server.shutdown()
    assert over_http == ends, (over_http, ends)

    for name in dict.fromkeys(files.fetched):
        try:
            refresh(folder, BASE, Files(folder, spoiled=name), at)
        except Exception as error:  # whatever it is called, it must not be accepted
            refused = type(error).__name__
            if refused in ("AssertionError", "KeyError", "AttributeError", "TypeError"):
                raise
        else:
            raise SystemExit(f"cross-check: FAILED: python-tuf accepts {name} with a bit changed")
    versions = ", ".join(f"{role} {version}" for role, version in ends.items())
    return f"{versions}; {len(set(files.fetched))} files, each refused with a bit changed"


def states(repository):
    """Each state of `root/` that any commit ever published, oldest first: the version of its root, its folder, and when that
    was. What differs in pages alone is one state."""

    def git(*arguments):
        return subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, check=True).stdout

    if not (repository / ".git").exists():
        return
    seen = None
    for line in git("log", "--reverse", "--first-parent", "--format=%H %ct", "--", "root").decode().split("\n"):
        if not line:
            continue
        commit, time = line.split()
        folder = tempfile.TemporaryDirectory()
        archive = tarfile.open(fileobj=io.BytesIO(git("archive", commit, "root")))
        archive.extractall(folder.name, filter="data")
        then = Path(folder.name) / "root"
        metadata = {path.name: path.read_bytes() for path in then.glob("*.json")}
        if metadata != seen:
            seen = metadata
            yield newest(then, "root"), folder, datetime.fromtimestamp(int(time), timezone.utc)


def stopped(repository, at):
    """Clients that stopped at each state that was published, with what they stored or with nothing but its root, update to
    each later state at its time, and to the newest; and each state fits clients that are in the middle of their requests and
    do not see its root yet. What was committed after the time asked about, as a rehearsal of another day is, is looked at as of
    that time. Returns a line to print."""
    all_states = [
        (version, Path(folder.name) / "root", time if at is None else min(time, at), folder)
        for version, folder, time in states(repository)
        if version >= FIRST and (Path(folder.name) / "root" / "timestamp.json").exists()
    ]
    root = repository / "root"
    tried = 0

    def update(store, folder, time, bootstrap=None):
        nonlocal tried
        tried += 1
        updater = Updater(store, BASE, fetcher=Files(folder), bootstrap=bootstrap)
        if time is not None:
            updater._trusted_set.reference_time = time
        updater.refresh()
        return updater._trusted_set.root.version

    def expect(ended, version, what):
        if ended != version:
            raise ValueError(f"{what} ended at root {ended}, not {version}")

    for i, (version, then, time, _) in enumerate(all_states):
        with tempfile.TemporaryDirectory() as first:
            # Nobody could use a state whose root had expired; clients with nothing but that root still go on from it.
            usable = Metadata.from_file(str(then / f"{version}.root.json")).signed.expires > time
            if usable:
                bootstrap = (then / f"{FIRST}.root.json").read_bytes()
                expect(update(first, then, time, bootstrap), version, f"a new client at state {i + 1}")
            later = [(folder, moment, number) for number, folder, moment, _ in all_states[i + 1 :]]
            for folder, moment, number in [*later, (root, at, newest(root, "root"))]:
                if usable:
                    with tempfile.TemporaryDirectory() as store:
                        shutil.copytree(first, store, dirs_exist_ok=True, symlinks=True)
                        expect(update(store, folder, moment), number, f"a client that stopped at state {i + 1}")
                with tempfile.TemporaryDirectory() as store:
                    alone = (then / f"{version}.root.json").read_bytes()
                    expect(update(store, folder, moment, alone), number, f"a client with nothing but root {version}")
            # What a client sees that asked for the next root a moment before it was there.
            if usable and i + 1 < len(all_states) and all_states[i + 1][0] == version + 1:
                number, folder, moment, _ = all_states[i + 1]
                with tempfile.TemporaryDirectory() as half, tempfile.TemporaryDirectory() as store:
                    shutil.copytree(folder, half, dirs_exist_ok=True)
                    (Path(half) / f"{number}.root.json").unlink()
                    shutil.copytree(first, store, dirs_exist_ok=True, symlinks=True)
                    expect(update(store, Path(half), moment), version, f"a client in the middle of state {i + 1}")
                    expect(update(store, folder, moment), number, f"a client that was in the middle of state {i + 1}")
    return f"{tried} updates from and to {len(all_states)} states" if all_states else ""


def make(folder):
    """A small repository: two of two ECDSA keys for root and targets, root at version 2, Ed25519 for the rest."""
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import MetaFile, Root, Snapshot, Targets, Timestamp

    expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=2)
    holders = [CryptoSigner.generate_ecdsa(), CryptoSigner.generate_ecdsa()]
    online = CryptoSigner.generate_ed25519()
    root = Root(expires=expires, consistent_snapshot=True)
    for role, signers in {"root": holders, "targets": holders, "snapshot": [online], "timestamp": [online]}.items():
        for signer in signers:
            root.add_key(signer.public_key, role)
        root.roles[role].threshold = len(signers)

    def write(name, signed, signers):
        metadata = Metadata(signed)
        for signer in signers:
            metadata.sign(signer, append=True)
        metadata.to_file(str(folder / name))

    write("1.root.json", root, holders)
    root.version = 2
    write("2.root.json", root, holders)
    write("1.targets.json", Targets(expires=expires), holders)
    write("1.snapshot.json", Snapshot(expires=expires, meta={"targets.json": MetaFile(1)}), [online])
    write("timestamp.json", Timestamp(expires=expires, snapshot_meta=MetaFile(1)), [online])
    return expires


def self_test():
    """Shows that `check` accepts what is good and refuses what is not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expires = make(folder)
        line = check(folder, None)
        check(folder, expires - timedelta(days=1))

        def refused(what, at=None):
            try:
                check(folder, at)
            except Exception:
                return
            raise SystemExit(f"cross-check: FAILED: {what} is accepted")

        refused("expired metadata", expires + timedelta(days=1))
        (folder / "4.root.json").write_bytes((folder / "2.root.json").read_bytes())
        refused("a gap in the roots")
        (folder / "4.root.json").unlink()
        root = json.loads((folder / "2.root.json").read_text())
        root["signatures"] = root["signatures"][:1]
        (folder / "2.root.json").write_text(json.dumps(root))
        refused("a root with too few signatures")
    return line


def main():
    parser = argparse.ArgumentParser(prog="scripts/cross-check", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--at", type=lambda text: datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z"))
    parser.add_argument("--from", dest="first", type=int, default=1, metavar="N")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        print(f"cross-check: python-tuf judges as it should ({self_test()})")
        return
    if arguments.folder is None or not (arguments.folder / "root" / "1.root.json").is_file():
        parser.error("FOLDER holds no root/1.root.json")
    global FIRST
    FIRST = arguments.first
    try:
        line = check(arguments.folder / "root", arguments.at)
        line = "; ".join(filter(None, [line, stopped(arguments.folder, arguments.at)]))
    except Exception as error:
        sys.exit(f"cross-check: REFUSED by python-tuf: {type(error).__name__}: {str(error)!r}")
    start = "" if FIRST == 1 else f"from root {FIRST} on: "
    print(f"cross-check: accepted by python-tuf: {start}{line}")


if __name__ == "__main__":
    main()
