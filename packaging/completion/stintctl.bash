# bash completion of stintctl(1). Commands and options are those that its --help tells, so
# there is no list to keep.

# "submit", "dead list", ...: one a line
_stintctl_commands() {
    "$1" --help 2>/dev/null | awk -F '  +' '/^  [a-z]/ {
        count = split($2, words, " "); command = ""
        for (i = 1; i <= count && words[i] ~ /^[a-z]+,?$/; i++) {
            if (words[i] ~ /,$/) { print substr(words[i], 1, length(words[i]) - 1); continue }
            command = command (command == "" ? "" : " ") words[i]
        }
        print command
    }'
}

# _stintctl_options PROGRAM COMMAND...: "--queue" "-q" ...; of those that take a value,
# with "=" behind it: "--queue="
_stintctl_options() {
    "$@" --help 2>/dev/null | awk '/^  -/ {
        value = /^  (-[a-z], )?-[-a-z]+ [A-Z]/ ? "=" : ""
        for (i = 1; $i ~ /^-/; i++) { sub(/,$/, "", $i); print $i value }
    }'
}

_stintctl() {
    local program=$1 cur=${COMP_WORDS[COMP_CWORD]} i word option
    local -a command=() options=()
    COMPREPLY=()

    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        --) return ;;
        -*)
            mapfile -t options < <(_stintctl_options "$program" "${command[@]}")
            for option in "${options[@]}"; do
                [[ $option == "$word=" ]] || continue
                if ((++i == COMP_CWORD)); then # the value of an option is wanted
                    [[ $word != --config ]] || mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                    return
                fi
            done ;;
        *)
            if ((${#command[@]} == 0)) || [[ ${#command[@]} == 1 && ${command[0]} == dead ]]; then
                command+=("$word")
            fi ;;
        esac
    done
    if [[ $cur == -* ]]; then
        mapfile -t options < <(_stintctl_options "$program" "${command[@]}")
        mapfile -t COMPREPLY < <(compgen -W "${options[*]%=}" -- "$cur")
    elif ((${#command[@]} == 0)); then
        mapfile -t COMPREPLY < <(compgen -W "$(_stintctl_commands "$program" |
            cut -d ' ' -f 1 | sort -u)" -- "$cur")
    elif [[ ${#command[@]} == 1 && ${command[0]} == dead ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_stintctl_commands "$program" |
            sed -n 's/^dead //p')" -- "$cur")
    fi
}

complete -F _stintctl stintctl
