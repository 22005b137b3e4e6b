/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libthump: for programs that take part in their own checkpoints. thump(3) is the manual.
 *
 * A program that thump(1) saves goes on as if nothing had happened: once as itself, and once in
 * every process that is restored from the image. What must not go on as it was (connections, keys,
 * node ids, locks of leaders) is for hooks, which are called before and after.
 *
 *     static int before(void *ctx, char *why, size_t why_size_bytes);
 *     static void after(void *ctx, enum thump_outcome outcome);
 *
 *     const struct thump_hook hook = {
 *             .size_bytes = sizeof(hook), .name = "pool", .before = before, .after = after,
 *     };
 *     thump_register(&hook);
 *
 * All functions may be called from any thread, but not from signal handlers. In a process that
 * nobody checkpoints hooks are never called, and nothing else is different, but for one thread
 * named "thump" and a socket, which are there from the first registered hook, range or checkpoint
 * on. The thread has all signals blocked. A child of fork(2) has neither thread nor socket until it
 * registers something itself; the hooks of its parent are not its own.
 */
#ifndef THUMP_THUMP_H
#define THUMP_THUMP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- hooks --------------------------------------------------------------------------------- */

/* What other threads do while a hook runs. */
enum thump_mode {
	/* They run. All of these hooks are called, also when one of them refuses. */
	THUMP_CONCURRENT = 0,
	/*
	 * They stand still, from before the first such hook until after the last such second call:
	 * no thread of a restored process sees the state in between. They are held in a handler of
	 * a real-time signal, the highest one that the program had no handler for; so a call that
	 * they wait in may end with EINTR as by any signal, and a thread that blocks all signals is
	 * a refusal. The thread that called thump_checkpoint() waits in there. The hook must not
	 * wait for another thread, nor take a lock that one may hold: that includes malloc(3) and
	 * stdio, unless the program knows better. The first that refuses is the last that is
	 * called.
	 */
	THUMP_SINGLE_THREADED = 1,
};

/* Before a checkpoint concurrent hooks come first, then single-threaded ones; in each mode those
 * with a higher priority, and among equals the last one registered. Afterwards it is the reverse.
 */
enum thump_priority {
	THUMP_LOW = -1,
	THUMP_MEDIUM = 0,
	THUMP_HIGH = 1,
};

/* What has become of a checkpoint. */
enum thump_outcome {
	THUMP_NOT_SAVED = 0, /* it was refused, it failed, or was a dry run */
	THUMP_SAVED = 1,     /* the image is there, and this is the process that it was made of */
	THUMP_RESTORED = 2,  /* this is a process that was made from the image */
};

struct thump_hook {
	size_t size_bytes; /* sizeof(struct thump_hook) */
	const char *name;  /* in messages; copied; NULL: its address is */
	void *ctx;	   /* passed on; the caller's, until the hook is unregistered */
	/*
	 * Called before a checkpoint, on a thread of the library's, which differs from time to
	 * time. 0: go on. Anything else: there will be no checkpoint now; the reason is written to
	 * `why`, which has room for why_size_bytes with its NUL. NULL: none.
	 */
	int (*before)(void *ctx, char *why, size_t why_size_bytes);
	/*
	 * Called afterwards, if `before` was called (also when that refused) or is NULL; on a
	 * thread of the library's. NULL: none.
	 */
	void (*after)(void *ctx, enum thump_outcome outcome);
	enum thump_priority priority;
	enum thump_mode mode;
	/*
	 * How long each of the calls may take, in milliseconds; 0: 30 s. When the time is over the
	 * checkpoint has failed, and the message names the hook. A call cannot be ended from
	 * outside: the others go on, until it returns there is no other checkpoint, and the second
	 * calls come then.
	 */
	uint32_t limit_ms;
};

struct thump_registration;

/* Returns what thump_unregister() takes, or NULL with errno: EINVAL (size, mode or priority not
 * known), ENOMEM, EAGAIN (no thread), EBUSY (no signal is left for THUMP_SINGLE_THREADED). */
struct thump_registration *thump_register(const struct thump_hook *hook);

/* When it returns the hook is not running and will not be called any more. It waits for a
 * checkpoint that is under way, unless a hook calls it. NULL: nothing. */
void thump_unregister(struct thump_registration *registration);

/* ---- checkpoints --------------------------------------------------------------------------- */

struct thump_request {
	size_t size_bytes; /* sizeof(struct thump_request) */
	const char *image; /* path of the image */
	int leave_running; /* not 0: this process goes on; else it ends once the image is there */
	int dry_run;	   /* not 0: only say what stands in the way; no image */
	const char *thump; /* path of thump(1); NULL: $THUMP, or beside the library, or in $PATH */
	char *why;	   /* where reasons go, one a line with a NUL at the end; NULL: nowhere */
	size_t why_size_bytes; /* of `why` */
};

/*
 * Has the process saved. Hooks are called, unless something is in the way that they cannot help
 * against (child processes, for one); all threads stand still while the process is read.
 *
 * Like fork(2) it returns more than once: THUMP_RESTORED in every process that is made from the
 * image, and THUMP_SAVED in this one, if that is left running (or thump run --then continue started
 * it). A dry run that finds nothing in the way returns THUMP_NOT_SAVED.
 *
 * -1 with errno, and the process goes on as before: ECANCELED (hooks or thump refused, or it
 * failed; `why` has the reasons), EBUSY (a checkpoint is under way, or a hook of an earlier one has
 * not returned), EDEADLK (called by a hook), ENOENT (no thump is found), EINVAL, ENOMEM, EAGAIN.
 */
int thump_checkpoint(const struct thump_request *request);

/* ---- copies -------------------------------------------------------------------------------- */

/*
 * A number that is another one in every process made from an image, at random; 0 in one that was
 * never restored. It is the new one before any hook is called and, seen by this function, before
 * the process does anything else. A child of fork(2) has its parent's.
 */
uint64_t thump_generation(void);

/* Waits until thump_generation() is not `seen`. 0, or -1 with errno: ETIMEDOUT after timeout_ms
 * (negative: never), ENOSYS where the kernel has no MADV_WIPEONFORK. */
int thump_wait_generation(uint64_t seen, int timeout_ms);

/* When this process was restored, in nanoseconds of CLOCK_REALTIME (as near as was looked), or 0.
 */
int64_t thump_restore_time_ns(void);

/* ---- memory -------------------------------------------------------------------------------- */

/*
 * What thump may do with whole pages of private memory: addr and size_bytes are multiples of the
 * page size. Ranges are the caller's to keep mapped, and are forgotten by thump_forget(). They
 * count in checkpoints that the library takes part in, which are all but those with --no-hooks.
 *
 * thump_lazy(): nobody gives this memory back with MADV_DONTNEED or MADV_FREE, nor moves it with
 * mremap(2), so that a restore may map it from the image instead of reading it. Not for what
 * malloc(3) returned.
 *
 * thump_scrub(): the content is not saved; every restored process finds zeros there. For keys and
 * caches. Beware: the registers and stacks of threads that just use it are saved.
 *
 * 0, or -1 with errno: EINVAL (not whole pages, or overlaps another range of the same kind),
 * ENOMEM, EAGAIN.
 */
int thump_lazy(void *addr, size_t size_bytes);
int thump_scrub(void *addr, size_t size_bytes);

/* Forgets what was said of ranges that begin in these pages. */
void thump_forget(void *addr, size_t size_bytes);

#ifdef __cplusplus
}
#endif
#endif
