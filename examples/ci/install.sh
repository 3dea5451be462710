#!/usr/bin/env bash
# Install `export` into the Python that is first in PATH: light, onnx or whole. Packages are pinned by hash.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
version=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
case ${1:-light} in
    light) files=(-r "$root/requirements/light.txt") ;;
    onnx) files=(-r "$root/requirements/light.txt" -r "$root/requirements/light-onnx.txt") ;;
    whole) files=(-r "$root/requirements/$version-all.txt") ;;
    *) echo "install is light, onnx or whole, not $1" >&2; exit 2 ;;
esac
python -m pip install --quiet --require-hashes "${files[@]}"
python -m pip install --quiet --no-deps "$root"
