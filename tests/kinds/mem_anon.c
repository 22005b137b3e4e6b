/* SPDX-License-Identifier: Apache-2.0 */
/* Private anonymous memory: content under every protection, sparse and large ranges, code made at
 * run time, and the advice and names that hang on ranges. */
#include "workload.h"

#include <sys/mman.h>
#include <sys/prctl.h>

#define PAGE   ((size_t)4096)
#define BIG    ((size_t)24 << 20)
#define SPARSE ((size_t)4 << 30)
#define PRIV   (MAP_PRIVATE | MAP_ANONYMOUS)

#ifndef PR_SET_VMA
#define PR_SET_VMA	     0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

static char *read_only, *no_access, *code, *big, *sparse, *untouched, *advised[5];

static void make_protected(void)
{
	read_only = must_mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, PRIV, -1, 0);
	fill_pattern(read_only, 4 * PAGE, 1);
	MUST(mprotect(read_only, 4 * PAGE, PROT_READ));
	no_access = must_mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, PRIV, -1, 0);
	fill_pattern(no_access, 4 * PAGE, 2);
	MUST(mprotect(no_access, 4 * PAGE, PROT_NONE));
	/* mov $4711, %eax; ret */
	code = must_mmap(NULL, PAGE, PROT_READ | PROT_WRITE, PRIV, -1, 0);
	memcpy(code, "\xb8\x67\x12\x00\x00\xc3", 6);
	MUST(mprotect(code, PAGE, PROT_READ | PROT_EXEC));
}

static void make_large(void)
{
	big = must_mmap(NULL, BIG, PROT_READ | PROT_WRITE, PRIV, -1, 0);
	fill_pattern(big, BIG, 3);
	sparse = must_mmap(NULL, SPARSE, PROT_READ | PROT_WRITE, PRIV | MAP_NORESERVE, -1, 0);
	for (size_t i = 0; i < 16; i++)
		fill_pattern(sparse + i * (SPARSE / 16) + i * PAGE, PAGE, (uint32_t)(100 + i));
	untouched = must_mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, PRIV, -1, 0);
	/* Read once: maps the zero page, which is no content. */
	CHECK(is_zero(untouched, 8 * PAGE));
}

static void make_advised(void)
{
	static const int advice[] = { MADV_DONTFORK, MADV_DONTDUMP, MADV_NOHUGEPAGE, MADV_RANDOM,
				      MADV_SEQUENTIAL };

	for (size_t i = 0; i < NR_OF(advised); i++) {
		advised[i] = must_mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, PRIV, -1, 0);
		fill_pattern(advised[i], 2 * PAGE, (uint32_t)(200 + i));
		MUST(madvise(advised[i], 8 * PAGE, advice[i]));
	}
	/* Best effort: kernels without CONFIG_ANON_VMA_NAME refuse. */
	(void)prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, advised[0], 8 * PAGE, "thump test");
}

static void verify(void)
{
	int (*function)(void);

	CHECK(has_pattern(read_only, 4 * PAGE, 1));
	MUST(mprotect(no_access, 4 * PAGE, PROT_READ));
	CHECK(has_pattern(no_access, 4 * PAGE, 2));
	memcpy(&function, &code, sizeof(function));
	CHECK_EQ(function(), 4711);
	CHECK(has_pattern(big, BIG, 3));
	for (size_t i = 0; i < 16; i++) {
		char *page = sparse + i * (SPARSE / 16) + i * PAGE;

		CHECK(has_pattern(page, PAGE, (uint32_t)(100 + i)));
		CHECK(is_zero(page + PAGE, PAGE));
	}
	CHECK(is_zero(untouched, 64 * PAGE));
	memset(untouched, 1, 64 * PAGE);
	for (size_t i = 0; i < NR_OF(advised); i++)
		CHECK(has_pattern(advised[i], 2 * PAGE, (uint32_t)(200 + i)) &&
		      is_zero(advised[i] + 2 * PAGE, 6 * PAGE));
}

int main(void)
{
	workload_init();
	make_protected();
	make_large();
	make_advised();
	workload_checkpoint();
	verify();
	workload_pass();
}
