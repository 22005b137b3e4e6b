/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A capture whose target stands still only until there is a copy of its memory (trace/fork.c says
 * how nobody notices that). Everything but memory is read from the target itself, before. What a
 * copy does not have, or does not keep, is read while the target stands still:
 *
 *  - shared memory and files whose content travels in the image: the program goes on writing there.
 *    Their content is put into files of thump's own, from which it is read later.
 *  - MADV_DONTFORK mappings: made in the copy, and filled.
 *
 * MADV_WIPEONFORK mappings are zeros in the copy; no image has their content either.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "base/fd.h"
#include "capture/context.h"

/* What is read while the target stands still, some 2 to 3 GB/s, is no more than this. */
#define LIMIT_BYTES ((uint64_t)64 << 20)

/* Stays in the processor's cache on its way. */
#define PIECE_BYTES ((size_t)128 << 10)

/* ---- how much it is -------------------------------------------------------------------------- */

/* A copy must not begin another pid namespace: its end would end that. */
static void refuse_other_namespace(struct thump_capture *cap)
{
	struct stat own, of_children;

	if (fstatat(cap->proc_fd, "ns/pid", &own, 0) == 0 &&
	    fstatat(cap->proc_fd, "ns/pid_for_children", &of_children, 0) == 0 &&
	    own.st_ino != of_children.st_ino)
		thump_capture_refuse(cap, "live-copy",
				     "its children are in another pid namespace than the process "
				     "itself, so it cannot be copied; checkpoint it without "
				     "--live");
}

/* Adds to what has to be read; refuses what makes it too much. */
static void add_bytes(struct thump_capture *cap, uint64_t *total, uint64_t size_bytes,
		      const char *what, const char *name)
{
	if (size_bytes <= LIMIT_BYTES - *total) {
		*total += size_bytes;
		return;
	}
	thump_capture_refuse(cap, "live-copy",
			     "%s%s: %lu MB would have to be read while the process stands still, "
			     "beyond the %lu MB that --live allows in all; checkpoint it without "
			     "--live",
			     what, name, (unsigned long)(size_bytes >> 20),
			     (unsigned long)(LIMIT_BYTES >> 20));
}

static bool has_content(const struct thump_backing *backing)
{
	return backing->kind != THUMP_BACKING_FILE && backing->nr_extents > 0;
}

static void add_backing(struct thump_capture *cap, const struct thump_backing *backing,
			uint64_t *total)
{
	const uint64_t size_bytes = thump_extents_bytes(backing->extents, backing->nr_extents);

	switch ((enum thump_backing_kind)backing->kind) {
	case THUMP_BACKING_SHMEM:
		add_bytes(cap, total, size_bytes, "anonymous shared memory", "");
		break;
	case THUMP_BACKING_MEMFD:
		add_bytes(cap, total, size_bytes, "memfd ", backing->path);
		break;
	case THUMP_BACKING_CARRIED:
	case THUMP_BACKING_FILE:
		add_bytes(cap, total, size_bytes, "file ", backing->path);
		break;
	}
}

/* Has pages in the image, and none in a copy. */
static bool is_missing(const struct thump_vma *vma)
{
	return (vma->traits & THUMP_VMA_DONTFORK) && vma->nr_extents > 0;
}

/* Mappings that a copy would lack, as far as that is known. */
static int add_missing(struct thump_capture *cap, struct thump_err *err)
{
	const struct thump_model *model = &cap->model;

	if (thump_capture_uncopied_pages(cap, err) < 0)
		return -1;
	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];
		char range[48];

		if (!is_missing(vma))
			continue;
		(void)snprintf(range, sizeof(range), "0x%lx-0x%lx (MADV_DONTFORK)",
			       (unsigned long)vma->start, (unsigned long)vma->end);
		add_bytes(cap, &cap->uncopied_bytes,
			  thump_extents_bytes(vma->extents, vma->nr_extents), "mapping ", range);
	}
	return 0;
}

int thump_capture_uncopied(struct thump_capture *cap, struct thump_err *err)
{
	const struct thump_model *model = &cap->model;

	refuse_other_namespace(cap);
	for (uint32_t i = 0; i < model->nr_backings; i++) {
		if (has_content(&model->backings[i]))
			add_backing(cap, &model->backings[i], &cap->uncopied_bytes);
	}
	return add_missing(cap, err);
}

/* ---- reading it ------------------------------------------------------------------------------ */

