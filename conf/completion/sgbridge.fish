# fish completion for sgbridge, sgbridge-otp, sgbridge-audit and
# sgbridge-forward. What there is to complete is asked of the programs themselves, so that it is never old.

function __sgbridge_commands
    $argv[1] --help 2>&1 | string match -rg '^  ([a-z][a-z-]*)  +(.*)' |
        paste - - 2>/dev/null
end

function __sgbridge_options
    set -l words (commandline -opc)
    begin
        $words[1] --help
        $words[1] $words[2] --help
    end 2>&1 </dev/null | string match -rga -- '(--[a-z][a-z-]+)' | sort -u
end

function __sgbridge_words
    set -l words (commandline -opc)
    switch "$words[1]:$words[2]"
        case '*sgbridge:explain'
            printf '%s\n' from to at via for
        case '*sgbridge:key'
            printf '%s\n' generate import list show public rotate delete
            sgbridge key list --json 2>/dev/null |
                string match -rga '"key": *"([^"]*)"' | sort -u
        case '*sgbridge:host-keys'
            sgbridge host-keys --json 2>/dev/null |
                string match -rga '"instance": *"([^"]*)"' | sort -u
        case '*sgbridge:rotate'
            printf '%s\n' host-key user-ca recorder master
        case '*sgbridge:end'
            sgbridge sessions --json 2>/dev/null |
                string match -rga '"id": *"([^"]*)"'
        case '*sgbridge-otp:master-key' '*sgbridge-otp:rotate-key' '*sgbridge-otp:unseal' '*sgbridge-otp:list'
        case '*sgbridge-otp:*'
            command ls /etc/sgbridge/authorized_keys 2>/dev/null
        case '*sgbridge-audit:show' '*sgbridge-audit:play' '*sgbridge-audit:text' '*sgbridge-audit:export' '*sgbridge-audit:verify' '*sgbridge-audit:commands' '*sgbridge-audit:files' '*sgbridge-audit:disclose' '*sgbridge-audit:watch' '*sgbridge-audit:who' '*sgbridge-audit:who-viewed'
            # Without a key: looking with one is written down.
            set -l places
            for i in (seq 2 (count $words))
                if contains -- $words[$i] -c --conf -d --dir
                    set places $places $words[$i] $words[(math $i + 1)]
                end
            end
            XDG_CONFIG_HOME=/nonexistent sgbridge-audit ls --json $places 2>/dev/null |
                string match -rga '"rec": *"([^"]*)"'
    end
end

function __sgbridge_first
    test (count (commandline -opc)) -eq 1
end

for program in sgbridge sgbridge-otp sgbridge-audit
    complete -c $program -f -n __sgbridge_first -a "(__sgbridge_commands $program)"
    complete -c $program -n 'not __sgbridge_first; and string match -q -- "-*" (commandline -ct)' -f -a '(__sgbridge_options)'
    complete -c $program -n 'not __sgbridge_first' -a '(__sgbridge_words)'
end
# This one has options and no commands.
complete -c sgbridge-forward -f -a '(sgbridge-forward --help | string match -rga -- "(--[a-z][a-z-]+)" | sort -u)'
complete -c sgbridge-forward -s c -r -F
