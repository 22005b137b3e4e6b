/* SPDX-License-Identifier: Apache-2.0 */
/* write_sample small|rich FILE: an image of the made-up process of sample.c. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sample.h"

int main(int argc, char **argv)
{
	struct thump_image_stats stats;
	struct thump_model model;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: write_sample small|rich FILE\n");
		return 2;
	}
	sample_fill(&model, strcmp(argv[1], "rich") == 0 ? SAMPLE_RICH : SAMPLE_SMALL);
	sample_write(&model, argv[2], &stats);
	thump_model_deinit(&model);
	return 0;
}
