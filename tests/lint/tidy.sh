#!/bin/sh
# clang-tidy over C files, one process per processor; headers are seen from the files that
# include them. .clang-tidy at the root says which checks, tests/.clang-tidy what tests
# are spared (the slow analyzer above all).
#   LINT_CFLAGS=... tidy.sh FILE...
# LINT_CFLAGS: the compiler's flags, quoted as for a shell.
# Prints the findings; exit 1 if there was one.
set -eu
cd "$(dirname "$0")/../.."

if [ "${1-}" = --one ]; then
    file=$2
    eval "set -- $LINT_CFLAGS"
    # the count of what it suppressed goes to standard error, and errors of its own, too
    output=$(clang-tidy --quiet "$file" -- "$@" 2>&1) && exit 0
    printf '%s\n' "$output" | sed '/ warnings\{0,1\} \(generated\|treated as\)/d'
    exit 1
fi

# the largest take longest: first, so that no processor ends up waiting for one
for file in "$@"; do
    case $file in *.c) printf '%s\n' "$file" ;; esac
done | xargs wc -c | sort -rn | awk '$2 != "total" { print $2 }' |
    xargs -n 1 -P "$(nproc)" "$0" --one || exit 1
