"""What happens to a repository in one step: what its owners do, and what attackers do.

An attack changes what is served, for one step. Whoever signs has the keys: `thief` is a copy of the repository, to be
spoiled at will.
"""

import json

from tuf.api.metadata import MetaFile

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
