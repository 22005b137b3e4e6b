/* SPDX-License-Identifier: Apache-2.0 */
#include "image/rules.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "image/format.h"

#define NO_BACKING 1u
#define BACKING(k) (1u << THUMP_BACKING_##k)
#define ANY_BACKING                                                                                \
	(NO_BACKING | BACKING(FILE) | BACKING(CARRIED) | BACKING(MEMFD) | BACKING(SHMEM))

static const struct image_vma_rule vma_rules[] = {
	[THUMP_VMA_ANON] = { true, true, true, NO_BACKING },
	[THUMP_VMA_FILE_PRIVATE] = { true, false, false, BACKING(FILE) | BACKING(CARRIED) },
	[THUMP_VMA_FILE_SHARED] = { false, false, false, BACKING(FILE) | BACKING(CARRIED) },
	[THUMP_VMA_SHMEM_ANON] = { false, false, true, BACKING(SHMEM) },
	[THUMP_VMA_MEMFD_SHARED] = { false, false, true, BACKING(MEMFD) },
	[THUMP_VMA_MEMFD_PRIVATE] = { true, false, true, BACKING(MEMFD) },
	[THUMP_VMA_VDSO] = { true, false, false, NO_BACKING },
	[THUMP_VMA_VVAR] = { false, false, false, NO_BACKING },
	[THUMP_VMA_VSYSCALL] = { false, false, false, NO_BACKING },
	[THUMP_VMA_DEVICE_ZERO] = { true, true, true, ANY_BACKING },
};

const struct image_vma_rule *image_vma_rule(uint32_t kind)
{
	if (kind >= THUMP_ARRAY_SIZE(vma_rules) || vma_rules[kind].backings == 0)
		return NULL;
	return &vma_rules[kind];
}

bool image_backing_stored(const struct thump_backing *backing)
{
	return backing->kind != THUMP_BACKING_FILE;
}

const struct thump_backing *image_stored_backing(const struct thump_model *model,
						 const struct thump_vma *vma)
{
	const struct thump_backing *backing;

	if (vma->backing_id == THUMP_NO_ID)
		return NULL;
	backing = &model->backings[vma->backing_id];
	return image_backing_stored(backing) ? backing : NULL;
}

bool image_vma_shows_file(const struct thump_model *model, const struct thump_vma *vma)
{
	return vma->kind == THUMP_VMA_FILE_PRIVATE && !image_stored_backing(model, vma);
}

static bool page_aligned(uint64_t value)
{
	return value % THUMP_PAGE_SIZE == 0;
}

static bool user_range(uint64_t start, uint64_t end)
{
	return page_aligned(start) && page_aligned(end) && start <= end && end <= IMG_USER_END;
}

static int check_counts(const struct thump_model *model, struct thump_err *err)
{
	const struct {
		const char *name;
		uint32_t count, max;
	} counts[] = {
		{ "VMAs", model->nr_vmas, IMG_MAX_ITEMS },
		{ "backings", model->nr_backings, IMG_MAX_ITEMS },
		{ "open file descriptions", model->nr_ofds, IMG_MAX_ITEMS },
		{ "descriptors", model->nr_fds, IMG_MAX_ITEMS },
		{ "threads", model->nr_tasks, IMG_MAX_TASKS },
		{ "timers", model->nr_timers, IMG_MAX_TIMERS },
		{ "vouched ranges", model->nr_vouched, IMG_MAX_ITEMS },
		{ "hot ranges", model->hot.nr_written, IMG_MAX_ITEMS },
		{ "hot ranges", model->hot.nr_read, IMG_MAX_ITEMS },
		{ "guard regions", model->nr_guards, IMG_MAX_ITEMS },
		{ "places of tids", model->nr_tid_words, IMG_MAX_ITEMS },
	};

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(counts); i++)
		if (counts[i].count > counts[i].max)
			return thump_damaged(err, "%" PRIu32 " %s are more than %" PRIu32,
					     counts[i].count, counts[i].name, counts[i].max);
	if (model->nr_tasks == 0)
		return thump_damaged(err, "there is no thread");
	return 0;
}

