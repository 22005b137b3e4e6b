/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll(7). The set is in fdinfo. An item is a pair of description and number; it is added again
 * when every descriptor has its number, so items whose number now refers to something else (the
 * descriptor was closed, a duplicate keeps the description alive) are refused.
 *
 * Record: u32 count, count times {i32 fd, u32 events, u64 data}.
 */
#include <linux/kcmp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "kinds/capture.h"
#include "kinds/registry.h"
#include "kinds/restore.h"
#include "proc/fdinfo.h"
#include "trace/target.h"

#define NR_ITEMS_LIMIT (1U << 20)
/* EP_PRIVATE_BITS of fs/eventpoll.c: what is no event. */
#define NO_EVENTS (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)

struct epoll_item {
	int32_t fd;
	uint32_t events;
	uint64_t data;
};

struct epoll {
	struct epoll_item *items;
	uint32_t count;
};

static bool epoll_matches(const struct thump_fd_facts *facts)
{
	return strcmp(facts->link, "anon_inode:[eventpoll]") == 0;
}

static const struct thump_fd_facts *facts_of(const struct thump_fd_capture *cap, int fd)
{
	size_t low = 0, high = cap->nr_all;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (cap->all[middle].fd == fd)
			return &cap->all[middle];
		if (cap->all[middle].fd < fd)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* Does the number still refer to the description in the set? `nth` counts items of that number. */
static bool item_is_open(const struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			 const struct thump_epoll_target *target, uint32_t nth)
{
	const struct thump_fd_facts *item = facts_of(cap, target->fd);
	struct kcmp_epoll_slot slot = {
		.efd = (uint32_t)facts->fd,
		.tfd = (uint32_t)target->fd,
		.toff = nth,
	};
	pid_t pid = cap->target->pid;
	long order;

	if (!item || (target->ino && target->ino != item->st.st_ino))
		return false;
	order = syscall(SYS_kcmp, pid, pid, KCMP_EPOLL_TFD, (unsigned long)target->fd, &slot);
	/* Where kcmp(2) is not allowed the inode decides; two items of one number cannot both be.
	 */
	return order < 0 ? nth == 0 : order == 0;
}

static int epoll_capture(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			 struct thump_ofd *ofd, struct thump_buf *record, struct thump_err *err)
{
	struct thump_epoll_target *targets;
	size_t count;

	if (thump_epoll_fdinfo_parse(facts->fdinfo, &cap->model->arena, &targets, &count, err) < 0)
		return -1;
	thump_buf_put_u32(record, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		uint32_t nth = 0;

		/* The set is sorted by description, then number: equal numbers in set order. */
		for (size_t j = 0; j < i; j++)
			nth += targets[j].fd == targets[i].fd;
		if (!item_is_open(cap, facts, &targets[i], nth))
			thump_refuse_fd(
				cap, facts, "epoll",
				"epoll: its set holds descriptor %d, which was closed while "
				"a duplicate kept it alive: cannot be saved",
				targets[i].fd);
		thump_buf_put_u32(record, (uint32_t)targets[i].fd);
		thump_buf_put_u32(record, targets[i].events);
		thump_buf_put_u64(record, targets[i].data);
	}
	return thump_ofd_describe(cap, ofd, err, "epoll, %zu descriptors", count);
}

static int epoll_decode(const struct thump_ofd *ofd, struct thump_arena *arena, void **object_ret,
			struct thump_err *err)
{
	struct thump_reader r = thump_reader_of(ofd->record, ofd->record_size);
	struct epoll *epoll = thump_arena_alloc(arena, 1, sizeof(*epoll));
	uint32_t count = thump_get_u32(&r);

	if (!epoll)
		return thump_fail(err, "out of memory");
	if (count > NR_ITEMS_LIMIT)
		r.failed = true;
	for (uint32_t i = 0; i < count && !r.failed; i++) {
		struct epoll_item item = {
			.fd = (int32_t)thump_get_u32(&r),
			.events = thump_get_u32(&r),
			.data = thump_get_u64(&r),
		};

		if (item.fd < 0)
			r.failed = true;
		epoll->items = thump_arena_grow(arena, epoll->items, i, sizeof(item));
		if (!epoll->items)
			return thump_fail(err, "out of memory");
		epoll->items[i] = item;
		epoll->count = i + 1;
	}
	*object_ret = epoll;
	return thump_reader_done(&r, "epoll", err);
}

static uint32_t ofd_of(const struct thump_model *model, int fd)
{
	for (uint32_t i = 0; i < model->nr_fds; i++)
		if (model->fds[i].fd == fd)
			return model->fds[i].ofd_id;
	return THUMP_NO_ID;
}

static int epoll_check(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object,
		       struct thump_problems *problems, struct thump_err *err)
{
	const struct epoll *epoll = object;

	(void)ofd_id;
	(void)problems;
	for (uint32_t i = 0; i < epoll->count; i++)
		if (ofd_of(rb->model, epoll->items[i].fd) == THUMP_NO_ID)
			return thump_damaged(err, "its set holds descriptor %d, which is not open",
					     epoll->items[i].fd);
	return 0;
}

static bool epoll_can_wait(const struct thump_fd_rebuild *rb, uint32_t ofd_id, const void *object)
{
	const struct epoll *epoll = object;

	(void)ofd_id;
	for (uint32_t i = 0; i < epoll->count; i++)
		if (thump_ofd_is_callers(rb, ofd_of(rb->model, epoll->items[i].fd)))
			return false;
	return true;
}

static int epoll_rebuild(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int *fd_ret,
			 struct thump_err *err)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	(void)rb;
	(void)ofd_id;
	(void)object;
	if (fd < 0)
		return thump_fail_errno(err, "epoll_create1");
	*fd_ret = fd;
	return 0;
}

