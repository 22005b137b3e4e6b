/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a policy, and the keys in it. Paths in it are not opened: / in them becomes _. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "cli/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_keys *keys;
	auto_free char *text = malloc(size + 1);

	if (!text || thump_keys_create(&keys, &err) < 0)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	for (char *at = text; (at = strchr(at, '/')); at++)
		*at = '_';
	(void)!thump_policy_apply(text, "policy", keys, &err);
	thump_keys_destroy(keys);
	return 0;
}