/* Sorted, page aligned, inside [low, high), not overlapping. */
static int check_extents(const struct thump_extent *extents, uint32_t count, uint64_t low,
			 uint64_t high, struct thump_err *err)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct thump_extent *e = &extents[i];

		if (!page_aligned(e->start) || !page_aligned(e->end) || e->start >= e->end ||
		    e->start < low || e->end > high)
			return thump_damaged(err,
					     "extent %" PRIx64 "-%" PRIx64 " is not a range of "
					     "pages inside %" PRIx64 "-%" PRIx64,
					     e->start, e->end, low, high);
		low = e->end;
	}
	return 0;
}

static int check_vma_backing(const struct thump_model *model, const struct thump_vma *vma,
			     const struct image_vma_rule *rule, struct thump_err *err)
{
	uint32_t bit = NO_BACKING;

	if (vma->backing_id != THUMP_NO_ID) {
		if (vma->backing_id >= model->nr_backings)
			return thump_damaged(err, "backing %" PRIu32 " does not exist",
					     vma->backing_id);
		bit = 1u << model->backings[vma->backing_id].kind;
	}
	if (!(rule->backings & bit))
		return thump_damaged(err, "a mapping of kind %s cannot have this kind of backing",
				     thump_vma_kind_name(vma->kind));
	return 0;
}

static int check_vma(const struct thump_model *model, const struct thump_vma *vma,
		     uint64_t previous_end, struct thump_err *err)
{
	const struct image_vma_rule *rule = image_vma_rule(vma->kind);
	uint64_t offset_end;

	if (!rule)
		return thump_damaged(err, "unknown kind %" PRIu32, vma->kind);
	if (!page_aligned(vma->start) || !page_aligned(vma->end) || vma->start >= vma->end)
		return thump_damaged(err, "not a range of pages");
	if (vma->kind != THUMP_VMA_VSYSCALL && vma->end > IMG_USER_END)
		return thump_damaged(err, "lies outside user space");
	if (vma->start < previous_end)
		return thump_damaged(err, "overlaps the VMA before it or is not sorted");
	if (vma->prot > 7)
		return thump_damaged(err, "unknown protection %#" PRIx32, vma->prot);
	if (vma->traits & ~(uint32_t)IMG_VMA_TRAITS)
		return thump_damaged(err, "unknown traits %#" PRIx32, vma->traits);
	if (!page_aligned(vma->offset) ||
	    __builtin_add_overflow(vma->offset, vma->end - vma->start, &offset_end))
		return thump_damaged(err, "offset %#" PRIx64 " is out of range", vma->offset);
	if (vma->anon_name && strlen(vma->anon_name) > IMG_MAX_VMA_NAME)
		return thump_damaged(err, "its name is too long");
	if (check_vma_backing(model, vma, rule, err) < 0)
		return -1;
	if (vma->nr_extents && !rule->own_content)
		return thump_damaged(err, "a mapping of kind %s has no content of its own",
				     thump_vma_kind_name(vma->kind));
	return check_extents(vma->extents, vma->nr_extents, vma->start, vma->end, err);
}

static int check_vmas(const struct thump_model *model, struct thump_err *err)
{
	uint64_t previous_end = 0;

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];

		if (check_vma(model, vma, previous_end, err) < 0)
			return thump_add_context(err, "VMA %" PRIx64 "-%" PRIx64, vma->start,
						 vma->end);
		previous_end = vma->end;
	}
	return 0;
}

static int check_ranges(const char *what, const struct thump_range *ranges, uint32_t count,
			struct thump_err *err)
{
	uint64_t low = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct thump_range *range = &ranges[i];

		if (!user_range(range->start, range->end) || range->start == range->end ||
		    range->start < low)
			return thump_damaged(err,
					     "%s range %" PRIx64 "-%" PRIx64 " is not a "
					     "range of pages behind the one before it",
					     what, range->start, range->end);
		low = range->end;
	}
	return 0;
}

int image_check_hot(const struct thump_hot *hot, struct thump_err *err)
{
	if (check_ranges("hot", hot->written, hot->nr_written, err) < 0)
		return -1;
	return check_ranges("hot", hot->read, hot->nr_read, err);
}

