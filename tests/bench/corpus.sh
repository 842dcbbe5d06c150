#!/bin/bash
# corpus.sh [KIND]: what a shell prints while somebody works on a server, up to
# 128 KiB of each kind, on standard output. The text is of this tree and of this
# machine, so that it is real; another machine's differs a little. Without a
# kind, all of them in turn; "kinds" lists them.
set -u
cd "$(dirname "$0")/../.." || exit 1
export LC_ALL=C.UTF-8 MANWIDTH=80
kinds='listings places processes packages package_log searches changes commits
	manual files build json'

listings() {
	ls -la --color=always . bastion audit tests/unit /etc /usr/bin
}
places() {
	find bastion audit tests docs /etc -type f -printf '%M %u %g %s %p\n'
}
processes() {
	ps auxww
}
packages() {
	dpkg -l
}
package_log() {
	cat /var/log/dpkg.log
}
searches() {
	grep -rn --color=always 'return SGB_ERR' bastion audit
}
changes() {
	git --no-pager log --color=always -p -n 40
}
commits() {
	git --no-pager log --color=always --stat -n 200
}
manual() {
	man -l docs/man/sgbridge.8
	man -l docs/man/sgbridge-audit.1
}
files() {
	cat /etc/passwd /etc/services conf/sgbridge.conf Makefile \
		bastion/session.c
}
build() {
	make -n BUILD=/nowhere
}
json() {
	find bastion audit tests /etc -type f -printf \
		'{"name":"%p","bytes":%s,"mode":"%m","changed":"%TFT%TTZ"}\n'
}
# A terminal ends a line with both.
kind() {
	"$1" 2>/dev/null | sed 's/$/\r/' | head -c 131072
}
case ${1:-} in
'') for one in $kinds; do kind "$one"; done ;;
kinds) for one in $kinds; do echo "$one"; done ;;
*) kind "$1" ;;
esac
