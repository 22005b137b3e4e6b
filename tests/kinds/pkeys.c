/* SPDX-License-Identifier: Apache-2.0 */
/* Memory protection keys: of mappings, of none, and one that was freed; the rights to them. */
#include "workload.h"

#include <setjmp.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

static sigjmp_buf back;
static volatile int faulted_key;

static void take_fault(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)context;
	faulted_key = info->si_code == SEGV_PKUERR ? (int)info->si_pkey : -1;
	siglongjmp(back, 1);
}

/* The key that forbids it; 0: nothing does. */
static int forbidden(volatile char *at, bool write)
{
	faulted_key = 0;
	if (sigsetjmp(back, 1) == 0) {
		if (write)
			*at = *at;
		else
			(void)*at;
	}
	return faulted_key;
}

static char *make_pages(uint32_t seed, int key)
{
	char *pages = must_mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				-1, 0);

	fill_pattern(pages, 2 * PAGE, seed);
	MUST(pkey_mprotect(pages, 2 * PAGE, PROT_READ | PROT_WRITE, key));
	return pages;
}

static int allocate(unsigned rights)
{
	int key = pkey_alloc(0, rights);

	if (key < 0)
		workload_skip("pkey_alloc: %s", strerror(errno));
	return key;
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = take_fault, .sa_flags = SA_SIGINFO };
	int read_only, freed, hidden, unused;
	char *readable, *secret;

	workload_init();
	MUST(sigaction(SIGSEGV, &action, NULL));
	read_only = allocate(PKEY_DISABLE_WRITE);
	freed = allocate(0);
	hidden = allocate(0);
	unused = allocate(PKEY_DISABLE_ACCESS);
	MUST(pkey_free(freed));
	readable = make_pages(1, read_only);
	secret = make_pages(2, hidden);
	MUST(pkey_set(hidden, PKEY_DISABLE_ACCESS));

	workload_checkpoint();

	CHECK_EQ(pkey_get(read_only), PKEY_DISABLE_WRITE);
	CHECK_EQ(pkey_get(hidden), PKEY_DISABLE_ACCESS);
	CHECK_EQ(pkey_get(unused), PKEY_DISABLE_ACCESS);
	CHECK_EQ(forbidden(readable, false), 0);
	CHECK_EQ(forbidden(readable, true), read_only);
	CHECK_EQ(forbidden(secret + PAGE, false), hidden);
	MUST(pkey_set(hidden, 0));
	CHECK(has_pattern(readable, 2 * PAGE, 1));
	CHECK(has_pattern(secret, 2 * PAGE, 2));
	/* The lowest that is free, and then the next one. */
	CHECK_EQ(pkey_alloc(0, 0), freed);
	CHECK_EQ(pkey_alloc(0, 0), unused + 1);
	MUST(pkey_free(unused));
	workload_pass();
}
