/* SPDX-License-Identifier: Apache-2.0 */
#include "kinds/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "kinds/flight.h"
#include "proc/maps.h"
#include "trace/target.h"

int thump_access_open(struct thump_target *target, bool dup_fd, int fd,
		      struct thump_access *access_ret, struct thump_err *err)
{
	struct thump_access access = { .target = target, .fd = fd, .remote = !dup_fd };
	struct remote_addr area;

	if (dup_fd) {
		access.fd = thump_facts_dup(target, fd);
		if (access.fd < 0)
			return thump_fail_errno(err, "duplicate fd %d of process %d", fd,
						target->pid);
	} else {
		if (thump_remote_area(target, &area, err) < 0)
			return -1;
		access.addr = area.addr;
	}
	access.room_bytes = THUMP_REMOTE_AREA_SIZE; /* more on request where it is ours */
	access.bytes = calloc(1, access.room_bytes);
	if (!access.bytes) {
		if (dup_fd)
			thump_close_fd(&access.fd);
		return thump_fail(err, "out of memory");
	}
	if (dup_fd)
		access.addr = (uint64_t)(uintptr_t)access.bytes;
	*access_ret = access;
	return 0;
}

void thump_access_close(struct thump_access *access)
{
	if (!access->remote)
		thump_close_fd(&access->fd);
	thump_free_ptr(&access->bytes);
}

bool thump_access_room(struct thump_access *access, size_t size_bytes)
{
	unsigned char *bigger;

	if (size_bytes <= access->room_bytes)
		return true;
	if (access->remote)
		return false;
	bigger = realloc(access->bytes, size_bytes);
	if (!bigger)
		return false;
	access->bytes = bigger;
	access->addr = (uint64_t)(uintptr_t)bigger;
	access->room_bytes = size_bytes;
	return true;
}

static int call_remotely(struct thump_access *access, long nr, const uint64_t args[6],
			 size_t used_bytes, long *result_ret, struct thump_err *err)
{
	struct remote_addr area = REMOTE(access->addr);

	if (used_bytes &&
	    thump_target_write(access->target, area, access->bytes, used_bytes, err) < 0)
		return -1;
	if (thump_remote_syscall(access->target, nr, args, result_ret, err) < 0)
		return -1;
	if (used_bytes &&
	    thump_target_read(access->target, area, access->bytes, used_bytes, err) < 0)
		return -1;
	return 0;
}

int thump_access_call(struct thump_access *access, long nr, const uint64_t args[6],
		      size_t used_bytes, long *result_ret, struct thump_err *err)
{
	long result;

	if (used_bytes > access->room_bytes)
		return thump_fail(err, "call on fd %d needs %zu bytes", access->fd, used_bytes);
	if (access->remote)
		return call_remotely(access, nr, args, used_bytes, result_ret, err);
	result = syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
	*result_ret = result < 0 ? -errno : result;
	return 0;
}

int thump_access_getsockopt(struct thump_access *access, int level, int name, void *value,
			    uint32_t *len_ret, long *result_ret, struct thump_err *err)
{
	/* optlen comes first, the value 16 bytes later */
	const size_t value_at = 16;
	uint64_t args[6] = { (uint64_t)access->fd, (uint64_t)level, (uint64_t)name,
			     access->addr + value_at, access->addr };
	uint32_t len = *len_ret;

	memset(access->bytes, 0, value_at + len);
	memcpy(access->bytes, &len, sizeof(len));
	if (thump_access_call(access, SYS_getsockopt, args, value_at + len, result_ret, err) < 0)
		return -1;
	if (*result_ret == 0) {
		uint32_t got;

		memcpy(&got, access->bytes, sizeof(got));
		*len_ret = got < len ? got : len;
		memcpy(value, access->bytes + value_at, *len_ret);
	}
	return 0;
}

