/*
 * Puts the shell script of sgbridge instance-setup together. Texts stand in
 * here-documents with a quoted mark, which the shell does not look into, and
 * a text that holds the mark is refused. Trusts its callers for paths.
 */
#include "instance_script.h"

#include <inttypes.h>
#include <string.h>

#define MARK "SGBRIDGE_END_OF_TEXT"

/* Runs by itself, from the folder of copies: by hand at a console, too. */
static const char restore_text[] =
	"#!/bin/sh\n"
	"# Puts back what sgbridge instance-setup replaced.\n"
	"set -u\n"
	"PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"
	"cd \"$(dirname \"$0\")\" || exit 1\n"
	"status=0\n"
	"while IFS= read -r path; do\n"
	"	if [ -e \"files$path\" ]; then\n"
	"		cp -p \"files$path\" \"$path.sgbridge\" &&\n"
	"			mv -f \"$path.sgbridge\" \"$path\"\n"
	"	else\n"
	"		rm -f \"$path\"\n"
	"	fi || status=1\n"
	"done <paths\n"
	"if [ -e table.nft ]; then\n"
	"	nft -f table.nft || status=1\n"
	"fi\n"
	"sh ./reload || status=1\n"
	"[ \"$status\" -ne 0 ] || : >restored\n"
	"exit \"$status\"\n";

/* An sshd that is started for each connection reads everything anew. */
static const char reload_text[] =
	"#!/bin/sh\n"
	"# Lets sshd read its settings again; one that cannot would end.\n"
	"sshd -t || {\n"
	"	echo 'sgbridge: sshd goes on with what it read before' >&2\n"
	"	exit 0\n"
	"}\n"
	"if [ -d /run/systemd/system ]; then\n"
	"	for unit in ssh.service sshd.service; do\n"
	"		if systemctl is-active --quiet \"$unit\"; then\n"
	"			exec systemctl reload \"$unit\"\n"
	"		fi\n"
	"	done\n"
	"elif [ -s /run/sshd.pid ]; then\n"
	"	kill -HUP \"$(cat /run/sshd.pid)\"\n"
	"fi\n";

/* Says that it is there before anything is changed. */
static const char guard_text[] =
	"#!/bin/sh\n"
	"# Puts everything back after $1 seconds, unless it is confirmed.\n"
	"dir=$(dirname \"$0\")\n"
	"left=$1\n"
	"trap 'rm -f /run/sgbridge-guard' EXIT\n"
	"echo \"$$\" >/run/sgbridge-guard\n"
	"while [ \"$left\" -gt 0 ]; do\n"
	"	[ ! -e /run/sgbridge-confirmed ] || exit 0\n"
	"	[ ! -e \"$dir/restored\" ] || exit 0\n"
	"	sleep 1\n"
	"	left=$((left - 1))\n"
	"done\n"
	"[ -e /run/sgbridge-confirmed ] || sh \"$dir/restore\"\n";

static const char common_text[] =
	"#!/bin/sh\n"
	"# From sgbridge instance-setup: for root, on the instance.\n"
	"set -eu\n"
	"PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"
	"umask 077\n"
	"\n"
	"die() {\n"
	"	echo \"sgbridge: $*\" >&2\n"
	"	exit 1\n"
	"}\n"
	"\n";

