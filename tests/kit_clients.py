"""Runs the snippets of a bootstrap kit, each as it was written for people, against the repository that it was made for.

    kit_clients.py PROGRAM REPOSITORY [NODE_MODULES]

The repository is served on this machine. Each snippet has to end well, and has to refuse when one bit of the newest
timestamp is another. Run by scripts/cross-check --kit, which installs the clients; those that are missing are named.
"""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path


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


def main():
    program, repository = sys.argv[1], Path(sys.argv[2])
    modules = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        shutil.copytree(repository / "root", room / "served")
        server, url = serve(room / "served")
        kit = room / "kit"
        made = [program, "status", str(repository), "--bootstrap-kit", str(kit), "--url", url]
        subprocess.run(made, check=True, capture_output=True)
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
            newest = max(int(path.name.split(".")[0]) for path in (kit / "chain").iterdir())
            stored = (room / f"{client} store" / "root.json").read_bytes()
            assert stored == (room / f"served/{newest}.root.json").read_bytes(), (client, "did not reach the newest root")
        spoil(room / "served/timestamp.json")
        for client in clients:
            assert run(client, room / f"{client} other").returncode != 0, (client, "accepts a timestamp that nobody signed")
        server.shutdown()
    print(f"cross-check: the kit's snippets for {' and '.join(clients)} follow the trust root, and refuse a changed timestamp")


if __name__ == "__main__":
    main()
