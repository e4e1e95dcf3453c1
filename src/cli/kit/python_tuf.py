"""Follows the trust root with python-tuf: pip install "tuf>=7" "securesystemslib[crypto]"

Without securesystemslib[crypto] no ECDSA signature counts, and nothing says why.
Usage: python_tuf.py [1.root.json] [FOLDER FOR METADATA]
"""

import sys
from pathlib import Path

from tuf.ngclient import Updater

URL = "https://tuf.example.org"

first = Path(sys.argv[1] if len(sys.argv) > 1 else "1.root.json")
store = Path(sys.argv[2] if len(sys.argv) > 2 else "metadata")
updater = Updater(str(store), URL, target_base_url=f"{URL}/targets", bootstrap=first.read_bytes())
updater.refresh()
print("up to date: everything in", store, "is verified")
# target = updater.get_targetinfo("tool.tar.gz"); updater.download_target(target, "tool.tar.gz")
