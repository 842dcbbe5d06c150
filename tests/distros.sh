#!/bin/bash
# distros.sh [SUITE...]: builds and tests on Debian releases that this machine
# does not run (13 and sid: libssh 0.11 and newer, another gcc), each in a root
# of its own, made by debootstrap from where this machine takes its packages.
# The roots are removed; what was found stays in BUILD/distros. Takes long, so
# it is no part of `make test`. SGB_DISTRO_TESTS="tests/e2e/main.sh ..." runs
# these instead of the quick suite.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
[ $# -gt 0 ] || set -- trixie sid
# shellcheck source=tests/packages/root.sh
. tests/packages/root.sh
[ "$(id -u)" = 0 ] && command -v debootstrap >/dev/null || {
	echo "needs root and debootstrap"
	exit 77
}
GIB_EACH=5
passed=0 failed=0 current=
work=$(mktemp -d)
results=$build/distros
mkdir -p "$results"
results=$(cd "$results" && pwd)
trap 'remove_root; rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM

remove_root() {
	[ -n "$current" ] || return 0
	umount -R "$current/proc" "$current/sys" "$current/dev" 2>/dev/null
	# A mount that is left would be emptied with the root.
	if grep -q " $current/" /proc/self/mounts; then
		echo "distros: $current has mounts and is left" >&2
	else
		rm -rf --one-file-system "$current"
	fi
	current=
}
enough_space() {
	local free
	free=$(df -Pk "$work" | awk 'NR == 2 { print int($4 / 1048576) }')
	[ "$free" -ge "$GIB_EACH" ] && return
	echo "not enough space: $free GiB free, $GIB_EACH wanted"
	return 1
}
ok() {
	local name=$1
	shift
	if "$@" >"$work/out" 2>&1; then
		passed=$((passed + 1))
		echo "ok $name"
	else
		failed=$((failed + 1))
		echo "not ok $name"
		grep -E '^(not ok|FAIL|.*(error|warning):)' "$work/out" |
			head -n 20 | sed 's/^/# /'
		tail -n 15 "$work/out" | sed 's/^/# /'
		return 1
	fi
}
# What the Makefile asks for, as far as that release has it by that name.
dependencies() {
	local name known
	known=$(root_run "$current" apt-cache pkgnames)
	for name in $(make -s print-deps); do
		case $name in
		libclang-rt-14-dev) name=libclang-rt-dev ;;
		clang-tidy | ansible-core | lintian | rpm | rpmlint | graphviz) continue ;;
		esac
		grep -qxF "$name" <<<"$known" && echo "$name"
	done
}
prepare() {
	local suite=$1 mirror
	read -r mirror _ < <(root_source)
	[ -n "${mirror:-}" ] || return 1
	debootstrap --variant=minbase "$suite" "$current" "$mirror" || return 1
	printf '#!/bin/sh\nexit 101\n' >"$current/usr/sbin/policy-rc.d"
	chmod 0755 "$current/usr/sbin/policy-rc.d"
	cp -L /etc/resolv.conf "$current/etc/resolv.conf" 2>/dev/null
	apt-config dump | grep -E '^Acquire::(http|https)::Proxy' \
		>"$current/etc/apt/apt.conf.d/90proxy"
	# A mirror may be a picture of some weeks ago; it is signed all the same.
	echo 'Acquire::Check-Valid-Until "false";' \
		>"$current/etc/apt/apt.conf.d/90mirror"
	mount -t proc proc "$current/proc" &&
		mount -t sysfs sysfs "$current/sys" &&
		mount --rbind /dev "$current/dev" &&
		mount --make-rslave "$current/dev" || return 1
	root_run "$current" apt-get update -q || return 1
	# shellcheck disable=SC2046
	root_run "$current" apt-get install -qy --no-install-recommends \
		$(dependencies) || return 1
	mkdir -p "$current/src" && git ls-files -z |
		tar -c --null -T - | tar -x -C "$current/src"
}
versions() {
	root_run "$current" sh -c '. /etc/os-release
		echo "$PRETTY_NAME, gcc $(gcc -dumpfullversion), libssh \
$(pkg-config --modversion libssh), OpenSSL \
$(pkg-config --modversion libcrypto), $(ssh -V 2>&1 | cut -d, -f1)"' |
		tr -s ' '
}
# Away from this host's network, processes and mounts.
# The root becomes a mount of its own and then "/", as tests want to change how
# it is shared; a chroot would not be one.
alone() {
	unshare -mnpf --propagation private sh -ec '
		mount --rbind "$1" "$1"
		cd "$1"
		shift
		mount -t proc proc proc
		mount -t sysfs sysfs sys
		mount -t tmpfs tmpfs run
		mkdir -p run/sshd run/old
		pivot_root . run/old
		umount -l /run/old
		exec /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 \
			PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"' - "$current" "$@"
}
compile() {
	alone sh -c 'cd /src && make -j2 all unit' 2>&1 |
		tee "$results/$1.build"
	! grep -E ': (warning|error):|Error [0-9]' "$results/$1.build" &&
		[ -x "$current/src/build/sgbridged" ]
}
quick() {
	local suite=$1
	if [ -z "${SGB_DISTRO_TESTS:-}" ]; then
		alone sh -c 'cd /src && git init -q . && git add -A &&
			SGB_QUICK=1 tests/run.sh build'
	else
		alone sh -c 'cd /src && git init -q . && git add -A
			status=0
			for program in build/tests/unit/*; do
				[ -f "$program" ] && [ -x "$program" ] || continue
				timeout 300 "$program" >/tmp/out 2>&1 ||
					{ echo "FAIL $program"; cat /tmp/out; status=1; }
			done
			for script; do
				timeout 300 "$script" build >/tmp/out 2>&1
				case $? in
				0) echo "$script: $(tail -n 1 /tmp/out)" ;;
				77) echo "$script: skipped: $(tail -n 1 /tmp/out)" ;;
				*) status=1; echo "FAIL $script"; cat /tmp/out ;;
				esac
			done
			exit $status' - ${SGB_DISTRO_TESTS}
	fi >"$results/$suite.tests" 2>&1
	local status=$?
	cat "$results/$suite.tests"
	return $status
}

main() {
	local suite
	for suite; do
		enough_space || exit 77
		current=$work/$suite
		mkdir "$current"
		if ok "$suite: a root with what the Makefile names" prepare "$suite"; then
			versions | sed 's/^/# /' | tee "$results/$suite.versions"
			ok "$suite: builds without a warning" compile "$suite"
			[ ! -x "$current/src/build/sgbridged" ] ||
				ok "$suite: tests" quick "$suite"
			grep -E '^(FAIL|skip|.*skipped:)|[0-9]+ passed' "$work/out" |
				tail -n 30 | sed 's/^/# /'
		fi
		remove_root
	done
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
	exit
}
# Read as a whole before it runs: it may be edited meanwhile.
main "$@"
