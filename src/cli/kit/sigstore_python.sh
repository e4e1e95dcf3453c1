#!/bin/sh
# Lets sigstore-python trust an instance of Sigstore with this trust root: pip install "sigstore>=4"
# The targets have to hold trusted_root.json and signing_config.v0.2.json, as those of Sigstore do.
set -eu
sigstore --instance https://tuf.example.org trust-instance "${1:-1.root.json}"
echo "from now on: sigstore --instance https://tuf.example.org verify ..."
