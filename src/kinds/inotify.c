/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inotify(7). A watch is on an inode, and the kernel tells its number and a file handle, which only
 * open_by_handle_at(2) with CAP_DAC_READ_SEARCH leads back to a path: so the path is looked for
 * (find_path.h). Events that wait cannot be looked at without taking them from the program: they
 * are lost, as is what happens between checkpoint and restore.
 *
 * Record: list of {i32 watch, u32 mask, str path} in ascending order (since version 2; before:
 * nothing).
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/find_path.h"
#include "kinds/registry.h"
#include "kinds/restore.h"
#include "proc/text.h"

#define NR_WATCHES_LIMIT (1U << 20)
#define WATCH_LIMIT	 (1 << 20) /* numbers are never used again; each one before is a call */
#define MASK_BITS	 (IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONESHOT)
#define SEES_OPENS	 (IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE)
#define EVENTS_PER_DRAIN 1024 /* fs.inotify.max_queued_events is 16384 unless somebody cut it */

struct watch {
	int32_t number;
	uint32_t mask;
	const char *path;
};

struct inotify {
	struct watch *list;
	uint32_t count;
};

static bool inotify_matches(const struct thump_fd_facts *facts)
{
	return strcmp(facts->link, "anon_inode:inotify") == 0;
}

/* ---- capture ---------------------------------------------------------------------------- */

static bool get_field(const char *line, const char *end, const char *name, uint64_t *value_ret)
{
	const char *at = strstr(line, name);

	if (!at || at >= end)
		return false;
	at += strlen(name);
	return thump_text_u64(&at, 16, value_ret);
}

/* inotify wd:1 ino:1a2b sdev:800001 mask:100 ignored_mask:0 fhandle-bytes:8 ... f_handle:... */
static bool parse_watch(const char *line, struct watch *watch, struct thump_lost_path *lost)
{
	const char *end = line + strcspn(line, "\n"), *handle = strstr(line, "f_handle:");
	uint64_t number, ino, dev, mask;

	if (!get_field(line, end, "wd:", &number) || !get_field(line, end, "ino:", &ino) ||
	    !get_field(line, end, "sdev:", &dev) || !get_field(line, end, " mask:", &mask))
		return false;
	*watch = (struct watch){ .number = (int32_t)number, .mask = (uint32_t)mask & MASK_BITS };
	/* The kernel's own dev_t has 20 bits for the minor number. */
	*lost = (struct thump_lost_path){
		.ino = ino,
		.dev = makedev((unsigned)(dev >> 20), (unsigned)(dev & 0xfffff)),
		.sees_opens = (mask & SEES_OPENS) != 0,
	};
	if (handle && handle < end) {
		lost->handle = handle + strlen("f_handle:");
		lost->handle_len = (size_t)(end - lost->handle);
	}
	return true;
}

static int compare_watch(const void *left, const void *right)
{
	const struct watch *a = left, *b = right;

	return (a->number > b->number) - (a->number < b->number);
}

static void refuse_unfound(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			   const struct watch *watch, const struct thump_lost_path *lost)
{
	thump_refuse_fd(cap, facts, "inotify",
			"inotify: the path of watch %d cannot be found: the kernel tells its inode "
			"(%llu of device %u:%u), and it is not where the program has files open or "
			"mapped, nor shortly below its working directory: cannot be saved",
			watch->number, (unsigned long long)lost->ino, major(lost->dev),
			minor(lost->dev));
}

