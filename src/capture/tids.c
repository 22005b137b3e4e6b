/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a restore under other tids must change: the C library's descriptors of threads, to which
 * clear_child_tid points in glibc, and the runtime's records. And what would be wrong in there and
 * cannot be found as a whole, so that one case of it rules other tids out: locks whose owner is
 * told by its tid.
 *
 * Memory is searched by a thread of its own while the image is written, which waits for the disk or
 * the page cache most of the time: until thump_capture_settle() the members of the model that begin
 * with tid_, and its arena, are that thread's.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/thread.h"
#include "capture/arch/arch.h"
#include "capture/context.h"
#include "capture/tids.h"

/* What was copied is still in the cache when it is searched. */
#define PIECE_BYTES ((size_t)128 << 10)

struct thump_tid_look {
	struct thump_capture *cap;
	struct thump_tid_search search;
	unsigned char *bytes; /* PIECE_BYTES, and what is looked at behind them */
	pthread_t thread;
	bool threaded;
	int status;
	struct thump_err err;
};

/* The first one is the reason that people are told. */
static int add_obstacle(struct thump_capture *cap, struct thump_err *err, const char *fmt, ...)
	THUMP_PRINTF(3, 4);

static int add_obstacle(struct thump_capture *cap, struct thump_err *err, const char *fmt, ...)
{
	char text[256];
	va_list args;

	if (cap->model.tid_obstacle)
		return 0;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	cap->model.tid_obstacle = thump_arena_strdup(&cap->model.arena, text);
	return cap->model.tid_obstacle ? 0 : thump_out_of_memory(err);
}

static const struct thump_task *task_of(const struct thump_capture *cap, int32_t tid)
{
	const struct thump_task *task = cap->model.tasks;

	while (task->tid != tid)
		task++; /* it is one of them */
	return task;
}

/* False: there is no such memory. */
static bool peek(const struct thump_capture *cap, uint64_t addr, void *buf, size_t size_bytes)
{
	struct thump_err ignored = THUMP_ERR_INIT;

	return thump_target_read(thump_capture_memory(cap), REMOTE(addr), buf, size_bytes,
				 &ignored) == 0;
}

/* ---- what the kernel knows of each thread -------------------------------------------------- */

/* clone(2) and set_tid_address(2): glibc lets the kernel clear its own copy of the tid. */
static int check_clear_child_tid(struct thump_capture *cap, const struct thump_task *task,
				 struct thump_err *err)
{
	int32_t tid = 0;

	if (task->clear_child_tid && task->clear_child_tid % sizeof(tid) == 0 &&
	    peek(cap, task->clear_child_tid, &tid, sizeof(tid)) && tid == task->tid)
		return 0;
	return add_obstacle(cap, err,
			    "where thread %d (\"%.16s\") keeps its tid is not known: it was not "
			    "made by glibc as that is known here",
			    task->tid, task->comm);
}

/* The lists of get_robust_list(2): bit 0 of an entry tells of priority inheritance. */
static int check_robust_list(struct thump_capture *cap, const struct thump_task *task,
			     struct thump_err *err)
{
	struct {
		uint64_t next, futex_offset, pending;
	} head;

	if (!task->robust_list || !peek(cap, task->robust_list, &head, sizeof(head)) ||
	    ((head.next & ~UINT64_C(1)) == task->robust_list && !head.pending))
		return 0;
	return add_obstacle(cap, err,
			    "thread %d (\"%.16s\") holds a robust mutex, which has its tid",
			    task->tid, task->comm);
}

