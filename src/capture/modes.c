/* SPDX-License-Identifier: Apache-2.0 */
/* Modes of the process that only the process itself can tell. */
#include "capture/modes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif
#ifndef PR_GET_MEMORY_MERGE /* Linux 6.4 */
#define PR_GET_MEMORY_MERGE 68
#endif
#ifndef MEMBARRIER_CMD_GET_REGISTRATIONS /* Linux 6.3 */
#define MEMBARRIER_CMD_GET_REGISTRATIONS (1 << 9)
#endif

static void take_brk(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	cap->model.mm.brk = (uint64_t)answer->result;
}

static void take_dumpable(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	cap->model.mm.dumpable_known = answer->result >= 0;
	cap->model.mm.dumpable = answer->result >= 0 ? (uint32_t)answer->result : 0;
}

static void take_subreaper(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	cap->model.process.child_subreaper = answer->result == 0 && (uint32_t)answer->value != 0;
}

static void take_securebits(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	if (answer->result >= 0)
		cap->model.process.creds.securebits = (uint32_t)answer->result;
}

static void take_thp(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	cap->model.mm.thp_disable = answer->result > 0;
	if (answer->result > 1) /* Linux 6.18: PR_THP_DISABLE_EXCEPT_ADVISED is 1 | 2 */
		thump_capture_refuse(cap, "thp", "PR_SET_THP_DISABLE: flags 0x%lx cannot be saved",
				     answer->result);
}

static void take_membarrier(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	cap->model.mm.membarrier_known = answer->result >= 0; /* EINVAL before Linux 6.3 */
	cap->model.mm.membarrier_registrations = answer->result > 0 ? (uint32_t)answer->result : 0;
}

static void take_mdwe(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	if (answer->result > 0)
		thump_capture_refuse(cap, "mdwe",
				     "memory-deny-write-execute (PR_SET_MDWE): cannot be saved");
}

static void take_mempolicy(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	if (answer->result == 0 && (uint32_t)answer->value != MPOL_DEFAULT)
		thump_capture_refuse(cap, "mempolicy",
				     "NUMA memory policy %u (set_mempolicy): cannot be saved",
				     (uint32_t)answer->value);
}

static void take_io_flusher(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	if (answer->result > 0)
		thump_capture_refuse(cap, "io-flusher", "PR_SET_IO_FLUSHER: cannot be saved");
}

static void take_mce_kill(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	if (answer->result >= 0 && answer->result != PR_MCE_KILL_DEFAULT)
		thump_capture_refuse(cap, "mce-kill",
				     "machine check policy %ld (PR_MCE_KILL): cannot be saved",
				     answer->result);
}

static void take_memory_merge(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	if (answer->result > 0)
		thump_capture_refuse(
			cap, "memory-merge",
			"merging of all memory (PR_SET_MEMORY_MERGE): cannot be saved");
}

/* keyrings(7): those of the process and its threads they have made themselves; that of the session
 * is given to them. */
static void take_process_keyring(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	if (answer->result > 0)
		thump_capture_refuse(cap, "keyring",
				     "keyring of the process (keyctl(2)): cannot be saved");
}

static void take_thread_keyring(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	if (answer->result > 0)
		thump_capture_refuse(cap, "keyring",
				     "keyring of a thread (keyctl(2)): cannot be saved");
}

static void take_session_keyring(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	const long own = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);

	if (answer->result > 0 && own > 0 && answer->result != own)
		thump_problem_note(cap->problems, -1, "keyring",
				   "the process has another session keyring than thump checkpoint: "
				   "restored, it has that of thump restore");
}

static bool everything_is_locked(const struct thump_capture *cap)
{
	size_t locked = 0;

	for (size_t i = 0; i < cap->maps.count; i++) {
		const struct thump_map *map = &cap->maps.list[i];

		if (strncmp(map->path, "[v", 2) == 0)
			continue;
		if (!(map->traits & THUMP_VMA_LOCKED))
			return false;
		locked++;
	}
	return locked > 0;
}

