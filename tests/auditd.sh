# shellcheck shell=bash
# For tests that read the kernel's audit log back: an auditd of their own.

# What auditctl -s says of NAME.
audit_status() {
	auditctl -s 2>/dev/null | sed -n "s/^$1 \(.*\)/\1/p"
}

# Nothing can be read back where audit is not there or locked, or where an
# auditd runs, which is the machine's own.
audit_usable() {
	[ -n "$(audit_status enabled)" ] && [ "$(audit_status enabled)" != 2 ] &&
		[ "$(audit_status pid)" = 0 ]
}

# auditd_conf FOLDER LOG: FOLDER is what auditd -c wants.
auditd_conf() {
	mkdir -p "$1"
	cat >"$1/auditd.conf" <<-END
	log_file = $2
	log_format = RAW
	log_group = root
	flush = SYNC
	num_logs = 2
	max_log_file = 8
	max_log_file_action = ROTATE
	space_left = 2
	admin_space_left = 1
	space_left_action = IGNORE
	admin_space_left_action = IGNORE
	disk_full_action = IGNORE
	disk_error_action = IGNORE
	name_format = NONE
	END
	chmod 640 "$1/auditd.conf"
}
