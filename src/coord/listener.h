/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that listens on the socket of coord/abi.h. The socket is closed before every capture, so
 * that no image holds it, and opened again after it, in the original and in the restored process.
 */
#ifndef THUMP_COORD_LISTENER_H
#define THUMP_COORD_LISTENER_H

#include <pthread.h>
#include <stdbool.h>

struct thump_coord_listener {
	pthread_t thread; /* that accepts; its creator sets it */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int fd;		/* -1 while closed */
	bool suspended; /* between _suspend and _resume */
};

/* Listens at once; without a socket to be had it tries again when it accepts. */
void thump_coord_listener_init(struct thump_coord_listener *listener);
/* Nobody accepts any more. */
void thump_coord_listener_deinit(struct thump_coord_listener *listener);

/* The next connection; waits. Only on the listener's thread. */
int thump_coord_listener_accept(struct thump_coord_listener *listener);

/* Closes the socket, and waits until it is closed; on any thread. */
void thump_coord_listener_suspend(struct thump_coord_listener *listener);
void thump_coord_listener_resume(struct thump_coord_listener *listener);

#endif
