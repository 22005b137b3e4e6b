/* SPDX-License-Identifier: Apache-2.0 */
/* A library that may do anything with memory of malloc(3), for tests/jvm/lazy.py. */
#include <sys/mman.h>

int foreign_give_back(void *addr, size_t size_bytes);

int foreign_give_back(void *addr, size_t size_bytes)
{
	return madvise(addr, size_bytes, MADV_DONTNEED);
}
