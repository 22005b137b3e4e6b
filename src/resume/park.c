/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the blob that waits in a template and becomes clones of it; see abi.h. The rules of
 * resume.c hold here, too. What fails before the go is told to the maker, and the clone ends.
 */
#include "abi.h"
#include "arch/arch.h"
#include "internal.h"

#include <asm/unistd.h>
#include <linux/close_range.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/time_types.h>
#include <linux/uio.h>
#include <stddef.h>

#define PARK_SOL_SOCKET	  1
#define PARK_SCM_RIGHTS	  1
#define PARK_MSG_NOSIGNAL 0x4000
#define PARK_CONTROL_FD	  0
#define PARK_EEXIST	  17
#define PARK_EINTR	  4
#define PARK_EPROTO	  71

/* 20 ms in all, for what takes microseconds. */
#define PARK_TRIES    100
#define PARK_PAUSE_NS 200000

/* struct msghdr and struct cmsghdr as recvmsg(2) takes them. */
struct park_message {
	uint64_t name;
	uint32_t name_size, pad;
	uint64_t parts, nr_parts;
	uint64_t control, control_size;
	uint32_t flags, pad2;
};

struct park_rights {
	uint64_t size;
	int32_t level, type;
	int32_t fds[THUMP_CLONE_FDS_AT_ONCE];
};

/* What bearer and clone look at, in the template's own memory, of which the clone has a copy. */
struct park_order {
	struct thump_blob_park *park;
	struct thump_clone_request request;
	struct park_rights rights;
	struct thump_clone_reply reply;
};

_Static_assert(sizeof(struct park_order) <= THUMP_PARK_WORK_BYTES, "see abi.h");

void thump_blob_bearer(struct park_order *order, void *unused)
	__attribute__((noreturn, used, visibility("hidden")));

static void __attribute__((noreturn)) end(void)
{
	for (;;)
		(void)arch_syscall2(__NR_exit_group, 0, 0);
}

/* Bytes received, or -errno; at most THUMP_CLONE_FDS_AT_ONCE descriptors come with them. */
static long receive(int fd, void *bytes, uint64_t size, struct park_rights *rights)
{
	struct iovec part = { bytes, size };
	struct park_message message = {
		.parts = (uint64_t)&part,
		.nr_parts = 1,
		.control = (uint64_t)rights,
		.control_size = sizeof(*rights),
	};
	long result;

	rights->size = offsetof(struct park_rights, fds);
	do
		result = arch_syscall4(__NR_recvmsg, (uint64_t)fd, (uint64_t)&message, 0, 0);
	while (result == -PARK_EINTR);
	return result;
}

static uint64_t nr_received(const struct park_rights *rights)
{
	return (rights->size - offsetof(struct park_rights, fds)) / sizeof(rights->fds[0]);
}

static void tell(int fd, const void *bytes, uint64_t size)
{
	(void)arch_syscall6(__NR_sendto, (uint64_t)fd, (uint64_t)bytes, size, PARK_MSG_NOSIGNAL, 0,
			    0);
}

/* ---- in the clone --------------------------------------------------------------------------- */

static void __attribute__((noreturn)) give_up(int socket_fd, uint32_t nr, long result)
{
	const struct thump_clone_hello hello = { .error = (int32_t)-result, .nr = nr };

	tell(socket_fd, &hello, sizeof(hello));
	end();
}

static void must(int socket_fd, uint32_t nr, long result)
{
	if (is_error(result))
		give_up(socket_fd, nr, result);
}

/* The data region of this clone, in place of the one that is the template's. */
static struct thump_blob_data *enter_region(const struct park_order *order, int socket_fd)
{
	const struct thump_blob_park *park = order->park;
	const struct thump_clone_request *request = &order->request;
	const uint64_t fd = (uint64_t)order->rights.fds[THUMP_CLONE_REGION];

	must(socket_fd, __NR_munmap, arch_syscall2(__NR_munmap, park->region, park->region_bytes));
	must(socket_fd, __NR_mmap,
	     arch_syscall6(__NR_mmap, park->region, request->data_bytes, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd,
			   request->data_offset));
	return (struct thump_blob_data *)park->region;
}

/* What a message of the maker must be: `size` bytes, with so many descriptors. */
static void hear(int socket_fd, void *bytes, uint64_t size, struct park_rights *rights,
		 uint64_t nr_fds)
{
	const long got = receive(socket_fd, bytes, size, rights);

	must(socket_fd, __NR_recvmsg, got);
	/* End of file: whoever made us is gone. */
	if ((uint64_t)got != size || nr_received(rights) != nr_fds)
		give_up(socket_fd, __NR_recvmsg, -PARK_EPROTO);
}

/*
 * Nothing but the socket is open, and that above all numbers to come: so the kernel gives 0, 1, 2
 * and so on, none of which is higher than the number that it is for. From the last one on, each
 * place is free when its turn comes.
 */
static void place(int socket_fd, const int32_t *numbers, uint32_t count)
{
	while (count-- > 0) {
		if (numbers[count] == (int32_t)count)
			continue;
		must(socket_fd, __NR_dup3,
		     arch_syscall4(__NR_dup3, count, (uint64_t)numbers[count], 0, 0));
		(void)arch_syscall2(__NR_close, count, 0);
	}
}

