/* SPDX-License-Identifier: Apache-2.0 */
/* The text of resource policies, in both syntaxes. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "cli/policies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct thump_fd_rules rules = { .count = 0 };
	struct thump_err err = THUMP_ERR_INIT;
	auto_free char *text = malloc(size + 1);
	struct thump_arena arena;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	thump_arena_init(&arena);
	(void)!thump_policies_parse(text, size, "policy", &arena, &rules, &err);
	(void)!thump_policies_parse_crac(text, "policy", &arena, &rules, &err);
	thump_arena_deinit(&arena);
	return 0;
}
