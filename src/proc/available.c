/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/available.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/types.h"
#include "proc/cgroup.h"

/* meminfo of proc(5). */
static uint64_t available_of_machine(void)
{
	static const char name[] = "MemAvailable:";
	auto_free char *text = NULL;
	const char *at;

	if (thump_slurp(AT_FDCWD, "/proc/meminfo", &text, NULL) < 0)
		return UINT64_MAX;
	at = strstr(text, name);
	return at ? strtoull(at + strlen(name), NULL, 10) << 10 : UINT64_MAX;
}

uint64_t thump_memory_available(void)
{
	return thump_min_u64(available_of_machine(), thump_cgroup_own_memory_left());
}
