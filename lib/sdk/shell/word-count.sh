#!/bin/sh
# word-count.sh - a handler of stintd in POSIX shell: the most frequent words of a text
#
#     handlers:
#       words:
#         command: [/opt/app/word-count.sh]
#
# Payload: text. Field x-top: how many words (10). Output: lines "COUNT WORD", the most frequent
# first. Fails for good (exit 65) when there is no word, or x-top is no number from 1 to 9999.
#
# README.md beside it says what the manners are and why; each has its comment here.
set -eu
export LC_ALL=C

# What is wrong with the job itself is told apart from what may go better next time.
refuse() {
    echo "$1" >&2
    exit 65
}

# Somebody may be watching; when it is run by hand there is nobody to tell.
progress() {
    if [ -n "${STINT_PROGRESS_FD:-}" ]; then
        echo "$1 $2" >&"$STINT_PROGRESS_FD"
    fi
}

# Seconds until the deadline, for what can be given a time of its own; at least 1.
remaining() {
    left=$((${STINT_DEADLINE_MS:-0} / 1000 - $(date +%s)))
    if [ -z "${STINT_DEADLINE_MS:-}" ]; then
        left=3600
    elif [ "$left" -lt 1 ]; then
        left=1
    fi
    echo "$left"
}

# What a field holds comes from outside: it is looked at before it is used, and never run.
top=${STINT_X_TOP:-10}
case $top in
'' | 0* | *[!0-9]* | ?????*) refuse "x-top is no number from 1 to 9999: $top" ;;
esac

# Whatever way the job ends, nothing stays behind. On a time-out the whole process group gets
# TERM, also what runs in the foreground; the trap then runs, and there is kill_grace for it.
folder=
trap 'exit 143' TERM INT HUP
trap 'rm -rf "$folder"' EXIT
folder=$(mktemp -d)

# The payload is data for a file or a pipe, not for a variable: it may be large, and binary.
progress 0 'reading'
tr -cs '[:alnum:]' '\n' >"$folder/split"
grep . "$folder/split" >"$folder/words" || refuse 'there is no word in the payload'

# Each step ends by itself when the time is up, and says which one it was. In the foreground:
# else timeout leaves the process group, and the daemon's TERM does not reach it.
progress 25 'sorting'
timeout --foreground "$(remaining)" sort "$folder/words" >"$folder/sorted" || {
    echo 'sorting took too long' >&2
    exit 1
}
progress 75 'counting'
uniq -c "$folder/sorted" | sort -k 1,1nr -k 2 >"$folder/counted"

# The output comes last and at once: an attempt that failed half way has said nothing.
head -n "$top" "$folder/counted" | sed 's/^ *//'
progress 100 'done'
