/* SPDX-License-Identifier: Apache-2.0 */
/* write_sample small|rich|many_fds FILE: an image of the made-up process of sample.c. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sample.h"

static int size_of_name(const char *name)
{
	static const char *const names[] = {
		[SAMPLE_SMALL] = "small",
		[SAMPLE_RICH] = "rich",
		[SAMPLE_MANY_FDS] = "many_fds",
	};

	for (int size = 0; size < (int)THUMP_ARRAY_SIZE(names); size++)
		if (strcmp(name, names[size]) == 0)
			return size;
	return -1;
}

int main(int argc, char **argv)
{
	int size = argc == 3 ? size_of_name(argv[1]) : -1;
	struct thump_image_stats stats;
	struct thump_model model;

	if (size < 0) {
		(void)fprintf(stderr, "usage: write_sample small|rich|many_fds FILE\n");
		return 2;
	}
	sample_fill(&model, (enum sample_size)size);
	sample_write(&model, argv[2], &stats);
	thump_model_deinit(&model);
	return 0;
}
