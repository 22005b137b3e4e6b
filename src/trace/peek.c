/* SPDX-License-Identifier: Apache-2.0 */
/* What can be read from outside, without running anything in the target. */
#include <string.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "trace/internal.h"

#define PENDING_BATCH 32

int thump_target_pending(const struct thump_target *target, size_t thread_index, bool process_wide,
			 siginfo_t **infos_ret, size_t *count_ret, struct thump_err *err)
{
	const pid_t tid = target->threads[thread_index].tid;
	auto_free siginfo_t *infos = NULL;
	size_t count = 0;

	for (;;) {
		struct __ptrace_peeksiginfo_args args = {
			.off = count,
			.flags = process_wide ? PTRACE_PEEKSIGINFO_SHARED : 0,
			.nr = PENDING_BATCH,
		};
		siginfo_t *grown = realloc(infos, (count + PENDING_BATCH) * sizeof(*infos));
		long got;

		if (!grown)
			return thump_fail_errno(err, "read pending signals of thread %d", tid);
		infos = grown;
		got = thump_ptrace(PTRACE_PEEKSIGINFO, tid, (uintptr_t)&args,
				   (uintptr_t)(infos + count));
		if (got < 0)
			return thump_fail_errno(err, "read pending signals of thread %d", tid);
		count += (size_t)got;
		if (got < PENDING_BATCH)
			break;
	}
	*infos_ret = infos;
	*count_ret = count;
	infos = NULL;
	return 0;
}

int thump_target_dup_fd(const struct thump_target *target, int fd)
{
	if (target->pidfd < 0) {
		errno = ENOSYS;
		return -1;
	}
	return (int)syscall(SYS_pidfd_getfd, target->pidfd, fd, 0);
}
