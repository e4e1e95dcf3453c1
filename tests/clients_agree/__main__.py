"""Lets our client and python-tuf follow the same repositories, made by chance, and compares them after every step.

A repository lives for some steps. In each, its owners publish something, and often somebody attacks: a server that
changes what it serves, a thief of keys, a mistake of the owners. Then both clients refresh, look for a target and download
it. Both must do it, or both must refuse; and what each has stored must be the same bytes. At the end two new clients start
from the first root and must agree as well.

All of it follows from the seed, which is printed. Where the two differ, what was served and what both stored stays in
`DUMP/SEED-STEP`, and both sides' words are printed. Run by scripts/cross-check --clients, which installs python-tuf.
"""

import argparse
import collections
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deeds import ATTACKS, HONEST, none, nothing
from repository import Repository
from tuf.api.exceptions import DownloadHTTPError, UnsignedMetadataError
from tuf.api.metadata import Metadata
from tuf.ngclient import FetcherInterface, Updater

BASE = "http://repository.invalid/"
STEPS = 9


class Files(FetcherInterface):
    """Serves a folder without a network."""

    def __init__(self, folder):
        self.folder = folder

    def _fetch(self, url):
        path = self.folder / url.removeprefix(BASE)
        if not path.is_file():
            raise DownloadHTTPError("not found", 404)
        return iter([path.read_bytes()])


class Pair:
    """Both clients, each with its folder."""

    def __init__(self, program, room, first):
        self.program, self.room, self.first = program, room, first
        self.ours, self.theirs = room / "ours", room / "python-tuf"
        self.theirs.mkdir(parents=True)
        (room / "first.json").write_bytes(first)
        self.run_ours("init", str(room / "first.json"))

    def run_ours(self, *words):
        command = [self.program, "client", "--metadata-dir", str(self.ours), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def step(self, served, path):
        """Both follow what is served. Gives what each did, in one word, and what each said."""
        for folder in ("our targets", "their targets"):
            shutil.rmtree(self.room / folder, ignore_errors=True)
            (self.room / folder).mkdir()
        words = ["--metadata-url", str(served), "--target-base-url", str(served / "targets")]
        words += ["--target-name", path, "--target-dir", str(self.room / "our targets"), "download"]
        ours = self.run_ours(*words)
        if ours.returncode not in (0, 1):
            return ("fell over", f"exit code {ours.returncode}: {ours.stderr}"), ("", "")
        here = (self.room / "our targets" / path).read_bytes() if ours.returncode == 0 else b""
        return (("done " + here.hex() if ours.returncode == 0 else "refused"), ours.stderr), self.step_theirs(served, path)

    def step_theirs(self, served, path):
        bootstrap = None if (self.theirs / "root.json").exists() else self.first
        try:
            updater = Updater(
                str(self.theirs),
                BASE,
                target_dir=str(self.room / "their targets"),
                target_base_url=BASE + "targets/",
                fetcher=Files(served),
                bootstrap=bootstrap,
            )
            updater.refresh()
            target = updater.get_targetinfo(path)
            if target is None:
                return "refused", "no such target"
            file = updater.download_target(target)
            return "done " + Path(file).read_bytes().hex(), ""
        except Exception as error:  # whatever it is called, it is a refusal; an accident of python-tuf's own is one as well
            return "refused", repr(error)

    def stored(self):
        """What each has, by name: the bytes that it could use in its next run."""
        ours = {path.name: path.read_bytes() for path in self.ours.glob("*.json")}
        theirs = {path.name: path.read_bytes() for path in self.theirs.glob("*.json")}
        # Where online keys were replaced, we delete what the old ones signed (5.3.11), and python-tuf leaves it behind,
        # unusable, until something new comes.
        root = Metadata.from_bytes(theirs["root.json"])
        for role in ("timestamp", "snapshot"):
            if f"{role}.json" in theirs and f"{role}.json" not in ours:
                try:
                    root.verify_delegate(role, Metadata.from_bytes(theirs[f"{role}.json"]))
                except UnsignedMetadataError:
                    del theirs[f"{role}.json"]
        return ours, theirs


def differences(pair, served, path):
    """Lets both clients take a step, and says what is different, or nothing; and what both did."""
    (ours, said), (theirs, they_said) = pair.step(served, path)
    if ours != theirs:
        return f"ours: {ours}: {said}\npython-tuf: {theirs}: {they_said}", ours
    here, there = pair.stored()
    names = [name for name in sorted({*here, *there}) if here.get(name) != there.get(name)]
    if names:
        return f"both: {ours}\nstored otherwise: {', '.join(names)}\nours: {said}\npython-tuf: {they_said}", ours
    return "", ours


def live(program, seed, dump, seen):
    """One repository from its first step to its last. Whether both clients agreed."""
    chance = random.Random(seed)
    repository = Repository(chance)
    first = repository.files["1.root.json"]
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        pair = Pair(program, room / "steady", first)
        for step in range(STEPS + 1):
            if step < STEPS:
                deed = chance.choice(HONEST) if step else nothing
                deed(repository)
                attack = chance.choice(ATTACKS) if chance.random() < 0.7 else none
                # The last step is for newcomers, who see what was served before it.
                files, path = dict(repository.files), repository.some_path()
                thief = repository.copy()
                attack(thief, files)
            else:
                pair = Pair(program, room / "new", first)
            served = room / f"served-{step}"
            for file, data in files.items():
                place = served / file
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
            fault, did = differences(pair, served, path)
            seen[attack.__name__, did.split()[0]] += 1
            if fault:
                kept = dump / f"{seed}-{step}"
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(room, kept, symlinks=True)
                print(f"seed {seed}, step {step}: {deed.__name__}, {attack.__name__}, target {path!r}")
                print(fault, f"see {kept}", sep="\n")
                return False
    return True


def main():
    parser = argparse.ArgumentParser(prog="scripts/cross-check --clients", description=__doc__.splitlines()[0])
    parser.add_argument("program", help="the program trustroot")
    parser.add_argument("--seed", type=int, default=1, help="of the first repository; the others count up from it")
    parser.add_argument("--count", type=int, default=40, help="how many repositories")
    parser.add_argument("--dump", type=Path, required=True, help="the folder in which a case stays where they differ")
    arguments = parser.parse_args()
    seen = collections.Counter()
    seeds = range(arguments.seed, arguments.seed + arguments.count)
    differ = [seed for seed in seeds if not live(arguments.program, seed, arguments.dump, seen)]
    if differ:
        sys.exit(f"cross-check: FAILED: our client and python-tuf differ; again with --seed {differ[0]} --count 1")
    done = sum(count for (_, did), count in seen.items() if did == "done")
    attacks = {attack for attack, _ in seen}
    # A run in which nothing was refused, or nothing was taken, would show nothing.
    assert 0 < done < seen.total(), seen
    print(
        f"cross-check: our client and python-tuf agree on {len(seeds)} repositories from seed {arguments.seed}: "
        f"{seen.total()} steps, {done} done, {seen.total() - done} refused, {len(attacks)} kinds of attack"
    )


if __name__ == "__main__":
    main()
