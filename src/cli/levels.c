/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/levels.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "cli/report.h"
#include "proc/arch/cpu.h"

static const char prefix[] = "x86-64-v";

int thump_level_parse(const char *text)
{
	size_t len = strlen(prefix);

	if (strncmp(text, prefix, len) != 0 || text[len] < '1' ||
	    text[len] > '0' + THUMP_CPU_LEVELS || text[len + 1])
		return 0;
	return text[len] - '0';
}

int thump_level_option(const struct thump_common *common, const char *text, int *level_ret)
{
	int level = thump_level_parse(text);

	if (!level)
		return thump_usage_error(
			common, "--cpu takes x86-64-v1, x86-64-v2, x86-64-v3 or x86-64-v4, not %s",
			text);
	*level_ret = level;
	return -1;
}

/*
 * glibc.cpu.hwcaps of the GNU C library's tunables: features for which it has code of its own, by
 * the level that has them. Those that it does not know in a version are skipped by it.
 */
static const struct {
	int level; /* the first that has them; one more than the highest: none has */
	const char *names;
} hwcaps[] = {
	{ 2, ",-SSSE3,-SSE4_1,-SSE4_2,-POPCNT" },
	{ 3, ",-AVX,-AVX2,-BMI1,-BMI2,-FMA,-LZCNT,-MOVBE,-XSAVE" },
	{ 4, ",-AVX512F,-AVX512CD,-AVX512BW,-AVX512DQ,-AVX512VL" },
	{ THUMP_CPU_LEVELS + 1, ",-AVX512ER,-AVX512PF,-ERMS,-FSRM,-RTM,-FMA4,-XSAVEC" },
};

#define TUNABLES     "GLIBC_TUNABLES"
#define HWCAPS_START "glibc.cpu.hwcaps="

/* What the caller has set comes first; of one tunable that is given twice glibc takes the last. */
static int set_tunables(int level)
{
	const char *old = getenv(TUNABLES);
	char names[512] = "";
	auto_free char *text = NULL;
	int rc;

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(hwcaps); i++)
		if (hwcaps[i].level > level)
			(void)strncat(names, hwcaps[i].names, sizeof(names) - strlen(names) - 1);
	rc = asprintf(&text, "%s%s" HWCAPS_START "%s", old ? old : "", old && *old ? ":" : "",
		      names + 1);
	if (rc < 0)
		text = NULL;
	return rc < 0 ? -1 : setenv(TUNABLES, text, 1);
}

/*
 * Lazy binding goes through code of the dynamic linker that saves registers by what this CPU has
 * (xsavec); with LD_BIND_NOW it is not needed.
 */
int thump_level_set_environment(int level)
{
	char word[sizeof(prefix) + 1];

	(void)snprintf(word, sizeof(word), "%s%d", prefix, level);
	if (setenv(THUMP_LEVEL_VARIABLE, word, 1) < 0 || setenv("LD_BIND_NOW", "1", 1) < 0)
		return -1;
	return set_tunables(level);
}

/* The value of the variable, from a text of strings with their NULs; 0: it is not there. */
static int level_in(const char *environment, size_t size)
{
	const size_t len = strlen(THUMP_LEVEL_VARIABLE "=");

	for (const char *at = environment; at < environment + size; at += strlen(at) + 1)
		if (strncmp(at, THUMP_LEVEL_VARIABLE "=", len) == 0)
			return thump_level_parse(at + len);
	return 0;
}

int thump_level_of_process(pid_t pid)
{
	auto_free char *environment = NULL, *maps = NULL;
	size_t size = 0;
	char path[40];
	int level;

	(void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	if (thump_slurp(AT_FDCWD, path, &environment, &size) < 0)
		return 0;
	level = level_in(environment, size);
	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	if (!level || thump_slurp(AT_FDCWD, path, &maps, NULL) < 0 || strstr(maps, "/libjvm.so\n"))
		return 0;
	return level;
}

bool thump_has_level(const char *pattern)
{
	return strstr(pattern, "%f") != NULL;
}

const char *thump_level_path(struct thump_arena *arena, const char *pattern, int level)
{
	const char *at = strstr(pattern, "%f");

	if (!at)
		return pattern;
	return thump_arena_printf(arena, "%.*s%s%d%s", (int)(at - pattern), pattern, prefix, level,
				  at + strlen("%f"));
}
