# Sourced by relay.sh: scp -O and rsync as the recording shows them, with the
# real programs at both ends, and programs that only begin like scp.
# shellcheck shell=bash disable=SC2154

# A tree with what scp has lines for.
scp_tree() {
	rm -rf "${1:?}"
	mkdir -p "$1/one/two"
	printf abc >"$1/one/a b"
	: >"$1/one/two/empty"
	head -c 3000000 /dev/urandom >"$1/big"
	chmod 640 "$1/one/a b"
	touch -d @1700000000 "$1/one/a b"
}

# Each file of a tree has its line, with the digest that it has here.
scp_recorded() { # name, log, direction, operand
	local file size

	while read -r -d '' file; do
		size=$(stat -c %s "$work/tree/$file")
		like "$1: recorded: $file" "$2" "^record 1 file .*\"path\":\
\"([a-z]*/)?$file\",\"operand\":\"$4\",\"direction\":\"$3\",.*\"size\":$size,\
\"bytes\":$size,.*\"sha256\":\"$(sum <"$work/tree/$file")\",\"result\":\"ok\""
		like "$1: reported: $file" "$2" \
			"^report 1 file $size [01] $4: ([a-z]*/)?$file"
	done < <(cd "$work/tree" && find . -type f -printf '%P\0')
	is "$1: one line a file" "$(grep -c '^record 1 file ' <<<"$2")" 3
	unlike "$1: understood to its end" "$2" 'unwatched|record 1 note'
}

test_scp() {
	local out

	scp_tree "$work/tree"
	rm -rf "$work/d/up" "$work/tree-down"
	conf
	timeout 60 scp -O -q -r -p -F "$work/ssh_config" "$work/tree" \
		"$through:$work/d/up" 2>"$work/stderr"
	is "scp up: same tree" "$(diff -r "$work/tree" "$work/d/up" 2>&1)" ""
	is "scp up: same mode and time" \
		"$(stat -c '%a %Y' "$work/d/up/one/a b")" "640 1700000000"
	out=$(log)
	scp_recorded "scp up" "$out" upload "$work/d/up"
	like "scp up: mode and times" "$out" \
		'"mode":"0640","size":3,"bytes":3,"mtime":1700000000,'
	like "scp up: folders" "$out" \
		'file-op .*"folder","path":"tree/one/two","result":"ok"'
	conf
	timeout 60 scp -O -q -r -F "$work/ssh_config" \
		"$through:$work/tree" "$work/tree-down" 2>"$work/stderr"
	is "scp down: same tree" "$(diff -r "$work/tree" "$work/tree-down" 2>&1)" ""
	scp_recorded "scp down" "$(log)" download "$work/tree"
}

test_scp_errors() {
	local out

	printf abc >"$work/small"
	conf
	timeout 60 scp -O -q -F "$work/ssh_config" "$work/small" \
		"$through:$work/none/x" 2>"$work/stderr"
	is "scp: refused" $? 1
	like "scp: refusal recorded" "$(log)" \
		"file-op .*\"open\",\"path\":\"small\",\"result\":\"scp: $work/none/x: No such"
	conf
	timeout 60 scp -O -q -F "$work/ssh_config" "$through:$work/none" \
		"$work/small" "$work/d" 2>"$work/stderr"
	is "scp: not there" $? 1
	like "scp: what is not there is recorded" "$(log)" \
		"file-op .*\"open\",\"path\":\"\",\"result\":\"scp: $work/none: No such"
	# a client that waits for nothing, and one that goes on when refused
	conf
	printf 'C0644 3 hasty\nabc\0' | gwi "$through" "scp -t $work/d" \
		>"$work/out"
	is "scp: hasty: done" "$(cat "$work/d/hasty")" abc
	like "scp: hasty: recorded" "$(log)" \
		'^record 1 file .*"hasty".*"bytes":3,.*"ok"'
	conf
	printf 'C0644 3 one\nabc\0C0644 3 two\nabc\0' |
		gwi "$through" "scp -t $work/none/x" >"$work/out"
	like "scp: deaf: said so" "$(log)" \
		'file-op .*"unwatched","why":"it goes on after a refusal"'
	# the client is gone in the middle
	conf
	printf 'C0644 9 half\nabc' | gwi "$through" "scp -t $work/d" >"$work/out"
	like "scp: half: recorded" "$(log)" \
		'^record 1 file .*"half".*"bytes":3,.*"not finished"'
}

# Programs that are called scp, and are it for a while.
test_scp_disguise() {
	local out

	cat >"$work/bin/scp" <<-'END'
		#!/bin/sh
		printf 'C0644 3 a\nabc\0'
		head -c "$(dd bs=1 count=2 2>/dev/null | wc -c)0" /dev/zero
		echo; echo hidden; seq 30000
	END
	chmod 755 "$work/bin/scp"
	conf
	printf '\0\0\0' | gwi "$through" 'scp -f x' >"$work/out"
	out=$(log)
	like "scp disguise: the file" "$out" '^record 1 file .*"path":"a".*"ok"'
	like "scp disguise: said so" "$out" \
		'file-op .*unwatched.*a line that is not scp'
	is "scp disguise: nothing is changed" "$(sum <"$work/out")" \
		"$( (printf 'C0644 3 a\nabc\0'
			head -c 20 /dev/zero
			echo
			echo hidden
			seq 30000) | sum)"
	is "scp disguise: from there on recorded as any command" \
		"$(sum <"$work/recorded.out")" "$(sum <"$work/out")"
	# once the content has its hole, no more is kept, and that is said
	printf '#!/bin/sh\n%s; %s; seq 30000\n' "printf 'C0644 100000 a\\n'" \
		'head -c 100000 /dev/zero' >"$work/bin/scp"
	conf
	gwi "$through" 'scp -f x' </dev/null >"$work/out"
	out=$(log)
	like "scp disguise: after the hole: said so" "$out" 'unwatched'
	like "scp disguise: after the hole: no more" \
		"$(stat -c %s "$work/recorded.out")" '^[0-9]{1,5}$'
	is "scp disguise: after the hole: one gap at its begin" \
		"$(grep -c '^record 1 gap ' <<<"$out")" 2
	rm "$work/bin/scp"
}

test_rsync() {
	local rsh="ssh -F $work/ssh_config"

	scp_tree "$work/tree"
	conf
	timeout 60 rsync -a -e "$rsh" "$work/tree/" \
		"$through:$work/d/rsync/" 2>"$work/stderr"
	is "rsync: same tree" "$(diff -r "$work/tree" "$work/d/rsync" 2>&1)" ""
	like "rsync up: recorded" "$(log)" "file-op .*\"rsync\",\"path\":\
\"$work/d/rsync/\",\"direction\":\"upload\",\"in\":30[0-9]{5},"
	conf
	rm -rf "$work/tree-down"
	timeout 60 rsync -a -e "$rsh" "$through:$work/tree/" "$work/tree-down" \
		2>"$work/stderr"
	like "rsync down: recorded" "$(log)" "file-op .*\"rsync\",\"path\":\
\"$work/tree/\",\"direction\":\"download\",\"in\":[0-9]+,\"out\":30[0-9]{5}"
}