/*
 * do_mmap() in mm/mmap.c looks at RLIMIT_MEMLOCK, where new memory is to be locked (EAGAIN), before
 * it looks at the type of the mapping: so the call below never maps anything. Who is above that
 * limit cannot be told from one without MCL_FUTURE.
 */
#define BEYOND_MEMLOCK (UINT64_C(1) << 44)

static void take_lock_future(struct thump_capture *cap, const struct thump_mode_answer *answer)
{
	const bool capable = cap->status.cap_effective >> CAP_IPC_LOCK & 1;
	const uint64_t limit = cap->model.process.rlimits[RLIMIT_MEMLOCK].soft;

	if (answer->result == -EAGAIN)
		thump_capture_refuse(
			cap, "mlockall",
			"mlockall(MCL_FUTURE): that new memory is locked cannot be saved");
	else if ((capable || limit >= BEYOND_MEMLOCK) && everything_is_locked(cap))
		thump_capture_warn(
			cap, "mlockall",
			"mlockall(2): memory that the restored process maps later is not "
			"locked, whether MCL_FUTURE was given or not");
}

/* ---- modes of single threads -------------------------------------------------------------- */

/* capabilities(7): PR_SET_SECUREBITS wants CAP_SETPCAP. */
static bool may_set_securebits(const struct thump_capture *cap)
{
	return cap->status.cap_permitted >> CAP_SETPCAP & 1;
}

static bool has_numa_nodes(const struct thump_capture *cap)
{
	auto_free char *possible = NULL;

	(void)cap;
	return thump_slurp(AT_FDCWD, "/sys/devices/system/node/possible", &possible, NULL) < 0 ||
	       strcmp(possible, "0\n") != 0;
}

/* /proc/keys has those of the reader's user; an empty one is masked, as container engines do, most
 * of which deny keyctl(2), too. */
static bool may_have_thread_keyrings(const struct thump_capture *cap)
{
	auto_free char *keys = NULL;
	size_t size;

	if (syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0) < 0 &&
	    errno != ENOKEY)
		return false;
	return cap->model.process.creds.uid != geteuid() ||
	       thump_slurp(AT_FDCWD, "/proc/keys", &keys, &size) < 0 || size == 0 ||
	       strstr(keys, "_tid");
}

/* They show as flags in /proc/PID/task/TID/stat, whichever bits of the kernel's that may be. */
static bool flags_differ(const struct thump_capture *cap)
{
	return cap->thread_flags_differ;
}

const struct thump_mode thump_modes[] = {
	{ SYS_brk, { 0 }, take_brk, NULL, NULL },
	{ SYS_prctl, { PR_GET_DUMPABLE }, take_dumpable, NULL, NULL },
	{ SYS_prctl, { PR_GET_CHILD_SUBREAPER, THUMP_AREA }, take_subreaper, NULL, NULL },
	{ SYS_prctl,
	  { PR_GET_SECUREBITS },
	  take_securebits,
	  "PR_SET_SECUREBITS",
	  may_set_securebits },
	{ SYS_prctl, { PR_GET_THP_DISABLE }, take_thp, NULL, NULL },
	{ SYS_membarrier, { MEMBARRIER_CMD_GET_REGISTRATIONS }, take_membarrier, NULL, NULL },
	{ SYS_prctl, { PR_GET_MDWE }, take_mdwe, NULL, NULL },
	{ SYS_prctl, { PR_GET_IO_FLUSHER }, take_io_flusher, "PR_SET_IO_FLUSHER", flags_differ },
	{ SYS_prctl, { PR_MCE_KILL_GET }, take_mce_kill, "PR_MCE_KILL", flags_differ },
	{ SYS_prctl, { PR_GET_MEMORY_MERGE }, take_memory_merge, NULL, NULL },
	{ SYS_keyctl,
	  { KEYCTL_GET_KEYRING_ID, (uint64_t)(int64_t)KEY_SPEC_PROCESS_KEYRING, 0 },
	  take_process_keyring,
	  NULL,
	  NULL },
	{ SYS_keyctl,
	  { KEYCTL_GET_KEYRING_ID, (uint64_t)(int64_t)KEY_SPEC_SESSION_KEYRING, 0 },
	  take_session_keyring,
	  NULL,
	  NULL },
	{ SYS_keyctl,
	  { KEYCTL_GET_KEYRING_ID, (uint64_t)(int64_t)KEY_SPEC_THREAD_KEYRING, 0 },
	  take_thread_keyring,
	  "KEY_SPEC_THREAD_KEYRING, keyctl(2)",
	  may_have_thread_keyrings },
	{ SYS_mmap,
	  { 0, BEYOND_MEMLOCK, PROT_NONE, MAP_ANONYMOUS, UINT64_MAX, 0 },
	  take_lock_future,
	  NULL,
	  NULL },
	{ SYS_get_mempolicy,
	  { THUMP_AREA, 0, 0, 0, 0 },
	  take_mempolicy,
	  "set_mempolicy(2)",
	  has_numa_nodes },
};
const size_t thump_nr_modes = THUMP_ARRAY_SIZE(thump_modes);

