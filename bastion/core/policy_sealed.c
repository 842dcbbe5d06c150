/*
 * The policy as sgbridged accepted it, from the sealed memfd that it handed
 * down: what is edited on disk meanwhile does not matter.
 */
#include "core/file.h"
#include "core/policy.h"

enum sgb_err policy_load_sealed(int fd, struct policy **ret, struct diag *diag)
{
	struct policy_source *source = NULL;
	struct buf bundle;
	enum sgb_err err;

	buf_init(&bundle, POLICY_SEALED_MAX);
	err = file_read_sealed(fd, &bundle);
	if (!err)
		err = policy_source_decode(bundle.data, bundle.len, &source);
	if (!err)
		err = policy_compile(source, ret, diag);
	policy_source_free(source);
	buf_done(&bundle);
	return err;
}
