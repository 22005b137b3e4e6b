/* SPDX-License-Identifier: Apache-2.0 */
#include "coord/listener.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "coord/socket.h"

static int open_listener(void)
{
	struct thump_coord_name name;

	return thump_coord_name_now(&name) ? thump_coord_listen(&name) : -1;
}

/* With the lock held: only its thread closes the socket, so never under an accept(2). */
static void close_locked(struct thump_coord_listener *listener)
{
	if (listener->fd >= 0)
		(void)close(listener->fd);
	listener->fd = -1;
	(void)pthread_cond_broadcast(&listener->changed);
}

void thump_coord_listener_init(struct thump_coord_listener *listener)
{
	listener->fd = open_listener();
	listener->suspended = false;
	(void)pthread_mutex_init(&listener->lock, NULL);
	(void)pthread_cond_init(&listener->changed, NULL);
}

void thump_coord_listener_deinit(struct thump_coord_listener *listener)
{
	close_locked(listener);
	(void)pthread_cond_destroy(&listener->changed);
	(void)pthread_mutex_destroy(&listener->lock);
}

static int accept_once(struct thump_coord_listener *listener)
{
	int fd;

	(void)pthread_mutex_lock(&listener->lock);
	while (listener->suspended) {
		close_locked(listener);
		(void)pthread_cond_wait(&listener->changed, &listener->lock);
	}
	if (listener->fd < 0)
		listener->fd = open_listener();
	fd = listener->fd;
	(void)pthread_mutex_unlock(&listener->lock);
	return fd < 0 ? -1 : accept4(fd, NULL, NULL, SOCK_CLOEXEC);
}

/* After a failed accept: whether that was a suspension, and not a socket that cannot be had. */
static bool was_suspended(struct thump_coord_listener *listener)
{
	bool suspended;

	(void)pthread_mutex_lock(&listener->lock);
	suspended = listener->suspended;
	(void)pthread_mutex_unlock(&listener->lock);
	return suspended;
}

/* Another process has the name, or there are no descriptors left: both may change. */
static void pause_before_next_try(void)
{
	const struct timespec pause = { .tv_sec = 1 };

	(void)nanosleep(&pause, NULL);
}

int thump_coord_listener_accept(struct thump_coord_listener *listener)
{
	for (;;) {
		int fd = accept_once(listener);

		if (fd >= 0)
			return fd;
		if (errno != EINTR && errno != ECONNABORTED && !was_suspended(listener))
			pause_before_next_try();
	}
}

void thump_coord_listener_suspend(struct thump_coord_listener *listener)
{
	(void)pthread_mutex_lock(&listener->lock);
	listener->suspended = true;
	if (pthread_equal(listener->thread, pthread_self()))
		close_locked(listener);
	/* Wakes the thread out of accept(2); it closes the descriptor itself. */
	if (listener->fd >= 0)
		(void)shutdown(listener->fd, SHUT_RDWR);
	while (listener->fd >= 0)
		(void)pthread_cond_wait(&listener->changed, &listener->lock);
	(void)pthread_mutex_unlock(&listener->lock);
}

void thump_coord_listener_resume(struct thump_coord_listener *listener)
{
	(void)pthread_mutex_lock(&listener->lock);
	listener->suspended = false;
	/* Not left to the thread: whoever hears of this checkpoint's end may ask for the next. */
	if (listener->fd < 0)
		listener->fd = open_listener();
	(void)pthread_cond_broadcast(&listener->changed);
	(void)pthread_mutex_unlock(&listener->lock);
}