static int capture_watches(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			   struct watch *watches, struct thump_lost_path *lost, size_t count,
			   struct thump_buf *record, struct thump_err *err)
{
	if (count && thump_find_paths(cap, lost, count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		watches[i].path = lost[i].path;
		if (!lost[i].path)
			refuse_unfound(cap, facts, &watches[i], &lost[i]);
		else if (watches[i].number > WATCH_LIMIT)
			thump_refuse_fd(cap, facts, "inotify",
					"inotify: watch %d on %s: numbers above %d cannot be made "
					"again",
					watches[i].number, lost[i].path, WATCH_LIMIT);
	}
	if (count)
		qsort(watches, count, sizeof(*watches), compare_watch);
	thump_buf_put_u32(record, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		thump_buf_put_u32(record, (uint32_t)watches[i].number);
		thump_buf_put_u32(record, watches[i].mask);
		thump_buf_put_str(record, watches[i].path);
	}
	return 0;
}

static int warn_about_events(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			     struct thump_err *err)
{
	auto_access struct thump_access access = THUMP_ACCESS_INIT;
	int waiting = 0;
	long result;

	if (thump_access_open(cap->target, cap->have_dup_fd, facts->fd, &access, err) < 0 ||
	    thump_access_ioctl_int(&access, FIONREAD, &waiting, &result, err) < 0)
		return -1;
	if (result >= 0 && waiting > 0)
		thump_warn_fd(
			cap, facts, "inotify",
			"inotify: %d bytes of events that wait are lost in the restored program",
			waiting);
	return 0;
}

static int inotify_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			   struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	auto_free struct watch *watches = NULL;
	auto_free struct thump_lost_path *lost = NULL;
	size_t room = 1, count = 0;

	for (const char *at = facts->fdinfo; (at = strstr(at, "inotify wd:")); at++)
		room++;
	watches = calloc(room, sizeof(*watches));
	lost = calloc(room, sizeof(*lost));
	if (!watches || !lost)
		return thump_fail(err, "out of memory");
	for (const char *at = facts->fdinfo; (at = strstr(at, "inotify wd:")); at++, count++)
		if (!parse_watch(at, &watches[count], &lost[count]))
			return thump_fail(err, "fdinfo: %.80s", at);
	if (capture_watches(cap, facts, watches, lost, count, record, err) < 0 ||
	    warn_about_events(cap, facts, err) < 0)
		return -1;
	return thump_ofd_describe(cap, ofd, err, "inotify, %zu watches", count);
}

/* ---- restore ---------------------------------------------------------------------------- */

static bool watch_fits(const struct inotify *inotify, uint32_t i)
{
	const struct watch *watch = &inotify->list[i];

	return watch->number > (i ? inotify->list[i - 1].number : 0) &&
	       watch->number <= WATCH_LIMIT && watch->path && watch->path[0] == '/' &&
	       (watch->mask & IN_ALL_EVENTS) && !(watch->mask & ~MASK_BITS);
}

static int inotify_decode(const struct thump_ofd *ofd, struct thump_arena *arena, void **object_ret,
			  struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);
	struct inotify *inotify = thump_arena_alloc(arena, 1, sizeof(*inotify));
	uint32_t count = ofd->version >= 2 ? thump_get_u32(&r) : 0;

	if (!inotify)
		return thump_fail(err, "out of memory");
	if (count > NR_WATCHES_LIMIT)
		r.failed = true;
	for (uint32_t i = 0; i < count && !r.failed; i++) {
		struct watch *list =
			thump_arena_grow(arena, inotify->list, i, sizeof(*inotify->list));

		if (!list)
			return thump_fail(err, "out of memory");
		inotify->list = list;
		list[i] = (struct watch){ .number = (int32_t)thump_get_u32(&r),
					  .mask = thump_get_u32(&r) };
		list[i].path = thump_get_str(&r, arena, PATH_MAX);
		if (!watch_fits(inotify, i))
			r.failed = true;
		inotify->count = i + 1;
	}
	*object_ret = inotify;
	return thump_reader_done(&r, "inotify", err);
}

/* inotify_add_watch(2) needs the right to read. */
static int inotify_check(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
			 struct thump_problems *problems, struct thump_err *err)
{
	const struct inotify *inotify = object;

