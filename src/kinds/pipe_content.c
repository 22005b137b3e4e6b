/* SPDX-License-Identifier: Apache-2.0 */
#include "kinds/flight.h"
#include "kinds/pipe_content.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "trace/target.h"

#define NR_PACKETS_LIMIT (1U << 20)
/* A record has at most 16 MiB; more than any pipe of an ordinary user (pipe-max-size, 1 MiB). */
#define CONTENT_LIMIT_BYTES ((size_t)8 << 20)

static int open_pipe(struct thump_fd_capture *cap, const struct thump_fd_facts *facts)
{
	int fd = cap->have_dup_fd ? thump_facts_dup(cap->target, facts->fd) : -1;

	if (fd < 0)
		fd = thump_target_reopen(cap->target, facts->fd,
					 (int)thump_facts_access_mode(facts) | O_NONBLOCK);
	return fd;
}

/* Everything in the scratch pipe; one read(2) yields one packet where packets were written. */
static int drain(int fd, size_t left_bytes, bool packets, struct thump_buf *record,
		 struct thump_err *err)
{
	const size_t room = packets ? PIPE_BUF : left_bytes;
	auto_free unsigned char *bytes = malloc(room ? room : 1);
	auto_buf struct thump_buf list = THUMP_BUF_INIT;
	uint32_t count = 0;

	if (!bytes)
		return thump_fail(err, "out of memory");
	while (left_bytes) {
		ssize_t got = read(fd, bytes, room);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return thump_fail_errno(err, "read the copy of a pipe");
		thump_buf_put_blob(&list, bytes, (size_t)got);
		left_bytes -= (size_t)got;
		count++;
	}
	thump_buf_put_u32(record, count);
	thump_buf_put(record, list.bytes, list.size_bytes);
	record->failed |= list.failed;
	return 0;
}

static int copy_content(int fd, size_t queued, int capacity, bool packets, struct thump_buf *record,
			struct thump_err *err)
{
	auto_close int read_end = -1;
	auto_close int write_end = -1;
	ssize_t copied = 0;
	int ends[2];

	if (queued && pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return thump_fail_errno(err, "pipe2");
	if (queued) {
		read_end = ends[0];
		write_end = ends[1];
		if (fcntl(write_end, F_GETPIPE_SZ) != capacity &&
		    fcntl(write_end, F_SETPIPE_SZ, capacity) < 0)
			return thump_fail_errno(err, "make a pipe of %d bytes", capacity);
		copied = tee(fd, write_end, queued, SPLICE_F_NONBLOCK);
	}
	if (copied < 0 || (size_t)copied != queued)
		return thump_fail_errno(err, "tee: %zd of %zu bytes", copied, queued);
	return drain(read_end, queued, packets, record, err);
}

int thump_pipe_capture_content(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			       bool with_bytes, bool packets, struct thump_buf *record,
			       size_t *queued_ret, struct thump_err *err)
{
	auto_close int fd = open_pipe(cap, facts);
	int capacity, queued = 0;

	if (fd < 0)
		return thump_fail_errno(err, "open %s of process %d", facts->link,
					cap->target->pid);
	capacity = fcntl(fd, F_GETPIPE_SZ);
	if (capacity < 0 || ioctl(fd, FIONREAD, &queued) < 0 || queued < 0)
		return thump_fail_errno(err, "size of %s", facts->link);
	thump_buf_put_u32(record, (uint32_t)capacity);
	thump_buf_put_u8(record, packets);
	*queued_ret = (size_t)queued;
	if (with_bytes && (size_t)queued > CONTENT_LIMIT_BYTES) {
		thump_refuse_fd(cap, facts, "pipe", "%s: holds %d bytes, more than can be saved",
				facts->link, queued);
		return 0;
	}
	if (copy_content(fd, with_bytes ? (size_t)queued : 0, capacity, packets, record, err) < 0)
		return thump_add_context(err, "%s", facts->link);
	return 0;
}

void thump_pipe_put_nothing(struct thump_buf *record)
{
	thump_buf_put_u32(record, 0); /* capacity */
	thump_buf_put_u8(record, 0);
	thump_buf_put_u32(record, 0); /* packets */
}

void thump_pipe_decode_content(struct thump_reader *r, struct thump_arena *arena,
			       struct thump_pipe_content *content_ret)
{
	struct thump_pipe_content content = { .capacity = thump_get_u32(r) };
	uint8_t packets = thump_get_u8(r);
	uint32_t count = thump_get_u32(r);

	content.packets = packets == 1;
	if (packets > 1 || count > NR_PACKETS_LIMIT || content.capacity > INT32_MAX)
		r->failed = true;
	for (uint32_t i = 0; i < count && !r->failed; i++) {
		struct thump_pipe_packet packet;

		packet.bytes = thump_get_blob(r, content.packets ? PIPE_BUF : CONTENT_LIMIT_BYTES,
					      &packet.size_bytes);
		if (packet.size_bytes == 0)
			r->failed = true;
		content.list = thump_arena_grow(arena, content.list, i, sizeof(packet));
		if (!content.list) {
			r->failed = true;
			return;
		}
		content.list[i] = packet;
		content.count = i + 1;
	}
	*content_ret = content;
}

int thump_pipe_fill(int write_fd, const struct thump_pipe_content *content, struct thump_err *err)
{
	int capacity = fcntl(write_fd, F_GETPIPE_SZ);

	/* Best effort: an ordinary user may be out of pipe pages; what counts is that the content
	 * fits, and that is seen below. */
	if (content->capacity && (uint32_t)capacity != content->capacity)
		(void)fcntl(write_fd, F_SETPIPE_SZ, (int)content->capacity);
	if (content->count == 0)
		return 0;
	if (fcntl(write_fd, F_SETFL, O_NONBLOCK | (content->packets ? O_DIRECT : 0)) < 0)
		return thump_fail_errno(err, "fcntl(F_SETFL)");
	for (uint32_t i = 0; i < content->count; i++) {
		const struct thump_pipe_packet *packet = &content->list[i];

		if (thump_write_full(write_fd, packet->bytes, packet->size_bytes) < 0)
			return thump_fail_errno(err, "write content of %zu bytes",
						packet->size_bytes);
	}
	if (fcntl(write_fd, F_SETFL, 0) < 0)
		return thump_fail_errno(err, "fcntl(F_SETFL)");
	return 0;
}