static int keep_extent(struct thump_capture *cap, uint32_t backing_id, int fd,
		       const struct thump_extent *extent, char *piece, struct thump_err *err)
{
	for (uint64_t at = extent->start; at < extent->end; at += PIECE_BYTES) {
		const size_t size_bytes = thump_min_u64(PIECE_BYTES, extent->end - at);

		if (thump_capture_read_backing(cap, backing_id, at, piece, size_bytes, err) < 0)
			return -1;
		if (thump_pwrite_full(fd, piece, size_bytes, at) < 0)
			return thump_fail_errno(err, "keep shared memory");
	}
	return 0;
}

/* From now on the content is that of a file that nobody else has. */
static int keep_backing(struct thump_capture *cap, uint32_t backing_id, char *piece,
			struct thump_err *err)
{
	struct thump_backing *backing = &cap->model.backings[backing_id];
	auto_close int fd = memfd_create("thump kept", MFD_CLOEXEC);

	if (fd < 0)
		return thump_fail_errno(err, "memfd_create");
	for (uint32_t i = 0; i < backing->nr_extents; i++) {
		if (keep_extent(cap, backing_id, fd, &backing->extents[i], piece, err) < 0)
			return -1;
	}
	/* The last page of the file may not have been stored. */
	if (ftruncate(fd, (off_t)backing->content_size_bytes) < 0)
		return thump_fail_errno(err, "keep shared memory");
	thump_close_fd(&backing->capture_fd);
	backing->capture_fd = thump_take_fd(&fd);
	return 0;
}

static int fill_extent(const struct thump_capture *cap, const struct thump_extent *extent,
		       char *piece, struct thump_err *err)
{
	for (uint64_t at = extent->start; at < extent->end; at += PIECE_BYTES) {
		const size_t size_bytes = thump_min_u64(PIECE_BYTES, extent->end - at);

		if (thump_target_read(cap->target, REMOTE(at), piece, size_bytes, err) < 0 ||
		    thump_target_write(cap->copy, REMOTE(at), piece, size_bytes, err) < 0)
			return -1;
	}
	return 0;
}

/* Whatever it is in the target, in the copy it is memory to be read. */
static int fill_mapping(struct thump_capture *cap, const struct thump_vma *vma, char *piece,
			struct thump_err *err)
{
	const uint64_t args[6] = {
		vma->start,
		vma->end - vma->start,
		PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
		(uint64_t)-1,
		0,
	};
	long result;

	if (thump_remote_syscall(cap->copy, SYS_mmap, args, &result, err) < 0)
		return -1;
	if (result != (long)vma->start)
		return thump_fail(err, "map 0x%lx-0x%lx in a copy of the process: %s",
				  (unsigned long)vma->start, (unsigned long)vma->end,
				  result < 0 ? strerrordesc_np((int)-result) : "it is elsewhere");
	for (uint32_t i = 0; i < vma->nr_extents; i++) {
		if (fill_extent(cap, &vma->extents[i], piece, err) < 0)
			return -1;
	}
	return 0;
}

