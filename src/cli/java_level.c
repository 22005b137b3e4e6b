/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeps HotSpot within a level of CPUs. UseAVX and UseSSE choose most of its code; the rest
 * has flags of its own, some of which only some versions know (they are looked for in libjvm.so, as
 * a JVM does not start with an unknown one). What has no flag at all the agent takes from the table
 * of features that HotSpot goes by (jvm/agent/level.c).
 *
 * Between the AVX-512 of x86-64-v4 and newer ones HotSpot has no switch, so v4 is v3 here.
 */
#include <string.h>

#include "cli/java.h"
#include "cli/libjvm.h"
#include "cli/parameters.h"

static const struct {
	int from, to; /* for these levels */
	const char *flag;
	const char *probe; /* only when libjvm.so knows a flag of this name; diagnostic ones */
} flags[] = {
	{ 1, 1, "-XX:UseSSE=2", NULL },
	{ 1, 1, "-XX:-UsePopCountInstruction", NULL },
	{ 1, 2, "-XX:UseAVX=0", NULL },
	{ 1, 2, "-XX:-UseFMA", NULL },
	{ 1, 2, "-XX:-UseBMI1Instructions", NULL },
	{ 1, 2, "-XX:-UseBMI2Instructions", NULL },
	{ 1, 2, "-XX:-UseCountLeadingZerosInstruction", NULL },
	{ 1, 2, "-XX:-UseCountTrailingZerosInstruction", NULL },
	{ 3, 4, "-XX:UseAVX=2", NULL },
	{ 1, 4, "-XX:-UseAES", NULL },
	{ 1, 4, "-XX:-UseSHA", NULL },
	{ 1, 4, "-XX:-UseCLMUL", NULL },
	/* clflush, which x86-64 always has, and not clwb or serialize */
	{ 1, 4, "-XX:X86ICacheSync=1", "X86ICacheSync" },
	/* with AVX-IFMA, which UseAVX=2 permits */
	{ 1, 4, "-XX:-UsePoly1305Intrinsics", "UsePoly1305Intrinsics" },
	{ 1, 4, "-XX:-UseIntPolyIntrinsics", "UseIntPolyIntrinsics" },
};

#define UNLOCK "-XX:+UnlockDiagnosticVMOptions"

/* Returns how many there are. */
static size_t add_flags(const struct thump_libjvm *libjvm, int level, char **list)
{
	size_t count = 0;
	bool unlocked = false;

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(flags); i++) {
		if (level < flags[i].from || level > flags[i].to ||
		    (flags[i].probe && !thump_libjvm_knows(libjvm, flags[i].probe)))
			continue;
		if (flags[i].probe && !unlocked)
			list[count++] = (char *)UNLOCK;
		unlocked |= flags[i].probe != NULL;
		list[count++] = (char *)flags[i].flag;
	}
	return count;
}

int thump_java_keep_level(struct thump_arena *arena, int level, char ***argv, struct thump_err *err)
{
	const size_t nr_words = thump_count_words(*argv);
	char **list =
		thump_arena_alloc(arena, nr_words + THUMP_ARRAY_SIZE(flags) + 2, sizeof(*list));
	struct thump_libjvm libjvm;
	size_t count;

	if (!list)
		return thump_fail(err, "out of memory");
	thump_libjvm_open(arena, **argv, &libjvm);
	if (!libjvm.content)
		return thump_refuse(err,
				    "--cpu: the libjvm.so of %s is not found (%s), and which flags "
				    "keep it within a level cannot be known",
				    **argv, libjvm.path ? libjvm.path : "no such command");
	list[0] = **argv;
	count = 1 + add_flags(&libjvm, level, list + 1);
	memcpy(list + count, *argv + 1, nr_words * sizeof(*list)); /* with the NULL at the end */
	thump_libjvm_close(&libjvm);
	*argv = list;
	return 0;
}