int thump_access_ioctl_int(struct thump_access *access, unsigned long request, int *value_ret,
			   long *result_ret, struct thump_err *err)
{
	uint64_t args[6] = { (uint64_t)access->fd, request, access->addr };

	memset(access->bytes, 0, sizeof(int));
	if (thump_access_call(access, SYS_ioctl, args, sizeof(int), result_ret, err) < 0)
		return -1;
	if (*result_ret >= 0)
		memcpy(value_ret, access->bytes, sizeof(int));
	return 0;
}

int thump_access_poll(struct thump_access *access, short events, short *revents_ret,
		      struct thump_err *err)
{
	struct pollfd ask = { .fd = access->fd, .events = events };
	uint64_t args[6] = { access->addr, 1, 0 };
	long result;

	memcpy(access->bytes, &ask, sizeof(ask));
	if (thump_access_call(access, SYS_poll, args, sizeof(ask), &result, err) < 0)
		return -1;
	if (result < 0) {
		errno = (int)-result;
		return thump_fail_errno(err, "poll fd %d", access->fd);
	}
	memcpy(&ask, access->bytes, sizeof(ask));
	*revents_ret = ask.revents;
	return 0;
}

int thump_target_reopen(const struct thump_target *target, int fd, int flags)
{
	return openat(target->proc_fd, thump_fd_path("fd", fd).text, flags | O_CLOEXEC);
}

int thump_target_stat(const struct thump_target *target, const char *path, struct stat *st_ret)
{
	char below_root[PATH_MAX + 8];

	if (snprintf(below_root, sizeof(below_root), "root%s", path) >= (int)sizeof(below_root)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return fstatat(target->proc_fd, below_root, st_ret, 0);
}

bool thump_path_leads_elsewhere(const struct thump_fd_capture *cap,
				const struct thump_fd_facts *facts)
{
	struct stat st;

	return thump_target_stat(cap->target, facts->link, &st) == 0 &&
	       (st.st_ino != facts->st.st_ino || st.st_dev != facts->st.st_dev);
}

const struct thump_fd_facts *thump_facts_before(const struct thump_fd_capture *cap,
						const struct thump_fd_facts *facts)
{
	for (size_t i = 0; i < cap->nr_all && cap->all[i].fd < facts->fd; i++)
		if (thump_same_inode(&cap->all[i], facts))
			return &cap->all[i];
	return NULL;
}

struct wanted_file {
	const struct thump_fd_facts *facts;
	bool for_writing;
};

/* Device numbers differ from those of stat(2) on some file systems, so path and inode decide. */
static bool shows_file(void *ctx, const struct thump_map *map)
{
	const struct wanted_file *file = ctx;

	return map->ino == file->facts->st.st_ino && strcmp(map->path, file->facts->link) == 0 &&
	       (!file->for_writing || (map->shared && (map->prot & PROT_WRITE)));
}

bool thump_is_mapped(const struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		     bool for_writing)
{
	auto_close int fd = openat(cap->target->proc_fd, "maps", O_RDONLY | O_CLOEXEC);
	struct wanted_file file = { .facts = facts, .for_writing = for_writing };
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_arena arena;
	struct thump_maps maps;
	bool found;

	thump_arena_init(&arena);
	thump_maps_init(&maps, &arena);
	maps.wanted = shows_file;
	maps.wanted_ctx = &file;
	/* Unknown is the safe side. */
	found = fd < 0 || thump_maps_read(&maps, fd, &err) < 0 || maps.count > 0;
	thump_arena_deinit(&arena);
	return found;
}

int thump_ofd_describe(struct thump_fd_capture *cap, struct thump_ofd *ofd, struct thump_err *err,
		       const char *fmt, ...)
{
	char *text = NULL;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vasprintf(&text, fmt, args);
	va_end(args);
	if (len < 0)
		return thump_fail(err, "out of memory");
	ofd->text = thump_arena_strndup(&cap->model->arena, text, (size_t)len);
	free(text);
	return ofd->text ? 0 : thump_fail(err, "out of memory");
}
