"""A repository that its owners change and publish. Everything about it follows from a source of chance."""

import copy
import hashlib
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from securesystemslib.signer import CryptoSigner
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

# RSA keys cannot be made from a seed, and take long: one serves all repositories.
RSA = CryptoSigner.generate_rsa()


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