static const char functions_text[] =
	"# No two changes at a time: each would put the other back.\n"
	"nobody_waits() {\n"
	"	tries=5\n"
	"	while kill -0 \"$(cat /run/sgbridge-guard 2>/dev/null)\" \\\n"
	"		2>/dev/null; do\n"
	"		if [ ! -e /run/sgbridge-confirmed ] || [ \"$tries\" "
	"-eq 0 ]; "
	"then\n"
	"			die 'a change waits: touch "
	"/run/sgbridge-confirmed, or wait'\n"
	"		fi\n"
	"		tries=$((tries - 1))\n"
	"		sleep 1\n"
	"	done\n"
	"	rm -f /run/sgbridge-guard\n"
	"}\n"
	"\n"
	"# keep PATH: a copy of it, or that there is none\n"
	"keep() {\n"
	"	echo \"$1\" >>\"$backup/paths\"\n"
	"	[ -e \"$1\" ] || return 0\n"
	"	mkdir -p \"$backup/files$(dirname \"$1\")\"\n"
	"	cp -p \"$1\" \"$backup/files$1\"\n"
	"}\n"
	"\n"
	"keep_table() {\n"
	"	command -v nft >/dev/null || die 'nft is not installed'\n"
	"	{\n"
	"		echo 'table inet sgbridge'\n"
	"		echo 'delete table inet sgbridge'\n"
	"		nft list table inet sgbridge 2>/dev/null || :\n"
	"	} >\"$backup/table.nft\"\n"
	"	keep /etc/nftables.conf\n"
	"}\n"
	"\n"
	"# nftables.service may be off, and a file of its own that nobody "
	"tried: "
	"so\n"
	"# there is a unit for this alone.\n"
	"load_at_boot() {\n"
	"	unit=/etc/systemd/system/sgbridge-instance.service\n"
	"	wanted=/etc/systemd/system/sysinit.target.wants/${unit##*/}\n"
	"	keep \"$unit\"\n"
	"	cat >\"$unit\" <<'" MARK "'\n"
	"[Unit]\n"
	"Description=What sgbridge instance-setup lets in, for nftables\n"
	"DefaultDependencies=no\n"
	"Wants=network-pre.target\n"
	"Before=network-pre.target shutdown.target\n"
	"After=local-fs.target nftables.service\n"
	"Conflicts=shutdown.target\n"
	"ConditionPathExists=/etc/nftables.d/sgbridge.nft\n"
	"\n"
	"[Service]\n"
	"Type=oneshot\n"
	"RemainAfterExit=yes\n"
	"ExecStart=/usr/sbin/nft -f /etc/nftables.d/sgbridge.nft\n"
	"\n"
	"[Install]\n"
	"WantedBy=sysinit.target\n" MARK "\n"
	"	chmod 0644 \"$unit\"\n"
	"	[ ! -e \"$wanted\" ] || return 0\n"
	"	keep \"$wanted\"\n"
	"	(umask 022 && mkdir -p \"${wanted%/*}\")\n"
	"	ln -s \"$unit\" \"$wanted\"\n"
	"}\n"
	"\n"
	"# At boot, too, and when nftables.service reads its file again.\n"
	"load_table() {\n"
	"	nft -f /etc/nftables.d/sgbridge.nft\n"
	"	if [ -d /etc/systemd/system ]; then\n"
	"		load_at_boot\n"
	"	else\n"
	"		echo 'sgbridge: no systemd here: let something load "
	"/etc/nftables.d/sgbridge.nft at boot'\n"
	"	fi\n"
	"	line='include \"/etc/nftables.d/sgbridge.nft\"'\n"
	"	if [ -e /etc/nftables.conf ] &&\n"
	"		! grep -qxF \"$line\" /etc/nftables.conf; then\n"
	"		echo \"$line\" >>/etc/nftables.conf\n"
	"	fi\n"
	"}\n"
	"\n"
	"# A session's end must not end it.\n"
	"start_guard() {\n"
	"	rm -f /run/sgbridge-confirmed\n"
	"	if [ -d /run/systemd/system ] &&\n"
	"		command -v systemd-run >/dev/null; then\n"
	"		systemd-run --quiet --collect sh \"$backup/guard\" "
	"\"$seconds\"\n"
	"	else\n"
	"		setsid sh \"$backup/guard\" \"$seconds\" \\\n"
	"			</dev/null >/dev/null 2>&1 &\n"
	"	fi\n"
	"	tries=10\n"
	"	until [ -s /run/sgbridge-guard ]; do\n"
	"		[ \"$tries\" -gt 0 ] || die 'the guard does not "
	"start'\n"
	"		tries=$((tries - 1))\n"
	"		sleep 1\n"
	"	done\n"
	"}\n"
	"\n"
	"# What is wrong with the new files is known before sshd reads them.\n"
	"check_sshd() {\n"
	"	sshd -t\n"
	"	sshd -T -C user=root,host=localhost,addr=127.0.0.1 |\n"
	"		grep -qixF 'trustedusercakeys "
	"/etc/ssh/sgbridge_ca.pub' ||\n"
	"		die 'sshd_config does not include sshd_config.d/*.conf "
	"first'\n"
	"}\n"
	"\n"
	"# exempt PATH ADDRESSES: sshd knows the keyword from 9.8 on, and an "
	"older one\n"
	"# would not start with it.\n"
	"exempt() {\n"
	"	others=$(sshd -T -C user=root,host=localhost,addr=127.0.0.1 |\n"
	"		sed -n 's/^persourcepenaltyexemptlist //Ip')\n"
	"	case $others in\n"
	"	'') return 0 ;;\n"
	"	none) others= ;;\n"
	"	esac\n"
	"	echo \"PerSourcePenaltyExemptList $2${others:+,$others}\" "
	">>\"$1\"\n"
	"}\n"
	"\n"
	"finish() {\n"
	"	status=$?\n"
	"	[ \"$good\" = no ] || exit \"$status\"\n"
	"	echo 'sgbridge: failed; what was changed is put back' >&2\n"
	"	sh \"$backup/restore\"\n"
	"	exit 1\n"
	"}\n"
	"\n"
	"main() {\n"
	"	[ \"$(id -u)\" -eq 0 ] || die 'this is for root'\n"
	"	command -v sshd >/dev/null || die 'sshd is not installed'\n"
	"	nobody_waits\n"
	"	mkdir -p /var/backups\n"
	"	backup=/var/backups/sgbridge-$(date -u +%Y%m%dT%H%M%SZ)\n"
	"	mkdir \"$backup\"\n"
	"	: >\"$backup/paths\"\n"
	"	write_tools\n"
	"	good=no\n"
	"	trap finish EXIT\n"
	"	trap 'exit 1' HUP INT TERM\n";

