#!/bin/sh
# Lay out the folder of a Hugging Face Space: make.sh FOLDER. Only what git tracks goes in.
set -eu

[ $# = 1 ] || { echo "usage: make.sh FOLDER" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
root=$(git -C "$here" rev-parse --show-toplevel)
mkdir -p "$1"
[ ! -e "$1/source" ] || { echo "make.sh: $1/source is there already; remove it first" >&2; exit 1; }
cp "$here/README.md" "$here/Dockerfile" "$1/"
mkdir "$1/source"
git -C "$root" archive HEAD pyproject.toml README.md LICENSE constraints.txt vortex_viewer model \
    assets deploy/system-packages.sh | tar -x -C "$1/source"
echo "Made $1. Next: git init there, add your Space as its remote, commit, push."
