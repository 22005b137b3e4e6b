/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests/scenario/live.py: a program that changes flags of its mappings all the time, which only
 * smaps shows, and notices when a restored process has those of another moment than its memory.
 *
 * usage: live_flags inherited | unforked | locked: flags that a copy of the process has, too; one
 * that keeps a mapping out of it; one that it loses
 */
#include "workload.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define PAGE  ((size_t)4096)
#define LARGE ((size_t)64 << 20)

/* What is given to a mapping and taken from it, in turns. */
struct flag {
	const char *letters; /* as in smaps */
	int on, off;	     /* of madvise(2); 0: mlock(2), munlock(2) */
};
static const struct flag inherited[] = {
	{ "dd", MADV_DONTDUMP, MADV_DODUMP },	  { "wf", MADV_WIPEONFORK, MADV_KEEPONFORK },
	{ "rr", MADV_RANDOM, MADV_NORMAL },	  { "sr", MADV_SEQUENTIAL, MADV_NORMAL },
	{ "nh", MADV_NOHUGEPAGE, MADV_HUGEPAGE },
};
static const struct flag unforked[] = { { "dc", MADV_DONTFORK, MADV_DOFORK },
					{ "dd", MADV_DONTDUMP, MADV_DODUMP } };
static const struct flag locked[] = { { "lo", 0, 0 }, { "dd", MADV_DONTDUMP, MADV_DODUMP } };

static const struct {
	const char *name;
	const struct flag *flags;
	size_t count;
} sets[] = { { "inherited", inherited, NR_OF(inherited) },
	     { "unforked", unforked, NR_OF(unforked) },
	     { "locked", locked, NR_OF(locked) } };

static const struct flag *flags;
static size_t nr_flags;
/* One page for each flag; between them others with another protection, so that none are merged. */
static char *pages;
static atomic_ulong nr_changes;
/* In memory that is empty in a restored process, and in no other. */
static atomic_ulong *original;
static atomic_bool finishing;

static char *page_of(size_t index)
{
	return pages + (2 * index + 1) * PAGE;
}

/* Change number n is of flag n % nr_flags, and turns it on in every other round. */
static bool is_on(unsigned long change)
{
	return change / nr_flags % 2 == 0;
}

static void apply(unsigned long change)
{
	const struct flag *flag = &flags[change % nr_flags];
	char *page = page_of(change % nr_flags);
	const bool on = is_on(change);

	if (flag->on)
		MUST(madvise(page, PAGE, on ? flag->on : flag->off));
	else
		MUST(on ? mlock(page, PAGE) : munlock(page, PAGE));
}

static void *change(void *unused)
{
	(void)unused;
	while (atomic_load(original) && !atomic_load(&finishing)) {
		apply(atomic_load(&nr_changes));
		atomic_fetch_add(&nr_changes, 1);
	}
	return NULL;
}

/* The line VmFlags of a mapping that begins at `start`. */
static void read_flags(const char *start, char *line, int size)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	bool found = false;
	char begin[32];

	CHECK(smaps != NULL);
	(void)snprintf(begin, sizeof(begin), "%lx-", (unsigned long)start);
	while (fgets(line, size, smaps)) {
		found = found || strncmp(line, begin, strlen(begin)) == 0;
		if (found && strncmp(line, "VmFlags:", strlen("VmFlags:")) == 0)
			break;
	}
	CHECK(found);
	(void)fclose(smaps);
}

/* The last change may have been made by the restored process; all others are from the image. */
static void verify(unsigned long next)
{
	for (size_t back = 1; back <= nr_flags && back <= next; back++) {
		const unsigned long change = next - back;
		const size_t index = change % nr_flags;
		char line[256], wanted[8];

		read_flags(page_of(index), line, sizeof(line));
		(void)snprintf(wanted, sizeof(wanted), " %s", flags[index].letters);
		if ((strstr(line, wanted) != NULL) != is_on(change))
			FAIL("flag%s after %lu changes: %s", wanted, next, line);
	}
}

static void make_pages(void)
{
	pages = must_mmap(NULL, (2 * nr_flags + 1) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	for (size_t i = 0; i < nr_flags; i++) {
		MUST(mprotect(page_of(i), PAGE, PROT_READ | PROT_WRITE));
		fill_pattern(page_of(i), PAGE, (uint32_t)i);
	}
	original =
		must_mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(madvise(original, PAGE, MADV_WIPEONFORK));
	atomic_store(original, 1);
}

int main(int argc, char **argv)
{
	enum workload_life life;
	pthread_t thread;
	char *large;

	for (size_t i = 0; i < NR_OF(sets); i++) {
		if (argc == 2 && strcmp(argv[1], sets[i].name) == 0) {
			flags = sets[i].flags;
			nr_flags = sets[i].count;
		}
	}
	CHECK(flags != NULL);
	workload_init();
	make_pages();
	/* So much that smaps takes a while to be read. */
	large = must_mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(madvise(large, LARGE, MADV_NOHUGEPAGE));
	fill_pattern(large, LARGE, 1);
	MUST_PTHREAD(pthread_create(&thread, NULL, change, NULL));

	life = workload_checkpoint();

	CHECK(life == WORKLOAD_ORIGINAL || !atomic_load(original));
	atomic_store(&finishing, true);
	MUST_PTHREAD(pthread_join(thread, NULL));
	verify(atomic_load(&nr_changes));
	for (size_t i = 0; i < nr_flags; i++) {
		/* Wiped, when the image was made at such a moment, and perhaps not any more. */
		if (strcmp(flags[i].letters, "wf") != 0 || life == WORKLOAD_ORIGINAL)
			CHECK(has_pattern(page_of(i), PAGE, (uint32_t)i));
	}
	workload_pass();
}
