/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSG_PEEK always begins at the front. Through a duplicate, room for everything is ours. In the
 * target there is little room, so it is used many times over: all elements of the iovec of one
 * recvmsg(2) point to the same place, and what is left there in the end is the last piece.
 */
#include "kinds/peek.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define PIECE_BYTES ((size_t)1024)

struct room {
	struct msghdr header;
	struct iovec pieces[];
};

/* Peeks `count` pieces of size_bytes each, one over the other; how many bytes came in all. */
static int peek_pieces(struct thump_access *access, size_t count, size_t size_bytes,
		       long *result_ret, struct thump_err *err)
{
	size_t bytes_at = sizeof(struct room) + count * sizeof(struct iovec);
	struct room *room = (void *)access->bytes;
	uint64_t args[6] = { (uint64_t)access->fd, access->addr, MSG_PEEK | MSG_DONTWAIT };

	memset(access->bytes, 0, bytes_at);
	room->header.msg_iov = (void *)(uintptr_t)(access->addr + offsetof(struct room, pieces));
	room->header.msg_iovlen = count;
	for (size_t i = 0; i < count; i++)
		room->pieces[i] = (struct iovec){
			.iov_base = (void *)(uintptr_t)(access->addr + bytes_at),
			.iov_len = size_bytes,
		};
	return thump_access_call(access, SYS_recvmsg, args, bytes_at + size_bytes, result_ret, err);
}

static size_t overhead(size_t count)
{
	return sizeof(struct room) + count * sizeof(struct iovec);
}

int thump_peek_stream(struct thump_access *access, size_t want_bytes, struct thump_buf *into,
		      bool *more_ret, struct thump_err *err)
{
	const struct room *room;
	size_t piece =
		thump_access_room(access, overhead(1) + want_bytes) ? want_bytes : PIECE_BYTES;

	*more_ret = false;
	for (size_t count = 1; (count - 1) * piece < want_bytes; count++) {
		size_t before = (count - 1) * piece;
		long result;

		if (overhead(count) + piece > access->room_bytes)
			return 0;
		if (peek_pieces(access, count, piece, &result, err) < 0)
			return -1;
		room = (const void *)access->bytes;
		*more_ret |= result >= 0 && (room->header.msg_flags & MSG_CTRUNC);
		if (result <= (long)before)
			return 0;
		thump_buf_put(into, access->bytes + overhead(count),
			      thump_min_u64((size_t)result, want_bytes) - before);
		if ((size_t)result < before + piece)
			return 0;
	}
	return 0;
}
