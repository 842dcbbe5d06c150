#!/bin/bash
# make install puts each file where manual pages, units and programs say that
# it is; make uninstall takes away exactly these; and what is built does not
# depend on where and when it was built.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
ok() {
	if [ -z "$2" ]; then
		passed=$((passed + 1))
		echo "ok $1"
	else
		failed=$((failed + 1))
		echo "not ok $1"
		printf '%s\n' "$2" | head -n 20 | sed 's/^/# /'
	fi
}
run() {
	make --no-print-directory BUILD="$build" "$@" >"$work/log" 2>&1 ||
		cat "$work/log"
}
files() {
	(cd "$1" && find . -type f -o -type l | sort)
}
root=$work/root
ok "make install" "$(run install DESTDIR="$root")"

# What must be there, by the names that people and programs use.
missing() {
	local path
	for path; do
		[ -e "$root$path" ] || echo "$path"
	done
}
# shellcheck disable=SC2046
ok "programs that the units start are installed" "$(missing $(sed -n \
	's/^Exec[A-Za-z]*=\(\/usr[^ ]*\/sg[^ ]*\).*/\1/p' conf/systemd/*.service))"
ok "programs that sgbridged and monitors start are installed" "$(
	folder=$(strings "$build/sgbridged" | grep -x '/.*/libexec/sgbridge' |
		head -n 1)
	[ -n "$folder" ] || echo "sgbridged names no folder"
	missing "$folder/sgbridge-monitor" "$folder/sgbridge-starter" \
		"$folder/sgbridge-session")"
ok "the PAM module is where PAM looks" "$(missing "/lib/$(gcc \
	-print-multiarch)/security/pam_sgbridge.so")"
ok "sysusers, tmpfiles, units" "$(missing /usr/lib/sysusers.d/sgbridge.conf \
	/usr/lib/tmpfiles.d/sgbridge.conf \
	/lib/systemd/system/sgbridged.service \
	/lib/systemd/system/sgbridge-recorder.service)"
ok "every manual page is installed" "$(for page in docs/man/*.[1-8]; do
	missing "/usr/share/man/man${page##*.}/${page##*/}"
done)"
# The player of exported pages comes from npm, where that can be reached.
ok "manual pages name no file under /usr that is not installed" "$(
	sed -n 's/^\.It Pa \(\/usr[^ ]*\).*/\1/p; s/^\.Pa \(\/usr[^ ]*\).*/\1/p' \
		docs/man/*.[1-8] | sort -u | grep -E 'sgbridge' |
		grep -vx /usr/share/sgbridge/player |
		while read -r path; do missing "$path"; done)"
ok "nor one of the sources, and every guide is installed" "$(
	grep -nE '^\.(It )?Pa (docs|conf|tests)/' docs/man/*.[1-8]
	for file in $(git ls-files README.md SECURITY.md 'docs/*.md'); do
		missing "/usr/share/doc/sgbridge/$file"
	done)"
ok "every shipped example is installed" "$(for file in \
	$(git ls-files conf/pam.d conf/sshd_config.d 'conf/*.conf' \
		'conf/*.rules' | grep -v -E '^conf/(sysusers|tmpfiles)'); do
	missing "/usr/share/doc/sgbridge/examples/${file#conf/}"
done)"
ok "no file is another's to write, and none is set-id" \
	"$(find "$root" \( -perm /6022 -o ! -user root \) ! -type l)"
ok "no path of the build is in a program" "$(grep -rlF "$PWD" "$root")"

# Another prefix, said to "install" alone, as people do: what was built for
# /usr is built again. In a copy, since other tests want this build.
copy=$work/copy
copied() {
	mkdir -p "$copy/build"
	cp -a Makefile audit bastion conf docs pam_module ./*.md \
		tests "$copy/"
	cp -a "$build"/{audit,bastion,pam_module,include,flags,libsgb.a} \
		"$build"/sgbridge* "$build"/pam_sgbridge.so "$copy/build/"
	find "$copy/build" -name '*.d' -exec sed -i "s,$build/,build/,g" {} +
}
again() {
	make -C "$copy" --no-print-directory BUILD=build "$@" \
		>"$work/log" 2>&1 || cat "$work/log"
}
compiled() { grep -c '^  CC ' "$work/log"; }
ok "a copy of the build" "$(copied)"
ok "with nothing else, nothing is built again" "$(again -j2 all
	[ "$(compiled)" -eq 0 ] || cat "$work/log")"
ok "make install with another prefix" "$(again -j2 install \
	DESTDIR="$work/local" PREFIX=/usr/local)"
ok "its units start what was installed there" "$(for path in $(sed -n \
	's/^Exec[A-Za-z]*=\(\/usr[^ ]*\/sg[^ ]*\).*/\1/p' \
	"$work"/local/lib/systemd/system/*.service); do
	[ -e "$work/local$path" ] || echo "$path"
