#!/bin/bash
# The command lines of the guides name commands and options that exist: each
# `sgbridge ...`, `sgbridge-audit ...`, `sgbridge-otp ...` in a block or between
# backquotes has a command that the program knows, and options that its help or
# its manual page describes. And each document is named in README.md.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export COLUMNS=200
ok() {
	if [ -z "$2" ]; then
		passed=$((passed + 1))
		echo "ok $1"
	else
		failed=$((failed + 1))
		echo "not ok $1: $2"
	fi
}
# Lines of blocks, and spans between backquotes, also those that go over the
# end of a line; comments of a shell and what follows a pipe are left out.
commands_of() {
	{
		grep -E '^    ' "$1"
		tr '\n' ' ' <"$1" | grep -oE '`[^`]+`' | tr -d '`'
	} | sed -E 's/(^|[[:space:]])#.*//; s/^ *(sudo )?//; s/"[^"]*"//g' |
		grep -E '^sgbridge(-audit|-otp)? ' | sed 's/[|;&>].*//' | sort -u
}
# page PROGRAM COMMAND: what describes it.
page() {
	case "$1 $2" in
	"sgbridge setup" | "sgbridge doctor") echo "docs/man/sgbridge-$2.8" ;;
	sgbridge-audit*) echo docs/man/sgbridge-audit.1 ;;
	*) echo "docs/man/$1.8" ;;
	esac
}
# judge PROGRAM COMMAND WORD...: says what is wrong, if anything is.
judge() {
	local program=$1 command=$2 word option
	shift 2
	[[ $command =~ ^[a-z-]+$ ]] || return 0
	"$build/$program" "$command" --help >"$work/help" 2>&1 || {
		# Where there is no help for one, the list has it.
		"$build/$program" --help >"$work/help" 2>&1
	}
	mandoc -T utf8 "$(page "$program" "$command")" | col -b >>"$work/help"
	grep -qE "(^|[^a-z-])$command([^a-z-]|\$)" "$work/help" || {
		echo "no command $command"
		return
	}
	if [ "$command" = topology ] &&
		! grep -qE "^  $1( |\$)" <("$build/sgbridge" topology --help); then
		echo "no topology $1"
	fi
	for word; do
		[[ $word == -- ]] && break
		[[ $word =~ ^--?[a-z] ]] || continue
		option=${word%%=*}
		grep -qE -- "(^|[^a-z-])$option([^a-z-]|\$)" "$work/help" ||
			echo "no option $option"
	done
}
for file in README.md docs/ADMIN.md docs/AUDITOR.md docs/COOKBOOK.md \
	docs/HARDENING.md docs/MIGRATION.md docs/QUICKSTART.md docs/RECOVERY.md; do
	lines=0
	while read -r program command rest; do
		lines=$((lines + 1))
		# shellcheck disable=SC2086
		ok "${file#docs/}: $program $command $rest" \
			"$(set -f; judge "$program" "$command" $rest 2>&1)"
	done < <(commands_of "$file")
	ok "$file has command lines" "$([ "$lines" -gt 0 ] || echo none)"
done
for file in docs/*.md; do
	case $file in docs/CASES.md | docs/OTP.md) continue ;; esac
	ok "README.md names $file" \
		"$(grep -q "$file" README.md || echo "it does not")"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
