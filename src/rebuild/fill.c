/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each thread takes the next piece, makes it (which takes longest), waits for its turn to check it,
 * as checksums do not end where pieces do, and writes it to where it belongs. All that a thread
 * needs it has before it starts: where pids are spun for, we fork while it runs, and the child may
 * use malloc(3).
 */
#include "rebuild/fill.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/thread.h"

#define MAX_WORKERS 32u
/* Fewer bytes for each thread are made before another one has started. */
#define WORKER_BYTES ((uint64_t)4 << 20)
/* A piece has 1 MiB: with no extent below a page there are no more. */
#define MAX_IOVS 257u

struct worker {
	struct thump_filler *filler;
	void *bench;
	pthread_t thread;
};

struct thump_filler {
	struct thump_image *image;
	struct thump_supply *supply;
	struct thump_image_checker *checker; /* of whose turn it is */
	const struct thump_rebuild_options *options;
	const struct thump_jobs *jobs;
	struct thump_blob_data *blob;
	struct worker workers[MAX_WORKERS];
	uint32_t nr_workers, nr_joined;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under lock */
	const struct thump_newborn *newborn;
	uint32_t next_piece, nr_taken, nr_checked, nr_ended;
	bool begun, stopped;
	struct thump_err err;
};

/* ---- what threads tell each other --------------------------------------------------------------
 */

static void stop(struct thump_filler *filler, const struct thump_err *err)
{
	pthread_mutex_lock(&filler->lock);
	if (err && !filler->stopped)
		filler->err = *err;
	filler->stopped = true;
	pthread_cond_broadcast(&filler->changed);
	pthread_mutex_unlock(&filler->lock);
}

static bool is_stopped(struct thump_filler *filler)
{
	bool stopped;

	pthread_mutex_lock(&filler->lock);
	stopped = filler->stopped;
	pthread_mutex_unlock(&filler->lock);
	return stopped;
}

static bool wait_for_begin(struct thump_filler *filler)
{
	bool stopped;

	pthread_mutex_lock(&filler->lock);
	while (!filler->begun && !filler->stopped)
		pthread_cond_wait(&filler->changed, &filler->lock);
	stopped = filler->stopped;
	pthread_mutex_unlock(&filler->lock);
	return !stopped;
}

struct piece {
	uint32_t index, turn;
	uint64_t offset;
	size_t size_bytes;
	const unsigned char *bytes;
};

static bool take(struct thump_filler *filler, struct piece *piece)
{
	bool found = false;

	pthread_mutex_lock(&filler->lock);
	while (!found && !filler->stopped && filler->next_piece < filler->supply->nr_pieces) {
		piece->index = filler->next_piece++;
		filler->supply->ops->find(filler->supply, piece->index, &piece->offset,
					  &piece->size_bytes);
		found = thump_image_checker_wants(filler->checker, piece->offset,
						  piece->size_bytes);
	}
	if (found)
		piece->turn = filler->nr_taken++;
	pthread_mutex_unlock(&filler->lock);
	return found;
}

static bool wait_for_turn(struct thump_filler *filler, const struct piece *piece)
{
	bool stopped;

	pthread_mutex_lock(&filler->lock);
	while (filler->nr_checked != piece->turn && !filler->stopped)
		pthread_cond_wait(&filler->changed, &filler->lock);
	stopped = filler->stopped;
	pthread_mutex_unlock(&filler->lock);
	return !stopped;
}

static void end_turn(struct thump_filler *filler)
{
	pthread_mutex_lock(&filler->lock);
	filler->nr_checked++;
	pthread_cond_broadcast(&filler->changed);
	pthread_mutex_unlock(&filler->lock);
}

/* ---- what the blob is told, and tells ----------------------------------------------------------
 */

static void wake_all(uint32_t *word)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void tell_blob(struct thump_filler *filler)
{
	uint32_t *word = &filler->blob->done_jobs;

	if (!is_stopped(filler))
		(void)__atomic_add_fetch(word, 1, __ATOMIC_ACQ_REL);
	else
		(void)__atomic_fetch_or(word, THUMP_BLOB_FAILED_BIT, __ATOMIC_ACQ_REL);
	wake_all(word);
}

