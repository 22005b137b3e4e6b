/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standing while another engine (CRIU, a container engine, a snapshot of a virtual machine) saves
 * the process: between `thump hooks before` and `thump hooks after`. One thread listens on the
 * socket of coord/abi.h, and looks from time to time whether that is still where `thump hooks
 * after` looks for it: in a copy of the process, pid and pid namespace may be others, and the
 * socket may be gone.
 *
 * It cannot be known who goes on, the original process or a copy, so both are treated as a copy is.
 */
#ifndef THUMP_COORD_POST_H
#define THUMP_COORD_POST_H

#include <stdbool.h>
#include <stdint.h>

#include "coord/abi.h"
#include "coord/socket.h"

struct thump_coord_post {
	struct thump_coord_name name; /* that listen_fd has */
	int listen_fd;		      /* -1: none */
};

/* False: nobody could be heard. */
bool thump_coord_post_open(struct thump_coord_post *post);
void thump_coord_post_close(struct thump_coord_post *post);

/*
 * Stands for limit_ns, or until it is told to go on. Returns how: THUMP_COORD_RESTORED or SAVED,
 * with the connection of who said so in *client_fd_ret, for the answer; WAITING when the time is
 * over.
 */
uint32_t thump_coord_post_stand(struct thump_coord_post *post, uint64_t limit_ns,
				int *client_fd_ret);

#endif
