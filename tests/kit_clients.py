"""Runs the snippets of a bootstrap kit, each as it was written for people, against the repository that it was made for.

    kit_clients.py PROGRAM REPOSITORY [NODE_MODULES]

The repository is served on this machine. Each snippet has to end well, and has to refuse when one bit of the newest
timestamp is another. Run by scripts/cross-check --kit, which installs the clients; those that are missing are named.

sigstore-python wants two targets that no ceremony signs: with the repository itself it has to reach the newest root, and
stop for want of them; it has to end well with a second repository, made here, whose targets are those of Sigstore.

The snippets for go-tuf and cosign are NOT run: both come as Go modules alone, and neither from PyPI, npm or Debian 12.
"""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote

import sigstore
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serve(folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}"


def spoil(path):
    """One bit of the first digit of the version: still JSON, and signed by nobody."""
    data = bytearray(path.read_bytes())
    data[data.index(b'"version"') + 10] ^= 1
    path.write_bytes(data)


def write_kit(program, repository, kit, url):
    made = [program, "status", str(repository), "--bootstrap-kit", str(kit), "--url", url]
    subprocess.run(made, check=True, capture_output=True)


def newest_root(kit):
    """The root that a kit's chain ends with."""
    chain = {int(path.name.split(".")[0]): path for path in (kit / "chain").iterdir()}
    return chain[max(chain)].read_bytes()


def like_sigstore(repository):
    """A trust root in a git repository: two roots of different keys, and the targets that sigstore-python comes with."""
    root = repository / "root"
    (root / "targets").mkdir(parents=True)
    expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=1)
    old, new = CryptoSigner.generate_ecdsa(), CryptoSigner.generate_ecdsa()

    def put(name, signed, *signers):
        metadata = Metadata(signed)
        for signer in signers:
            metadata.sign(signer, append=True)
        (root / name).write_bytes(metadata.to_bytes())

    roles = Root(expires=expires)
    for role in roles.roles:
        roles.add_key(old.public_key, role)
    put("1.root.json", roles, old)
    roles.version = 2
    roles.revoke_key(old.public_key.keyid, "root")
    roles.add_key(new.public_key, "root")
    put("2.root.json", roles, old, new)

    targets = Targets(expires=expires)
    store = Path(sigstore.__file__).parent / "_store" / quote("https://tuf-repo-cdn.sigstore.dev", safe="")
    for name in ("trusted_root.json", "signing_config.v0.2.json"):
        data = (store / name).read_bytes()
        targets.targets[name] = TargetFile.from_data(name, data, ["sha256"])
        (root / "targets" / f"{targets.targets[name].hashes['sha256']}.{name}").write_bytes(data)
    put("1.targets.json", targets, old)
    put("1.snapshot.json", Snapshot(expires=expires, meta={"targets.json": MetaFile(1)}), old)
    put("timestamp.json", Timestamp(expires=expires, snapshot_meta=MetaFile(1)), old)

    git = ["git", "-C", str(repository), "-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for verb in (["init", "--quiet"], ["add", "root"], ["commit", "--quiet", "--message", "A trust root"]):
        subprocess.run([*git, *verb], check=True, capture_output=True)


def trust_instance(kit, home):
    """Runs the kit's snippet for sigstore-python in a home of its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    # Wide, so that no message is broken into lines.
    env |= {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{env['PATH']}", "COLUMNS": "200"}
    snippet = ["sh", "clients/sigstore_python.sh", "1.root.json"]
    return subprocess.run(snippet, cwd=kit, env=env, capture_output=True, text=True, timeout=60)


def check_sigstore_python(program, room, rehearsed, url):
    def stored(home, url):
        return (home / ".local/share/sigstore-python/tuf" / quote(url, safe="") / "root.json").read_bytes()

    done = trust_instance(rehearsed, room / "home 1")
    assert done.returncode != 0 and "no trusted root" in done.stderr, done.stderr[-600:]
    assert stored(room / "home 1", url) == newest_root(rehearsed), "sigstore-python did not reach the newest root"

    like_sigstore(room / "instance")
    served = room / "instance/root"
    server, url = serve(served)
    kit = room / "instance kit"
    write_kit(program, room / "instance", kit, url)
    done = trust_instance(kit, room / "home 2")
    assert done.returncode == 0, done.stderr[-600:]
    assert stored(room / "home 2", url) == newest_root(kit) == (served / "2.root.json").read_bytes()
    spoil(served / "timestamp.json")
    done = trust_instance(kit, room / "home 3")
    assert done.returncode != 0 and "Failed to refresh" in done.stderr, done.stderr[-600:]
    server.shutdown()


def main():
    program, repository = sys.argv[1], Path(sys.argv[2])
    modules = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        shutil.copytree(repository / "root", room / "served")
        server, url = serve(room / "served")
        kit = room / "kit"
        write_kit(program, repository, kit, url)
        clients = {"python-tuf": [sys.executable, "clients/python_tuf.py"]}
        if modules is not None:
            # As npm leaves it for whoever installed tuf-js beside the snippet.
            os.symlink(modules.resolve(), kit / "node_modules")
            clients["tuf-js"] = ["node", "clients/tuf_js.mjs"]

        def run(client, store):
            return subprocess.run([*clients[client], "1.root.json", str(store)], cwd=kit, capture_output=True, text=True, timeout=60)

        for client in clients:
            done = run(client, room / f"{client} store")
            assert done.returncode == 0, (client, done.stderr[-600:])
            stored = (room / f"{client} store" / "root.json").read_bytes()
            assert stored == newest_root(kit), (client, "did not reach the newest root")
        check_sigstore_python(program, room, kit, url)
        spoil(room / "served/timestamp.json")
        for client in clients:
            assert run(client, room / f"{client} other").returncode != 0, (client, "accepts a timestamp that nobody signed")
        server.shutdown()
    names = ", ".join([*clients, "sigstore-python"])
    print(f"cross-check: the kit's snippets for {names} follow the trust root, and refuse a changed timestamp")


if __name__ == "__main__":
    main()