/* A process that dies tells nobody: it is looked after now and then. */
static bool wait_for_pages(struct thump_filler *filler)
{
	const struct timespec while_ = { .tv_nsec = 100000000 };
	uint32_t *word = &filler->blob->done_jobs;

	for (;;) {
		uint32_t done = __atomic_load_n(word, __ATOMIC_ACQUIRE);

		if (is_stopped(filler) || (done & THUMP_BLOB_FAILED_BIT))
			return false;
		if (done >= filler->blob->nr_jobs)
			break;
		(void)syscall(SYS_futex, word, FUTEX_WAIT, done, &while_, NULL, 0);
	}
	pthread_mutex_lock(&filler->lock);
	while (!filler->newborn && !filler->stopped)
		pthread_cond_wait(&filler->changed, &filler->lock);
	pthread_mutex_unlock(&filler->lock);
	return true;
}

/* ---- one piece ------------------------------------------------------------------------------- */

struct parcel {
	struct iovec from[MAX_IOVS], to[MAX_IOVS];
	unsigned long count;
	size_t size_bytes;
};

/* Where a seccomp filter refuses the call, the file that does the same is there. */
static int write_by_file(const struct thump_newborn *newborn, const struct parcel *parcel,
			 struct thump_err *err)
{
	for (unsigned long i = 0; i < parcel->count; i++) {
		const struct remote_addr to = REMOTE((uint64_t)(uintptr_t)parcel->to[i].iov_base);

		if (thump_newborn_write(newborn, to, parcel->from[i].iov_base,
					parcel->from[i].iov_len, err) < 0)
			return -1;
	}
	return 0;
}

static int deliver(const struct thump_newborn *newborn, const struct parcel *parcel,
		   struct thump_err *err)
{
	ssize_t done;

	if (parcel->count == 0)
		return 0;
	done = process_vm_writev(newborn->pid, parcel->from, parcel->count, parcel->to,
				 parcel->count, 0);
	if (done < 0 && (errno == ENOSYS || errno == EPERM))
		return write_by_file(newborn, parcel, err);
	if (done < 0)
		return thump_fail_errno(err, "fill memory of the new process");
	if ((size_t)done != parcel->size_bytes)
		return thump_fail(err, "memory of the new process takes %zd of %zu bytes at %p",
				  done, parcel->size_bytes, parcel->to[0].iov_base);
	return 0;
}