/* Both lists are sorted. */
static int check_guards(const struct thump_model *model, struct thump_err *err)
{
	uint32_t v = 0;
	uint64_t low = 0;

	for (uint32_t i = 0; i < model->nr_guards; i++) {
		const struct thump_range *range = &model->guards[i];

		while (v < model->nr_vmas && model->vmas[v].end <= range->start)
			v++;
		if (!page_aligned(range->start) || !page_aligned(range->end) ||
		    range->start >= range->end || range->start < low || v == model->nr_vmas ||
		    range->start < model->vmas[v].start || range->end > model->vmas[v].end)
			return thump_damaged(err,
					     "guard region %" PRIx64 "-%" PRIx64 " is not a range "
					     "of pages of one mapping, behind the one before it",
					     range->start, range->end);
		low = range->end;
	}
	return 0;
}

/* Key 0 is everybody's. */
static int check_pkeys(const struct thump_model *model, struct thump_err *err)
{
	const uint32_t allocated = model->mm.pkeys | 1;

	if (model->mm.pkeys & 1)
		return thump_damaged(err, "protection keys %#x: 0 cannot be allocated",
				     model->mm.pkeys);
	for (uint32_t i = 0; i < model->nr_vmas; i++)
		if (model->vmas[i].pkey > 15 || !(allocated >> model->vmas[i].pkey & 1))
			return thump_damaged(err,
					     "mapping %" PRIx64 ": protection key %u is not "
					     "allocated",
					     model->vmas[i].start, model->vmas[i].pkey);
	return 0;
}

static int check_tid_words(const struct thump_model *model, struct thump_err *err)
{
	uint64_t low = 0;

	for (uint32_t i = 0; i < model->nr_tid_words; i++) {
		uint64_t addr = model->tid_words[i];

		if (addr % sizeof(int32_t) != 0 || addr < low || addr >= IMG_USER_END)
			return thump_damaged(err,
					     "place of a tid %" PRIx64 " is not an address of an "
					     "i32 behind the one before it",
					     addr);
		low = addr + 1;
	}
	return 0;
}

static int check_backing(const struct thump_backing *backing, struct thump_err *err)
{
	if (backing->kind < THUMP_BACKING_FILE || backing->kind > THUMP_BACKING_SHMEM)
		return thump_damaged(err, "unknown kind %" PRIu32, backing->kind);
	if (backing->identity.build_id_len > sizeof(backing->identity.build_id))
		return thump_damaged(err, "its build-id is too long");
	if (backing->nr_extents && !image_backing_stored(backing))
		return thump_damaged(err, "a file that is opened again has no content here");
	if (backing->content_size_bytes > INT64_MAX - THUMP_PAGE_SIZE)
		return thump_damaged(err, "its size is out of range");
	return check_extents(backing->extents, backing->nr_extents, 0,
			     thump_page_up(backing->content_size_bytes), err);
}

static int check_backings(const struct thump_model *model, struct thump_err *err)
{
	uint64_t nr_extents = 0;

	for (uint32_t i = 0; i < model->nr_backings; i++) {
		if (check_backing(&model->backings[i], err) < 0)
			return thump_add_context(err, "backing %" PRIu32, i);
		nr_extents += model->backings[i].nr_extents;
	}
	if (nr_extents > IMG_MAX_ITEMS)
		return thump_damaged(err, "backings have %" PRIu64 " extents in all, more than %u",
				     nr_extents, IMG_MAX_ITEMS);
	return 0;
}

static int check_fds(const struct thump_model *model, struct thump_err *err)
{
	int32_t previous = -1;

	for (uint32_t i = 0; i < model->nr_ofds; i++) {
		const struct thump_ofd *ofd = &model->ofds[i];

		if (ofd->backing_id != THUMP_NO_ID && ofd->backing_id >= model->nr_backings)
			return thump_damaged(err,
					     "open file description %" PRIu32 ": backing %" PRIu32
					     " does not exist",
					     i, ofd->backing_id);
		if (ofd->record_size > IMG_MAX_OFD_RECORD)
			return thump_damaged(err,
					     "open file description %" PRIu32 ": %" PRIu32
					     " bytes of record are too many",
					     i, ofd->record_size);
	}
	for (uint32_t i = 0; i < model->nr_fds; i++) {
		const struct thump_fd *fd = &model->fds[i];

		if (fd->fd <= previous)
			return thump_damaged(err, "descriptor %" PRId32 " is not sorted", fd->fd);
		if (fd->ofd_id >= model->nr_ofds)
			return thump_damaged(err,
					     "descriptor %" PRId32
					     ": open file description %" PRIu32 " does not exist",
					     fd->fd, fd->ofd_id);
		previous = fd->fd;
	}
	return 0;
}

