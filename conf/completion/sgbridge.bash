# bash completion for sgbridge, sgbridge-otp, sgbridge-audit and
# sgbridge-forward. What there is to complete is asked of the programs themselves, so that it is never old.
# shellcheck shell=bash

_sgbridge_commands()
{
	"$1" --help 2>&1 | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p'
}

_sgbridge_options()
{
	{
		"$1" --help
		[ -z "$2" ] || "$1" "$2" --help
	} 2>&1 </dev/null | grep -oE -- '--[a-z][a-z-]+' | sort -u
}

# Ids of the folder that the line names. Without a key: they are all that is
# needed, and looking with one is written down.
_sgbridge_recordings()
{
	local places=() i

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-c | --conf | -d | --dir)
			places+=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}") ;;
		esac
	done
	XDG_CONFIG_HOME=/nonexistent sgbridge-audit ls --json "${places[@]}" \
		2>/dev/null | grep -oE '"rec": *"[^"]*"' | cut -d'"' -f4
}

# Of the bastion whose settings the line names, or this host's.
_sgbridge_settings()
{
	local i

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-c | --config | -p | --policy)
			printf '%s\n' "${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}" ;;
		esac
	done
}

_sgbridge_keys()
{
	local settings

	mapfile -t settings < <(_sgbridge_settings)
	sgbridge key list --json "${settings[@]}" 2>/dev/null |
		grep -oE '"key": *"[^"]*"' | cut -d'"' -f4 | sort -u
}

_sgbridge_instances()
{
	local settings

	mapfile -t settings < <(_sgbridge_settings)
	sgbridge host-keys --json "${settings[@]}" 2>/dev/null |
		grep -oE '"instance": *"[^"]*"' | cut -d'"' -f4 | sort -u
}

# What stands where a word is not an option.
_sgbridge_words()
{
	case $1:$2 in
	sgbridge:explain) echo "from to at via for" ;;
	sgbridge:end | sgbridge:watch)
		sgbridge sessions --json 2>/dev/null |
			grep -oE '"id": *"[^"]*"' | cut -d'"' -f4
		;;
	sgbridge:approve | sgbridge:deny)
		sgbridge requests --json 2>/dev/null |
			grep -oE '"id": *"[^"]*"' | cut -d'"' -f4
		;;
	sgbridge:key)
		echo "generate import list show public rotate delete"
		_sgbridge_keys
		;;
	sgbridge:host-keys) _sgbridge_instances ;;
	sgbridge:rotate) echo "host-key user-ca recorder master" ;;
	sgbridge:lock) ls /etc/sgbridge/authorized_keys 2>/dev/null ;;
	sgbridge:unlock) ls /var/lib/sgbridge/locks 2>/dev/null ;;
	sgbridge-otp:master-key | sgbridge-otp:rotate-key | sgbridge-otp:unseal | sgbridge-otp:list) ;;
	sgbridge-otp:*) ls /etc/sgbridge/authorized_keys 2>/dev/null ;;
	sgbridge-audit:show | sgbridge-audit:play | sgbridge-audit:text | \
		sgbridge-audit:export | sgbridge-audit:verify | \
		sgbridge-audit:commands | sgbridge-audit:files | \
		sgbridge-audit:disclose | sgbridge-audit:watch | \
		sgbridge-audit:who | sgbridge-audit:who-viewed)
		_sgbridge_recordings
		;;
	esac
}

_sgbridge()
{
	local program=${COMP_WORDS[0]##*/} current=${COMP_WORDS[COMP_CWORD]}
	local previous=${COMP_WORDS[COMP_CWORD - 1]} command='' i
	local words=''

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-c | -p | -d | -i) ((i++)) ;;
		-*) ;;
		*)
			command=${COMP_WORDS[i]}
			break
			;;
		esac
	done
	COMPREPLY=()
	case $previous in
	-c | -p | -d | -i | -o | --config | --conf | --policy | --dir | \
		--identity | --output | --events | --journal)
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	--color | --colour) words="auto always never" ;;
	*)
		if [ "$program" = sgbridge-forward ]; then
			words=$(_sgbridge_options "$program" "")
		elif [ -z "$command" ]; then
			words=$(_sgbridge_commands "$program")
		elif [[ $current == -* ]]; then
			words=$(_sgbridge_options "$program" "$command")
		else
			words=$(_sgbridge_words "$program" "$command")
		fi
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
	# Nothing known: a file, as for check, fmt, import.
	[ -n "$words" ] ||
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
}

complete -F _sgbridge sgbridge sgbridge-otp sgbridge-audit sgbridge-forward
