/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mappings and their flags. Only smaps tells flags that madvise(2) and its kin set (VmFlags), and
 * it costs the kernel a walk over all page tables, some 30 ms per GB. Where an image is written
 * while the target stands still that does not matter, and it is read after the stop. Else it is
 * read before the stop, and in the stop compared with maps, which costs no walk. Flags that have
 * changed in between do not show there:
 *
 *  - A check (--dry-run) takes that: nothing is made of them.
 *  - A live capture has a copy, which stands still: what fork(2) has given it are the flags of that
 *    moment. They are read there while the target runs on. See needs_smaps() for what fork(2) does
 *    not pass on.
 */
#include <fcntl.h>
#include <sys/sysinfo.h>

#include "base/fd.h"
#include "capture/context.h"
#include "capture/mappings.h"

static int open_maps(const struct thump_target *copy, const struct thump_capture *cap,
		     const char *name, int *fd_ret, struct thump_err *err)
{
	*fd_ret = openat(copy ? copy->proc_fd : cap->proc_fd, name, O_RDONLY | O_CLOEXEC);
	if (*fd_ret < 0)
		return thump_fail_errno(err, "open /proc/%d/%s",
					copy ? copy->pid : cap->options.pid, name);
	return 0;
}

static void forget_maps(struct thump_capture *cap)
{
	thump_arena_deinit(&cap->maps_arena);
	thump_maps_init(&cap->maps, &cap->maps_arena);
}

/* In place of what was read before. `copy`: NULL for the target. */
static int read_smaps(struct thump_capture *cap, const struct thump_target *copy,
		      struct thump_err *err)
{
	auto_close int fd = -1;

	forget_maps(cap);
	if (open_maps(copy, cap, "smaps", &fd, err) < 0)
		return -1;
	return thump_maps_read(&cap->maps, fd, err);
}

/* ---- before the stop ------------------------------------------------------------------------- */

int thump_capture_smaps_before(struct thump_capture *cap, struct thump_err *err)
{
	if ((!cap->options.only_check && !cap->options.live) || read_smaps(cap, NULL, err) == 0)
		return 0;
	/* Who may not read it may not stop the target either, and that failure says why. And a
	 * target that runs may change its mappings between two reads of the file, so that one
	 * begins before the end of the last: then it is read after the stop. What fails for any
	 * other reason fails there, too. */
	*err = THUMP_ERR_INIT;
	forget_maps(cap);
	return 0;
}

/* ---- in the stop ----------------------------------------------------------------------------- */

static int smaps_of_check(struct thump_capture *cap, struct thump_err *err)
{
	auto_close int fd = -1;
	bool same = false;

	if (open_maps(NULL, cap, "maps", &fd, err) < 0 ||
	    thump_maps_compare(&cap->maps, fd, &same, err) < 0)
		return -1;
	return same ? 0 : read_smaps(cap, NULL, err);
}

static uint32_t all_traits(const struct thump_maps *maps)
{
	uint32_t traits = 0;

	for (size_t i = 0; i < maps->count; i++)
		traits |= maps->list[i].traits;
	return traits;
}

/* What shared.c asks smaps about: pages of memory without a name that are swapped out. */
static bool may_be_swapped(const struct thump_maps *maps)
{
	struct sysinfo info;
	const char *reason;

	if (sysinfo(&info) == 0 && info.totalswap == 0)
		return false;
	for (size_t i = 0; i < maps->count; i++) {
		const enum thump_map_class class = thump_map_classify(&maps->list[i], &reason);

		if (class == THUMP_MAP_MEMFD || class == THUMP_MAP_SHMEM)
			return true;
	}
	return false;
}

/*
 * Flags that a copy does not have: locks, which VmLck counts, and userfaultfd's, dup_mmap() in
 * kernel/fork.c clears; MADV_DONTFORK mappings it leaves out, so that they are missed afterwards at
 * the latest. A userfaultfd that the target has open is refused as a descriptor. Only if another
 * process alone has it, and registers memory for the first time since smaps was read before the
 * stop, is the image one of the moment before that.
 */
static bool needs_smaps(const struct thump_capture *cap, const struct thump_maps *before,
			const struct thump_maps *now)
{
	const uint32_t not_inherited = THUMP_VMA_LOCKED | THUMP_VMA_DONTFORK | THUMP_VMA_UFFD;

	return before->count == 0 || cap->status.locked_kib != 0 ||
	       (all_traits(before) & not_inherited) || may_be_swapped(now);
}

static int smaps_of_live(struct thump_capture *cap, struct thump_err *err)
{
	struct thump_maps now;
	auto_close int fd = -1;

	thump_maps_init(&now, &cap->maps_arena);
	if (open_maps(NULL, cap, "maps", &fd, err) < 0 || thump_maps_read(&now, fd, err) < 0)
		return -1;
	if (needs_smaps(cap, &cap->maps, &now))
		return read_smaps(cap, NULL, err);
	/* So that nearly all that cannot be saved is refused before there is a copy. */
	thump_maps_take_attributes(&now, &cap->maps);
	cap->maps = now;
	cap->flags_in_copy = true;
	return 0;
}

int thump_capture_smaps(struct thump_capture *cap, struct thump_err *err)
{
	if (cap->options.only_check)
		return smaps_of_check(cap, err);
	if (cap->options.live)
		return smaps_of_live(cap, err);
	return read_smaps(cap, NULL, err);
}

/* ---- of the copy ----------------------------------------------------------------------------- */

/* The mappings are those of the model; their flags are newer. */
static int take_flags(struct thump_capture *cap, struct thump_err *err)
{
	struct thump_model *model = &cap->model;

	if (cap->maps.count != model->nr_vmas)
		return thump_fail(err, "the mappings of process %d changed while it stood still",
				  cap->options.pid);
	for (size_t i = 0; i < cap->maps.count; i++) {
		const struct thump_map *map = &cap->maps.list[i];

		if (map->start != model->vmas[i].start || map->end != model->vmas[i].end)
			return thump_fail(err,
					  "mapping 0x%lx-0x%lx appeared while process %d "
					  "stood still",
					  map->start, map->end, cap->options.pid);
		thump_capture_update_flags(cap, map, &model->vmas[i]);
	}
	cap->flags_in_copy = false;
	return 0;
}

int thump_capture_compare_copy(struct thump_capture *cap, struct thump_err *err)
{
	auto_close int fd = -1;
	bool same;

	if (open_maps(cap->copy, cap, "maps", &fd, err) < 0 ||
	    thump_maps_compare(&cap->maps, fd, &same, err) < 0)
		return -1;
	if (same)
		return 0;
	if (read_smaps(cap, NULL, err) < 0)
		return -1;
	return take_flags(cap, err);
}

int thump_capture_flags_of_copy(struct thump_capture *cap, struct thump_err *err)
{
	int status;

	if (!cap->flags_in_copy)
		return 0;
	status = read_smaps(cap, cap->copy, err);
	if (status == 0)
		status = take_flags(cap, err);
	forget_maps(cap);
	return status;
}
