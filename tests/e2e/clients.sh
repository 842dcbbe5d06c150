#!/bin/bash
# Other people's tools through the whole bastion, by user name and over the
# recorded ProxyJump: the same bytes, the same exit status. A tool that is not
# installed is said to be missing; without any of them there is no test.
# SGB_CLIENTS="putty git" runs these alone.
set -u
here=$(cd "$(dirname "$0")" && pwd)
BUILD=${1:-build}
# shellcheck source=tests/e2e/lab.sh
. "$here/lab.sh"
export LAB_POLICY_EXTRA='
group Peers pat
permit Peers from 203.0.113.9 to SG_Current, SG_Database as ops {
	mfa   never
	allow shell, exec, sftp, scp, rsync
}'
lab_up || exit 1
lab_user pat
pin=$(lab_fingerprint "$LAB/db1/hostkey.pub")
sed -i "s,SHA256:A\{43\},$pin," "$LAB/policy.conf"
"$BUILD/sgbridge" reload -c "$LAB/sgbridge.conf" >/dev/null
home=$LAB/client
mkdir -m 0700 "$home"
cat >"$LAB/ssh_clients" <<-END
	$(cat "$LAB/ssh_config")
	Host *
	  IdentityFile $LAB/users/pat
	Host web1 db1
	  ProxyJump pat@bastion
	  User ops
	Host via-*
	  HostName 203.0.113.1
	  Port 30022
	  HostKeyAlias sgbridge
	Host via-web1
	  User pat+ops@web1
	Host via-db1
	  User pat+ops@db1
END
head -c 3000000 /dev/urandom >"$LAB/data"
chmod 0644 "$LAB/data"
want=$(sha256sum <"$LAB/data")
client() {
	in_ns client timeout 120 env HOME="$home" "$@"
}
same() {
	[ "$(sha256sum <"$1" 2>/dev/null)" = "$want" ] && return
	sed 's/^/# /' "$LAB/err" 2>/dev/null | head -5
	return 1
}
status() { # wanted command...
	local want_status=$1 got
	shift
	"$@" >"$LAB/out" 2>"$LAB/err" </dev/null
	got=$?
	[ "$got" -eq "$want_status" ] && return
	echo "# status $got"
	sed 's/^/# /' "$LAB/err" | head -5
	return 1
}
there() {
	echo "$LAB/web1/home/$1"
}
# Each case twice: a name for web1 by user name and one for ProxyJump.
ways='via-web1 web1'
ssh_to() {
	client ssh -F "$LAB/ssh_clients" "$@"
}
missing() {
	for program; do
		command -v "$program" >/dev/null || {
			echo "# not installed: $program"
			return 0
		}
	done
	return 1
}

# Do so many events tell of a file by the old protocol?
told() { # number, direction, operand, name
	[ "$(cat "$LAB"/events/*.jsonl | grep -c "\"status_detail\":\"$2\".*\
\"event\":\"file\".*\"what\":\"$3: $4\"")" = "$1" ]
}

test_openssh() {
	local way number=0
	for way in $ways; do
		number=$((number + 1))
		ok "ssh to $way: exit status" status 42 ssh_to "$way" 'exit 42'
		ok "ssh to $way: killed by a signal" status 255 \
			ssh_to "$way" 'kill -TERM $$'
		ssh_to "$way" 'cat; echo e >&2' <"$LAB/data" >"$LAB/back" \
			2>"$LAB/err"
		ok "ssh to $way: both ways" same "$LAB/back"
		ok "ssh to $way: errors apart" eval '[ "$(cat "$LAB/err")" = e ]'
		for scp in '' -O; do
			rm -f "$(there up)" "$LAB/back"
			# shellcheck disable=SC2086 # no option or one
			client scp -q $scp -F "$LAB/ssh_clients" "$LAB/data" \
				"$way:up" 2>"$LAB/err"
			ok "scp $scp to $way" same "$(there up)"
			# shellcheck disable=SC2086
			client scp -q $scp -F "$LAB/ssh_clients" "$way:up" \
				"$LAB/back" 2>"$LAB/err"
			ok "scp $scp from $way" same "$LAB/back"
		done
		ok "scp -O to $way: told once" \
			wait_for told $number upload up data
		ok "scp -O from $way: told once" \
			wait_for told $number download up up
		rm -f "$(there sftp)" "$LAB/back"
		printf 'put %s sftp\nget sftp %s\n' "$LAB/data" "$LAB/back" |
			client sftp -q -b - -F "$LAB/ssh_clients" "$way" \
				>/dev/null 2>"$LAB/err"
		ok "sftp to $way" same "$(there sftp)"
		ok "sftp from $way" same "$LAB/back"
	done
}