static int check_task(const struct thump_task *task, struct thump_err *err)
{
	if (task->tid < 1 || task->tid > IMG_MAX_TID)
		return thump_damaged(err, "the tid is out of range");
	if (task->state != THUMP_TASK_RUNNING && task->state != THUMP_TASK_STOPPED)
		return thump_damaged(err, "unknown state %" PRIu32, task->state);
	if (!memchr(task->comm, '\0', sizeof(task->comm)))
		return thump_damaged(err, "its name has no end");
	if (task->nice < -20 || task->nice > 19)
		return thump_damaged(err, "nice value %" PRId32 " is out of range", task->nice);
	if (task->xstate_size < IMG_MIN_XSTATE || task->xstate_size > IMG_MAX_XSTATE)
		return thump_damaged(err, "%" PRIu32 " bytes of extended registers",
				     task->xstate_size);
	for (size_t i = 0; i < sizeof(uint64_t); i++)
		if (task->xstate[IMG_XCOMP_BV_AT + i])
			return thump_damaged(err, "extended registers are in compacted format");
	if (task->nr_pending > IMG_MAX_PENDING)
		return thump_damaged(err, "%" PRIu32 " pending signals are too many",
				     task->nr_pending);
	if (task->nr_affinity_words > IMG_MAX_CPU_WORDS)
		return thump_damaged(err, "its CPU mask is too long");
	return 0;
}

static int by_value(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return (x > y) - (x < y);
}

static int check_tids_differ(const struct thump_model *model, struct thump_err *err)
{
	auto_free int32_t *tids = calloc(model->nr_tasks + (size_t)1, sizeof(*tids));

	if (!tids)
		return thump_fail_errno(err, "list of threads");
	for (uint32_t i = 0; i < model->nr_tasks; i++)
		tids[i] = model->tasks[i].tid;
	qsort(tids, model->nr_tasks, sizeof(*tids), by_value);
	for (uint32_t i = 1; i < model->nr_tasks; i++)
		if (tids[i] == tids[i - 1])
			return thump_damaged(err, "thread %" PRId32 " is listed twice", tids[i]);
	return 0;
}

static int check_tasks(const struct thump_model *model, struct thump_err *err)
{
	for (uint32_t i = 0; i < model->nr_tasks; i++)
		if (check_task(&model->tasks[i], err) < 0)
			return thump_add_context(err, "thread %" PRId32, model->tasks[i].tid);
	if (model->tasks[0].tid != model->process.pid)
		return thump_damaged(err, "the first thread %" PRId32 " is not process %" PRId32,
				     model->tasks[0].tid, model->process.pid);
	return check_tids_differ(model, err);
}

static int check_process(const struct thump_model *model, struct thump_err *err)
{
	const struct thump_mm *mm = &model->mm;

	if (model->process.nr_pending > IMG_MAX_PENDING)
		return thump_damaged(err, "too many pending signals");
	if (model->process.creds.nr_groups > IMG_MAX_GROUPS)
		return thump_damaged(err, "too many groups");
	if (mm->auxv_size % 16 != 0 || mm->auxv_size > IMG_MAX_AUXV)
		return thump_damaged(err, "auxiliary vector of %" PRIu32 " bytes", mm->auxv_size);
	if (!user_range(mm->vdso_start, mm->vdso_end))
		return thump_damaged(err, "the vdso is not a range of pages in user space");
	if (!user_range(mm->vvar_start, mm->vvar_end))
		return thump_damaged(err, "vvar is not a range of pages in user space");
	return 0;
}

int image_check_model(const struct thump_model *model, struct thump_err *err)
{
	/* Backings before what refers to them. */
	if (check_counts(model, err) < 0 || check_process(model, err) < 0 ||
	    check_tasks(model, err) < 0 || check_backings(model, err) < 0 ||
	    check_vmas(model, err) < 0 ||
	    check_ranges("vouched", model->vouched, model->nr_vouched, err) < 0 ||
	    image_check_hot(&model->hot, err) < 0 || check_guards(model, err) < 0 ||
	    check_pkeys(model, err) < 0 || check_tid_words(model, err) < 0 ||
	    check_fds(model, err) < 0)
		return -1;
	return 0;
}
