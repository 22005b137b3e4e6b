/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pages.h"

#include <sys/mman.h>

#include "base/types.h"

#define WORTH_BYTES (64 * THUMP_PAGE_SIZE)

void thump_forget_pages(const void *from, const void *to)
{
	uintptr_t start = thump_page_up((uintptr_t)from), end = thump_page_down((uintptr_t)to);

	if (start < end && end - start >= WORTH_BYTES)
		(void)madvise((void *)start, end - start, MADV_DONTNEED);
}
