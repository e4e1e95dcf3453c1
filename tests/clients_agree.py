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
import copy
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import DownloadHTTPError, UnsignedMetadataError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.ngclient import FetcherInterface, Updater

BASE = "http://repository.invalid/"
STEPS = 9
TOP = ("root", "timestamp", "snapshot", "targets")
# RSA keys cannot be made from a seed, and take long: one serves all repositories.
RSA = CryptoSigner.generate_rsa()


class Files(FetcherInterface):
    """Serves a folder without a network."""

    def __init__(self, folder):
        self.folder = folder

    def _fetch(self, url):
        path = self.folder / url.removeprefix(BASE)
        if not path.is_file():
            raise DownloadHTTPError("not found", 404)
        return iter([path.read_bytes()])


class Repository:
    """What honest owners publish. `self.files` is all that was ever published, by name."""

    def __init__(self, chance):
        self.chance = chance
        self.expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=3)
        self.past = self.expires - timedelta(days=9)
        self.files = {}
        self.signers = {
            "root": [self.key() for _ in range(3)],
            "targets": [chance.choice([RSA, self.key()])],
            "snapshot": [self.key()],
            "timestamp": [self.key()],
        }
        self.root = Root(expires=self.expires, consistent_snapshot=chance.random() < 0.8)
        for role, signers in self.signers.items():
            for signer in signers:
                self.root.add_key(signer.public_key, role)
        self.root.roles["root"].threshold = 2
        self.hashes = chance.random() < 0.5
        self.snapshot = Snapshot(expires=self.expires)
        self.timestamp = Timestamp(expires=self.expires)
        self.targets = {"targets": Targets(expires=self.expires)}
        self.delegate()
        for role in list(self.targets):
            if chance.random() < 0.7:
                self.add_target(role)
        self.publish_root()
        self.publish()

    def copy(self):
        """Another one that can be changed without this one changing; keys cannot be copied, and need not be."""
        shared = {id(signer): signer for signers in self.signers.values() for signer in signers}
        return copy.deepcopy(self, shared | {id(self.chance): self.chance, id(self.files): self.files})

    # ------------------------------------------------------------------------------------------------- making

    def key(self):
        """A new key, of a kind that both know and that can be made from a seed."""
        if self.chance.random() < 0.5:
            secret = int.from_bytes(self.chance.randbytes(31), "big") + 1
            return CryptoSigner(ec.derive_private_key(secret, ec.SECP256R1()))
        return CryptoSigner(ed25519.Ed25519PrivateKey.from_private_bytes(self.chance.randbytes(32)))

    def delegate(self):
        """A few delegations: by path, by hash, in a circle, terminating; or hash bins."""
        top = self.targets["targets"]
        if self.chance.random() < 0.2:
            bins = SuccinctRoles([], 1, 2, "bin")
            top.delegations = Delegations(keys={}, roles=None, succinct_roles=bins)
            signer = self.key()
            top.add_key(signer.public_key)
            for role in bins.get_roles():
                self.targets[role], self.signers[role] = Targets(expires=self.expires), [signer]
            return
        names = [f"role {n}" for n in range(self.chance.randrange(5))]
        for name in names:
            self.targets[name], self.signers[name] = Targets(expires=self.expires), [self.key()]
        for name in names:
            above = self.chance.choice(["targets", *names])
            for parent in {above, "targets"} if self.chance.random() < 0.5 else {above}:
                self.delegate_one(self.targets[parent], name)

    def delegate_one(self, parent, name):
        paths, prefixes = [self.chance.choice(["*", "a*", "b?", "*/*", "d/?", "c"])], None
        if self.chance.random() < 0.25:
            paths, prefixes = None, self.chance.sample("0123456789abcdef", 8)
        if parent.delegations is None:
            parent.delegations = Delegations(keys={}, roles={})
        role = DelegatedRole(name, [], 1, self.chance.random() < 0.2, paths, prefixes)
        parent.delegations.roles[name] = role
        parent.add_key(self.signers[name][0].public_key, name)

    def add_target(self, role):
        path = self.path()
        content = self.chance.randbytes(self.chance.randrange(40))
        algorithms = self.chance.choice([["sha256"], ["sha512"], ["sha256", "sha512"]])
        self.targets[role].targets[path] = TargetFile.from_data(path, content, algorithms)
        for algorithm in algorithms:
            folder, slash, name = path.rpartition("/")
            prefix = f"{hashlib.new(algorithm, content).hexdigest()}." if self.root.consistent_snapshot else ""
            self.files[f"targets/{folder}{slash}{prefix}{name}"] = content

    def path(self):
        return self.chance.choice(["a", "b1", "c", "d/e", "d/f", "g/b"])

    def some_path(self):
        """Mostly the path of a target that is there."""
        known = sorted({path for targets in self.targets.values() for path in targets.targets})
        return self.chance.choice(known) if known and self.chance.random() < 0.8 else self.path()

    # --------------------------------------------------------------------------------------------- publishing

    @staticmethod
    def signed(metadata, signers):
        envelope = Metadata(metadata)
        for signer in signers:
            envelope.sign(signer, append=True)
        return envelope.to_bytes()

    def name(self, role, version):
        if role == "root":
            return f"{version}.root.json"
        number = f"{version}." if self.root.consistent_snapshot and role != "timestamp" else ""
        return f"{number}{quote(role, '')}.json"

    def promise(self, version, data):
        if not self.hashes:
            return MetaFile(version)
        return MetaFile.from_data(version, data, ["sha256"])

    def put(self, metadata, role, signers=None, files=None, version=None):
        """Signs and publishes; gives the promise that the file above makes of it."""
        data = self.signed(metadata, self.signers[role] if signers is None else signers)
        into = self.files if files is None else files
        into[self.name(role, metadata.version if version is None else version)] = data
        return self.promise(metadata.version, data)

    def publish_root(self):
        self.put(self.root, "root")

    def publish(self, files=None):
        """Publishes all but the root, as it is now."""
        for role, targets in self.targets.items():
            self.snapshot.meta[f"{role}.json"] = self.put(targets, role, files=files)
        self.publish_snapshot(files)

    def publish_snapshot(self, files=None):
        self.timestamp.snapshot_meta = self.put(self.snapshot, "snapshot", files=files)
        self.put(self.timestamp, "timestamp", files=files)

    def next(self):
        """Counts everything but the root up."""
        for each in [self.snapshot, self.timestamp, *self.targets.values()]:
            each.version += 1

    def next_root(self):
        self.root.version += 1
        self.publish_root()

    def rotate(self, roles):
        """New keys, and versions from the beginning: how owners recover from a thief of online keys."""
        for role in roles:
            for old in self.signers[role]:
                self.root.revoke_key(old.public_key.keyid, role)
            self.signers[role] = [self.key() for _ in self.signers[role]]
            for new in self.signers[role]:
                self.root.add_key(new.public_key, role)