static int keep_all(struct thump_capture *cap, struct thump_err *err)
{
	const struct thump_model *model = &cap->model;
	auto_free char *piece = malloc(PIECE_BYTES);

	if (!piece)
		return thump_out_of_memory(err);
	for (uint32_t i = 0; i < model->nr_backings; i++) {
		if (has_content(&model->backings[i]) && keep_backing(cap, i, piece, err) < 0)
			return -1;
	}
	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		if (is_missing(&model->vmas[i]) &&
		    fill_mapping(cap, &model->vmas[i], piece, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- the copy -------------------------------------------------------------------------------- */

/* prctl(2), PR_SET_CHILD_SUBREAPER. */
static bool gets_orphans(const struct thump_process *process)
{
	return process->pid == 1 || process->child_subreaper;
}

/* First what has become MADV_DONTFORK since smaps was read. */
static int complete_copy(struct thump_capture *cap, struct thump_err *err)
{
	if (cap->flags_in_copy) {
		if (thump_capture_compare_copy(cap, err) < 0)
			return -1;
		if (!cap->flags_in_copy && add_missing(cap, err) < 0)
			return -1;
	}
	return cap->problems->nr_fatal ? 0 : keep_all(cap, err);
}

int thump_capture_copy(struct thump_capture *cap, struct thump_err *err)
{
	const uint64_t start_ns = thump_now_ns();
	struct thump_err ignored = THUMP_ERR_INIT;
	uint64_t held_ns;

	/* For a checkpoint that is refused anyway it would be in vain. */
	if (cap->options.only_check || cap->problems->nr_fatal)
		return 0;
	if (thump_target_fork(cap->target, !gets_orphans(&cap->model.process), &cap->copy, err) <
	    0) {
		if (err->code != THUMP_REFUSED || cap->target->calls_refused)
			return -1;
		thump_capture_refuse(cap, "live-copy", "%s; checkpoint it without --live",
				     err->text);
		return 0;
	}
	cap->times.fork_ns = thump_now_ns() - start_ns;
	if (complete_copy(cap, err) == 0)
		return 0;
	(void)!thump_capture_end_copy(cap, &held_ns, &ignored);
	return -1;
}

/* Another process may have its pid by now. */
static bool is_same(const struct thump_target *a, const struct thump_target *b)
{
	return a->pid == b->pid && a->start_time == b->start_time;
}

/* Stops a target that runs on, unless it has ended: then *target_ret stays NULL. */
static int stop_again(const struct thump_capture *cap, struct thump_target **target_ret,
		      struct thump_err *err)
{
	struct thump_stat stat;
	auto_free char *text = NULL;

	if (thump_slurp(cap->copy->proc_fd, "stat", &text, NULL) < 0 ||
	    thump_stat_parse(text, &stat, err) < 0 || stat.ppid != cap->target->pid)
		return 0; /* an orphan, now or from the start */
	if (thump_target_stop(cap->target->pid, cap->options.patience_ms, target_ret, err) < 0)
		return -1;
	if (is_same(*target_ret, cap->target))
		return 0;
	thump_target_destroy(*target_ret);
	*target_ret = NULL;
	return 0;
}

static int reap(struct thump_capture *cap, uint64_t *held_ns_ret, struct thump_err *err)
{
	struct thump_target *target = NULL;
	uint64_t start_ns;
	int status;

	if (cap->target->stopped)
		return thump_target_reap(cap->target, cap->copy->pid, err);
	start_ns = thump_now_ns();
	if (stop_again(cap, &target, err) < 0)
		return -1;
	if (!target)
		return 0;
	status = thump_target_reap(target, cap->copy->pid, err);
	thump_target_resume(target);
	*held_ns_ret = thump_now_ns() - start_ns;
	thump_target_destroy(target);
	return status;
}

int thump_capture_end_copy(struct thump_capture *cap, uint64_t *held_ns_ret, struct thump_err *err)
{
	int status;

	*held_ns_ret = 0;
	if (!cap->copy)
		return 0;
	(void)!thump_capture_settle(cap, err); /* nobody may read its memory any more */
	thump_copy_end(cap->copy);
	status = reap(cap, held_ns_ret, err);
	thump_target_destroy(cap->copy);
	cap->copy = NULL;
	return status;
}

/* ---- after a tracer that was killed ---------------------------------------------------------- */

/* One copy at a time is all that thump makes; programs hardly ever have children like that. */
#define MAX_LEFT 8

/* A killed copy gives back what memory it has. */
#define END_PATIENCE_MS 60000

struct left {
	uint64_t since_ticks;
	pid_t pids[MAX_LEFT];
	size_t count;
};

static void note_left(void *ctx, const struct thump_stat *child)
{
	struct left *left = ctx;

	if (child->exit_signal == 0 && child->start_time_ticks >= left->since_ticks &&
	    left->count < MAX_LEFT)
		left->pids[left->count++] = child->pid;
}

static void wait_for_end(pid_t pid)
{
	auto_close int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd end = { .fd = fd, .events = POLLIN };

	if (fd >= 0)
		(void)poll(&end, 1, END_PATIENCE_MS);
}

void thump_capture_clean_up(pid_t pid, uint64_t since_ticks)
{
	struct left left = { .since_ticks = since_ticks };
	struct thump_err ignored = THUMP_ERR_INIT;
	struct thump_target *target;

	if (thump_capture_search_children(pid, note_left, &left, &ignored) < 0 || left.count == 0)
		return;
	for (size_t i = 0; i < left.count; i++)
		wait_for_end(left.pids[i]);
	if (thump_target_stop(pid, THUMP_CAPTURE_PATIENCE_MS, &target, &ignored) < 0)
		return;
	for (size_t i = 0; i < left.count; i++)
		(void)!thump_target_reap(target, left.pids[i], &ignored);
	thump_target_destroy(target);
}
