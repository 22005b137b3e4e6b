/* SPDX-License-Identifier: Apache-2.0 */
/* Runs every file of the directories given, in name order, through the target it is linked with;
 * libFuzzer's main does the same, and more. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"
#include "fuzz.h"

static int run_file(int dir_fd, const char *name)
{
	auto_free char *bytes = NULL;
	uint8_t *exact;
	size_t size;

	if (thump_slurp(dir_fd, name, &bytes, &size) != 0) {
		perror(name);
		return -1;
	}
	/* Exactly its size, so that a sanitizer sees a read past the end. */
	exact = malloc(size ? size : 1);
	if (!exact)
		return -1;
	for (size_t i = 0; i < size; i++)
		exact[i] = (uint8_t)bytes[i];
	(void)LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	return 0;
}

static int run_directory(const char *path)
{
	auto_close int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **entries;
	int count = dir_fd < 0 ? -1 : scandir(path, &entries, NULL, alphasort), ran = 0;

	if (count < 0) {
		perror(path);
		return -1;
	}
	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.' && ran >= 0)
			ran = run_file(dir_fd, entries[i]->d_name) < 0 ? -1 : ran + 1;
		free(entries[i]);
	}
	free(entries);
	return ran;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int ran = run_directory(argv[i]);

		if (ran <= 0) {
			(void)fprintf(stderr, "%s: no inputs\n", argv[i]);
			return 1;
		}
		(void)printf("%s: %d inputs\n", argv[i], ran);
	}
	return 0;
}
