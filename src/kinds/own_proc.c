/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and folders that proc(5) has of the process itself: /proc/PID and what lies in it, also as
 * /proc/self or /proc/net. They are opened again as those of the new process, by that itself: some,
 * like /proc/PID/mem, are bound to the memory that their opener has at that moment, and others are
 * those of its threads. Only lists of mounts are opened before, as they may be in an epoll set.
 *
 * Record: str path below /proc/PID, "" for that folder.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/registry.h"
#include "kinds/restore.h"
#include "proc/status.h"
#include "proc/text.h"
#include "trace/target.h"

struct own_proc {
	const char *rest;
};

/* "/proc/4711/status" -> 4711 and "status" */
static bool split(const char *link, uint64_t *pid_ret, const char **rest_ret)
{
	static const char start[] = "/proc/";
	const char *at = link + sizeof(start) - 1;

	if (strncmp(link, start, sizeof(start) - 1) != 0 || !thump_text_u64(&at, 10, pid_ret) ||
	    (*at && *at != '/'))
		return false;
	*rest_ret = *at ? at + 1 : at;
	return true;
}

static bool own_proc_matches(const struct thump_fd_facts *facts)
{
	const char *rest;
	uint64_t pid;

	return (S_ISREG(facts->st.st_mode) || S_ISDIR(facts->st.st_mode)) &&
	       split(facts->link, &pid, &rest);
}

/* The folder of a process in the /proc that is at this path below the target's own folder, if that
 * is the one that the descriptor is of: each mount of procfs is a file system of its own. */
static int open_folder(const struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		       const char *proc, uint64_t pid)
{
	char path[64];
	struct stat st;
	auto_close int folder = -1;

	(void)snprintf(path, sizeof(path), "%s/%" PRIu64, proc, pid);
	folder = openat(cap->target->proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0 || fstat(folder, &st) < 0 || st.st_dev != facts->st.st_dev)
		return -1;
	return thump_take_fd(&folder);
}

/*
 * A number means nothing without its /proc: a program may be the first process of its pid namespace
 * and have the /proc of the one above. A pid namespace and the number in it name a process.
 */
static bool is_target(const struct thump_fd_capture *cap, int folder)
{
	struct stat theirs, ours;
	struct thump_err ignored = THUMP_ERR_INIT;
	struct thump_status status;
	auto_free char *text = NULL;

	return thump_slurp(folder, "status", &text, NULL) == 0 &&
	       thump_status_parse(text, &cap->model->arena, &status, &ignored) == 0 &&
	       status.ns_tgid == cap->model->process.pid &&
	       fstatat(folder, "ns/pid", &theirs, 0) == 0 &&
	       fstatat(cap->target->proc_fd, "ns/pid", &ours, 0) == 0 &&
	       theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev;
}

static bool is_own(const struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		   uint64_t pid)
{
	auto_close int theirs = open_folder(cap, facts, "root/proc", pid);
	auto_close int ours = open_folder(cap, facts, "..", pid);

	return (theirs >= 0 && is_target(cap, theirs)) || (ours >= 0 && is_target(cap, ours));
}

static int own_proc_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			    struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	const char *rest = "";
	uint64_t pid = 0;

	(void)split(facts->link, &pid, &rest);
	if (!is_own(cap, facts, pid))
		thump_refuse_fd(cap, facts, "proc", "%s: a file of another process cannot be saved",
				facts->link);
	else if (facts->deleted)
		thump_refuse_fd(cap, facts, "proc",
				"%s: a file of a thread that has ended cannot be saved",
				facts->link);
	thump_buf_put_str(record, rest);
	return thump_ofd_describe(cap, ofd, err, "%s", facts->link);
}

static int own_proc_decode(const struct thump_ofd *ofd, struct thump_arena *arena,
			   void **object_ret, struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);
	struct own_proc *own = thump_arena_alloc(arena, 1, sizeof(*own));

	if (!own)
		return thump_fail(err, "out of memory");
	own->rest = thump_get_str(&r, arena, THUMP_OWN_PROC_MAX_BYTES);
	if (thump_reader_done(&r, "own proc file", err) < 0)
		return -1;
	if (ofd->pos > INT64_MAX)
		return thump_damaged(err, "own proc file: offset out of range");
	*object_ret = own;
	return 0;
}

/* mounts_poll() of the kernel; nothing else there can be waited for. */
static bool is_list_of_mounts(const struct own_proc *own)
{
	return strncmp(own->rest, "mount", strlen("mount")) == 0;
}

int thump_open_late(struct thump_fd_rebuild *rb, uint32_t ofd_id, const char *path,
		    struct thump_err *err)
{
	const struct thump_ofd *ofd = &rb->model->ofds[ofd_id];

	rb->late_opens = thump_arena_grow(rb->arena, rb->late_opens, rb->nr_late_opens,
					  sizeof(*rb->late_opens));
	if (!path || !rb->late_opens)
		return thump_fail(err, "out of memory");
	rb->late_opens[rb->nr_late_opens++] = (struct thump_late_open){
		.ofd_id = ofd_id,
		.path = path,
		.flags = thump_open_flags(ofd->open_flags),
		.pos = ofd->open_flags & O_PATH ? 0 : ofd->pos,
	};
	return 0;
}

static int own_proc_check(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
			  struct thump_problems *problems, struct thump_err *err)
{
	const struct own_proc *own = object;

	(void)problems;
	return is_list_of_mounts(own)
		       ? 0
		       : thump_open_late(rb, ofd_id,
					 thump_arena_printf(rb->arena, "/proc/self/%s", own->rest),
					 err);
}

/* In the child: something that keeps the number. */
static int own_proc_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
			    struct thump_err *err)
{
	const uint32_t flags = rb->model->ofds[ofd_id].open_flags;
	const struct own_proc *own = object;
	char path[THUMP_OWN_PROC_MAX_BYTES + 16];

	(void)snprintf(path, sizeof(path), "/proc/self/%s",
		       is_list_of_mounts(own) ? own->rest : "");
	*fd_ret = open(path, is_list_of_mounts(own) ? thump_open_flags(flags)
						    : O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *fd_ret < 0 ? thump_fail_errno(err, "open %s", path) : 0;
}

const struct thump_kind thump_kind_own_proc = {
	.name = "own proc file",
	.kind_id = 17,
	.version = 1,
	.matches = own_proc_matches,
	.capture = own_proc_capture,
	.decode = own_proc_decode,
	.check = own_proc_check,
	.rebuild = own_proc_rebuild,
};
