"""Judges a trust root with python-tuf, the reference client.

Starts from FOLDER/root/1.root.json and refreshes to the end, from files and over HTTP. Then each file that was fetched
is spoiled by one bit, in memory, and must be refused: a client that accepts everything would prove nothing.
Run by scripts/cross-check, which installs python-tuf.
"""

import argparse
import functools
import http.server
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError
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


def refresh(folder, base, fetcher, at):
    """Refreshes from nothing but 1.root.json; raises whatever python-tuf raises."""
    bootstrap = (folder / "1.root.json").read_bytes()
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
    """Each state that was published: the version of its root, a copy of `root/` as it was then, and when that was."""
    git = ["git", "-C", str(repository)]
    listed = subprocess.run([*git, "tag", "--list", "*-root-*"], capture_output=True, text=True)
    for tag in listed.stdout.split() if listed.returncode == 0 else []:
        folder = tempfile.TemporaryDirectory()
        archive = subprocess.run([*git, "archive", tag, "root"], capture_output=True, check=True).stdout
        tarfile.open(fileobj=io.BytesIO(archive)).extractall(folder.name, filter="data")
        time = subprocess.run([*git, "log", "-1", "--format=%ct", tag], capture_output=True, text=True, check=True).stdout
        yield int(tag.rsplit("-", 1)[1]), folder, datetime.fromtimestamp(int(time), timezone.utc)


def stopped(repository, at):
    """Clients that stopped at each state that was published update to the newest, with what they stored; and each state
    fits clients that are in the middle of their requests and do not see its root yet. Returns a line to print."""
    all_states = sorted(states(repository), key=lambda state: state[0])
    root = repository / "root"

    def update(store, folder, time, bootstrap=None):
        updater = Updater(store, BASE, fetcher=folder, bootstrap=bootstrap)
        if time is not None:
            updater._trusted_set.reference_time = time
        updater.refresh()
        return updater._trusted_set.root.version

    for version, folder, time in all_states:
        then = Path(folder.name) / "root"
        with tempfile.TemporaryDirectory() as store:
            ended = update(store, Files(then), time, (then / "1.root.json").read_bytes())
            assert ended == version, (ended, version)
            ended = update(store, Files(root), at)
            assert ended == newest(root, "root"), (version, ended)
        if version > 1:
            # What a client sees that asked for the next root a moment before it was there.
            (then / f"{version}.root.json").unlink()
            with tempfile.TemporaryDirectory() as store:
                ended = update(store, Files(then), time, (then / f"{version - 1}.root.json").read_bytes())
                assert ended == version - 1, (ended, version)
    return f"clients that stopped at {len(all_states)} states update to the newest" if all_states else ""


def make(folder):
    """A small repository: two of two ECDSA keys for root and targets, root at version 2, Ed25519 for the rest."""
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

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
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        print(f"cross-check: python-tuf judges as it should ({self_test()})")
        return
    if arguments.folder is None or not (arguments.folder / "root" / "1.root.json").is_file():
        parser.error("FOLDER holds no root/1.root.json")
    try:
        line = check(arguments.folder / "root", arguments.at)
        line = "; ".join(filter(None, [line, stopped(arguments.folder, arguments.at)]))
    except Exception as error:
        sys.exit(f"cross-check: REFUSED by python-tuf: {type(error).__name__}: {str(error)!r}")
    print(f"cross-check: accepted by python-tuf: {line}")


if __name__ == "__main__":
    main()
