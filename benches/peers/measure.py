"""Measures our client beside those that others made: the same files, one server on this machine, one process a run.

    measure.py BUILT VENV NODE_MODULES [--roots N] [--targets N] [--runs N]

BUILT is the folder of the programs built for release: trustroot, and those of this folder. VENV holds python-tuf,
NODE_MODULES tuf-js, or is `missing`, which is said. Ours stands there three times: as the two programs that people install,
`trustroot client` and `trustroot-client`, each in two processes, `init` and `refresh`; and as the library in a program of its
own, in one process, as every peer is. Times are the
least of several runs. Memory is the most that a process held at once, as the system counts it: with the pages of its own
file that it touched. Nothing is asserted: what is measured is printed, beside what it cannot be faster than.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
# Who takes as many seconds is not run again: so much is no noise. Nobody is waited for longer than this.
LONG, LONGEST = 10, 150
COLUMNS = "  {:<42} {:>12} {:>12} {:>9} {:>9}"


class Failed(Exception):
    """A client that did not get to the end; what it said."""


def run(command):
    """One process with all that it starts, and what it printed."""
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "errors": "replace", "start_new_session": True}
    with subprocess.Popen(command, **how) as child:
        try:
            said, complained = child.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            raise Failed(f"it took longer than {LONGEST} s") from None
    if child.returncode != 0:
        raise Failed(f"{Path(command[0]).name}: {complained.strip()[-300:]}")
    return said.strip()


class Clients:
    """How each client is run from a first root to the end, and how its version is then known."""

    def __init__(self, arguments):
        self.built, self.runs = Path(arguments.built).resolve(), arguments.runs
        self.programs = {
            "trustroot client": [str(self.built / "trustroot"), "client"],
            "trustroot-client": [str(self.built / "trustroot-client")],
        }
        self.library = [str(self.built / "trustroot_client")]
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

    def ours(self, program, first, url, store):
        """Both verbs of one of our programs: seconds, seconds of the refresh alone, KiB, and the version that it ended at."""
        command = [*program, "--metadata-dir", store, "--metadata-url", url]
        init, held, _ = self.measured([*command, "init", first])
        refresh, most, _ = self.measured([*command, "refresh"])
        return init + refresh, refresh, max(held, most), self.tool("version", f"{store}/root.json")

    def refresh(self, run, folder, version):
        """The least of each figure that `run` gives for a refresh from the first root, which has to end at `version`."""
        figures = []
        while len(figures) < self.runs and sum(one[0] for one in figures) < LONG:
            with tempfile.TemporaryDirectory() as room:
                *figure, said = run(str(folder / "1.root.json"), f"{room}/metadata")
                if said != str(version):
                    raise Failed(f"it ended at root {said}, not {version}")
                figures.append(figure)
        return [min(of) for of in zip(*figures)]


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
        line("transfer alone, over six connections", transfer)

        def both(program):
            return lambda first, store: clients.ours(program, first, url, store)

        def one(command):
            return lambda first, store: clients.measured([*command, first, url, store])

        figures = {name: clients.refresh(both(program), folder, roots) for name, program in clients.programs.items()}
        # The one that does what a peer does, and nothing else.
        whole, refresh, least = figures["trustroot-client"]
        for name, (took, alone, held) in figures.items():
            line(f"{name}, init and refresh", took, held, took / whole, held / least)
            line(f"{name}, the refresh alone", alone)
        took, held = clients.refresh(one(clients.library), folder, roots)
        line("the library in a program of its own", took, held, took / whole, held / least)
        peers = {}
        for name, command in clients.peers.items():
            try:
                peers[name] = clients.refresh(one(command), folder, roots)
                line(name, *peers[name], peers[name][0] / whole, peers[name][1] / least)
            except Failed as failed:
                print(f"  {name:<42} NOT measured: {failed}", flush=True)
        print(f"  our refresh by the bare cost of checks and transfer: {refresh / (checks + transfer):.2f}")
        for what, index, ours in (("fastest", 0, whole), ("smallest", 1, least)):
            best = min(peers, key=lambda name: peers[name][index], default=None)
            if best:
                print(f"  the {what} peer, {best}, by ours: {peers[best][index] / ours:.2f}")


def sizes(clients):
    print("\nsize of what is run, stripped of nothing")
    for what, name in (
        ("trustroot, with all that ceremonies need", "trustroot"),
        ("trustroot-client", "trustroot-client"),
        ("the library in a program of its own", "trustroot_client"),
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
    print("Our two programs are built as they are released, in one piece; the library's program and the peers as cargo builds.")
    measure(clients, f"{arguments.roots:,} roots, 3 of 5 signers, P-256", arguments.roots, 1)
    measure(clients, f"{arguments.targets:,} targets, one root", 1, arguments.targets)
    measure(clients, "one root, one target: starting", 1, 1)
    sizes(clients)


if __name__ == "__main__":
    main()
