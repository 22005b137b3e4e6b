/* SPDX-License-Identifier: Apache-2.0 */
#include "coord/post.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

/* How often to look around. */
#define LOOK_MS	  100
#define NS_PER_MS UINT64_C(1000000)

/* The name that we have now, when that is another one or the socket is gone. A name that somebody
 * else has is tried again with the next look. */
static void look_around(struct thump_coord_post *post, bool broken)
{
	struct thump_coord_name now;
	int fd;

	if (!thump_coord_name_now(&now) ||
	    (!broken && memcmp(&now.address, &post->name.address, sizeof(now.address)) == 0))
		return;
	if (broken && post->listen_fd >= 0) {
		(void)close(post->listen_fd);
		post->listen_fd = -1;
	}
	fd = thump_coord_listen(&now);
	if (fd < 0)
		return;
	if (post->listen_fd >= 0)
		(void)close(post->listen_fd);
	*post = (struct thump_coord_post){ .name = now, .listen_fd = fd };
}

/* Serves one connection. Returns how to go on, or THUMP_COORD_WAITING. */
static uint32_t obey(int listen_fd, int *client_fd_ret)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	uint32_t state = THUMP_COORD_WAITING;
	char line[64];
	pid_t pid;

	if (fd < 0)
		return state;
	if (!thump_coord_read_request(fd, &pid, line, sizeof(line))) {
		(void)close(fd);
		return state;
	}
	if (strcmp(line, THUMP_COORD_ASK_AFTER) == 0)
		state = THUMP_COORD_RESTORED;
	else if (strcmp(line, THUMP_COORD_ASK_ABORT) == 0)
		state = THUMP_COORD_SAVED; /* hooks get their second call, and that is all */
	if (state == THUMP_COORD_WAITING) {
		(void)thump_coord_send(
			fd, THUMP_COORD_SAY_FAILED
			"\nit stands at a safe point since `thump hooks before`: `thump "
			"hooks after` lets it go on\n");
		(void)close(fd);
	} else {
		*client_fd_ret = fd;
	}
	return state;
}

/*
 * One look, LOOK_MS at most. Returns by how much the time left is shorter: however long we were
 * frozen meanwhile, or lay in an image, and whatever the clock was set to, it is no more than that.
 */
static uint64_t look(struct thump_coord_post *post, uint64_t left_ns, uint32_t *state,
		     int *client_fd_ret)
{
	struct pollfd poll_fd = { .fd = post->listen_fd, .events = POLLIN };
	uint64_t most_ns = left_ns < LOOK_MS * NS_PER_MS ? left_ns : LOOK_MS * NS_PER_MS;
	uint64_t start_ns = thump_now_ns(), passed_ns;
	int rc = poll(&poll_fd, 1, (int)(most_ns / NS_PER_MS) + 1);

	if (rc > 0 && poll_fd.revents == POLLIN)
		*state = obey(post->listen_fd, client_fd_ret);
	else
		look_around(post, rc > 0 || post->listen_fd < 0);
	passed_ns = thump_now_ns() - start_ns;
	return passed_ns < most_ns ? passed_ns : most_ns;
}

bool thump_coord_post_open(struct thump_coord_post *post)
{
	post->listen_fd = -1;
	look_around(post, true);
	return post->listen_fd >= 0;
}

void thump_coord_post_close(struct thump_coord_post *post)
{
	if (post->listen_fd >= 0)
		(void)close(post->listen_fd);
	post->listen_fd = -1;
}

uint32_t thump_coord_post_stand(struct thump_coord_post *post, uint64_t limit_ns,
				int *client_fd_ret)
{
	uint32_t state = THUMP_COORD_WAITING;
	uint64_t left_ns = limit_ns;

	while (state == THUMP_COORD_WAITING && left_ns > 0)
		left_ns -= look(post, left_ns, &state, client_fd_ret);
	return state;
}
