#compdef sgbridge sgbridge-otp sgbridge-audit sgbridge-forward
# zsh completion for sgbridge, sgbridge-otp, sgbridge-audit and
# sgbridge-forward. What there is to complete is asked of the programs themselves, so that it is never old.

_sgbridge() {
	local program=${words[1]} command=${words[2]} line
	local -a found
	if [[ ${program:t} == sgbridge-forward ]]; then
		# Options, and no commands.
		found=(${(f)"$($program --help | grep -oE -- '--[a-z][a-z-]+' |
			sort -u)"})
		compadd -a found
		_files
		return
	fi
	if (( CURRENT == 2 )); then
		for line in ${(f)"$($program --help 2>&1)"}; do
			[[ $line == (#b)'  '([a-z][a-z-]#)'  '[[:space:]]#(*) ]] &&
				found+=("${match[1]}:${match[2]}")
		done
		_describe command found
		return
	fi
	if [[ ${words[CURRENT]} == -* ]]; then
		found=(${(f)"$({ $program --help; $program $command --help
			} 2>&1 </dev/null | grep -oE -- '--[a-z][a-z-]+' |
			sort -u)"})
		compadd -a found
		return
	fi
	case ${program:t}:$command in
	sgbridge:explain) found=(from to at via for) ;;
	sgbridge:key)
		found=(generate import list show public rotate delete
			${(f)"$(sgbridge key list --json 2>/dev/null |
			grep -oE '"key": *"[^"]*"' | cut -d'"' -f4 | sort -u)"})
		;;
	sgbridge:host-keys)
		found=(${(f)"$(sgbridge host-keys --json 2>/dev/null |
			grep -oE '"instance": *"[^"]*"' | cut -d'"' -f4 |
			sort -u)"})
		;;
	sgbridge:rotate) found=(host-key user-ca recorder master) ;;
	sgbridge:end)
		found=(${(f)"$(sgbridge sessions --json 2>/dev/null |
			grep -oE '"id": *"[^"]*"' | cut -d'"' -f4)"})
		;;
	sgbridge-otp:(master-key|rotate-key|unseal|list)) ;;
	sgbridge-otp:*)
		found=(${(f)"$(command ls /etc/sgbridge/authorized_keys \
			2>/dev/null)"})
		;;
	sgbridge-audit:(show|play|text|export|verify|commands|files|disclose|watch|who|who-viewed))
		# Without a key: looking with one is written down.
		local -a places
		local at
		for ((at = 2; at < CURRENT; at++)); do
			case $words[at] in
			-c|--conf|-d|--dir)
				places+=("$words[at]" "$words[at + 1]") ;;
			esac
		done
		found=(${(f)"$(XDG_CONFIG_HOME=/nonexistent sgbridge-audit ls \
			--json $places 2>/dev/null |
			grep -oE '"rec": *"[^"]*"' | cut -d'"' -f4)"})
		;;
	esac
	compadd -a found
	_files
}

setopt localoptions extendedglob
_sgbridge "$@"
