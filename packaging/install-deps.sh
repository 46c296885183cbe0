#!/bin/sh
# Installs the Debian packages that a purpose needs and that are missing; nothing else.
#   install-deps.sh build|run|check|clang|lint|bench|deb|systemd ...
# As root, or through sudo. Does nothing, and needs no rights, when all is there.
set -eu

build='gcc libc6-dev make libevent-dev libhiredis-dev libyaml-dev libjansson-dev uthash-dev'
# a Debian with Valkey in place of Redis brings its own server and tools
run='redis-server redis-tools'
check="$build $run libcmocka-dev liblua5.1-0-dev python3 python3-pytest python3-pytest-xdist python3-redis procps"
# the manual is rendered, read with man, and its examples are built as users would
check="$check scdoc mandoc man-db pkg-config"
# the module for workers in Node, beside the one in Python
check="$check nodejs"
# the library is looked at under valgrind, and used from C++
check="$check valgrind g++"
# its journalctl reads the catalogue of messages
check="$check systemd"
# another compiler, for those who ask for it, with its sanitizers, and what names their lines
clang='clang libclang-rt-dev llvm'
lint="$build binutils clang clang-format clang-tidy g++ libcmocka-dev liblua5.1-0-dev lua5.1 python3 shellcheck"
bench="$build $run python3 python3-redis nodejs"
deb="$build build-essential dpkg-dev debhelper dh-python pkg-config scdoc"
# small systems are made and booted; the packages are looked at
systemd="systemd systemd-container mmdebstrap util-linux lintian rpm zsh"

wanted=
for purpose in "$@"; do
    case $purpose in
    build) wanted="$wanted $build" ;;
    run) wanted="$wanted $run" ;;
    check) wanted="$wanted $check" ;;
    clang) wanted="$wanted $clang" ;;
    lint) wanted="$wanted $lint" ;;
    bench) wanted="$wanted $bench" ;;
    deb) wanted="$wanted $deb" ;;
    systemd) wanted="$wanted $systemd" ;;
    *) echo "install-deps.sh: unknown purpose $purpose" >&2; exit 64 ;;
    esac
done

missing=
for package in $wanted; do
    state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
    case $state in
    ii*) ;;
    *) case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac ;;
    esac
done
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
        echo "missing packages:$missing; as root: apt-get install$missing" >&2
        exit 1
    }
    sudo='sudo'
fi
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
install="$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends"
# the lists of a fresh machine may be empty or old
# shellcheck disable=SC2086 # words on purpose: a command, and the names of packages
$install $missing >/dev/null 2>&1 || {
    $sudo apt-get update -qq
    $install $missing >/dev/null
}