# ------------------------------------------------------------------------------------------- what honest owners do


def nothing(_):
    """Nothing is new."""


def everything(repository):
    """A new version of everything but the root."""
    repository.add_target(repository.chance.choice(list(repository.targets)))
    repository.next()
    repository.publish()


def a_root(repository):
    """A new root."""
    repository.next_root()


def many_roots(repository):
    """Several new roots; those in between are expired."""
    repository.root.expires = repository.past
    for _ in range(repository.chance.randrange(2, 7)):
        repository.next_root()
    repository.root.expires = repository.expires
    repository.next_root()


def new_root_keys(repository):
    """Two of the three root keys are replaced; enough of the old ones sign, and enough of the new."""
    old = list(repository.signers["root"])
    repository.rotate(["root"])
    repository.root.version += 1
    repository.put(repository.root, "root", signers=old[:2] + repository.signers["root"])


def new_online_keys(repository):
    """New keys for timestamp and snapshot, whose versions begin anew."""
    repository.rotate(["timestamp", "snapshot"])
    repository.next_root()
    repository.snapshot.version = repository.timestamp.version = 0
    repository.next()
    repository.publish()


def new_targets_key(repository):
    """A new key for targets."""
    repository.rotate(["targets"])
    repository.next_root()
    repository.next()
    repository.publish()


def unknown_fields(repository):
    """Fields that nobody knows, in every file."""
    for each in [repository.root, repository.snapshot, repository.timestamp, *repository.targets.values()]:
        each.unrecognized_fields["x-note"] = {"n": [1, None, True, "ä"]}
    repository.next_root()
    everything(repository)


HONEST = [nothing, everything, everything, everything, a_root, many_roots, new_root_keys, new_online_keys, new_targets_key]
HONEST += [unknown_fields]


# ------------------------------------------------------------------------------------------- what attackers do
# Each changes what is served, for one step. Whoever signs has the keys: `thief` is the repository, to be spoiled at will.


def none(thief, files):
    """Nobody attacks."""


def root_by_too_few(thief, files):
    """The next root has one signature, of the two it needs."""
    thief.root.version += 1
    thief.put(thief.root, "root", signers=thief.signers["root"][:1], files=files)


