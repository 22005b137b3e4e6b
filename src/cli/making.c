/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/making.h"

#include <string.h>

#include "cli/keys.h"
#include "cli/when.h"

static const char *const names[] = {
	[THUMP_MAKE_DRAIN - THUMP_MAKE_DRAIN] = "--drain",
	[THUMP_MAKE_POLICY - THUMP_MAKE_DRAIN] = "--policy",
	[THUMP_MAKE_MODE - THUMP_MAKE_DRAIN] = "--mode",
	[THUMP_MAKE_COMPRESS - THUMP_MAKE_DRAIN] = "--compress",
	[THUMP_MAKE_ENCRYPT_TO - THUMP_MAKE_DRAIN] = "--encrypt-to",
	[THUMP_MAKE_SIGN - THUMP_MAKE_DRAIN] = "--sign",
	[THUMP_MAKE_HOOKS_FIRST - THUMP_MAKE_DRAIN] = "--hooks-first",
	[THUMP_MAKE_PASSPHRASE_FILE - THUMP_MAKE_DRAIN] = "--passphrase-file",
};

static const char *name_of(int opt)
{
	return names[opt - THUMP_MAKE_DRAIN];
}

/* Now, and not when the image is made: the program may have run for hours by then. */
static int check_argument(const struct thump_common *common, int opt, const char *argument)
{
	struct thump_compression compression;
	uint64_t ns;
	mode_t mode;

	switch (opt) {
	case THUMP_MAKE_DRAIN:
		if (thump_parse_duration(argument, &ns) == 0)
			return -1;
		return thump_usage_error(common, "--drain %s: a time like 5s or 500ms", argument);
	case THUMP_MAKE_MODE:
		return thump_mode_option(common, argument, &mode);
	case THUMP_MAKE_COMPRESS:
		return thump_compression_option(common, argument, &compression);
	default:
		return -1;
	}
}

int thump_making_option(const struct thump_common *common, int opt, const char *argument,
			struct thump_making *making)
{
	int status;

	if (opt == THUMP_MAKE_HOOKS_FIRST) {
		making->hooks_first = true;
		return -1;
	}
	status = check_argument(common, opt, argument);
	if (status >= 0)
		return status;
	if (making->count == THUMP_MAKING_MAX)
		return thump_usage_error(common, "%s: more than %u options for the image",
					 name_of(opt), THUMP_MAKING_MAX);
	making->list[making->count++] = (struct thump_making_word){
		.option = name_of(opt),
		.argument = argument,
	};
	return -1;
}

const char *thump_making_find(const struct thump_making *making, int opt)
{
	for (size_t i = 0; i < making->count; i++)
		if (strcmp(making->list[i].option, name_of(opt)) == 0)
			return making->list[i].argument;
	return NULL;
}

const char *thump_making_packs(const struct thump_making *making)
{
	static const int packing[] = { THUMP_MAKE_ENCRYPT_TO, THUMP_MAKE_SIGN,
				       THUMP_MAKE_COMPRESS };

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(packing); i++)
		if (thump_making_find(making, packing[i]))
			return name_of(packing[i]);
	return NULL;
}