test_putty() {
	local key proxy way number=0
	missing plink pscp psftp puttygen && return
	key=$(lab_fingerprint "$LAB/host_key.pub")
	puttygen "$LAB/users/pat" -O private -o "$LAB/pat.ppk" 2>/dev/null
	set -- -batch -hostkey "$key" -i "$LAB/pat.ppk"
	proxy="plink -batch -hostkey $key -i $LAB/pat.ppk -P 30022"
	proxy="$proxy -nc %host:%port pat@203.0.113.1"
	for way in name jump; do
		number=$((number + 1))
		if [ "$way" = name ]; then
			via=(-P 30022)
			to=pat+ops@web1@203.0.113.1
		else
			via=(-P 22 -proxycmd "$proxy")
			to=ops@10.0.1.11
		fi
		ok "plink by $way: exit status" status 6 client plink "$@" \
			"${via[@]}" "$to" 'exit 6'
		client plink "$@" "${via[@]}" "$to" cat <"$LAB/data" \
			>"$LAB/back" 2>"$LAB/err"
		ok "plink by $way: both ways" same "$LAB/back"
		rm -f "$(there p)" "$LAB/back"
		client pscp -q "$@" "${via[@]}" "$LAB/data" "$to:p" \
			>"$LAB/err" 2>&1
		ok "pscp by $way: to" same "$(there p)"
		client pscp -scp -q "$@" "${via[@]}" "$to:p" "$LAB/back" \
			>"$LAB/err" 2>&1
		ok "pscp -scp by $way: from" same "$LAB/back"
		ok "pscp -scp by $way: told" wait_for told $number \
			download p p
		rm -f "$LAB/back"
		printf 'get p %s\nquit\n' "$LAB/back" | client psftp "$@" \
			"${via[@]}" "$to" >"$LAB/err" 2>&1
		ok "psftp by $way" same "$LAB/back"
	done
}

test_dropbear() {
	missing dbclient dropbearconvert && return
	dropbearconvert openssh dropbear "$LAB/users/pat" "$LAB/pat.db" \
		>/dev/null 2>&1
	set -- -y -y -i "$LAB/pat.db"
	ok "dbclient by name: exit status" status 4 client dbclient "$@" \
		-p 30022 -l pat+ops@web1 203.0.113.1 'exit 4'
	client dbclient "$@" -p 30022 -l pat+ops@web1 203.0.113.1 cat \
		<"$LAB/data" >"$LAB/back" 2>"$LAB/err"
	ok "dbclient by name: both ways" same "$LAB/back"
	local hop="dbclient -y -y -i $LAB/pat.db -p 30022"
	hop="$hop -B 10.0.1.11:22 pat@203.0.113.1"
	ok "dbclient by jump: exit status" status 5 client dbclient "$@" \
		-J "$hop" ops@10.0.1.11 'exit 5'
	client dbclient "$@" -J "$hop" ops@10.0.1.11 cat <"$LAB/data" \
		>"$LAB/back" 2>"$LAB/err"
	ok "dbclient by jump: both ways" same "$LAB/back"
}

test_lftp() {
	local way
	missing lftp && return
	for way in $ways; do
		rm -f "$(there l)" "$LAB/back"
		client lftp -c "set sftp:connect-program \
			'ssh -a -x -F $LAB/ssh_clients'
			set sftp:auto-confirm yes; set net:max-retries 1
			open sftp://$way; put $LAB/data -o l
			get l -o $LAB/back" >"$LAB/err" 2>&1
		ok "lftp to $way" same "$(there l)"
		ok "lftp from $way" same "$LAB/back"
		ok "lftp $way: a file that is not there" status 1 client lftp \
			-c "set sftp:connect-program 'ssh -a -x -F $LAB/ssh_clients'
			open sftp://$way; get nothing -o $LAB/nothing"
	done
}

test_rsync() {
	local way
	missing rsync && return
	for way in $ways; do
		rm -rf "$(there tree)" "$LAB/tree"
		ok "rsync to $way" status 0 client rsync -a --delete \
			-e "ssh -F $LAB/ssh_clients" "$here/" "$way:tree/"
		ok "rsync to $way: the same tree" \
			diff -r "$here" "$(there tree)"
		ok "rsync from $way" status 0 client rsync -a \
			-e "ssh -F $LAB/ssh_clients" "$way:tree/" "$LAB/tree/"
		ok "rsync from $way: the same tree" diff -r "$here" "$LAB/tree"
		ok "rsync $way: what is not there" status 23 client rsync -a \
			-e "ssh -F $LAB/ssh_clients" "$way:nothing" "$LAB/n"
	done
}

