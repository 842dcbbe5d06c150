#!/bin/bash
# distros.sh [SUITE...]: builds and tests on Debian releases that this machine
# does not run (13 and sid: newer libssh, OpenSSH, PAM, gcc), each in a root of
# its own, made by debootstrap from where this machine takes its packages. The
# roots are made at the same time, and their packages are kept for the next
# time; what was said stays in BUILD/distros. Then the packages of that release
# are made there, and a newcomer sets up a host of it with them. Takes long, so
# it is no part of `make test`.
# SGB_DISTRO_TESTS="tests/e2e/main.sh ..." runs these instead of all.
# SGB_DISTRO_ROOTS=FOLDER keeps the roots there and goes on from them.
set -u -o pipefail
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
passed=0 failed=0 sums=()
work=$(mktemp -d)
roots=${SGB_DISTRO_ROOTS:-$work}
mkdir -p "$build/distros" "$roots"
results=$(cd "$build/distros" && pwd)
declare -A makers
trap 'leave' EXIT
trap 'exit 130' INT TERM

# All mounts are in namespaces that end with what was started in them.
leave() {
	local pid
	for pid in "${makers[@]}"; do
		# unshare ignores what is more polite.
		kill -KILL "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
	done
	rm -rf --one-file-system "$work"
}
enough_space() {
	local free
	free=$(df -Pk "$roots" | awk 'NR == 2 { print int($4 / 1048576) }')
	[ "$free" -ge $((GIB_EACH * $1)) ] && return
	echo "not enough space: $free GiB free, $((GIB_EACH * $1)) wanted"
	return 1
}
# stage SUITE WHAT LOG COMMAND...: one result, and how long it took.
stage() {
	local name="$1: $2" log=$3 start=$SECONDS status
	shift 3
	echo "# $name ..."
	"$@"
	status=$?
	if [ "$status" -eq 0 ]; then
		passed=$((passed + 1))
		echo "ok $name ($((SECONDS - start)) s)"
	else
		failed=$((failed + 1))
		echo "not ok $name ($((SECONDS - start)) s)"
		grep -E '^(not ok|FAIL|.*(error|warning):)' "$log" |
			head -n 20 | sed 's/^/# /'
		tail -n 15 "$log" | sed 's/^/# /'
	fi
	return "$status"
}
# shown LOG PATTERN: keeps all of what comes, and shows what fits at once.
shown() {
	tee "$1" | { grep --line-buffered -E "$2" || :; } | sed -u 's/^/#   /'
}

