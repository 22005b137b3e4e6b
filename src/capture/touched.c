/* SPDX-License-Identifier: Apache-2.0 */
/* What a process that was made from an image has touched of its memory so far. */
#include <fcntl.h>
#include <stdio.h>

#include "base/fd.h"
#include "capture/capture.h"
#include "capture/scan.h"

/* They are only read ahead: what lies between two of them costs less than a call. */
#define READ_GAP_BYTES (16 * THUMP_PAGE_SIZE)

struct touched {
	struct thump_arena *arena;
	struct thump_range *list;
	uint32_t count;
	uint64_t gap_bytes; /* ranges that are no further apart become one, */
	uint32_t first;	    /* if this one is not behind them: not across what is vouched for */
};

static int found(void *ctx, uint64_t start, uint64_t end, bool guard, struct thump_err *err)
{
	struct touched *touched = ctx;
	struct thump_range *last = touched->list + touched->count - 1;

	/* What was told before is told again where the walk over page tables starts anew: it does
	 * so at the beginning of one, and the process runs meanwhile. */
	if (touched->count && start < last->end)
		start = last->end;
	if (guard || start >= end)
		return 0;
	if (touched->count > touched->first && start - last->end <= touched->gap_bytes) {
		last->end = end;
		return 0;
	}
	last = thump_arena_grow(touched->arena, touched->list, touched->count, sizeof(*last));
	if (!last)
		return thump_fail(err, "out of memory");
	touched->list = last;
	touched->list[touched->count++] = (struct thump_range){ start, end };
	return 0;
}

/* Of memory that is not vouched for all is there before the program runs. */
static int look(struct thump_scan *scan, const struct thump_model *model, enum thump_scan_what what,
		struct touched *touched, struct thump_err *err)
{
	const struct thump_scan_sink sink = { .ctx = touched, .found = found };

	for (uint32_t i = 0; i < model->nr_vouched; i++) {
		touched->first = touched->count;
		if (thump_scan_range(scan, model->vouched[i].start, model->vouched[i].end, what,
				     &sink, err) < 0)
			return -1;
	}
	return 0;
}

int thump_capture_touched(pid_t pid, const struct thump_model *model, struct thump_arena *arena,
			  struct thump_hot *hot_ret, struct thump_err *err)
{
	struct touched written = { .arena = arena };
	struct touched read = { .arena = arena, .gap_bytes = READ_GAP_BYTES };
	struct thump_scan scan;
	char path[32];
	auto_close int proc_fd = -1;
	int failed;

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return thump_fail_errno(err, "open %s", path);
	failed = thump_scan_init(&scan, proc_fd, true, err);
	if (!failed)
		failed = look(&scan, model, THUMP_SCAN_OWN, &written, err) < 0 ||
			 look(&scan, model, THUMP_SCAN_SEEN, &read, err) < 0;
	thump_scan_deinit(&scan);
	if (failed)
		return thump_add_context(err, "look at the memory of process %d", (int)pid);
	*hot_ret = (struct thump_hot){
		.written = written.list,
		.nr_written = written.count,
		.read = read.list,
		.nr_read = read.count,
	};
	return 0;
}
