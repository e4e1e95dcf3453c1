"""Measures our client beside those that others made: the same files, one server on this machine, one process a run.

    measure.py BUILT VENV NODE_MODULES [--roots N] [--targets N] [--runs N]

BUILT is the folder of the programs built for release: trustroot, and those of this folder. VENV holds python-tuf,
NODE_MODULES tuf-js, or is `missing`, which is said. Ours is the program that people install, as two processes, `client init`
and `client refresh`; each peer does both in one. Times are the least of several runs, memory is the most that a process held
at once, as the system counts it. Nothing is asserted: what is measured is printed, beside what it cannot be faster than.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
# Who takes as many seconds is not run again: so much is no noise.
LONG = 10
COLUMNS = "  {:<42} {:>12} {:>12} {:>9} {:>9}"


class Failed(Exception):
    """A client that did not get to the end; what it said."""


def run(command):
    """One process, and what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        raise Failed(f"{Path(command[0]).name}: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


class Clients:
    """How each client is run from a first root to the end, and how its version is then known."""

    def __init__(self, arguments):
        self.built, self.runs = Path(arguments.built).resolve(), arguments.runs
        self.ours = str(self.built / "trustroot")
        self.peers = {name: [str(self.built / f"{name}_client")] for name in ("tough", "sigstore_tuf")}
        python, modules = Path(arguments.venv).absolute() / "bin/python", Path(arguments.node_modules).absolute()
        if python.exists():
            self.peers["python-tuf"] = [str(python), str(HERE / "python_tuf.py")]
        if (modules / "tuf-js").exists():
            self.peers["tuf-js"] = ["node", str(HERE / "tuf_js.mjs"), str(modules)]
        self.peers = {name: how for name, how in self.peers.items() if name not in arguments.without}
        for name in {"python-tuf", "tuf-js"} - self.peers.keys() - set(arguments.without):
            print(f"note: {name} is not installed here and NOT measured", file=sys.stderr)

    def tool(self, *words):
        return run([str(self.built / "trustroot-peers"), *words])

    def measured(self, command):
        """Seconds and KiB of one process, and what it printed itself."""
        *said, last = self.tool("run", *command).split("\n")
        took, held = last.split()
        return float(took), int(held), "".join(said)

    def bare(self, *words):
        """The least seconds that the tool measured itself."""
        return min(float(self.tool(*words)) for _ in range(self.runs))

    def our_refresh(self, first, url, store):
        """Both verbs of the program: seconds, memory, and the version of the root that is stored then."""
        command = [self.ours, "client", "--metadata-dir", store, "--metadata-url", url]
        took, held = zip(*(self.measured([*command, *verb])[:2] for verb in (["init", first], ["refresh"])))
        return sum(took), max(held), self.tool("version", f"{store}/root.json")

    def refresh(self, name, folder, url, version):
        """The least time and memory of a refresh from the first root, which has to end at `version`."""
        times, memory = [], []
        while len(times) < self.runs and sum(times) < LONG:
            with tempfile.TemporaryDirectory() as room:
                first, store = str(folder / "1.root.json"), f"{room}/metadata"
                if name == "trustroot":
                    took, held, said = self.our_refresh(first, url, store)
                else:
                    took, held, said = self.measured([*self.peers[name], first, url, store])
                if said != str(version):
                    raise Failed(f"{name} ended at root {said}, not {version}")
                times.append(took)
                memory.append(held)
        return min(times), min(memory)


def line(what, seconds, held=None, time_ratio=None, memory_ratio=None):
    ratios = [f"{ratio:.2f}" if ratio else "" for ratio in (time_ratio, memory_ratio)]
    print(COLUMNS.format(what, f"{seconds * 1000:.1f} ms", f"{held / 1024:.1f} MiB" if held else "", *ratios), flush=True)


@contextlib.contextmanager
def served(clients, roots, targets):
    """A folder with one repository, and where it is served."""
    with tempfile.TemporaryDirectory() as room:
        clients.tool("generate", str(roots), str(targets), room)
        command = [str(clients.built / "trustroot-peers"), "serve", room]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            yield Path(room), server.stdout.readline().strip()
            server.stdin.close()


def measure(clients, title, roots, targets):
    """One repository, every client."""
    with served(clients, roots, targets) as (folder, url):
        print("\n" + COLUMNS.format(title, "time", "memory", "by ours", "by ours"))
        checks = clients.bare("checks", str(folder))
        transfer = clients.bare("transfer", str(roots), url)
        line("signature checks alone, on all cores", checks)
        line("transfer alone, as many connections", transfer)
        ours, held = clients.refresh("trustroot", folder, url, roots)
        line("trustroot", ours, held, 1, 1)
        peers = {}
        for name in clients.peers:
            try:
                peers[name] = clients.refresh(name, folder, url, roots)
                line(name, *peers[name], peers[name][0] / ours, peers[name][1] / held)
            except Failed as failed:
                print(f"  {name:<42} NOT measured: {failed}")
        print(f"  ours by the bare cost of checks and transfer: {ours / (checks + transfer):.2f}")
        for what, index, mine in (("fastest", 0, ours), ("smallest", 1, held)):
            best = min(peers, key=lambda name: peers[name][index], default=None)
            if best:
                print(f"  the {what} peer, {best}, by ours: {peers[best][index] / mine:.2f}")


def sizes(clients):
    print("\nsize of what is run, stripped of nothing")
    for what, name in (
        ("trustroot, the whole program", "trustroot"),
        ("trustroot-client, the library alone", "trustroot_client"),
        ("tough", "tough_client"),
        ("sigstore_tuf", "sigstore_tuf_client"),
    ):
        print(f"  {what:<42} {(clients.built / name).stat().st_size / 1e6:9.1f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("built", "venv", "node_modules"):
        parser.add_argument(name)
    parser.add_argument("--roots", type=int, default=1000)
    parser.add_argument("--targets", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--without", action="append", default=[], help="a peer that is left out")
    arguments = parser.parse_args()
    clients = Clients(arguments)
    print("Every peer's limit of roots in one run is raised by its own setting: sigstore-tuf from 32, python-tuf and tuf-js")
    print("from 256, tough from 1,024. Ours has none.")
    measure(clients, f"{arguments.roots:,} roots, 3 of 5 signers, P-256", arguments.roots, 1)
    measure(clients, f"{arguments.targets:,} targets, one root", 1, arguments.targets)
    measure(clients, "one root, one target: starting", 1, 1)
    sizes(clients)


if __name__ == "__main__":
    main()
