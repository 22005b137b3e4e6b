/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "pack/pack.h"

const struct thump_compression thump_compression_default = { THUMP_COMPRESS_ZSTD, 3 };

/* Negative levels are faster and hardly smaller than lz4. */
static int parse_level(const char *text, int *level_ret)
{
	char *end;
	long level;

	if (*text < '0' || *text > '9')
		return -1;
	level = strtol(text, &end, 10);
	if (*end || level < 1 || level > ZSTD_maxCLevel())
		return -1;
	*level_ret = (int)level;
	return 0;
}

int thump_compression_parse(const char *text, struct thump_compression *compression_ret)
{
	struct thump_compression compression = thump_compression_default;

	if (strcmp(text, "none") == 0)
		compression.method = THUMP_COMPRESS_NONE;
	else if (strcmp(text, "lz4") == 0)
		compression.method = THUMP_COMPRESS_LZ4;
	else if (strncmp(text, "zstd:", 5) == 0) {
		if (parse_level(text + 5, &compression.level) < 0)
			return -1;
	} else if (strcmp(text, "zstd") != 0)
		return -1;
	*compression_ret = compression;
	return 0;
}