def root_by_new_keys_only(thief, files):
    """The next root has new keys, and only they sign."""
    thief.rotate(["root"])
    thief.root.version += 1
    thief.put(thief.root, "root", files=files)


def root_by_old_keys_only(thief, files):
    """The next root has new keys, and only the old ones sign."""
    old = list(thief.signers["root"])
    thief.rotate(["root"])
    thief.root.version += 1
    thief.put(thief.root, "root", signers=old, files=files)


def root_one_signature_twice(thief, files):
    """The next root has one signature, and the same one again under the same key id."""
    thief.root.version += 1
    data = json.loads(thief.signed(thief.root, thief.signers["root"][:1]))
    data["signatures"] *= 2
    files[f"{thief.root.version}.root.json"] = json.dumps(data).encode()


def root_of_another_version(thief, files):
    """Under the next number lies a root that calls itself otherwise: the same version again, or one beyond."""
    name = f"{thief.root.version + 1}.root.json"
    thief.root.version += thief.chance.choice([-1, 0, 2])
    files[name] = thief.signed(thief.root, thief.signers["root"])


def root_expired(thief, files):
    """The newest root is expired."""
    thief.root.version += 1
    thief.root.expires = thief.past
    thief.put(thief.root, "root", files=files)


def root_gap(thief, files):
    """The next root is not there, the one after it is."""
    thief.root.version += 2
    thief.put(thief.root, "root", files=files)


def root_threshold_of_nobody(thief, files):
    """The next root asks for more signatures for its timestamp than it has keys."""
    thief.root.version += 1
    thief.root.roles["timestamp"].threshold = 2
    thief.put(thief.root, "root", files=files)


def timestamp_older(thief, files):
    """The timestamp goes back."""
    thief.timestamp.version = max(1, thief.timestamp.version - thief.chance.randrange(1, 3))
    thief.put(thief.timestamp, "timestamp", files=files)


def timestamp_same_again(thief, files):
    """A timestamp of the same version, with other content."""
    thief.timestamp.snapshot_meta = MetaFile(thief.snapshot.version + 5)
    thief.put(thief.timestamp, "timestamp", files=files)


def timestamp_expired(thief, files):
    """A newer timestamp, and it is expired."""
    thief.timestamp.version += 1
    thief.timestamp.expires = thief.past
    thief.put(thief.timestamp, "timestamp", files=files)


def timestamp_by_a_stranger(thief, files):
    """Somebody else signs the timestamp."""
    thief.timestamp.version += 1
    thief.put(thief.timestamp, "timestamp", signers=[thief.key()], files=files)


def timestamp_names_older_snapshot(thief, files):
    """A newer timestamp names an older snapshot."""
    thief.timestamp.version += 1
    version = max(1, thief.snapshot.version - 1)
    thief.timestamp.snapshot_meta = MetaFile(version)
    thief.put(thief.timestamp, "timestamp", files=files)


def fast_forward(thief, files):
    """A thief of the online keys signs versions far in the future."""
    thief.timestamp.version += 1000
    thief.snapshot.version += 1000
    thief.publish_snapshot(files)


def snapshot_of_another_version(thief, files):
    """The snapshot is not of the version that the timestamp names."""
    thief.snapshot.version += 1
    thief.timestamp.version += 1
    promised = thief.put(thief.snapshot, "snapshot", files=files, version=thief.snapshot.version + 1)
    promised.version += 1
    thief.timestamp.snapshot_meta = promised
    thief.put(thief.timestamp, "timestamp", files=files)


def snapshot_by_a_stranger(thief, files):
    """Somebody else signs the snapshot."""
    thief.signers["snapshot"] = [thief.key()]
    thief.snapshot.version += 1
    thief.timestamp.version += 1
    thief.publish_snapshot(files)


def snapshot_expired(thief, files):
    """The snapshot is expired."""
    thief.snapshot.expires = thief.past
    thief.snapshot.version += 1
    thief.timestamp.version += 1
    thief.publish_snapshot(files)


def snapshot_forgets(thief, files):
    """A newer snapshot no longer names a delegated targets file. (Without the top-level one it is no snapshot to us, and one
    to python-tuf until targets are asked for.)"""
    names = [role for role in thief.targets if role != "targets"]
    if names:
        del thief.snapshot.meta[f"{thief.chance.choice(names)}.json"]
    thief.snapshot.version += 1
    thief.timestamp.version += 1
    thief.publish_snapshot(files)


