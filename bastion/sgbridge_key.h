/*
 * sgbridge key: what its parts share.
 */
#ifndef SGB_SGBRIDGE_KEY_H
#define SGB_SGBRIDGE_KEY_H

#include "core/buf.h"
#include "sgbridge.h"
#include "targetkey.h"

struct conf;

/* Appends the line of a version for authorized_keys, with its newline. */
void key_put_public(
	const struct targetkey *key, size_t version, struct buf *out);
/* The first instance or group of the policy that names the key; NULL: none. */
const char *key_user(const struct policy *policy, const char *name);
/* Is the instance, or a group that it is in, one of the key's purposes? */
bool key_is_for(const struct policy *policy, const struct policy_node *node,
	const struct targetkey *key);
/* Is there an instance that names the key without being one of its purposes?
 * Its name, or NULL. */
const char *key_stranger(
	const struct policy *policy, const struct targetkey *key);

/* sgbridge_key_list.c */
int key_list(struct cli *cli, const struct conf *conf);
int key_show(struct cli *cli, const struct conf *conf, const char *name);

#endif
