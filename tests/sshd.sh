# What the sshd of this machine is like, for the tests that start one. Sourced.
# shellcheck shell=bash

# sshd_knows KEYWORD. Newer ones print it as people write it. Before OpenSSH 9.3 there is no -G, and
# none of the keywords that are asked for here.
sshd_knows() {
	/usr/sbin/sshd -G -f /dev/null 2>/dev/null | grep -qi "^$1 "
}
# OpenSSH 9.8 and newer shut out who fails or connects often, as tests do.
sshd_no_penalties() {
	! sshd_knows persourcepenalties || echo 'PerSourcePenalties no'
}
# From 9.9 on a setting and not the program's name is the PAM service.
sshd_pam_service() {
	! sshd_knows pamservicename || echo "PAMServiceName $1"
}
