/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc(3) and its kin for a thump of the tests: the allocation number $FAIL_ALLOC fails, counted
 * from 1 in each process, which says so on its standard error. Static libraries and libc call these
 * in place of libc's own.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* glibc's own, malloc.c. */
void *__libc_malloc(size_t size_bytes);
void *__libc_calloc(size_t count, size_t size_bytes);
void *__libc_realloc(void *old, size_t size_bytes);

static bool fails(void)
{
	static long left = -1; /* -1: not looked yet; 0: none fails any more */
	static const char text[] = "an allocation fails\n";
	const char *number;

	if (__atomic_load_n(&left, __ATOMIC_RELAXED) < 0) {
		number = getenv("FAIL_ALLOC");
		__atomic_store_n(&left, number ? atol(number) : 0, __ATOMIC_RELAXED);
	}
	if (__atomic_load_n(&left, __ATOMIC_RELAXED) <= 0 ||
	    __atomic_sub_fetch(&left, 1, __ATOMIC_RELAXED) != 0)
		return false;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size_bytes)
{
	return fails() ? NULL : __libc_malloc(size_bytes);
}

void *calloc(size_t count, size_t size_bytes)
{
	return fails() ? NULL : __libc_calloc(count, size_bytes);
}

void *realloc(void *old, size_t size_bytes)
{
	return fails() ? NULL : __libc_realloc(old, size_bytes);
}
