# bash completion of stintd(8)

_stintd() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}

    case $prev in
    -c | --config) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$("$1" --help 2>/dev/null |
        grep -oE '^ +(-., )?--[a-z]+' | tr -d ' ' | tr ',' '\n' | sort -u)" -- "$cur") ;;
    esac
}

complete -F _stintd stintd
