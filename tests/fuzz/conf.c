/*
 * Fuzzer: sgbridge.conf. What is accepted has no mistakes reported and every
 * list ends where its count says; what is not accepted says why.
 */
#include <stdlib.h>
#include <string.h>

#include "core/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf *conf = NULL;
	struct diag diag;
	enum sgb_err err;

	diag_init(&diag);
	err = conf_parse("f", (const char *)data, size, &conf, &diag);
	if (!err && (diag.errors ||
			    (conf->listen.items &&
				    conf->listen.items[conf->listen.count])))
		abort();
	if (err == SGB_ERR_FORMAT && !diag.errors)
		abort();
	conf_free(conf);
	diag_done(&diag);
	return 0;
}
