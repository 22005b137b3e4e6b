/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel shows of the address space: command line (rewritten in place, as servers do),
 * environment, auxiliary vector, and the fields of /proc/self/stat. */
#include "workload.h"

#include <sys/prctl.h>

struct text {
	char bytes[16384];
	ssize_t size;
};

static void slurp(const char *path, struct text *text)
{
	int fd = (int)MUST(open(path, O_RDONLY | O_CLOEXEC));

	text->size = MUST(read(fd, text->bytes, sizeof(text->bytes) - 1));
	text->bytes[text->size] = '\0';
	MUST(close(fd));
}

/* Fields 26-28 and 45-51 of proc(5): start_code end_code start_stack, start_data .. env_end. */
static void stat_fields(unsigned long long out[10])
{
	struct text text;
	char *word;
	int field = 2, n = 0;

	slurp("/proc/self/stat", &text);
	for (word = strtok(strrchr(text.bytes, ')') + 2, " "); word != NULL;
	     word = strtok(NULL, " ")) {
		field++;
		if ((field >= 26 && field <= 28) || (field >= 45 && field <= 51))
			out[n++] = strtoull(word, NULL, 10);
	}
	CHECK_EQ(n, 10);
}

int main(int argc, char **argv)
{
	static const char *const paths[] = { "/proc/self/cmdline", "/proc/self/environ",
					     "/proc/self/auxv", "/proc/self/comm" };
	static struct text before[NR_OF(paths)], after;
	unsigned long long fields[10], fields_after[10];

	(void)argc;
	workload_init();
	argv[0][0] = '#';
	MUST(prctl(PR_SET_NAME, "renamed (x) y"));
	for (size_t i = 0; i < NR_OF(paths); i++)
		slurp(paths[i], &before[i]);
	stat_fields(fields);

	workload_checkpoint();

	for (size_t i = 0; i < NR_OF(paths); i++) {
		slurp(paths[i], &after);
		if (after.size != before[i].size ||
		    memcmp(after.bytes, before[i].bytes, (size_t)after.size) != 0)
			FAIL("%s differs", paths[i]);
	}
	stat_fields(fields_after);
	for (size_t i = 0; i < NR_OF(fields); i++)
		CHECK_EQ(fields_after[i], fields[i]);
	workload_pass();
}
