#!/bin/sh
# Installs manual pages, and for each function a link to the page that describes it.
#   install-man.sh MAN_FOLDER PAGE...
# What a page describes stands in its NAME: "stint_wg, stint_wg_new, ... - wait group".
# Behind some of the functions is a macro, and behind that NAME_at(): it is linked, too.
set -eu
man=$1
shift
headers=$(dirname "$0")/../lib/include/stint

described() {
    awk '/^\.SH/ { is_name = ($2 == "NAME"); next } is_name && !/^\./' "$1" | tr '\n' ' ' |
        sed 's/ - .*//; s/,/ /g; s/\\&//g'
}

for page in "$@"; do
    file=${page##*/}
    section=${file##*.}
    install -d "$man/man$section"
    install -m 644 "$page" "$man/man$section/$file"
    for name in $(described "$page"); do
        [ "$name.$section" != "$file" ] || continue
        echo ".so man$section/$file" > "$man/man$section/$name.$section"
        if grep -qw "${name}_at" "$headers"/*.h; then
            echo ".so man$section/$file" > "$man/man$section/${name}_at.$section"
        fi
    done
done