/* The first range that ends behind `offset`; they are in the order of the file. */
static size_t first_segment(const struct thump_jobs *jobs, uint64_t offset)
{
	size_t low = 0, high = jobs->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct thump_segment *segment = &jobs->segments[middle];

		if (segment->file_offset + segment->size_bytes <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int write_piece(struct thump_filler *filler, const struct piece *piece,
		       struct thump_err *err)
{
	const struct thump_jobs *jobs = filler->jobs;
	const uint64_t end = piece->offset + piece->size_bytes;
	struct parcel parcel = { .count = 0 };

	for (size_t i = first_segment(jobs, piece->offset); i < jobs->count; i++) {
		const struct thump_segment *segment = &jobs->segments[i];
		uint64_t from = segment->file_offset, to = from + segment->size_bytes;

		if (from >= end)
			break;
		if (parcel.count == MAX_IOVS) {
			if (deliver(filler->newborn, &parcel, err) < 0)
				return -1;
			parcel.count = parcel.size_bytes = 0;
		}
		if (from < piece->offset)
			from = piece->offset;
		to = thump_min_u64(to, end);
		/* Only read: process_vm_writev(2) knows no const. */
		parcel.from[parcel.count] = (struct iovec){
			.iov_base = (void *)(uintptr_t)(piece->bytes + (from - piece->offset)),
			.iov_len = to - from,
		};
		parcel.to[parcel.count++] = (struct iovec){
			.iov_base =
				(void *)(uintptr_t)(segment->addr + (from - segment->file_offset)),
			.iov_len = to - from,
		};
		parcel.size_bytes += to - from;
	}
	return deliver(filler->newborn, &parcel, err);
}

/* 1: it is where it belongs; 0: it is not wanted any more. */
static int fill_piece(struct worker *worker, struct piece *piece, struct thump_err *err)
{
	struct thump_filler *filler = worker->filler;
	int failed;

	if (filler->supply->ops->make(filler->supply, worker->bench, piece->index, &piece->bytes,
				      err) < 0)
		return -1;
	if (!wait_for_turn(filler, piece))
		return 0;
	failed = thump_image_checker_add(filler->checker, piece->offset, piece->bytes,
					 piece->size_bytes, err);
	end_turn(filler);
	if (failed)
		return -1;
	if (!wait_for_pages(filler))
		return 0;
	return write_piece(filler, piece, err) < 0 ? -1 : 1;
}

/* ---- a thread -------------------------------------------------------------------------------- */

static void show_progress(const struct thump_filler *filler, uint64_t done_bytes)
{
	if (filler->options->progress)
		filler->options->progress(filler->options->progress_ctx, done_bytes,
					  thump_image_size(filler->image));
}

static void fill_pieces(struct worker *worker)
{
	struct thump_filler *filler = worker->filler;
	struct thump_err err = THUMP_ERR_INIT;
	struct piece piece = { 0 };
	int got = 1;

	while (got > 0 && take(filler, &piece)) {
		if (worker == filler->workers)
			show_progress(filler, piece.offset);
		got = fill_piece(worker, &piece, &err);
	}
	if (got < 0)
		stop(filler, &err);
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct thump_filler *filler = worker->filler;
	bool last;

	if (!wait_for_begin(filler))
		return NULL;
	fill_pieces(worker);
	pthread_mutex_lock(&filler->lock);
	last = ++filler->nr_ended == filler->nr_workers;
	pthread_mutex_unlock(&filler->lock);
	if (last) {
		show_progress(filler, thump_image_size(filler->image));
		tell_blob(filler);
	}
	return NULL;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static uint32_t count_workers(const struct thump_plan *plan)
{
	uint64_t useful = 1 + thump_image_size(plan->image) / WORKER_BYTES;

	return (uint32_t)thump_min_u64(thump_min_u64(thump_own_processors(plan), useful),
				       MAX_WORKERS);
}

static int start_workers(struct thump_filler *filler, uint32_t wanted, struct thump_err *err)
{
	for (uint32_t i = 0; i < wanted; i++) {
		struct worker *worker = &filler->workers[i];

		worker->filler = filler;
		if (filler->supply->ops->bench_create(filler->supply, &worker->bench, err) < 0)
			return -1;
		if (thump_thread_start(&worker->thread, work, worker) != 0) {
			filler->supply->ops->bench_destroy(worker->bench);
			break;
		}
		filler->nr_workers++;
	}
	return 0;
}

int thump_filler_create(const struct thump_plan *plan, struct thump_filler **filler_ret,
			struct thump_err *err)
{
	struct thump_filler *filler = calloc(1, sizeof(*filler));

	if (!filler)
		return thump_fail_errno(err, "memory to fill the new process");
	filler->image = plan->image;
	filler->supply = thump_image_supply(plan->image);
	filler->options = &plan->options;
	filler->err = (struct thump_err)THUMP_ERR_INIT;
	pthread_mutex_init(&filler->lock, NULL);
	pthread_cond_init(&filler->changed, NULL);
	if (thump_image_checker_create(plan->image, &filler->checker, err) < 0 ||
	    start_workers(filler, count_workers(plan), err) < 0) {
		thump_filler_destroy(filler);
		return -1;
	}
	if (filler->nr_workers == 0) {
		thump_filler_destroy(filler);
		filler = NULL;
	}
	*filler_ret = filler;
	return 0;
}

void thump_filler_begin(struct thump_filler *filler, const struct thump_jobs *jobs,
			struct thump_blob_data *blob)
{
	for (size_t i = 0; i < jobs->count; i++)
		thump_image_checker_want(filler->checker, jobs->segments[i].file_offset,
					 jobs->segments[i].size_bytes);
	pthread_mutex_lock(&filler->lock);
	filler->jobs = jobs;
	filler->blob = blob;
	filler->begun = true;
	pthread_cond_broadcast(&filler->changed);
	pthread_mutex_unlock(&filler->lock);
}

void thump_filler_aim(struct thump_filler *filler, const struct thump_newborn *newborn)
{
	pthread_mutex_lock(&filler->lock);
	filler->newborn = newborn;
	pthread_cond_broadcast(&filler->changed);
	pthread_mutex_unlock(&filler->lock);
}

static void join(struct thump_filler *filler)
{
	for (; filler->nr_joined < filler->nr_workers; filler->nr_joined++) {
		struct worker *worker = &filler->workers[filler->nr_joined];

		(void)pthread_join(worker->thread, NULL);
		filler->supply->ops->bench_destroy(worker->bench);
	}
}

int thump_filler_result(struct thump_filler *filler, struct thump_err *err)
{
	if (!filler)
		return 0;
	stop(filler, NULL);
	join(filler);
	if (filler->err.code == THUMP_OK)
		return 0;
	*err = filler->err;
	return -1;
}

void thump_filler_destroy(struct thump_filler *filler)
{
	if (!filler)
		return;
	stop(filler, NULL);
	join(filler);
	thump_image_checker_destroy(filler->checker);
	pthread_cond_destroy(&filler->changed);
	pthread_mutex_destroy(&filler->lock);
	free(filler);
}