done)"
ok "its programs look there" "$(
	strings "$work/local/usr/local/sbin/sgbridged" |
		grep -qx /usr/local/libexec/sgbridge || echo sgbridged
	find "$work/local" -type f -perm /100 | while read -r file; do
		strings "$file" | grep -E '^/usr/(libexec|share)/sgbridge' &&
			echo "$file"
	done)"
ok "other flags build again" "$(again CFLAGS=-O1 build/bastion/starter.o
	[ "$(compiled)" -eq 1 ] || cat "$work/log")"
ok "and the same flags do not" "$(again CFLAGS=-O1 build/bastion/starter.o
	[ "$(compiled)" -eq 0 ] || cat "$work/log")"

names() { nm -gP --defined-only "$1/bastion/session_gcm.o" | cut -d' ' -f1; }
ok "no file loses its own flags by that" "$(again -j2 CFLAGS=-O1 \
	build/audit/identity_token.o build/bastion/session_gcm.o
	[ "$(compiled)" -eq 2 ] || cat "$work/log"
	diff <(names "$build") <(names "$copy/build"))"

# A host without a compiler: "make deps all" hardens all the same. What "deps"
# installs here is a name for the compiler, and one object stands for all.
mkdir "$work/bin"
cat >"$copy/tests/deps.sh" <<END
#!/bin/sh
ln -sf "$(command -v "${CC:-cc}")" "$work/bin/later"
END
ok "packages come first, and then what the compiler can do" "$(
	PATH=$work/bin:$PATH again -j2 CC=later BUILD=bare deps \
		bare/bastion/starter.o
	nm "$copy/bare/bastion/starter.o" | grep -q __stack_chk_fail ||
		cat "$work/log" "$copy/bare/flags")"

# Somebody's own files beside ours stay.
files "$root" >"$work/installed"
(cd "$root" && find . -type d) | while read -r folder; do
	echo mine >"$root/$folder/somebodys-own"
done
(cd "$root" && find . -name somebodys-own | sort) >"$work/own"
for name in sgbridge.conf policy.conf user_ca master.key; do
	echo mine >"$root/etc/sgbridge/$name"
	echo "./etc/sgbridge/$name" >>"$work/own"
done
sort -o "$work/own" "$work/own"
ok "make uninstall" "$(run uninstall DESTDIR="$root")"
ok "uninstall removes what install put and nothing else" \
	"$(files "$root" | diff "$work/own" -)"
find "$root" -name somebodys-own -delete
run uninstall DESTDIR="$root"
ok "and leaves no folder of its own" "$(find "$root" -type d \
	\( -path '*libexec/sgbridge' -o -path '*doc/sgbridge*' \))"
ok "install after uninstall is the same again" "$(rm -rf "$root"
	run install DESTDIR="$root"
	files "$root" | diff "$work/installed" -)"

# --- reproducible: another folder, another time, another umask
if [ -z "${SGB_QUICK:-}" ]; then
	rm -rf "$copy"
	copy=$work/elsewhere/with/a/longer/name
	mkdir -p "$copy"
	tar -cf - --exclude='./build*' --exclude=./.git . | tar -xf - -C "$copy"
	find "$copy" -type f -exec touch -d '2001-02-03' {} +
	(
		umask 077
		cd "$copy" && env -i PATH="$PATH" HOME=/nonexistent TZ=Asia/Tokyo \
			LC_ALL=C make -j2 all >"$work/log" 2>&1
	) || cat "$work/log"
	hashes() {
		(cd "$1" && sha256sum sgbridge* pam_sgbridge.so)
	}
	if [ "$build" = build ]; then
		ok "two builds in different folders are equal" \
			"$(diff <(hashes build) <(hashes "$copy/build") 2>&1)"
	fi
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
