/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standing at the safe point while another engine saves the process (coord/post.h): on the VM
 * thread, inside a VM operation. Who goes on gets new random state, and a clock that has stood
 * still.
 */
#include <stdio.h>

#include "agent.h"
#include "coord/post.h"

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
	const uint64_t since_ns = agent_now_ns(CLOCK_MONOTONIC);
	struct thump_coord_post post;
	int client_fd = -1;
	uint32_t state;

	if (!thump_coord_post_open(&post)) {
		*why_ret = "it could not listen for `thump hooks after`";
		return THUMP_COORD_FAILED;
	}
	if (!server_say_standing(agent)) {
		thump_coord_post_close(&post);
		*why_ret = "`thump hooks before` has ended before the process stood still";
		return THUMP_COORD_FAILED;
	}
	state = thump_coord_post_stand(&post, agent->stand_limit_ns, &client_fd);
	thump_coord_post_close(&post);
	if (client_fd >= 0)
		server_take_client(agent, client_fd);
	if (state == THUMP_COORD_WAITING) {
		complain(agent->stand_limit_ns);
		state = THUMP_COORD_RESTORED;
	}
	/* In the original process everybody else has waited on, and may be due at once. */
	if (state == THUMP_COORD_RESTORED)
		clock_stood_since(agent, since_ns);
	return state;
}
