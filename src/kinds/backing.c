/* SPDX-License-Identifier: Apache-2.0 */
#include "kinds/flight.h"
#include "kinds/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/locks.h"
#include "proc/identity.h"
#include "trace/target.h"

#ifndef HUGETLBFS_MAGIC
#define HUGETLBFS_MAGIC 0x958458f6
#endif

uint32_t thump_backing_find(const struct thump_model *model, uint64_t dev, uint64_t ino)
{
	for (uint32_t i = 0; i < model->nr_backings; i++) {
		const struct thump_backing *backing = &model->backings[i];

		if (backing->kind != THUMP_BACKING_SHMEM && backing->identity.ino == ino &&
		    backing->identity.dev == dev)
			return i;
	}
	return THUMP_NO_ID;
}

int thump_backing_add(struct thump_model *model, const struct thump_backing *backing,
		      uint32_t *backing_id_ret, struct thump_err *err)
{
	struct thump_backing *list =
		thump_arena_grow(&model->arena, model->backings, model->nr_backings, sizeof(*list));

	if (!list)
		return thump_fail(err, "out of memory");
	model->backings = list;
	list[model->nr_backings] = *backing;
	*backing_id_ret = model->nr_backings++;
	return 0;
}

int thump_backing_extents(struct thump_arena *arena, int fd, uint64_t size_bytes,
			  struct thump_extent **extents_ret, uint32_t *nr_extents_ret,
			  struct thump_err *err)
{
	struct thump_extent *extents = NULL;
	uint32_t count = 0;
	off_t at = 0, hole;

	while ((uint64_t)at < size_bytes) {
		at = lseek(fd, at, SEEK_DATA);
		if (at < 0 && errno == ENXIO) /* no data up to the end */
			break;
		hole = at < 0 ? -1 : lseek(fd, at, SEEK_HOLE);
		if (at < 0 || hole < 0)
			return thump_fail_errno(err, "lseek(SEEK_DATA)");
		extents = thump_arena_grow(arena, extents, count, sizeof(*extents));
		if (!extents)
			return thump_fail(err, "out of memory");
		extents[count] = (struct thump_extent){
			.start = thump_page_down((uint64_t)at),
			.end = thump_page_up((uint64_t)hole),
		};
		/* File systems with blocks below the page size: extents may touch. */
		if (count && extents[count].start <= extents[count - 1].end)
			extents[count - 1].end = extents[count].end;
		else
			count++;
		at = hole;
	}
	*extents_ret = extents;
	*nr_extents_ret = count;
	return 0;
}

uint64_t thump_backing_carried_bytes(const struct thump_model *model)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < model->nr_backings; i++)
		if (model->backings[i].kind == THUMP_BACKING_CARRIED)
			total += model->backings[i].content_size_bytes;
	return total;
}

static bool is_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	while (len > 1 && folder[len - 1] == '/')
		len--;
	return len > 1 && strncmp(path, folder, len) == 0 && path[len] == '/';
}

bool thump_path_is_temporary(const char *path, const char *tmpdir)
{
	return is_below(path, "/tmp") || is_below(path, "/var/tmp") || is_below(path, "/dev/shm") ||
	       (tmpdir && tmpdir[0] == '/' && is_below(path, tmpdir));
}

/* Of files that others have open, too, the kernel gives no lease; an O_PATH descriptor does not
 * count as that. */
static bool is_leased(const struct thump_fd_facts *facts)
{
	auto_free char *locks = NULL;

	if (thump_locks_show_lease(facts->fdinfo, facts->st.st_ino))
		return true;
	return (facts->open_flags & O_PATH) &&
	       thump_slurp(AT_FDCWD, "/proc/locks", &locks, NULL) == 0 &&
	       thump_locks_show_lease(locks, facts->st.st_ino);
}

struct opened {
	int fd;		/* for reading, or -1 */
	bool duplicate; /* has its offset in common with the target's descriptor */
};

static void close_opened(struct opened *opened)
{
	thump_close_fd(&opened->fd);
}
#define auto_opened __attribute__((cleanup(close_opened)))

/* /proc/PID/fd/N follows deleted files and memfds, too. A file that only its owner's other
 * processes may read is still readable through a duplicate. */
