/* SPDX-License-Identifier: Apache-2.0 */
#include "rebuild/what.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* How the arguments of a step are shown. */
enum what_shape {
	SHAPE_PLAIN = 0,
	SHAPE_RANGE,  /* args[0] is an address, args[1] a size */
	SHAPE_TARGET, /* mremap(2): args[4] is the address, args[2] the size */
	SHAPE_FIRST,  /* args[0] is a number that tells which */
};

struct what_text {
	const char *text;
	enum what_shape shape;
};

static const struct what_text texts[THUMP_NR_WHAT] = {
	[THUMP_WHAT_UNMAP_OLD] = { "unmap what exec left", SHAPE_RANGE },
	[THUMP_WHAT_MOVE_VDSO] = { "move the vdso", SHAPE_TARGET },
	[THUMP_WHAT_MAP] = { "map anonymous memory", SHAPE_RANGE },
	[THUMP_WHAT_MAP_FILE] = { "map a file", SHAPE_RANGE },
	[THUMP_WHAT_MAP_IMAGE] = { "map the image", SHAPE_RANGE },
	[THUMP_WHAT_MAP_SHARED] = { "map shared anonymous memory", SHAPE_RANGE },
	[THUMP_WHAT_VIEW_SHARED] = { "map another view of shared memory", SHAPE_TARGET },
	[THUMP_WHAT_UNMAP_SHARED] = { "unmap shared memory", SHAPE_RANGE },
	[THUMP_WHAT_PROTECT] = { "protect memory", SHAPE_RANGE },
	[THUMP_WHAT_ADVISE] = { "madvise", SHAPE_RANGE },
	[THUMP_WHAT_GUARD] = { "madvise(MADV_GUARD_INSTALL)", SHAPE_RANGE },
	[THUMP_WHAT_PKEY] = { "allocate protection keys", SHAPE_PLAIN },
	[THUMP_WHAT_LOCK] = { "lock memory", SHAPE_RANGE },
	[THUMP_WHAT_LOCK_FUTURE] = { "lock future mappings", SHAPE_PLAIN },
	[THUMP_WHAT_SEAL] = { "seal memory", SHAPE_RANGE },
	[THUMP_WHAT_NAME_MAPPING] = { "name memory", SHAPE_PLAIN },
	[THUMP_WHAT_MM_MAP] = { "set the memory layout (PR_SET_MM_MAP)", SHAPE_PLAIN },
	[THUMP_WHAT_THP_DISABLE] = { "disable huge pages", SHAPE_PLAIN },
	[THUMP_WHAT_MEMBARRIER] = { "register for membarrier", SHAPE_FIRST },
	[THUMP_WHAT_PERSONALITY] = { "set the personality", SHAPE_FIRST },
	[THUMP_WHAT_SUBREAPER] = { "become a child subreaper", SHAPE_PLAIN },
	[THUMP_WHAT_SIGACTION] = { "set the action for signal", SHAPE_FIRST },
	[THUMP_WHAT_QUEUE_SIGNAL] = { "queue pending signal", SHAPE_FIRST },
	[THUMP_WHAT_ITIMER] = { "start interval timer", SHAPE_FIRST },
	[THUMP_WHAT_TIMER_CREATE] = { "create timer", SHAPE_FIRST },
	[THUMP_WHAT_TIMER_SET] = { "start timer", SHAPE_FIRST },
	[THUMP_WHAT_CLOSE_FDS] = { "close helper descriptors", SHAPE_PLAIN },
	[THUMP_WHAT_KEEP_SOCKET] = { "keep the socket to thump", SHAPE_PLAIN },
	[THUMP_WHAT_CALLERS_FDS] = { "take the caller's descriptors", SHAPE_PLAIN },
	[THUMP_WHAT_BIND] = { "bind descriptor", SHAPE_FIRST },
	[THUMP_WHAT_LISTEN] = { "listen on descriptor", SHAPE_FIRST },
	[THUMP_WHAT_WORKING_DIRECTORY] = { "change to the working directory", SHAPE_PLAIN },
	[THUMP_WHAT_CLOEXEC] = { "set close-on-exec", SHAPE_PLAIN },
	[THUMP_WHAT_FILE_LOCK] = { "take the POSIX lock on descriptor", SHAPE_FIRST },
	[THUMP_WHAT_OPEN_OWN] = { "open a file of /proc/self", SHAPE_PLAIN },
	[THUMP_WHAT_FILE_OWNER] = { "set who gets signals of descriptor", SHAPE_FIRST },
	[THUMP_WHAT_RLIMIT] = { "set resource limit", SHAPE_PLAIN },
	[THUMP_WHAT_TID_ADDRESS] = { "set the address of the tid", SHAPE_PLAIN },
	[THUMP_WHAT_ROBUST_LIST] = { "set the robust futex list", SHAPE_PLAIN },
	[THUMP_WHAT_ALTSTACK] = { "set the alternate signal stack", SHAPE_PLAIN },
	[THUMP_WHAT_RSEQ] = { "register restartable sequences", SHAPE_PLAIN },
	[THUMP_WHAT_NAME_THREAD] = { "name the thread", SHAPE_PLAIN },
	[THUMP_WHAT_SCHED] = { "set scheduling policy and priority", SHAPE_PLAIN },
	[THUMP_WHAT_IOPRIO] = { "set the I/O priority", SHAPE_PLAIN },
	[THUMP_WHAT_TIMER_SLACK] = { "set the timer slack", SHAPE_PLAIN },
	[THUMP_WHAT_AFFINITY] = { "set the CPU affinity", SHAPE_PLAIN },
	[THUMP_WHAT_PDEATHSIG] = { "set the parent-death signal", SHAPE_PLAIN },
	[THUMP_WHAT_DROP_AMBIENT] = { "drop ambient capabilities", SHAPE_PLAIN },
	[THUMP_WHAT_SET_CAPS] = { "set capabilities", SHAPE_PLAIN },
	[THUMP_WHAT_RAISE_AMBIENT] = { "raise an ambient capability", SHAPE_PLAIN },
	[THUMP_WHAT_SECUREBITS] = { "set securebits", SHAPE_PLAIN },
};

