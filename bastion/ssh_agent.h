/*
 * Message numbers of the agent protocol (draft-ietf-sshm-ssh-agent, section
 * 6.1), as far as the agent for a target and the user's own are spoken with.
 */
#ifndef SGB_SSH_AGENT_H
#define SGB_SSH_AGENT_H

enum ssh_agent {
	AGENT_FAILURE = 5,
	AGENT_REQUEST_IDENTITIES = 11,
	AGENT_IDENTITIES_ANSWER = 12,
	AGENT_SIGN_REQUEST = 13,
	AGENT_SIGN_RESPONSE = 14,
	AGENT_COM_FAILURE = 102, /* the other "no", of old */
};

#endif
