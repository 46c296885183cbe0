#!/bin/sh
# Includes point one way: a folder sees itself, the folders of its row, and <stint/...>.
#   layers.sh [FILE...]        all C files of lib/ and daemon/ when none is named
# Prints each include that breaks a row, as FILE:LINE: ...; exit 1 if there was one.
# The generated scripts.inc belongs to lib/wire. tests/ may include everything.
set -eu
cd "$(dirname "$0")/../.."
# shellcheck disable=SC2046 # no file name here has a blank in it
[ $# -gt 0 ] || set -- $(find lib daemon -name '*.[ch]' | sort)

awk '
BEGIN {
    lib = "lib/base lib/conc lib/plugin lib/wire lib/client"
    row["lib/include/stint"] = ""
    row["lib/base"] = ""
    row["lib/conc"] = "lib/base"
    row["lib/plugin"] = "lib/base"
    row["lib/wire"] = "lib/base scripts.inc"
    row["lib/client"] = "lib/base lib/wire"
    row["daemon/obs"] = "daemon/config " lib
    row["daemon/config"] = "daemon/obs " lib
    row["daemon/redis"] = "daemon/obs " lib
    row["daemon/queue"] = "daemon/redis daemon/config daemon/obs " lib
    row["daemon/handler"] = "daemon/config daemon/obs " lib
    row["daemon/host"] = "daemon/handler " lib
    row["daemon/core"] = row["daemon/queue"] " daemon/queue daemon/handler"
    row["daemon"] = row["daemon/core"] " daemon/core"
    row["daemon/ctl"] = "daemon/config " lib
    # what a public header may ask of the machine: the headers of C11
    n = split("assert complex ctype errno fenv float inttypes iso646 limits locale math " \
        "setjmp signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib " \
        "stdnoreturn string tgmath threads time uchar wchar wctype", name, " ")
    for (i = 1; i <= n; i++)
        is_c11[name[i] ".h"] = 1
}
function folder(path) {
    return path ~ /\// ? substr(path, 1, match(path, /\/[^\/]*$/) - 1) : path
}
function fault(text) {
    printf "%s:%d: %s\n", FILENAME, FNR, text
    status = 1
}
FNR == 1 {
    here = folder(FILENAME)
    sub(/^\.\//, "", here)
    if (!(here in row))
        fault("folder " here " has no row in layers.sh")
}
/^[ \t]*#[ \t]*include[ \t]*</ {
    file = $0
    sub(/^[^<]*</, "", file)
    sub(/>.*/, "", file)
    if (here == "lib/include/stint" && file !~ /^stint\// && !(file in is_c11))
        fault("public headers include only <stint/...> and the C library: " file)
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, part, "\"")
    to = folder(part[2])
    if (to != here && index(" " row[here] " ", " " to " ") == 0)
        fault(here " must not include " part[2])
    else if (here == "lib/include/stint")
        fault("public headers include only <stint/...> and the C library: " part[2])
}
END { exit status }
' "$@"
