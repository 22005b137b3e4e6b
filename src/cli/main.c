/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "version.h"

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("thump %s\n", THUMP_VERSION);
		return THUMP_OK;
	}
	fprintf(stderr, "usage: thump VERB [OPTION...]\n");
	return THUMP_USAGE;
}
