/* SPDX-License-Identifier: Apache-2.0 */
#include "kinds/flight.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "kinds/unix_queue.h"
#include "trace/target.h"

struct thump_fd_path thump_fd_path(const char *folder, int fd)
{
	struct thump_fd_path path;

	if (thump_is_in_flight(fd))
		(void)snprintf(path.text, sizeof(path.text), "/proc/self/%s/%d", folder,
			       fd - THUMP_FLIGHT_FIRST_FD);
	else
		(void)snprintf(path.text, sizeof(path.text), "%s/%d", folder, fd);
	return path;
}

int thump_facts_dup(const struct thump_target *target, int fd)
{
	return thump_is_in_flight(fd) ? fcntl(fd - THUMP_FLIGHT_FIRST_FD, F_DUPFD_CLOEXEC, 0)
				      : thump_target_dup_fd(target, fd);
}

/* Same open file description? `fd` is ours. */
static bool is_same(const struct thump_fd_capture *cap, int fd, int other)
{
	bool ours = thump_is_in_flight(other);
	pid_t self = getpid();

	return syscall(SYS_kcmp, self, ours ? self : cap->target->pid, KCMP_FILE, (unsigned long)fd,
		       (unsigned long)(ours ? other - THUMP_FLIGHT_FIRST_FD : other)) == 0;
}

static size_t find_same(const struct thump_fd_capture *cap, const struct thump_fd_facts *all,
			size_t count, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return count;
	for (size_t i = 0; i < count; i++)
		if (all[i].st.st_ino == st.st_ino && all[i].st.st_dev == st.st_dev &&
		    is_same(cap, fd, all[i].fd))
			return i;
	return count;
}

static bool can_look(const struct thump_fd_capture *cap)
{
	pid_t self = getpid();

	return cap->have_dup_fd &&
	       (syscall(SYS_kcmp, self, cap->target->pid, KCMP_FILE, 0UL, 0UL) >= 0 ||
		errno == EBADF);
}

/* Takes over the duplicates. */
static int add_all(struct thump_fd_capture *cap, struct thump_arena *arena,
		   const struct thump_buf *fds, struct thump_fd_facts **facts, size_t *count,
		   struct thump_err *err)
{
	int status = fds->failed ? thump_fail(err, "out of memory") : 0;

	for (size_t at = 0; at + sizeof(int) <= fds->size_bytes; at += sizeof(int)) {
		auto_close int fd = -1;
		struct thump_fd_facts *grown;

		memcpy(&fd, fds->bytes + at, sizeof(fd));
		if (status < 0 || find_same(cap, *facts, *count, fd) < *count)
			continue;
		grown = thump_arena_grow(arena, *facts, *count, sizeof(*grown));
		if (!grown) {
			status = thump_fail(err, "out of memory");
			continue;
		}
		*facts = grown;
		grown[*count] = (struct thump_fd_facts){ .fd = THUMP_FLIGHT_FIRST_FD + fd };
		status = thump_facts_read(cap->target, true, arena, &grown[*count], err);
		if (status < 0)
			continue;
		(*count)++;
		(void)thump_take_fd(&fd);
	}
	return status;
}

static int compare_fd(const void *left, const void *right)
{
	const struct thump_fd_facts *a = left, *b = right;

	return (a->fd > b->fd) - (a->fd < b->fd);
}

int thump_flights_collect(struct thump_fd_capture *cap, struct thump_arena *arena,
			  struct thump_fd_facts **facts_ret, size_t *count_ret,
			  struct thump_err *err)
{
	size_t nr_own = *count_ret;

	cap->sees_flights = can_look(cap);
	if (!cap->sees_flights)
		return 0;
	/* It grows: there may be sockets in flight that have something in flight to them. */
	for (size_t i = 0; i < *count_ret; i++) {
		const struct thump_fd_facts *facts = &(*facts_ret)[i];
		auto_buf struct thump_buf fds = THUMP_BUF_INIT;
		int status;

		if (facts->sock_domain != AF_UNIX)
			continue;
		status = thump_unix_survey_rights(cap, facts, &fds, err);
		if (status == 0)
			status = add_all(cap, arena, &fds, facts_ret, count_ret, err);
		cap->all = *facts_ret;
		cap->nr_all = *count_ret;
		if (status < 0)
			return thump_add_context(err, "descriptors in flight to fd %d",
						 (*facts_ret)[i].fd);
	}
	if (*count_ret > nr_own)
		qsort(*facts_ret + nr_own, *count_ret - nr_own, sizeof(**facts_ret), compare_fd);
	return 0;
}

uint32_t thump_flight_find(const struct thump_fd_capture *cap, int fd)
{
	size_t index = cap->ofd_ids ? find_same(cap, cap->all, cap->nr_all, fd) : cap->nr_all;

	return index < cap->nr_all ? cap->ofd_ids[index] : THUMP_NO_ID;
}

void thump_flights_close(const struct thump_fd_capture *cap)
{
	for (size_t i = 0; i < cap->nr_all; i++)
		if (thump_is_in_flight(cap->all[i].fd))
			(void)close(cap->all[i].fd - THUMP_FLIGHT_FIRST_FD);
}
