/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps the target from making system calls that are none of its own. */
#include <string.h>

#include "base/fd.h"
#include "capture/context.h"

/* Threads with the same obstacle as list[at], it included, if it is the first of them; else 0. */
static size_t count_same(const struct thump_obstacle *list, size_t count, size_t at)
{
	size_t same = 0;

	for (size_t i = 0; i < count; i++) {
		if (strcmp(list[i].text, list[at].text) != 0)
			continue;
		if (i < at)
			return 0;
		same++;
	}
	return same;
}

int thump_capture_obstacles(struct thump_capture *cap, struct thump_err *err)
{
	auto_free struct thump_obstacle *list = NULL;
	size_t count;

	if (thump_target_obstacles(cap->target, &list, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		const size_t same = count_same(list, count, i);

		if (same == 1)
			thump_capture_refuse(cap, list[i].word,
					     "thread %d: %s, which cannot be saved", list[i].tid,
					     list[i].text);
		else if (same > 1)
			thump_capture_refuse(cap, list[i].word,
					     "thread %d and %zu more: %s, which cannot be saved",
					     list[i].tid, same - 1, list[i].text);
	}
	return 0;
}