	(void)err;
	for (uint32_t i = 0; i < inotify->count; i++)
		if (faccessat(AT_FDCWD, inotify->list[i].path, R_OK,
			      AT_EACCESS | AT_SYMLINK_NOFOLLOW) < 0)
			thump_misfit_warn(
				rb, ofd_id, problems, "inotify",
				"inotify: %s: %s: the program will be told that its watch "
				"is gone",
				inotify->list[i].path, strerror(errno));
	return 0;
}

static int inotify_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
			   struct thump_err *err)
{
	int fd = inotify_init1(IN_CLOEXEC);

	(void)rb;
	(void)ofd_id;
	(void)object;
	if (fd < 0)
		return thump_fail_errno(err, "inotify_init1");
	*fd_ret = fd;
	return 0;
}

/* Takes all events out. */
static void drain(int fd)
{
	_Alignas(struct inotify_event) char events[4096];
	int waiting;

	while (ioctl(fd, FIONREAD, &waiting) == 0 && waiting > 0 &&
	       read(fd, events, sizeof(events)) > 0)
		;
}

/* A watch on a file of nobody's: the next number, or -1. It ends when the file is closed. */
static int watch_nothing(int fd, int *nothing_ret)
{
	int nothing = memfd_create("nothing", MFD_CLOEXEC);
	char path[32];

	*nothing_ret = nothing;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", nothing);
	return nothing < 0 ? -1 : inotify_add_watch(fd, path, IN_ATTRIB);
}

/* Numbers are given in ascending order (idr_alloc_cyclic()), so those between are used up. */
static int skip_to(int fd, int *next, int number)
{
	for (; *next < number; (*next)++) {
		auto_close int nothing = -1;

		if (watch_nothing(fd, &nothing) != *next)
			return -1;
		thump_close_fd(&nothing);
		if (*next % EVENTS_PER_DRAIN == 0)
			drain(fd);
	}
	return 0;
}

/* Files of nobody's, for the watches on what is gone. */
struct gone {
	int *files;
	uint32_t count;
};

static int add_watches(const struct inotify *inotify, int fd, struct gone *gone,
		       struct thump_err *err)
{
	int next = 1;

	for (uint32_t i = 0; i < inotify->count; i++) {
		const struct watch *watch = &inotify->list[i];
		int number;

		if (skip_to(fd, &next, watch->number) < 0)
			return thump_fail_errno(err, "use up the number of watch %d", next);
		number = inotify_add_watch(fd, watch->path,
					   watch->mask | IN_DONT_FOLLOW | IN_MASK_CREATE);
		/* EEXIST: another one leads there by now. */
		if (number < 0 &&
		    (errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == EEXIST))
			number = watch_nothing(fd, &gone->files[gone->count++]);
		if (number < 0)
			return thump_fail_errno(err, "inotify_add_watch %s", watch->path);
		if (number != watch->number)
			return thump_fail(err, "watch %d is number %d", watch->number, number);
		next = number + 1;
	}
	return 0;
}

/*
 * Here, as everything that the restore makes or opens is there by now. A watch on what is gone ends
 * like one on something that is deleted: the program is told so (IN_IGNORED).
 */
static int inotify_connect(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int fd,
			   struct thump_err *err)
{
	const struct inotify *inotify = object;
	struct gone gone = { 0 };
	int status;

	(void)rb;
	(void)ofd_id;
	gone.files = calloc(inotify->count + 1, sizeof(*gone.files));
	if (!gone.files)
		return thump_fail(err, "out of memory");
	status = add_watches(inotify, fd, &gone, err);
	drain(fd);
	for (uint32_t i = 0; i < gone.count; i++)
		thump_close_fd(&gone.files[i]);
	free(gone.files);
	return status;
}

const struct thump_kind thump_kind_inotify = {
	.name = "inotify",
	.kind_id = 10,
	.version = 2,
	.matches = inotify_matches,
	.capture = inotify_capture,
	.decode = inotify_decode,
	.check = inotify_check,
	.rebuild = inotify_rebuild,
	.connect = inotify_connect,
};
