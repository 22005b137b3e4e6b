/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which descriptors share one open file description (dup(2), fork(2))?
 *
 * Only descriptors that look alike (inode, mount, flags, offset) are compared at all. Then, by what
 * works here:
 *   kcmp(2)                 an order over descriptions: sort, then compare neighbours;
 *   F_DUPFD_QUERY           fcntl(2) of Linux 6.10, run in the target: it may where kcmp may not;
 *   a change and its trace  a flag is changed through one descriptor, looked for in
 *                           /proc/PID/fdinfo of the others, and changed back at once. It is one
 *                           that does nothing, should thump be killed in between: O_NONBLOCK of
 *                           files and directories, O_APPEND of anonymous inodes other than
 *                           eventfds. Alike-looking ends of pipes, terminals and devices count as
 *                           shared: they differ only in their flags, and those are alike.
 * Never needed: a socket's inode is one description (it cannot be opened again), and eventfds show
 * an id of their own in fdinfo.
 */
#include "kinds/flight.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "proc/fdinfo.h"
#include "proc/text.h"
#include "trace/target.h"

#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY 1027 /* F_LINUX_SPECIFIC_BASE + 3 */
#endif

struct candidate {
	const struct thump_fd_facts *facts;
	size_t index;
	pid_t pid; /* who has it, and under which number: the target, or for what is in flight, we
		    */
	int fd;
	uint64_t eventfd_id;
};

static long kcmp_file(const struct candidate *a, const struct candidate *b)
{
	return syscall(SYS_kcmp, a->pid, b->pid, KCMP_FILE, (unsigned long)a->fd,
		       (unsigned long)b->fd);
}

static int remote_fcntl(struct thump_target *target, int fd, int cmd, uint64_t arg,
			long *result_ret, struct thump_err *err)
{
	uint64_t args[6] = { (uint64_t)fd, (uint64_t)cmd, arg };

	return thump_remote_syscall(target, SYS_fcntl, args, result_ret, err);
}

enum thump_share_way thump_share_probe(struct thump_target *target, int fd)
{
	const struct candidate it = { .pid = target->pid, .fd = fd };
	struct thump_err err = THUMP_ERR_INIT;
	long result;

