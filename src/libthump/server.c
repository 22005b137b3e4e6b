/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks for a checkpoint: `thump checkpoint PID` and `thump hooks` through the socket, by the
 * protocol of coord/abi.h, and the program by thump_checkpoint(). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coord/socket.h"
#include "coord/wait.h"
#include "libthump/library.h"

#define NS_PER_MS UINT64_C(1000000)

/* ---- through the socket -------------------------------------------------------------------- */

static void refuse(int fd, const char *reasons)
{
	(void)thump_coord_send(fd, THUMP_COORD_SAY_FAILED "\n");
	(void)thump_coord_send(fd, reasons);
}

static const char *word_of(int error)
{
	return error == EBUSY ? "a checkpoint of it is under way, or one of its hooks has not "
				"returned from an earlier one\n"
			      : strerror(error);
}

/* Of a capture thump(1) knows the outcome itself; of standing it wants to hear it. */
static void answer(struct round *round, const struct thump_coord_page *page)
{
	if (round->client_fd < 0)
		return;
	if (!round->stood) {
		refuse(round->client_fd, round->reasons);
		if (page->text[0] && thump_coord_state(page) == THUMP_COORD_FAILED)
			(void)thump_coord_send(round->client_fd, page->text);
	} else if (round->reasons[0]) {
		(void)thump_coord_send(round->client_fd, THUMP_COORD_SAY_BROKEN "\n");
		(void)thump_coord_send(round->client_fd, round->reasons);
	} else {
		(void)thump_coord_send(round->client_fd, THUMP_COORD_SAY_DONE "\n");
	}
}

enum question { QUESTION_LOOK, QUESTION_DRY_RUN, QUESTION_SAVE };

/* Returns the connection that is still open, or -1. */
static int obey(struct library *lib, int fd, pid_t pid, enum question question,
		uint64_t stand_limit_ns)
{
	struct round *round = calloc(1, sizeof(*round));
	enum thump_outcome outcome;
	int error;

	if (!round) {
		refuse(fd, strerror(errno));
		return fd;
	}
	round->client_fd = fd;
	round->client_pid = pid;
	round->dry_run = question == QUESTION_DRY_RUN;
	round->only_look = question == QUESTION_LOOK;
	round->stand_limit_ns = stand_limit_ns;
	error = round_run(lib, round, &outcome);
	if (error)
		refuse(fd, word_of(error));
	else
		answer(round, lib->page);
	fd = round->client_fd;
	free(round);
	return fd;
}

static int obey_line(struct library *lib, int fd, pid_t pid, const char *line)
{
	const size_t before_len = strlen(THUMP_COORD_ASK_BEFORE);

	if (strcmp(line, THUMP_COORD_ASK_LOOK) == 0)
		return obey(lib, fd, pid, QUESTION_LOOK, 0);
	if (strcmp(line, THUMP_COORD_ASK_CHECKPOINT) == 0)
		return obey(lib, fd, pid, QUESTION_SAVE, 0);
	if (strcmp(line, THUMP_COORD_ASK_DRY_RUN) == 0)
		return obey(lib, fd, pid, QUESTION_DRY_RUN, 0);
	if (strncmp(line, THUMP_COORD_ASK_BEFORE, before_len) == 0)
		return obey(lib, fd, pid, QUESTION_SAVE,
			    strtoull(line + before_len, NULL, 10) * NS_PER_MS);
	if (strcmp(line, THUMP_COORD_ASK_AFTER) == 0 || strcmp(line, THUMP_COORD_ASK_ABORT) == 0)
		refuse(fd, THUMP_COORD_NOT_STANDING);
	else if (strcmp(line, THUMP_COORD_ASK_HOLDERS) != 0) /* nothing is known of those */
		refuse(fd, THUMP_COORD_UNKNOWN "\n");
	return fd;
}

void *server_main(void *arg)
{
	struct library *lib = arg;
	char line[64];
	pid_t pid;
	int fd;

	(void)pthread_setname_np(pthread_self(), THUMP_COORD_THREAD);
	while ((fd = thump_coord_listener_accept(&lib->listener)) >= 0) {
		lib->client_fd = fd;
		if (thump_coord_read_request(fd, &pid, line, sizeof(line)))
			fd = obey_line(lib, fd, pid, line);
		if (fd >= 0)
			library_hang_up(lib, fd);
	}
	return NULL; /* no socket is to be had: thump_checkpoint() still works */
}

/* ---- by the program ------------------------------------------------------------------------ */

static bool is_known(const struct thump_request *request)
{
	return request && request->size_bytes == sizeof(*request) &&
	       (request->image || request->dry_run);
}

static void tell_why(const struct thump_request *request, const char *reasons, const char *more)
{
	if (request->why && request->why_size_bytes)
		(void)snprintf(request->why, request->why_size_bytes, "%s%s", reasons, more);
}

/* -1 with errno, or what thump_checkpoint() returns. */
static int finish(const struct round *round, const struct thump_coord_page *page,
		  enum thump_outcome outcome)
{
	const bool failed = thump_coord_state(page) == THUMP_COORD_FAILED;

	tell_why(round->request, round->reasons, failed ? page->text : "");
	if (!failed)
		return (int)outcome;
	errno = ECANCELED;
	return -1;
}

static int serve(struct library *lib)
{
	int error;

	(void)pthread_mutex_lock(&lib->lock);
	error = library_serve_locked(lib);
	(void)pthread_mutex_unlock(&lib->lock);
	return error;
}

static int run_request(struct library *lib, struct round *round, enum thump_outcome *outcome_ret)
{
	int error = thump_coord_spawn_actions(&round->actions);

	if (error)
		return error;
	error = round_run(lib, round, outcome_ret);
	(void)posix_spawn_file_actions_destroy(&round->actions);
	return error;
}

THUMP_EXPORT int thump_checkpoint(const struct thump_request *request)
{
	struct library *lib = library();
	enum thump_outcome outcome;
	struct round *round;
	int error, result = -1;

	if (!is_known(request)) {
		errno = EINVAL;
		return -1;
	}
	tell_why(request, "", "");
	round = calloc(1, sizeof(*round));
	if (!round)
		return -1;
	round->request = request;
	round->client_fd = -1;
	round->dry_run = request->dry_run != 0;
	if (!engine_find(request->thump, round->thump, sizeof(round->thump)))
		error = ENOENT;
	else if ((error = serve(lib)) == 0)
		error = run_request(lib, round, &outcome);
	if (error == 0)
		result = finish(round, lib->page, outcome);
	else
		errno = error;
	error = errno;
	free(round);
	errno = error;
	return result;
}