static const char main_end_text[] =
	"	good=yes\n"
	"	echo \"sgbridge: changed; put back in $seconds seconds unless "
	"confirmed\"\n";

/* Newest first; sorted by their names, which are times. */
static const char undo_text[] =
	"main() {\n"
	"	[ \"$(id -u)\" -eq 0 ] || die 'this is for root'\n"
	"	last=\n"
	"	for dir in /var/backups/sgbridge-*; do\n"
	"		[ -e \"$dir/restore\" ] || continue\n"
	"		[ -e \"$dir/restored\" ] || last=$dir\n"
	"	done\n"
	"	[ -n \"$last\" ] || die 'nothing to put back'\n"
	"	sh \"$last/restore\"\n"
	"	echo \"sgbridge: put back what is in $last\"\n"
	"}\n"
	"\n"
	"main\n";

static void put_document(
	struct buf *out, const char *target, const void *text, size_t len)
{
	buf_printf(out, "	cat >%s <<'" MARK "'\n", target);
	buf_put(out, text, len);
	buf_printf(out, MARK "\n");
}

static void put_tools(struct buf *out)
{
	buf_printf(out, "write_tools() {\n");
	put_document(out, "\"$backup/restore\"", restore_text,
		sizeof(restore_text) - 1);
	put_document(out, "\"$backup/reload\"", reload_text,
		sizeof(reload_text) - 1);
	put_document(
		out, "\"$backup/guard\"", guard_text, sizeof(guard_text) - 1);
	buf_printf(out, "}\n\n");
}

/* Who confirms comes by the way that is left, and only where it works. */
static void put_confirm(
	struct buf *out, const char *instance, const char *login)
{
	buf_printf(out,
		"	echo 'sgbridge: confirm it from where you work, "
		"through "
		"the bastion:'\n"
		"	echo '    ssh -p 30022 YOU+%s@%s@BASTION "
		"sudo touch /run/sgbridge-confirmed'\n",
		login, instance);
}

void script_begin(struct buf *out, uint64_t seconds, bool nftables,
	const char *instance, const char *login)
{
	buf_printf(out, "%sseconds=%" PRIu64 "\n\n", common_text, seconds);
	put_tools(out);
	buf_put(out, functions_text, sizeof(functions_text) - 1);
	buf_printf(out, "%s	start_guard\n	write_files\n	check_sshd\n%s",
		nftables ? "	keep_table\n" : "",
		nftables ? "	load_table\n" : "");
	buf_printf(out, "	sh \"$backup/reload\"\n");
	buf_put(out, main_end_text, sizeof(main_end_text) - 1);
	put_confirm(out, instance, login);
	buf_printf(out, "}\n\n");
	buf_printf(out, "write_files() {\n");
}

void script_file(struct buf *out, const char *path, const struct buf *text)
{
	if (memmem(text->data, text->len, "\n" MARK "\n", sizeof(MARK) + 1)) {
		out->err = SGB_ERR_FORMAT;
		return;
	}
	buf_printf(out,
		"	keep %s\n"
		"	(umask 022 && mkdir -p \"$(dirname %s)\")\n",
		path, path);
	put_document(out, path, text->data, text->len);
	buf_printf(out, "	chmod 0644 %s\n", path);
}

void script_exempt(struct buf *out, const char *path, const char *nets)
{
	buf_printf(out, "	exempt %s '%s'\n", path, nets);
}

void script_end(struct buf *out)
{
	buf_printf(out, "}\n\nmain\n");
}

void script_undo(struct buf *out)
{
	buf_put(out, common_text, sizeof(common_text) - 1);
	buf_put(out, undo_text, sizeof(undo_text) - 1);
}