def snapshot_takes_targets_back(thief, files):
    """A newer snapshot names an older targets file."""
    role = thief.chance.choice(list(thief.targets))
    thief.targets[role].version = max(1, thief.targets[role].version - 1)
    thief.snapshot.version += 1
    thief.timestamp.version += 1
    thief.publish(files)


def snapshot_promises_too_little(thief, files):
    """The timestamp promises a shorter snapshot, or another hash."""
    thief.snapshot.version += 1
    thief.timestamp.version += 1
    data = thief.signed(thief.snapshot, thief.signers["snapshot"])
    files[thief.name("snapshot", thief.snapshot.version)] = data
    length, digest = (len(data) - 1, None) if thief.chance.random() < 0.5 else (None, {"sha256": "00" * 32})
    thief.timestamp.snapshot_meta = MetaFile(thief.snapshot.version, length, digest)
    thief.put(thief.timestamp, "timestamp", files=files)


def targets_of_another_version(thief, files):
    """A targets file is not of the version that the snapshot names."""
    role = thief.chance.choice(list(thief.targets))
    thief.next()
    thief.publish(files)
    data = thief.signed(thief.targets[role], thief.signers[role])
    version = thief.targets[role].version + 1
    files[thief.name(role, version)] = data
    promised = thief.promise(version, data)
    thief.snapshot.meta[f"{role}.json"] = promised
    thief.publish_snapshot(files)


def targets_by_a_stranger(thief, files):
    """Somebody else signs a targets file."""
    thief.signers[thief.chance.choice(list(thief.targets))] = [thief.key()]
    thief.next()
    thief.publish(files)


def targets_expired(thief, files):
    """A targets file is expired."""
    thief.targets[thief.chance.choice(list(thief.targets))].expires = thief.past
    thief.next()
    thief.publish(files)


def another_kind(thief, files):
    """One file lies where another should: signed by its own keys, and of another kind."""
    here, there = thief.chance.sample(["timestamp", "snapshot", "targets"], 2)
    version = {"timestamp": thief.timestamp, "snapshot": thief.snapshot, "targets": thief.targets["targets"]}
    data = files[thief.name(there, version[there].version)]
    files[thief.name(here, version[here].version)] = data


def a_file_is_missing(thief, files):
    """One of the newest files is not there."""
    del files[thief.chance.choice(newest(thief, files))]


def a_bit_is_changed(thief, files):
    """One bit of one of the newest files is another."""
    name = thief.chance.choice(newest(thief, files))
    data = bytearray(files[name])
    # The last digit of the version, a letter of a name, a quote: any of them must be noticed.
    at = thief.chance.choice([data.index(b'"signed"') + thief.chance.randrange(9, 60), data.index(b"sig") + 9])
    data[at] ^= 1
    files[name] = bytes(data)


def cut_short(thief, files):
    """One of the newest files ends in its middle."""
    name = thief.chance.choice(newest(thief, files))
    files[name] = files[name][: thief.chance.randrange(len(files[name]))]


def target_is_another(thief, files):
    """Every target has a byte too many, one too few, or another one."""
    change = thief.chance.choice([lambda data: data + b"x", lambda data: data[:-1], lambda data: b"y" + data[1:]])
    for name in [name for name in files if name.startswith("targets/")]:
        files[name] = change(files[name])


def targets_are_missing(_, files):
    """No target is there."""
    for name in [name for name in files if name.startswith("targets/")]:
        del files[name]


def newest(thief, files):
    """The names of the files that a client that is up to date has."""
    versions = [("timestamp", 0), ("snapshot", thief.snapshot.version)]
    versions += [(role, targets.version) for role, targets in thief.targets.items()]
    names = [thief.name(role, version) for role, version in versions]
    return [name for name in names if name in files]


ATTACKS = [
    none, root_by_too_few, root_by_new_keys_only, root_by_old_keys_only, root_one_signature_twice, root_of_another_version,
    root_expired, root_gap, root_threshold_of_nobody, timestamp_older, timestamp_same_again, timestamp_expired,
    timestamp_by_a_stranger, timestamp_names_older_snapshot, fast_forward, snapshot_of_another_version,
    snapshot_by_a_stranger, snapshot_expired, snapshot_forgets, snapshot_takes_targets_back, snapshot_promises_too_little,
    targets_of_another_version, targets_by_a_stranger, targets_expired, another_kind, a_file_is_missing, a_bit_is_changed,
    cut_short, target_is_another, targets_are_missing,
]  # fmt: skip


# ------------------------------------------------------------------------------------------------ the two clients


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