/* epoll_ctl(2) always adds EPOLLERR and EPOLLHUP; only the kernel takes them away, when a one-shot
 * entry has fired. */
static bool is_spent(const struct epoll_item *item)
{
	return (item->events & EPOLLONESHOT) && !(item->events & ~(uint32_t)NO_EVENTS);
}

static int add_item(struct thump_fd_rebuild *rb, const struct epoll_item *item, int fd,
		    struct thump_err *err)
{
	struct epoll_event event = { .events = item->events, .data.u64 = item->data };

	if (epoll_ctl(fd, EPOLL_CTL_ADD, item->fd, &event) == 0)
		return 0;
	/* The caller's stdio may be a plain file, which epoll does not take; it would always be
	 * ready. */
	if (errno == EPERM && thump_ofd_is_callers(rb, ofd_of(rb->model, item->fd)))
		return 0;
	return thump_fail_errno(err, "add descriptor %d", item->fd);
}

/*
 * Fires it: added for everything that may be ready, and taken from the set. What is not ready for
 * anything just now (an empty pipe, a listening socket) stays with EPOLLERR and EPOLLHUP.
 */
static int add_spent(struct thump_fd_rebuild *rb, const struct epoll_item *item, int fd,
		     struct thump_err *err)
{
	struct epoll_item ready = *item;
	struct epoll_event event;
	int count;

	ready.events |= EPOLLIN | EPOLLOUT;
	if (add_item(rb, &ready, fd, err) < 0)
		return -1;
	count = epoll_wait(fd, &event, 1, 0);
	if (count < 0)
		return thump_fail_errno(err, "epoll_wait");
	if (count > 0)
		return 0;
	event = (struct epoll_event){ .events = item->events, .data.u64 = item->data };
	if (epoll_ctl(fd, EPOLL_CTL_MOD, item->fd, &event) < 0 && errno != ENOENT)
		return thump_fail_errno(err, "change descriptor %d", item->fd);
	return 0;
}

static int epoll_connect(struct thump_fd_rebuild *rb, uint32_t ofd_id, void *object, int fd,
			 struct thump_err *err)
{
	const struct epoll *epoll = object;

	(void)ofd_id;
	/* The spent ones first: nothing else in the set may be ready then. */
	for (uint32_t i = 0; i < epoll->count; i++)
		if (is_spent(&epoll->items[i]) && add_spent(rb, &epoll->items[i], fd, err) < 0)
			return -1;
	for (uint32_t i = 0; i < epoll->count; i++)
		if (!is_spent(&epoll->items[i]) && add_item(rb, &epoll->items[i], fd, err) < 0)
			return -1;
	return 0;
}

const struct thump_kind thump_kind_epoll = {
	.name = "epoll",
	.kind_id = 7,
	.version = 1,
	.can_wait = epoll_can_wait,
	.matches = epoll_matches,
	.capture = epoll_capture,
	.decode = epoll_decode,
	.check = epoll_check,
	.rebuild = epoll_rebuild,
	.connect = epoll_connect,
};