# What the Makefile asks for, as far as that release has it by that name.
dependencies() {
	local root=$1 name known
	known=$(root_run "$root" apt-cache pkgnames)
	for name in $(make -s print-deps); do
		case $name in
		clang-tidy | ansible-core | lintian | rpm | rpmlint | graphviz) continue ;;
		esac
		grep -qxF "$name" <<<"$known" && echo "$name"
	done
}
# bare SUITE ROOT MIRROR CACHE: what debootstrap makes, and apt's settings.
bare() {
	local suite=$1 root=$2 mirror=$3 cache=$4
	[ ! -e "$root/.bare" ] || return 0
	rm -rf --one-file-system "$root" && mkdir -p "$root" || return 1
	debootstrap --variant=minbase --cache-dir="$cache" "$suite" "$root" \
		"$mirror" || return 1
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod 0755 "$root/usr/sbin/policy-rc.d"
	cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null
	apt-config dump | grep -E '^Acquire::(http|https)::Proxy' \
		>"$root/etc/apt/apt.conf.d/90proxy"
	# A mirror may be a picture of some weeks ago; it is signed all the
	# same. The cache belongs to root.
	printf '%s\n' 'Acquire::Check-Valid-Until "false";' \
		'APT::Keep-Downloaded-Packages "true";' \
		'APT::Sandbox::User "root";' \
		>"$root/etc/apt/apt.conf.d/90mirror"
	# A root that a crash spoils is made anew.
	printf '%s\n' force-unsafe-io 'path-exclude=/usr/share/doc/*' \
		'path-exclude=/usr/share/locale/*' \
		>"$root/etc/dpkg/dpkg.cfg.d/90quick"
	: >"$root/.bare"
}
# In namespaces of its own, with its standard output for a log.
prepare() {
	local suite=$1 root=$2 cache=$3 mirror
	read -r mirror _ < <(root_source)
	[ -n "${mirror:-}" ] || return 1
	mkdir -p "$cache/partial"
	bare "$suite" "$root" "$mirror" "$cache" || return 1
	# The second try finds them there, and packages by half.
	mountpoint -q "$root/var/cache/apt/archives" || {
		mount -t proc proc "$root/proc" &&
			mount -t sysfs sysfs "$root/sys" &&
			mount --rbind /dev "$root/dev" &&
			mount --bind "$cache" \
				"$root/var/cache/apt/archives" || return 1
	}
	root_run "$root" dpkg --configure -a &&
		root_run "$root" apt-get update -q || return 1
	# shellcheck disable=SC2046
	root_run "$root" apt-get install -qy --no-install-recommends \
		$(dependencies "$root") || return 1
	mkdir -p "$root/src"
	find "$root/src" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
	git ls-files -z | tar -c --null -T - | tar -x -C "$root/src"
}
# Two times: a mirror may fail once.
start_maker() {
	local suite=$1
	# shellcheck disable=SC2016
	unshare -mpf --kill-child --propagation private bash -c '
		prepare "$@" || { echo "once more"; prepare "$@"; }' - \
		"$suite" "$roots/$suite" "$results/$suite.packages" \
		>"$results/$suite.root" 2>&1 </dev/null &
	makers[$suite]=$!
}
made() {
	wait "${makers[$1]}"
	local status=$?
	unset "makers[$1]"
	return "$status"
}
versions() {
	root_run "$roots/$1" sh -c '. /etc/os-release
		echo "$PRETTY_NAME, gcc $(gcc -dumpfullversion), libssh \
$(pkg-config --modversion libssh), OpenSSL \
$(pkg-config --modversion libcrypto), $(ssh -V 2>&1 | cut -d, -f1), PAM \
$(dpkg-query -Wf "\${Version}" libpam0g)"' |
		tr -s ' '
}
# Away from this host's network, processes and mounts.
# The root becomes a mount of its own and then "/", as tests want to change how
# it is shared; a chroot would not be one.
alone() {
	local root=$roots/$1
	shift
	unshare -mnpf --kill-child --propagation private sh -ec '
		ip link set lo up
		mount --rbind "$1" "$1"
		cd "$1"
		shift
		mount -t proc proc proc
		mount -t sysfs sysfs sys
		mount --rbind /sys/fs/cgroup sys/fs/cgroup
		mount --make-rslave sys/fs/cgroup
		mount --rbind /dev dev
		mount --make-rslave dev
		mount -t tmpfs tmpfs run
		mkdir -p run/sshd run/old
		pivot_root . run/old
		umount -l /run/old
		exec /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 \
			PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"' - "$root" "$@" \
		</dev/null
}
compile() {
	alone "$1" sh -c 'cd /src && make -j2 all unit' 2>&1 |
		shown "$results/$1.build" 'LINK|(warning|error):' || return 1
	! grep -E ': (warning|error):|Error [0-9]' "$results/$1.build" &&
		[ -x "$roots/$1/src/build/sgbridged" ]
}
tests() {
	local suite=$1 status
	if [ -z "${SGB_DISTRO_TESTS:-}" ]; then
		alone "$suite" sh -c 'cd /src && git init -q . &&
			git add -A && SGB_QUICK=1 tests/run.sh build'
	else
		# shellcheck disable=SC2086
		alone "$suite" sh -c 'cd /src && git init -q . && git add -A
			passed=0 failed=0
			for script; do
				# Those of sessions take names of cases.
				case $script in
				tests/session/*) set -- "$script" ;;
				*) set -- "$script" build ;;
				esac
				timeout 600 "$@" >/tmp/out 2>&1 </dev/null
				case $? in
				0) echo "ok   $script: $(tail -n 1 /tmp/out)"
					passed=$((passed + 1)) ;;
				77) echo "skip $script: $(tail -n 1 /tmp/out)" ;;
				*) failed=$((failed + 1))
					echo "FAIL $script"
					sed "s/^/     | /" /tmp/out ;;
				esac
			done
			echo "$passed passed, $failed failed"
			[ "$failed" -eq 0 ]' - ${SGB_DISTRO_TESTS}
	fi 2>&1 | shown "$results/$suite.tests" '^(ok|FAIL|skip|     \|) '
	status=$?
	sums+=("$suite: $(tail -n 1 "$results/$suite.tests")")
	return "$status"
}
debs() {
	alone "$1" sh -c 'cd /src && make deb' >"$results/$1.deb" 2>&1
}
# From there: what changes here meanwhile would have it make them anew, here.
newcomer() (
	cd "$roots/$1/src" && SGB_ROOT_SUITE=$1 timeout 900 \
		tests/packages/newcomer.sh build >"$results/$1.newcomer" \
		2>&1 </dev/null
)
suite() {
	local suite=$1
	stage "$suite" "a root with what the Makefile names" \
		"$results/$suite.root" made "$suite" || return
	versions "$suite" | sed 's/^/# /' | tee "$results/$suite.versions"
	stage "$suite" "builds without a warning" "$results/$suite.build" \
		compile "$suite" || [ -x "$roots/$suite/src/build/sgbridged" ] ||
		return
	stage "$suite" tests "$results/$suite.tests" tests "$suite"
	stage "$suite" "make deb" "$results/$suite.deb" debs "$suite" || return
	stage "$suite" "a newcomer, on a host with these packages" \
		"$results/$suite.newcomer" newcomer "$suite"
}

main() {
	local name
	enough_space $# || exit 77
	export -f prepare bare dependencies root_run root_source
	for name; do
		start_maker "$name"
	done
	for name; do
		suite "$name"
		[ "$roots" != "$work" ] ||
			rm -rf --one-file-system "${roots:?}/$name"
	done
	[ ${#sums[@]} -eq 0 ] || printf '# %s\n' "${sums[@]}"
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
	exit
}
# Read as a whole before it runs: it may be edited meanwhile.
main "$@"