static void open_for_reading(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			     struct opened *opened)
{
	opened->fd = -1;
	errno = EAGAIN; /* as open(2) says of leases */
	if (!is_leased(facts))
		opened->fd = thump_target_reopen(cap->target, facts->fd,
						 O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (opened->fd < 0 && cap->have_dup_fd && !(facts->open_flags & O_PATH) &&
	    thump_facts_access_mode(facts) != O_WRONLY) {
		opened->fd = thump_facts_dup(cap->target, facts->fd);
		opened->duplicate = true;
	}
}

/* All of it, where looking for holes would move the offset of the target's descriptor. */
static int one_extent(struct thump_fd_capture *cap, struct thump_backing *backing,
		      struct thump_err *err)
{
	struct thump_extent *all = thump_arena_alloc(&cap->model->arena, 1, sizeof(*all));

	if (!all)
		return thump_fail(err, "out of memory");
	all->start = 0;
	all->end = thump_page_up(backing->content_size_bytes);
	backing->extents = all;
	backing->nr_extents = backing->content_size_bytes > 0;
	return 0;
}

static int add_content(struct thump_fd_capture *cap, struct thump_backing *backing,
		       struct opened *opened, struct thump_err *err)
{
	backing->content_size_bytes = backing->identity.size_bytes;
	if (opened->duplicate ? one_extent(cap, backing, err) < 0
			      : thump_backing_extents(
					&cap->model->arena, opened->fd, backing->content_size_bytes,
					&backing->extents, &backing->nr_extents, err) < 0)
		return -1;
	backing->capture_fd = thump_take_fd(&opened->fd);
	return 0;
}

static int add_memfd(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		     struct thump_backing *backing, struct opened *opened, struct thump_err *err)
{
	struct statfs fs;
	int seals = fcntl(opened->fd, F_GET_SEALS);

	if (seals < 0)
		return thump_fail_errno(err, "fcntl(F_GET_SEALS) of %s", facts->link);
	if (fstatfs(opened->fd, &fs) < 0)
		return thump_fail_errno(err, "fstatfs of %s", facts->link);
	if (fs.f_type == HUGETLBFS_MAGIC) {
		thump_refuse_fd(cap, facts, "memfd", "memfd %s: huge pages cannot be saved",
				backing->path);
		backing->kind = 0;
		return 0;
	}
	backing->kind = THUMP_BACKING_MEMFD;
	backing->memfd_seals = (uint32_t)seals;
	return add_content(cap, backing, opened, err);
}

static void refuse_nameless(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			    uint64_t size_bytes, bool readable)
{
	const char *what = facts->deleted ? "deleted" : "another file is at its path by now";

	if (!readable)
		thump_refuse_fd(cap, facts, "deleted-file", "file %s: %s, and may not be read here",
				facts->link, what);
	else
		thump_refuse_fd(cap, facts, "deleted-file",
				"file %s: %s, and with %llu bytes too big to be carried "
				"(limit %llu, taken %llu)",
				facts->link, what, (unsigned long long)size_bytes,
				(unsigned long long)cap->carry_limit_bytes,
				(unsigned long long)thump_backing_carried_bytes(cap->model));
}

/* Decides what becomes of a file; backing->kind stays 0 when it cannot be saved. */
static int add_file(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		    struct thump_backing *backing, struct opened *opened, struct thump_err *err)
{
	uint64_t size = backing->identity.size_bytes;
	uint64_t carried = thump_backing_carried_bytes(cap->model);
	bool fits = opened->fd >= 0 && carried <= cap->carry_limit_bytes &&
		    size <= cap->carry_limit_bytes - carried;

	backing->deleted = facts->deleted || thump_path_leads_elsewhere(cap, facts);
	if (fits && (backing->deleted || thump_path_is_temporary(facts->link, cap->tmpdir))) {
		backing->kind = THUMP_BACKING_CARRIED;
		return add_content(cap, backing, opened, err);
	}
	if (backing->deleted)
		refuse_nameless(cap, facts, size, opened->fd >= 0);
	else
		backing->kind = THUMP_BACKING_FILE;
	return 0;
}

static int read_identity(const struct thump_fd_facts *facts, int fd,
			 struct thump_file_identity *identity_ret, struct thump_err *err)
{
	if (fd < 0) {
		thump_identity_from_stat(&facts->st, identity_ret);
		return 0;
	}
	return thump_identity_read(fd, identity_ret, err);
}

/* One odd file must not hide what else stands in the way. */
static void refuse_unreadable(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			      const char *why)
{
	thump_refuse_fd(cap, facts, "unreadable-file", "file %s%s: cannot be read: %s", facts->link,
			facts->deleted ? " (deleted)" : "", why);
}

int thump_capture_backing(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			  uint32_t *backing_id_ret, struct thump_err *err)
{
	static const char memfd_prefix[] = "/memfd:";
	bool memfd =
		facts->deleted && strncmp(facts->link, memfd_prefix, sizeof(memfd_prefix) - 1) == 0;
	struct thump_backing backing = { .deleted = facts->deleted, .capture_fd = -1 };
	struct thump_err unreadable = THUMP_ERR_INIT;
	auto_opened struct opened opened = { .fd = -1 };

	*backing_id_ret = thump_backing_find(cap->model, facts->st.st_dev, facts->st.st_ino);
	if (*backing_id_ret != THUMP_NO_ID)
		return 0;
	backing.path = thump_arena_strdup(&cap->model->arena,
					  facts->link + (memfd ? sizeof(memfd_prefix) - 1 : 0));
	if (!backing.path)
		return thump_fail(err, "out of memory");
	open_for_reading(cap, facts, &opened);
	if (memfd && opened.fd < 0) {
		refuse_unreadable(cap, facts, strerror(errno));
		return 0;
	}
	if (read_identity(facts, opened.fd, &backing.identity, &unreadable) < 0 ||
	    (memfd ? add_memfd(cap, facts, &backing, &opened, &unreadable) < 0
		   : add_file(cap, facts, &backing, &opened, &unreadable) < 0)) {
		refuse_unreadable(cap, facts, unreadable.text);
		return 0;
	}
	return backing.kind ? thump_backing_add(cap->model, &backing, backing_id_ret, err) : 0;
}
