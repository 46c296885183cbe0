#!/bin/sh
# demo.sh BUILD_DIR - see stintd work: jobs are submitted with plain redis-cli, results
# read with GET, and the daemon is stopped while a job is running
#
# `make demo` calls it. Every command is shown as one would type it, then run as shown.
# Exit status: 0 when all went as expected.
set -u

BUILD=$(cd "${1:?usage: demo.sh BUILD_DIR}" && pwd) || exit 64
cd "$(dirname "$0")/../.." || exit 64
CONFIG=config/examples/demo.yaml
PATIENCE=100  # tenths of a second for whatever is waited for

bold='' dim='' red='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$(printf '\033[1m') dim=$(printf '\033[2m')
    red=$(printf '\033[31m') plain=$(printf '\033[0m')
fi
redis_cli=redis-cli
command -v redis-cli >/dev/null || redis_cli=valkey-cli
PATH=$BUILD:$PATH

daemon='' reader='' socket=''
work=$(mktemp -d) || exit 71

# ---- leaving, however it comes ----

is_running() {
    [ -n "$1" ] && kill -0 "$1" 2>/dev/null
}

cleanup() {
    trap '' INT TERM HUP
    if is_running "$daemon"; then
        kill -TERM "$daemon"  # once: jobs may end
        kill -TERM "$daemon"  # twice: at once
        tenths=0
        while is_running "$daemon" && [ "$tenths" -lt "$PATIENCE" ]; do
            sleep 0.1
            tenths=$((tenths + 1))
        done
        is_running "$daemon" && kill -KILL "$daemon"
    fi
    is_running "$reader" && kill "$reader"
    wait
    case $socket in
    */stint-dev-*/redis.sock) rm -rf "${socket%/*}" ;;
    esac
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail() {
    printf '%s\n' "${red}demo: $*${plain}" >&2
    [ ! -s "$work/log" ] || sed 's/^/    stintd: /' "$work/log" >&2
    exit 1
}

# ---- showing ----

say() {
    printf '\n%s\n' "$bold# $*$plain"
}

show() {
    printf '%s\n' "$bold\$ $*$plain"
}

# Shows a command, runs it as it is shown, shows what it said; that is in $work/out, too.
# What it answered is in $status.
run() {
    show "$1"
    eval "$1" >"$work/out" 2>"$work/err"
    status=$?
    sed 's/^/  /' "$work/out"
    [ ! -s "$work/err" ] || sed "s/^.*\$/  $dim&$plain/" "$work/err"
}

# A result is one line; this makes it one for each member.
pretty() {
    sed -e 's/^{/  { /' -e 's/,"\([a-z_0-9]*\)":/,\
    "\1":/g'
}

show_result() {
    show "$cli GET 'stint:{default}:result:$1'"
    key="stint:{default}:result:$1"
    until_true "the result of job $1" "[ \"\$($cli EXISTS '$key')\" = 1 ]"
    $cli GET "$key" >"$work/out" || fail 'GET failed'
    pretty <"$work/out"
}

# until_true WHAT COMMAND: waits until the command succeeds
until_true() {
    tenths=0
    until eval "$2" >/dev/null 2>&1; do
        is_running "$daemon" || fail "stintd has ended while waiting for $1"
        [ "$tenths" -lt "$PATIENCE" ] || fail "gave up waiting for $1"
        sleep 0.1
        tenths=$((tenths + 1))
    done
}

# The last output must hold this text.
expect() {
    grep -qF -e "$1" "$work/out" || fail "expected $1, got $(cat "$work/out")"
}

# submit HANDLER PAYLOAD: sets $id
submit() {
    run "$cli XADD 'stint:{default}:jobs' '*' handler $1 payload '$2'"
    id=$(cat "$work/out")
    [ -n "$id" ] || fail 'XADD failed'
}

# ---- the daemon, with a Redis of its own ----

say 'A daemon, with a private Redis and a few handlers:'
show "stintd --dev --config $CONFIG"
stintd --dev --config "$CONFIG" >"$work/dev" 2>"$work/log" &
daemon=$!
until_true 'stintd to be ready' "grep -q ' ready ' '$work/log'"
socket=$(sed -n 's/^.* on \(.*redis\.sock\) .*$/\1/p' "$work/dev")
[ -S "$socket" ] || fail 'no socket of the private Redis'
sed 's/^/  /' "$work/log"
cli="$redis_cli -s $socket"

say 'Any Redis client submits a job with one XADD; the entry id is the job id:'
submit sha256 'hello world'
say 'The result is one string, kept for an hour, errors included:'
show_result "$id"
expect '"status":"ok"'
expect 'b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9'

say 'Output that is no text is stored in base64:'
submit gzip 'hello hello hello hello'
show_result "$id"
expect '"output_base64":"H4sI'

say 'A command that fails; its standard error is in the result:'
submit gunzip 'this is no gzip file'
show_result "$id"
expect '"status":"error"'
expect 'not in gzip format'
expect '"exit_code":1'

say 'A command that takes too long; all that it started is ended with it:'
submit slow ''
show_result "$id"
expect '"status":"timeout"'

say 'From a shell, stintctl does the same and waits; it exits 1 when the job failed:'
run "stintctl --redis unix://$socket submit --wait upper 'it works'"
[ "$status" = 0 ] || fail "stintctl exited $status"
expect 'IT WORKS'
echo
run "stintctl --redis unix://$socket queues"
[ "$status" = 0 ] || fail "stintctl exited $status"
expect default

# ---- stopping while a job is running ----

say 'A job is running (SIGUSR1 makes the daemon say so) and a client waits for it ...'
run "$cli XADD 'stint:{default}:jobs' '*' handler backup payload 'precious' reply_to me"
show "$cli XREAD BLOCK 10000 STREAMS 'stint:{default}:reply:me' 0-0 &"
$cli XREAD BLOCK 10000 STREAMS 'stint:{default}:reply:me' 0-0 >"$work/reply" 2>&1 &
reader=$!
show "kill -USR1 $daemon"
until_true 'the job to run' "kill -USR1 $daemon; grep 'job runs .*handler=backup' '$work/log'"
grep 'job runs .*handler=backup' "$work/log" | head -n 1 | sed 's/^/  /'
until_true 'the client to wait' "$cli CLIENT LIST | grep -q 'cmd=xread '"

say '... and the daemon is told to stop: the job ends, its result is stored, then:'
show "kill $daemon; wait $daemon; echo \$?"
kill "$daemon"
wait "$daemon"
status=$?
echo "  $status"
daemon=''
wait "$reader"
reader=''
tail -n 2 "$work/log" | sed 's/^/  /'
grep '^{' "$work/reply" >"$work/out"
say 'What the client was sent:'
pretty <"$work/out"
[ "$status" = 0 ] || fail "stintd exited $status"
expect '"status":"ok"'
expect '8 bytes are safe'
[ ! -e "$socket" ] || fail "the private Redis was left behind in ${socket%/*}"

printf '\n%s\n' "${bold}All went as expected. Read on in README.md.$plain"
