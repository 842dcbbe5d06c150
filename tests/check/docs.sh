#!/bin/bash
# The blocks of the guides are run by a test, or say why not; and the command
# lines between backquotes name commands and options that exist: each
# `sgbridge ...`, `sgbridge-audit ...`, `sgbridge-otp ...` has a command that
# the program knows, and options that its help or its manual page describes.
# Who comes to the proxy says its port. And each document is named in README.md.
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
		grep -E '^sgbridge(d|-audit|-otp|-forward)? ' | sed 's/[|;&>].*//' | sort -u
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
	case $program in
	sgbridged | sgbridge-forward) command=--help ;; # options alone
	*) shift ;;
	esac
	shift
	[[ $command =~ ^[a-z-]+$ ]] || return 0
	"$build/$program" "$command" --help >"$work/help" 2>&1 || {
		# Where there is no help for one, the list has it.
		"$build/$program" --help >"$work/help" 2>&1
	}
	mandoc -T utf8 "$(page "$program" "$command")" | col -b >>"$work/help"
	[ "$command" = --help ] ||
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
# Blocks that have no mark above them, and marks that have no block below.
unmarked() {
	awk '/^```/ { fence = !fence; next }
		fence { next }
		/^ *$/ { gap = 1; next }
		/^ *<!-- (run: [a-z-]+|not run: .+) -->$/ {
			if (mark)
				print "line " mark ": no block"
			mark = NR
			gap = 0
			next
		}
		/^    / && gap && !mark { print "line " NR ": no mark" }
		!/^    / && mark { print "line " mark ": no block" }
		{ mark = gap = 0 }
		END { if (mark) print "line " mark ": no block" }' "$1"
}
# run_by FILE NAME: the test that runs that block of it, by itself or by a
# function of its own that has the file's name in it, or nothing.
run_by() {
	local script call
	for script in $(grep -rlF --include='*.sh' "$1" tests); do
		call=$(sed -nE "s,^([a-z_]+)\(\).*$1.*,\1,p
			s,^([a-z]+)=$1\$,\\\\\$\1,p" "$script" | tr '\n' '|')
		awk -v file="$1" '
			/^[a-z_]+\(\) \{$/ { name = $1; sub(/\(\)/, "", name) }
			index($0, file) && /^\t/ { print name }
			/^}/ { name = "" }' "$script" >"$work/calls"
		call=$call$(tr '\n' '|' <"$work/calls")$1
		grep -qE -- "(^|[[:space:]'])($call) $2(\$|[ '\"|)])" "$script" &&
			echo "$script"
	done
}
# marks FILE: each once only.
marks() {
	sed -n 's/^ *<!-- run: \(.*\) -->$/\1/p' "$1"
}
# The proxy is not where ssh looks by itself.
portless() {
	tr '\n' ' ' <"$1" | grep -oE '(ssh|scp|sftp)( -[^ `|]+)*( [^ `|]+)*' |
		sed 's/ *#.*//' | grep -E '@bastion( +[a-z]|:30022| *$)' |
		grep -E '[+]|-J|@bastion +(hosts|config|watch|approve|request)' |
		grep -v 30022
}
for file in README.md docs/ADMIN.md docs/AUDITOR.md docs/COOKBOOK.md \
	docs/HARDENING.md docs/MIGRATION.md docs/QUICKSTART.md docs/RECOVERY.md; do
	ok "$file: each block is run, or says why not" "$(unmarked "$file")"
	ok "$file: no two blocks have one name" "$(marks "$file" | sort | uniq -d)"
	while read -r name; do
		ok "$file: a test runs $name" \
			"$([ -n "$(run_by "$file" "$name")" ] || echo "none does")"
	done < <(marks "$file")
	ok "$file: ports are named" "$(portless "$file")"
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
