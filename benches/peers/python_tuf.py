"""python-tuf, from a first root to the end: python_tuf.py ROOT URL STORE"""

import sys
from pathlib import Path

from tuf.ngclient import Updater, UpdaterConfig

first, url, store = sys.argv[1:]
updater = Updater(store, url, bootstrap=Path(first).read_bytes(), config=UpdaterConfig(max_root_rotations=100_000))
updater.refresh()
print(updater._trusted_set.root.version)