	if (kcmp_file(&it, &it) == 0)
		return THUMP_SHARE_KCMP;
	if (remote_fcntl(target, fd, F_DUPFD_QUERY, (uint64_t)fd, &result, &err) == 0 &&
	    result == 1)
		return THUMP_SHARE_QUERY;
	return THUMP_SHARE_FLAG;
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_looks(const struct candidate *a, const struct candidate *b)
{
	const struct thump_fd_facts *x = a->facts, *y = b->facts;
	int order = compare_u64(x->st.st_ino, y->st.st_ino);

	if (!order)
		order = compare_u64(x->st.st_dev, y->st.st_dev);
	if (!order)
		order = compare_u64(x->open_flags, y->open_flags);
	if (!order)
		order = compare_u64(x->mnt_id, y->mnt_id);
	if (!order)
		order = compare_u64(x->pos, y->pos);
	if (!order)
		order = strcmp(x->link, y->link);
	return order ? order : compare_u64(a->eventfd_id, b->eventfd_id);
}

static int compare_by_looks(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;
	int order = compare_looks(a, b);

	return order ? order : compare_u64(a->index, b->index);
}

static int compare_by_kcmp(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;

	switch (kcmp_file(a, b)) {
	case 1:
		return -1;
	case 2:
		return 1;
	default:
		return compare_u64(a->index, b->index);
	}
}

static void join(size_t *first, const struct candidate *a, const struct candidate *b)
{
	size_t lower = first[a->index] < first[b->index] ? first[a->index] : first[b->index];

	first[a->index] = first[b->index] = lower;
}

/* All alike candidates are one description. */
static void join_all(const struct candidate *alike, size_t count, size_t *first)
{
	for (size_t i = 1; i < count; i++)
		join(first, &alike[0], &alike[i]);
}

static void find_by_kcmp(struct candidate *alike, size_t count, size_t *first)
{
	qsort(alike, count, sizeof(*alike), compare_by_kcmp);
	for (size_t i = 1; i < count; i++)
		if (kcmp_file(&alike[i - 1], &alike[i]) == 0)
			join(first, &alike[i - 1], &alike[i]);
}

static int find_by_query(struct thump_target *target, const struct candidate *alike, size_t count,
			 size_t *first, struct thump_err *err)
{
	long same;

	for (size_t i = 0; i < count; i++) {
		if (first[alike[i].index] != alike[i].index)
			continue;
		for (size_t j = i + 1; j < count; j++) {
			if (first[alike[j].index] != alike[j].index)
				continue;
			if (remote_fcntl(target, alike[i].facts->fd, F_DUPFD_QUERY,
					 (uint64_t)alike[j].facts->fd, &same, err) < 0)
				return -1;
			if (same == 1)
				join(first, &alike[i], &alike[j]);
		}
	}
	return 0;
}

/* A status flag that only F_GETFL will ever look at; 0: none. */
static uint32_t idle_flag(const struct thump_fd_facts *facts)
{
	if (S_ISREG(facts->st.st_mode) || S_ISDIR(facts->st.st_mode))
		return O_NONBLOCK;
	return strncmp(facts->link, "anon_inode:", strlen("anon_inode:")) == 0 ? O_APPEND : 0;
}

static int has_changed(struct thump_target *target, const struct thump_fd_facts *facts,
		       bool *changed_ret, struct thump_err *err)
{
	auto_free char *text = NULL;
	struct thump_fdinfo info;

	if (thump_fdinfo_read(target, facts->fd, &info, &text, err) < 0)
		return -1;
	*changed_ret = ((info.open_flags ^ facts->open_flags) & idle_flag(facts)) != 0;
	return 0;
}

/* Changes the flag through alike[i], joins those that show it, changes it back. */
static int find_by_flag(struct thump_target *target, const struct candidate *alike, size_t count,
			size_t i, size_t *first, struct thump_err *err)
{
	const struct thump_fd_facts *facts = alike[i].facts;
	int status = 0;
	long result;

	if (remote_fcntl(target, facts->fd, F_SETFL, facts->open_flags ^ idle_flag(facts), &result,
			 err) < 0)
		return -1;
	for (size_t j = i + 1; result == 0 && status == 0 && j < count; j++) {
		bool changed = false;

		status = has_changed(target, alike[j].facts, &changed, err);
		if (changed)
			join(first, &alike[i], &alike[j]);
	}
	if (result == 0 &&
	    remote_fcntl(target, facts->fd, F_SETFL, facts->open_flags, &result, err) < 0)
		return -1;
	return status;
}

static int find_among(struct thump_target *target, enum thump_share_way way,
		      struct candidate *alike, size_t count, size_t *first, struct thump_err *err)
{
	if (S_ISSOCK(alike[0].facts->st.st_mode) || alike[0].eventfd_id) {
		join_all(alike, count, first);
		return 0;
	}
	switch (way) {
	case THUMP_SHARE_KCMP:
		find_by_kcmp(alike, count, first);
		return 0;
	case THUMP_SHARE_QUERY:
		return find_by_query(target, alike, count, first, err);
	case THUMP_SHARE_FLAG:
		break;
	}
	if (!idle_flag(alike[0].facts)) {
		join_all(alike, count, first);
		return 0;
	}
	/* An O_PATH descriptor has no state to share, and F_SETFL refuses it: all stay apart. */
	for (size_t i = 0; i + 1 < count; i++)
		if (first[alike[i].index] == alike[i].index &&
		    find_by_flag(target, alike, count, i, first, err) < 0)
			return -1;
	return 0;
}

int thump_share_find(struct thump_target *target, enum thump_share_way way,
		     const struct thump_fd_facts *facts, size_t count, size_t *first_ret,
		     struct thump_err *err)
{
	auto_free struct candidate *all = calloc(count + 1, sizeof(*all));

	if (!all)
		return thump_fail(err, "out of memory");
	for (size_t i = 0; i < count; i++) {
		bool flying = thump_is_in_flight(facts[i].fd);

		first_ret[i] = i;
		all[i] = (struct candidate){
			.facts = &facts[i],
			.index = i,
			.pid = flying ? getpid() : target->pid,
			.fd = flying ? facts[i].fd - THUMP_FLIGHT_FIRST_FD : facts[i].fd,
		};
		/* ids count from 0 (eventfd_ida); 0 is left for "none" */
		if (thump_text_value_u64(facts[i].fdinfo, "eventfd-id", 10, &all[i].eventfd_id))
			all[i].eventfd_id++;
	}
	qsort(all, count, sizeof(*all), compare_by_looks);
	for (size_t start = 0, end; start < count; start = end) {
		end = start + 1;
		while (end < count && compare_looks(&all[start], &all[end]) == 0)
			end++;
		if (end - start > 1 &&
		    find_among(target, way, all + start, end - start, first_ret, err) < 0)
			return -1;
	}
	/* Chains of joins may point to one that was joined later. */
	for (size_t i = 0; i < count; i++)
		while (first_ret[first_ret[i]] != first_ret[i])
			first_ret[i] = first_ret[first_ret[i]];
	return 0;
}
