/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Way 4: the threads have other tids than in the image. Who remembers tids was found at the
 * checkpoint (src/capture/tids.c); each such word gets the new tid of the thread whose old one it
 * holds.
 */
#include <stdlib.h>

#include "base/fd.h"
#include "rebuild/commit.h"

struct change {
	int32_t before, now;
};

struct changes {
	struct change *list;
	size_t count;
};

static int compare(const void *a, const void *b)
{
	const struct change *x = a, *y = b;

	return (x->before > y->before) - (x->before < y->before);
}

static int list_changes(const struct thump_region *region, int32_t pid, struct changes *changes,
			struct thump_err *err)
{
	const struct thump_blob_data *blob = region->blob;
	const struct thump_blob_thread *threads = thump_region_threads(region);

	changes->list = calloc(blob->nr_threads + (size_t)1, sizeof(*changes->list));
	if (!changes->list)
		return thump_fail_errno(err, "memory for %u threads", blob->nr_threads);
	changes->list[changes->count++] = (struct change){ pid, blob->leader_pid };
	for (uint32_t i = 0; i < blob->nr_threads; i++)
		changes->list[changes->count++] =
			(struct change){ threads[i].wanted_tid, threads[i].actual_tid };
	qsort(changes->list, changes->count, sizeof(*changes->list), compare);
	return 0;
}

static int change_word(const struct thump_newborn *newborn, const struct changes *changes,
		       uint64_t addr, struct thump_err *err)
{
	const struct change *change;
	struct change key;

	if (thump_newborn_read(newborn, REMOTE(addr), &key.before, sizeof(key.before), err) < 0)
		return -1;
	change = bsearch(&key, changes->list, changes->count, sizeof(key), compare);
	if (!change)
		return thump_damaged(err, "%d at %#llx is not the tid of a thread", key.before,
				     (unsigned long long)addr);
	return thump_newborn_write(newborn, REMOTE(addr), &change->now, sizeof(change->now), err);
}

static int change_words(const struct thump_model *model, const struct thump_newborn *newborn,
			const struct changes *changes, struct thump_err *err)
{
	for (uint32_t i = 0; i < model->nr_tasks; i++) {
		if (change_word(newborn, changes, model->tasks[i].clear_child_tid, err) < 0)
			return -1;
	}
	for (uint32_t i = 0; i < model->nr_tid_words; i++) {
		if (change_word(newborn, changes, model->tid_words[i], err) < 0)
			return -1;
	}
	return 0;
}

int thump_write_tids(const struct thump_plan *plan, const struct thump_region *region,
		     const struct thump_newborn *newborn, struct thump_err *err)
{
	auto_free struct change *list = NULL;
	struct changes changes = { 0 };

	if (region->blob->tid_way != THUMP_TID_ANY)
		return 0;
	if (list_changes(region, plan->model->process.pid, &changes, err) < 0)
		return -1;
	list = changes.list;
	if (change_words(plan->model, newborn, &changes, err) < 0)
		return thump_add_context(err, "tids that the program remembers");
	return 0;
}
