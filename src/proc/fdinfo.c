/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/fdinfo.h"

#include <fcntl.h>
#include <string.h>

#include "proc/text.h"

int thump_fdinfo_parse(const char *text, struct thump_fdinfo *info_ret, struct thump_err *err)
{
	struct thump_fdinfo info = { 0 };
	uint64_t flags, mnt_id = 0;

	if (!thump_text_value_u64(text, "pos", 10, &info.pos))
		return thump_fail(err, "fdinfo has no pos");
	if (!thump_text_value_u64(text, "flags", 8, &flags) || flags > UINT32_MAX)
		return thump_fail(err, "fdinfo has no flags");
	(void)thump_text_value_u64(text, "mnt_id", 10, &mnt_id);
	(void)thump_text_value_u64(text, "ino", 10, &info.ino);
	info.cloexec = (flags & O_CLOEXEC) != 0;
	info.open_flags = (uint32_t)flags & ~(uint32_t)O_CLOEXEC;
	info.mnt_id = (uint32_t)mnt_id;
	info.locked = thump_text_value(text, "lock") != NULL;
	*info_ret = info;
	return 0;
}

/* "KEY:<blanks>NUMBER" inside a line; moves on. */
static bool take_pair(const char **at, const char *key, unsigned base, uint64_t *value_ret)
{
	const char *p = *at;

	thump_text_blanks(&p);
	if (strncmp(p, key, strlen(key)) != 0)
		return false;
	p += strlen(key);
	if (!thump_text_char(&p, ':'))
		return false;
	thump_text_blanks(&p);
	if (!thump_text_u64(&p, base, value_ret))
		return false;
	*at = p;
	return true;
}

/* "tfd: 7 events: 19 data: 7  pos:0 ino:61af sdev:7" (fs/eventpoll.c, ep_show_fdinfo) */
static bool take_epoll_line(const char *at, struct thump_epoll_target *target)
{
	uint64_t fd, events, pos;

	if (!take_pair(&at, "tfd", 10, &fd) || !take_pair(&at, "events", 16, &events) ||
	    !take_pair(&at, "data", 16, &target->data) || fd > INT32_MAX || events > UINT32_MAX)
		return false;
	target->fd = (int32_t)fd;
	target->events = (uint32_t)events;
	if (take_pair(&at, "pos", 10, &pos) && take_pair(&at, "ino", 16, &target->ino))
		(void)take_pair(&at, "sdev", 16, &target->sdev);
	return true;
}

int thump_epoll_fdinfo_parse(const char *text, struct thump_arena *arena,
			     struct thump_epoll_target **targets_ret, size_t *count_ret,
			     struct thump_err *err)
{
	struct thump_epoll_target *targets = NULL;
	size_t count = 0, len;
	const char *line;

	while (thump_text_line(&text, &line, &len)) {
		struct thump_epoll_target target = { 0 };

		if (strncmp(line, "tfd:", 4) != 0)
			continue;
		if (!take_epoll_line(line, &target))
			return thump_fail(err, "malformed epoll line in fdinfo: %.*s",
					  (int)thump_min_u64(len, 100), line);
		targets = thump_arena_grow(arena, targets, count, sizeof(*targets));
		if (!targets)
			return thump_fail(err, "out of memory while reading fdinfo");
		targets[count++] = target;
	}
	*targets_ret = targets;
	*count_ret = count;
	return 0;
}

/* "it_value: (0, 49406829)": seconds and nanoseconds */
static bool take_timespec(const char *text, const char *key, uint64_t *ns_ret)
{
	const char *at = thump_text_value(text, key);
	uint64_t seconds, nanoseconds;

	if (!at || !thump_text_char(&at, '(') || !thump_text_u64(&at, 10, &seconds) ||
	    !thump_text_char(&at, ','))
		return false;
	thump_text_blanks(&at);
	if (!thump_text_u64(&at, 10, &nanoseconds) || !thump_text_char(&at, ')') ||
	    nanoseconds >= 1000000000U)
		return false;
	return !__builtin_mul_overflow(seconds, (uint64_t)1000000000U, ns_ret) &&
	       !__builtin_add_overflow(*ns_ret, nanoseconds, ns_ret);
}

int thump_timerfd_fdinfo_parse(const char *text, struct thump_timerfd_info *info_ret,
			       struct thump_err *err)
{
	struct thump_timerfd_info info = { 0 };
	uint64_t clock_id, flags = 0;

	if (!thump_text_value_u64(text, "clockid", 10, &clock_id) || clock_id > INT32_MAX ||
	    !thump_text_value_u64(text, "ticks", 10, &info.ticks) ||
	    !thump_text_value_u64(text, "settime flags", 8, &flags) ||
	    !take_timespec(text, "it_value", &info.value_ns) ||
	    !take_timespec(text, "it_interval", &info.interval_ns))
		return thump_fail(err, "malformed timerfd in fdinfo");
	info.clock_id = (int32_t)clock_id;
	info.settime_flags = (uint32_t)flags;
	*info_ret = info;
	return 0;
}
