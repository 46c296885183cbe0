#!/bin/sh
# All that can be said of the tree without running it; `make lint` calls it.
#   LINT_CFLAGS=... BUILD=build lint.sh C_FILE...
# One line per check; what a check has found follows its line. Exit 1 if any failed.
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${BUILD:-build}
python=/usr/bin/python3
here=tests/lint
status=0
output=$(mktemp)
trap 'rm -f "$output"' EXIT

# check NAME COMMAND...
check() {
    name=$1
    shift
    begun=$(date +%s)
    if "$@" >"$output" 2>&1; then
        echo "ok    $name ($(($(date +%s) - begun)) s)"
    else
        echo "FAIL  $name"
        sed 's/^/      /' "$output"
        status=1
    fi
}

shell_files() {
    find .ci config lib packaging tests -name '*.sh' -o -path .ci/run \
        -o -path 'packaging/debian/*.p[or]*' | sort
}

lua_files() {
    find lib -name '*.lua' | sort
}

check 'format: as .clang-format says' clang-format --dry-run -Werror "$@"
check 'layers: includes point one way' $here/layers.sh
check 'api: exported symbols, headers on their own' $python $here/api.py "$BUILD"
check 'blanks and tabs' $python $here/text.py blanks
check 'columns' $python $here/text.py columns
check 'sizes of files and functions' $python $here/text.py sizes
check 'nothing left to be done' $python $here/text.py leftovers
check 'python compiles' $python $here/text.py python
# shellcheck disable=SC2046 # no file name here has a blank in it
check 'shell: shellcheck' shellcheck $(shell_files)
# shellcheck disable=SC2046
check 'lua compiles' luac5.1 -p $(lua_files)
check 'clang-tidy' $here/tidy.sh "$@"
exit $status