test_git() {
	local way git
	missing git && return
	git="client env GIT_SSH_COMMAND='ssh -F $LAB/ssh_clients' git"
	git="$git -c user.name=a -c user.email=a@b -c init.defaultBranch=main"
	git="$git -c safe.directory='*'"
	for way in $ways; do
		rm -rf "$(there repo.git)" "$LAB/work" "$LAB/clone"
		ssh_to "$way" 'git init -q --bare -b main repo.git' </dev/null
		eval "$git init -q '$LAB/work'"
		cp "$LAB/data" "$LAB/work/data"
		eval "$git -C '$LAB/work' add data"
		eval "$git -C '$LAB/work' commit -qm one"
		ok "git push to $way" eval \
			"$git -C '$LAB/work' push -q '$way:repo.git' HEAD:main \
			2>'$LAB/err'"
		ok "git clone from $way" eval \
			"$git clone -q '$way:repo.git' '$LAB/clone' 2>'$LAB/err'"
		ok "git $way: the same file" same "$LAB/clone/data"
		ok "git $way: what is not there" eval \
			"! $git clone -q '$way:none.git' '$LAB/none' 2>/dev/null"
	done
}

test_ansible() {
	missing ansible && return
	mkdir -p "$home/ansible"
	cat >"$home/ansible/ansible.cfg" <<-END
		[defaults]
		host_key_checking = False
		local_tmp = $home/ansible/tmp
		interpreter_python = /usr/bin/python3
		[ssh_connection]
		ssh_args = -F $LAB/ssh_clients -o ControlMaster=auto -o ControlPersist=5s
		control_path_dir = $home/ansible/cp
	END
	cat >"$home/ansible/hosts" <<-END
		[names]
		via-web1
		via-db1
		[jumps]
		web1
		db1
	END
	play() {
		client env ANSIBLE_CONFIG="$home/ansible/ansible.cfg" ansible \
			-i "$home/ansible/hosts" "$@"
	}
	local group
	for group in names jumps; do
		ok "ansible $group: ping of several hosts" eval \
			"play $group -m ping >'$LAB/out' 2>'$LAB/err' </dev/null &&
			[ \$(grep -c '\"ping\": \"pong\"' '$LAB/out') = 2 ]"
		rm -f "$(there copied)" "$LAB/db1/home/copied"
		ok "ansible $group: copy" status 0 play "$group" -m copy \
			-a "src=$LAB/data dest=copied mode=0644"
		ok "ansible $group: the same bytes there" same "$(there copied)"
		ok "ansible $group: and there" same "$LAB/db1/home/copied"
		ok "ansible $group: a failing command" status 2 play "$group" \
			-m command -a 'sh -c "exit 3"'
	done
}

test_sshfs() {
	local way
	missing sshfs && return
	[ -c /dev/fuse ] || {
		echo "# no /dev/fuse here"
		return
	}
	for way in $ways; do
		rm -f "$(there f)" "$LAB/back"
		mkdir -p "$LAB/mnt"
		# Mounted in the namespace of this one shell.
		client unshare -m bash -c "
			sshfs -o ssh_command='ssh -F $LAB/ssh_clients' \
				$way: '$LAB/mnt' || exit 1
			cp '$LAB/data' '$LAB/mnt/f' && cp '$LAB/mnt/f' '$LAB/back'
			status=\$?
			umount '$LAB/mnt' || exit 1
			exit \$status" >"$LAB/out" 2>"$LAB/err" </dev/null
		ok "sshfs to $way" same "$(there f)"
		ok "sshfs from $way" same "$LAB/back"
	done
}

for name in ${SGB_CLIENTS:-openssh putty dropbear lftp rsync git ansible \
	sshfs}; do
	"test_$name"
done
# What of it all is evidence: every recording verifies.
verified() {
	"$BUILD/sgbridge-audit" verify -c "$LAB/sgbridge.conf" \
		>"$LAB/out" 2>&1 && return
	sed 's/^/# /' "$LAB/out" | grep -v intact | head -5
	return 1
}
ok "every recording of it verifies" wait_for verified
lab_summary