/* Without CLOEXEC: a step sets it. Returns the socket's new number. */
static int receive_fds(struct park_order *order, int socket_fd, struct thump_blob_data *data)
{
	int32_t *numbers = (int32_t *)data->fd_numbers;
	struct thump_clone_fds fds;
	int moved;

	hear(socket_fd, &fds, sizeof(fds), &order->rights, 0);
	if (fds.count > data->max_fds || fds.highest < 0)
		give_up(socket_fd, __NR_recvmsg, -PARK_EPROTO);
	moved = fds.highest + 1 > socket_fd ? fds.highest + 1 : socket_fd;
	if (moved != socket_fd)
		must(socket_fd, __NR_dup3,
		     arch_syscall4(__NR_dup3, (uint64_t)socket_fd, (uint64_t)moved, 0, 0));
	(void)arch_syscall4(__NR_close_range, 0, (uint64_t)moved - 1, 0, 0);
	(void)arch_syscall4(__NR_close_range, (uint64_t)moved + 1, ~0U, 0, 0);
	for (uint32_t done = 0; done < fds.count;) {
		uint32_t count = fds.count - done;

		if (count > THUMP_CLONE_FDS_AT_ONCE)
			count = THUMP_CLONE_FDS_AT_ONCE;
		hear(moved, numbers + done, count * sizeof(*numbers), &order->rights, count);
		done += count;
	}
	place(moved, numbers, fds.count);
	return moved;
}

static void __attribute__((noreturn)) be_clone(struct park_order *order)
{
	int socket_fd = order->rights.fds[THUMP_CLONE_SOCKET];
	struct thump_clone_hello hello = { 0 };
	struct thump_blob_data *data;
	char go;

	if (order->request.has_time)
		must(socket_fd, __NR_setns,
		     arch_syscall2(__NR_setns,
				   (uint64_t)order->rights
					   .fds[order->request.ns_flags ? THUMP_CLONE_TIME
									: THUMP_CLONE_INIT],
				   CLONE_NEWTIME));
	must(socket_fd, __NR_setsid, arch_syscall2(__NR_setsid, 0, 0));
	data = enter_region(order, socket_fd);
	/* The maker is none of our ancestors (yama). EINVAL without yama. */
	(void)arch_syscall4(__NR_prctl, PR_SET_PTRACER, (uint64_t)-1, 0, 0);
	hello.pid = (int32_t)arch_syscall2(__NR_getpid, 0, 0);
	tell(socket_fd, &hello, sizeof(hello));
	socket_fd = receive_fds(order, socket_fd, data);
	((int32_t *)data->fds)[data->maker_slot] = socket_fd;
	hear(socket_fd, &go, sizeof(go), &order->rights, 0);
	thump_blob_leader(data);
}

/* ---- in the bearer -------------------------------------------------------------------------- */

static void failed(struct park_order *order, uint32_t nr, long result)
{
	order->reply.error = (int32_t)-result;
	order->reply.nr = nr;
}

/*
 * The pid was a child's of our maker, who has just reaped it: since Linux 6.15 it is given back
 * only in a moment (see is_nobodys() in resume.c). Whose else it could be cannot be told here,
 * where the pid namespace may be another one; but then the maker could not have had it.
 */
static long make_clone(const struct thump_clone_request *request)
{
	struct __kernel_timespec pause = { .tv_nsec = PARK_PAUSE_NS };
	int32_t wanted = request->wanted_pid;
	struct clone_args args = {
		.flags = CLONE_PARENT,
		.set_tid = (uint64_t)&wanted,
		.set_tid_size = 1,
	};

	long result = -PARK_EEXIST;

	for (int i = 0; request->tid_way == THUMP_TID_SET && i < PARK_TRIES; i++) {
		result = arch_syscall2(__NR_clone3, (uint64_t)&args, sizeof(args));
		if (result != -PARK_EEXIST)
			return result;
		(void)arch_syscall2(__NR_nanosleep, (uint64_t)&pause, 0);
	}
	if (request->tid_way == THUMP_TID_SET)
		return result;
	return arch_syscall6(__NR_clone, CLONE_PARENT, 0, 0, 0, 0, 0);
}

void thump_blob_bearer(struct park_order *order, void *unused)
{
	long result = 0;

	(void)unused;
	if (order->request.ns_flags)
		result = arch_syscall2(__NR_setns, (uint64_t)order->rights.fds[THUMP_CLONE_INIT],
				       order->request.ns_flags);
	if (is_error(result)) {
		failed(order, __NR_setns, result);
		end();
	}
	result = make_clone(&order->request);
	if (result == 0)
		be_clone(order);
	if (is_error(result))
		failed(order, __NR_clone3, result);
	else
		order->reply.pid = (int32_t)result;
	end();
}

/* ---- in the template ------------------------------------------------------------------------- */

/* With CLONE_VFORK we go on when it has ended, or left our memory by exec, which it does not. */
static void bear(struct park_order *order)
{
	const uint64_t sp = arch_prepare_stack(order->park->bearer_stack_top, (uint64_t)order, 0);
	const long result = ARCH_START_THREAD(__NR_clone, CLONE_VM | CLONE_VFORK | CLONE_PARENT, sp,
					      thump_blob_bearer);

	if (is_error(result))
		failed(order, __NR_clone, result);
}

void thump_blob_park(struct thump_blob_park *park)
{
	struct park_order *order = (struct park_order *)park->work;
	long got;

	order->park = park;

	for (;;) {
		order->reply = (struct thump_clone_reply){ 0 };
		got = receive(PARK_CONTROL_FD, &order->request, sizeof(order->request),
			      &order->rights);
		if (got <= 0)
			end();
		if (got != sizeof(order->request) || order->request.abi != THUMP_BLOB_ABI ||
		    nr_received(&order->rights) < THUMP_CLONE_INIT)
			failed(order, __NR_recvmsg, -PARK_EPROTO);
		else
			bear(order);
		(void)arch_syscall4(__NR_close_range, PARK_CONTROL_FD + 1, ~0U, 0, 0);
		tell(PARK_CONTROL_FD, &order->reply, sizeof(order->reply));
	}
}