static int ask_one(struct thump_capture *cap, size_t thread, const struct thump_mode *mode,
		   struct thump_mode_answer *answer_ret, struct thump_err *err)
{
	if (thump_capture_call(cap, thread, mode->nr, mode->args, &answer_ret->result, err) < 0 ||
	    thump_capture_area(cap, &answer_ret->value, sizeof(answer_ret->value), err) < 0)
		return -1;
	return 0;
}

/* A question that every thread is to be asked. */
struct thump_mode_question {
	const struct thump_mode *mode;
	struct thump_mode_answer answer; /* of one of them */
};

/* Modes of both tables: room for questions about all of them. */
static struct thump_mode_question *make_questions(struct thump_capture *cap)
{
	return thump_arena_alloc(&cap->scratch, thump_nr_modes + thump_nr_arch_modes,
				 sizeof(struct thump_mode_question));
}

static int ask(struct thump_capture *cap, const struct thump_mode *list, size_t count,
	       struct thump_err *err)
{
	for (size_t i = 0; i < count; i++) {
		struct thump_mode_answer answer;

		if (ask_one(cap, THUMP_ANY_THREAD, &list[i], &answer, err) < 0)
			return -1;
		list[i].take(cap, &answer);
		if (cap->target->nr_threads > 1 && list[i].may_differ && list[i].may_differ(cap))
			cap->questions[cap->nr_questions++] =
				(struct thump_mode_question){ &list[i], answer };
	}
	return 0;
}

int thump_capture_remote_process(struct thump_capture *cap, struct thump_err *err)
{
	cap->questions = make_questions(cap);
	if (!cap->questions)
		return thump_out_of_memory(err);
	if (ask(cap, thump_modes, thump_nr_modes, err) < 0)
		return -1;
	if (ask(cap, thump_arch_modes, thump_nr_arch_modes, err) < 0)
		return -1;
	return thump_capture_arch_process(cap, err);
}

/* Answers in memory are of type int. */
static bool same_answer(const struct thump_mode *mode, const struct thump_mode_answer *a,
			const struct thump_mode_answer *b)
{
	bool in_memory = false;

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(mode->args); i++)
		in_memory |= mode->args[i] == THUMP_AREA;
	return a->result == b->result && (!in_memory || (uint32_t)a->value == (uint32_t)b->value);
}

void thump_capture_question(const struct thump_capture *cap, size_t which, size_t offset,
			    struct thump_remote_call *call_ret)
{
	const struct thump_mode *mode = cap->questions[which].mode;

	call_ret->nr = mode->nr;
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(call_ret->args); i++)
		call_ret->args[i] =
			mode->args[i] == THUMP_AREA ? THUMP_AREA + offset : mode->args[i];
}

void thump_capture_check_mode(struct thump_capture *cap, size_t index, size_t which, long result,
			      uint64_t value)
{
	const struct thump_mode_question *question = &cap->questions[which];
	const struct thump_mode_answer answer = { .result = result, .value = value };

	if (!same_answer(question->mode, &answer, &question->answer))
		thump_capture_refuse(cap, "thread-mode",
				     "thread %d: differs from others in a mode of its own "
				     "(%s), which cannot be saved",
				     cap->target->threads[index].tid, question->mode->setter);
}