static int check_tasks(struct thump_capture *cap, struct thump_err *err)
{
	for (uint32_t i = 0; i < cap->model.nr_tasks; i++) {
		const struct thump_task *task = &cap->model.tasks[i];

		if (check_clear_child_tid(cap, task, err) < 0 ||
		    check_robust_list(cap, task, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- memory -------------------------------------------------------------------------------- */

static int add_record(struct thump_capture *cap, uint64_t self_addr, int32_t expected,
		      struct thump_err *err)
{
	uint64_t addr = self_addr + (uint64_t)(int64_t)cap->options.tid_from_self;
	uint64_t *words;
	int32_t tid;

	if (addr % sizeof(tid) != 0 || !peek(cap, addr, &tid, sizeof(tid)) || tid != expected)
		return 0; /* a pthread_t that is no part of a record */
	words = thump_arena_grow(&cap->model.arena, cap->model.tid_words, cap->model.nr_tid_words,
				 sizeof(*words));
	if (!words)
		return thump_out_of_memory(err);
	cap->model.tid_words = words;
	words[cap->model.nr_tid_words++] = addr;
	return 0;
}

static int found(void *ctx, enum thump_tid_holder holder, uint64_t addr,
		 const struct thump_tid_thread *thread, struct thump_err *err)
{
	struct thump_capture *cap = ctx;

	switch (holder) {
	case THUMP_TID_SELF:
		return add_record(cap, addr, thread->tid, err);
	case THUMP_TID_MUTEX:
		return add_obstacle(
			cap, err,
			"thread %d (\"%.16s\") holds the mutex at 0x%lx, which is recursive, "
			"error-checking, robust or priority-inheriting and has its tid",
			thread->tid, task_of(cap, thread->tid)->comm, addr);
	case THUMP_TID_RWLOCK:
		return add_obstacle(cap, err,
				    "thread %d (\"%.16s\") holds the rwlock at 0x%lx for writing, "
				    "which has its tid",
				    thread->tid, task_of(cap, thread->tid)->comm, addr);
	}
	return 0;
}

static int look_at(struct thump_tid_look *look, uint64_t start, uint64_t end, struct thump_err *err)
{
	while (start < end) {
		size_t size_bytes = thump_min_u64(PIECE_BYTES, end - start);
		size_t readable = thump_min_u64(size_bytes + THUMP_TID_LOOKAHEAD, end - start);

		if (thump_target_read(thump_capture_memory(look->cap), REMOTE(start), look->bytes,
				      readable, err) < 0 ||
		    thump_tid_search(&look->search, start, look->bytes, size_bytes, readable, err) <
			    0)
			return -1;
		start += size_bytes;
	}
	return 0;
}

/* What the runtime manages itself (a heap of objects, code) holds neither. */
static int look_at_unmanaged(struct thump_tid_look *look, uint64_t start, uint64_t end,
			     struct thump_err *err)
{
	const struct thump_capture *cap = look->cap;
	struct thump_range part;

	while (thump_find_part(cap->managed, cap->nr_managed, start, end, &part)) {
		if (look_at(look, start, part.start, err) < 0)
			return -1;
		start = part.end;
	}
	return look_at(look, start, end, err);
}

/* A program or library, and no file that is only data: those have no locks, but many small numbers
 * that look like some. */
static bool has_code(const struct thump_model *model, uint32_t backing_id)
{
	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		if (model->vmas[i].backing_id == backing_id && (model->vmas[i].prot & PROT_EXEC))
			return true;
	}
	return false;
}

static bool may_hold_locks(const struct thump_model *model, const struct thump_vma *vma)
{
	return (vma->prot & PROT_WRITE) && vma->nr_extents > 0 &&
	       (vma->kind != THUMP_VMA_FILE_PRIVATE || has_code(model, vma->backing_id));
}

static int look_at_memory(struct thump_tid_look *look, struct thump_err *err)
{
	const struct thump_model *model = &look->cap->model;

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];

		if (!may_hold_locks(model, vma))
			continue;
		for (uint32_t e = 0; e < vma->nr_extents; e++) {
			if (look_at_unmanaged(look, vma->extents[e].start, vma->extents[e].end,
					      err) < 0)
				return -1;
		}
	}
	return 0;
}

static int prepare(struct thump_tid_look *look, struct thump_err *err)
{
	const struct thump_model *model = &look->cap->model;
	struct thump_arena *arena = &look->cap->model.arena;
	struct thump_tid_search *search = &look->search;

	look->bytes = thump_arena_alloc(arena, PIECE_BYTES + THUMP_TID_LOOKAHEAD, 1);
	search->by_self = thump_arena_alloc(arena, model->nr_tasks, sizeof(*search->by_self));
	search->by_tid = thump_arena_alloc(arena, model->nr_tasks, sizeof(*search->by_tid));
	if (!look->bytes || !search->by_self || !search->by_tid)
		return thump_out_of_memory(err);
	search->nr_threads = model->nr_tasks;
	for (uint32_t i = 0; i < model->nr_tasks; i++) {
		const struct thump_task *task = &model->tasks[i];

		search->by_self[i] = search->by_tid[i] = (struct thump_tid_thread){
			.self = thump_arch_thread_pointer(task),
			.tid = task->tid,
		};
	}
	thump_tid_search_init(search);
	return 0;
}

static void *look_beside(void *arg)
{
	struct thump_tid_look *look = arg;

	look->status = look_at_memory(look, &look->err);
	return NULL;
}

/* Without a thread it only takes longer. */
static void begin(struct thump_tid_look *look)
{
	look->threaded = thump_thread_start(&look->thread, look_beside, look) == 0;
	if (!look->threaded)
		(void)look_beside(look);
}

int thump_capture_tid_words(struct thump_capture *cap, struct thump_err *err)
{
	struct thump_tid_look *look;

	cap->model.process.user_vouched = cap->options.tid_from_self != 0;
	/* It takes a look at all of its memory: not for a checkpoint that is refused anyway. */
	if (!cap->model.process.user_vouched || cap->options.only_check || cap->problems->nr_fatal)
		return 0;
	look = thump_arena_alloc(&cap->model.arena, 1, sizeof(*look));
	if (!look)
		return thump_out_of_memory(err);
	*look = (struct thump_tid_look){ .cap = cap, .search = { .found = found, .ctx = cap } };
	if (prepare(look, err) < 0 || check_tasks(cap, err) < 0)
		return -1;
	cap->tid_look = look;
	begin(look);
	return 0;
}

int thump_capture_settle(struct thump_capture *cap, struct thump_err *err)
{
	struct thump_tid_look *look = cap->tid_look;

	if (!look)
		return 0;
	if (look->threaded)
		(void)pthread_join(look->thread, NULL);
	cap->tid_look = NULL;
	if (look->status < 0)
		*err = look->err;
	return look->status;
}