static void describe_step(const struct thump_step *step, char *text, size_t size_bytes)
{
	const struct what_text *what = &texts[step->what];
	const uint64_t *args = step->args;

	switch (what->shape) {
	case SHAPE_PLAIN:
		(void)snprintf(text, size_bytes, "%s", what->text);
		break;
	case SHAPE_RANGE:
		(void)snprintf(text, size_bytes, "%s at %#llx-%#llx", what->text,
			       (unsigned long long)args[0],
			       (unsigned long long)(args[0] + args[1]));
		break;
	case SHAPE_TARGET:
		(void)snprintf(text, size_bytes, "%s to %#llx-%#llx", what->text,
			       (unsigned long long)args[4],
			       (unsigned long long)(args[4] + args[2]));
		break;
	case SHAPE_FIRST:
		(void)snprintf(text, size_bytes, "%s %lld", what->text, (long long)args[0]);
		break;
	}
}

static const char *describe_blob(uint32_t what)
{
	switch (what) {
	case THUMP_WHAT_CLONE:
		return "create the thread";
	case THUMP_WHAT_READ:
		return "read memory from the image";
	case THUMP_WHAT_SHORT_READ:
		return "read memory from the image: it ends too early";
	case THUMP_WHAT_SPIN_LIMIT:
		return "get the tid: it is not near enough";
	case THUMP_WHAT_WRONG_TID:
		return "get the tid: somebody else has it";
	default:
		return "start";
	}
}

void thump_what_failed(const struct thump_blob_data *data, const struct thump_step *steps,
		       uint32_t nr_steps, struct thump_err *err)
{
	char what[256], who[64] = "";
	bool lost;
	int error =
		data->fail_result < 0 && data->fail_result >= -4095 ? (int)-data->fail_result : 0;

	if (data->fail_what < THUMP_NR_WHAT && data->fail_step < nr_steps)
		describe_step(&steps[data->fail_step], what, sizeof(what));
	else
		(void)snprintf(what, sizeof(what), "%s", describe_blob(data->fail_what));
	/* Whoever rebuilds may try another way of pids. */
	lost = data->fail_what == THUMP_WHAT_SPIN_LIMIT || data->fail_what == THUMP_WHAT_WRONG_TID;
	if (data->fail_tid)
		(void)snprintf(who, sizeof(who), "thread %d: ", data->fail_tid);
	if (error)
		thump_err_set(err, THUMP_FAILED, error, "in the new process: %s%s", who, what);
	else
		thump_err_set(err, THUMP_FAILED, 0, "in the new process: %s%s (result %lld)", who,
			      what, (long long)data->fail_result);
	if (lost)
		err->sys_errno = EEXIST;
}
