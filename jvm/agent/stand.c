/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standing at the safe point while another engine (CRIU, a container engine, a snapshot of a
 * virtual machine) saves the process: between `thump hooks before` and `thump hooks after`.
 *
 * All of it is on the VM thread, inside a VM operation. It listens on the agent's socket, and looks
 * from time to time whether that is still where `thump hooks after` looks for it: in a copy of the
 * process, pid and pid namespace may be others, and the socket may be gone.
 *
 * It cannot be known who goes on, the original process or a copy, so both are treated as a copy is:
 * new random state, and a clock that has stood still.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "agent.h"

/* How often to look around. */
#define LOOK_MS	  100
#define NS_PER_MS UINT64_C(1000000)

/* Who connects says at once what it wants: nobody else is served meanwhile. */
enum { CLIENT_PATIENCE_S = 1 };

struct post {
	struct server_name name; /* that listen_fd has */
	int listen_fd;
};

/* The name that we have now, when that is another one or the socket is gone. A name that somebody
 * else has is tried again with the next look. */
static void look_around(struct post *post, bool broken)
{
	struct server_name now;
	int fd;

	if (!server_name_now(&now) ||
	    (!broken && memcmp(&now.address, &post->name.address, sizeof(now.address)) == 0))
		return;
	if (broken && post->listen_fd >= 0) {
		(void)close(post->listen_fd);
		post->listen_fd = -1;
	}
	fd = server_listen(&now);
	if (fd < 0)
		return;
	if (post->listen_fd >= 0)
		(void)close(post->listen_fd);
	*post = (struct post){ .name = now, .listen_fd = fd };
}

/* Serves one connection. Returns how to go on, or THUMP_COORD_WAITING. */
static uint32_t obey(struct agent *agent, int listen_fd)
{
	const struct timeval patience = { .tv_sec = CLIENT_PATIENCE_S };
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	uint32_t state = THUMP_COORD_WAITING;
	char line[64];
	pid_t pid;

	if (fd < 0)
		return state;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0 ||
	    !server_read_request(fd, &pid, line, sizeof(line))) {
		(void)close(fd);
		return state;
	}
	if (strcmp(line, THUMP_COORD_ASK_AFTER) == 0)
		state = THUMP_COORD_RESTORED;
	else if (strcmp(line, THUMP_COORD_ASK_ABORT) == 0)
		state = THUMP_COORD_SAVED; /* hooks get their second call, and that is all */
	if (state == THUMP_COORD_WAITING) {
		(void)server_send(fd, THUMP_COORD_SAY_FAILED
				  "\nit stands at a safe point since `thump hooks before`: `thump "
				  "hooks after` lets it go on\n");
		(void)close(fd);
	} else {
		server_take_client(agent, fd);
	}
	return state;
}

/*
 * One look, LOOK_MS at most. Returns by how much the time left is shorter: however long we were
 * frozen meanwhile, or lay in an image, and whatever the clock was set to, it is no more than that.
 */
static uint64_t look(struct agent *agent, struct post *post, uint64_t left_ns, uint32_t *state)
{
	struct pollfd poll_fd = { .fd = post->listen_fd, .events = POLLIN };
	uint64_t most_ns = left_ns < LOOK_MS * NS_PER_MS ? left_ns : LOOK_MS * NS_PER_MS;
	uint64_t start_ns = agent_now_ns(CLOCK_MONOTONIC), passed_ns;
	int rc = poll(&poll_fd, 1, (int)(most_ns / NS_PER_MS) + 1);

	if (rc > 0 && poll_fd.revents == POLLIN)
		*state = obey(agent, post->listen_fd);
	else
		look_around(post, rc > 0 || post->listen_fd < 0);
	passed_ns = agent_now_ns(CLOCK_MONOTONIC) - start_ns;
	return passed_ns < most_ns ? passed_ns : most_ns;
}

static void complain(uint64_t limit_ns)
{
	char text[160];

	(void)snprintf(text, sizeof(text),
		       "nobody has run `thump hooks after` within %.3g s: the program goes on, as "
		       "if somebody had",
		       (double)limit_ns / 1e9);
	agent_complain(NULL, text, JVMTI_ERROR_NONE);
}

uint32_t stand(struct agent *agent, const char **why_ret)
{
	struct post post = { .listen_fd = -1 };
	uint64_t since_ns = agent_now_ns(CLOCK_MONOTONIC), left_ns = agent->stand_limit_ns;
	uint32_t state = THUMP_COORD_WAITING;

	look_around(&post, true);
	if (post.listen_fd < 0) {
		*why_ret = "it could not listen for `thump hooks after`";
		return THUMP_COORD_FAILED;
	}
	if (!server_say_standing(agent)) {
		(void)close(post.listen_fd);
		*why_ret = "`thump hooks before` has ended before the process stood still";
		return THUMP_COORD_FAILED;
	}
	while (state == THUMP_COORD_WAITING && left_ns > 0)
		left_ns -= look(agent, &post, left_ns, &state);
	if (post.listen_fd >= 0)
		(void)close(post.listen_fd);
	if (state == THUMP_COORD_WAITING) {
		complain(agent->stand_limit_ns);
		state = THUMP_COORD_RESTORED;
	}
	/* In the original process everybody else has waited on, and may be due at once. */
	if (state == THUMP_COORD_RESTORED)
		clock_stood_since(agent, since_ns);
	return state;
}
