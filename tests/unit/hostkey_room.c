/* The room of the tests of host keys: hostkey_room.h. */
#include "hostkey_room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char key_text[3][256];

int setup(void **state)
{
	static const char *const names[] = {"a.pub", "b.pub", "ca.pub"};
	size_t i, len;

	assert_int_equal(files_make(state), 0);
	sh("for k in a b ca ca2; do ssh-keygen -q -t ed25519 -N '' -C '' "
	   "-f $k; done; ssh-keygen -q -t rsa -b 2048 -N '' -C '' -f r; "
	   "mkdir cache");
	for (i = 0; i < 3; i++) {
		char *text = get_file(names[i], &len);

		text[strcspn(text, "\n")] = '\0';
		while (*text && text[strlen(text) - 1] == ' ')
			text[strlen(text) - 1] = '\0';
		snprintf(key_text[i], sizeof(key_text[i]), "%s", text);
		free(text);
	}
	return 0;
}
