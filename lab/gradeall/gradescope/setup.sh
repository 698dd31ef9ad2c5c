#!/bin/sh
# Gradescope runs this once, when it builds the image: as root, with this project in /autograder/source.
set -e
apt-get update
apt-get install -y --no-install-recommends python3 python3-venv make bubblewrap
# If submissions need another language, install it here, for instance: apt-get install -y --no-install-recommends nodejs
cd "${AUTOGRADER:-/autograder}/source"
make .venv/installed-test
