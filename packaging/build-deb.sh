#!/bin/sh
# Builds the Debian packages from a copy of the tree.
#   build-deb.sh VERSION FOLDER
# The folder gets the packages, and a .changes file that lists them; the copy goes again.
# The same tree makes the same bytes: what has a time has that of the changelog.
set -eu
cd "$(dirname "$0")/.."
version=$1
folder=$2
stated=$(sed -n '1s/.*(\(.*\)-[^-]*).*/\1/p' packaging/debian/changelog)
if [ "$stated" != "$version" ]; then
    echo "build-deb.sh: packaging/debian/changelog has the version $stated, the Makefile $version" >&2
    exit 1
fi

mkdir -p "$folder"
copy=$folder/source
rm -rf "$copy" "$folder"/*.deb "$folder"/*.buildinfo "$folder"/*.changes
mkdir "$copy"
tar -c --exclude=./build --exclude=./.git --exclude=__pycache__ . | tar -x -C "$copy"
cp -R packaging/debian "$copy/debian"
if ! (cd "$copy" && env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS dpkg-buildpackage -us -uc -b) \
    >"$folder/build.log" 2>&1; then
    tail -n 50 "$folder/build.log" >&2
    echo "build-deb.sh: see $folder/build.log" >&2
    exit 1
fi
rm -rf "$copy"
ls "$folder"/*.deb
