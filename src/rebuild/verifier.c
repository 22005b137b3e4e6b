/* SPDX-License-Identifier: Apache-2.0 */
/* What the blob reads of the image is checked meanwhile, by a thread of thump. */
#include <signal.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/thread.h"
#include "rebuild/attempt.h"

#define VERIFY_PIECE_BYTES ((uint64_t)16 << 20)
/* Less than this is checked at once: starting a thread takes as long. */
#define VERIFY_THREAD_BYTES ((uint64_t)1 << 20)

static void show_progress(const struct thump_verifier *verifier, uint64_t done_bytes,
			  uint64_t total_bytes)
{
	if (verifier->options->progress)
		verifier->options->progress(verifier->options->progress_ctx, done_bytes,
					    total_bytes);
}

static int verify_all(struct thump_verifier *verifier, uint64_t total_bytes)
{
	uint64_t done_bytes = 0;

	for (size_t i = 0; i < verifier->nr_ranges; i++) {
		const struct thump_file_range *range = &verifier->ranges[i];

		for (uint64_t at = 0; at < range->size_bytes; at += VERIFY_PIECE_BYTES) {
			show_progress(verifier, done_bytes + at, total_bytes);
			if (atomic_load(&verifier->stop))
				return 0;
			if (thump_image_verify_range(
				    verifier->image, range->offset + at,
				    thump_min_u64(VERIFY_PIECE_BYTES, range->size_bytes - at),
				    &verifier->err) < 0)
				return -1;
		}
		done_bytes += range->size_bytes;
	}
	return 0;
}

static int verify_ranges(struct thump_verifier *verifier)
{
	uint64_t total_bytes = 0;
	int result;

	for (size_t i = 0; i < verifier->nr_ranges; i++)
		total_bytes += verifier->ranges[i].size_bytes;
	result = verify_all(verifier, total_bytes);
	show_progress(verifier, total_bytes, total_bytes);
	return result;
}

static void *verify_thread(void *arg)
{
	struct thump_verifier *verifier = arg;

	verifier->result = verify_ranges(verifier);
	atomic_store(&verifier->done, true);
	/* Blocked, and waited for along with what the new process does. Not pthread_kill(3): our
	 * init was not forked by glibc, which has another idea of its tid. */
	(void)tgkill(getpid(), verifier->waiter, SIGCHLD);
	return NULL;
}

static bool start_thread(struct thump_verifier *verifier)
{
	verifier->waiter = gettid();
	verifier->running = thump_thread_start(&verifier->thread, verify_thread, verifier) == 0;
	return verifier->running;
}

int thump_verifier_start(struct thump_verifier *verifier, const struct thump_plan *plan,
			 const struct thump_jobs *jobs, struct thump_err *err)
{
	verifier->image = plan->image;
	verifier->options = &plan->options;
	/* In chunks of 1 MiB it would be read from a disk, where the new process needs some pages
	 * of each. */
	if (plan->content_known)
		return 0;
	if (thump_jobs_ranges(jobs, &verifier->ranges, &verifier->nr_ranges, err) < 0)
		return -1;
	/* Without a thread it only takes longer: older kernels refuse one to who has made a time
	 * namespace for its children (EINVAL in copy_process(), kernel/fork.c), RLIMIT_NPROC does
	 * to who has too many. */
	if (jobs->total_bytes >= VERIFY_THREAD_BYTES && !thump_image_supply(plan->image) &&
	    start_thread(verifier))
		return 0;
	/* That makes it, too, if nobody else could. */
	verifier->result = verify_ranges(verifier);
	return 0;
}

static int verifier_join(struct thump_verifier *verifier, struct thump_err *err)
{
	if (verifier->running)
		(void)pthread_join(verifier->thread, NULL);
	verifier->running = false;
	if (verifier->result < 0)
		*err = verifier->err;
	return verifier->result;
}

/* The same for somebody who may be told to give up meanwhile. */
int thump_verifier_wait(struct thump_verifier *verifier, struct thump_newborn *newborn,
			struct thump_err *err)
{
	while (verifier->running && !atomic_load(&verifier->done))
		if (thump_newborn_wait_event(newborn, err) < 0)
			return -1;
	return verifier_join(verifier, err);
}

void thump_verifier_deinit(struct thump_verifier *verifier)
{
	struct thump_err ignored;

	atomic_store(&verifier->stop, true);
	(void)verifier_join(verifier, &ignored);
	thump_free_ptr(&verifier->ranges);
}
