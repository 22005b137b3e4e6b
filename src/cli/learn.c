/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/learn.h"

#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "capture/capture.h"
#include "rebuild/verified.h"

/*
 * When nobody says when a program is of use: once it has had a request, or, if it listens on no TCP
 * port, after a while. One that nobody asks has nothing to tell yet.
 */
enum { LOOK_MS = 20, NO_PORTS_MS = 500, NO_REQUEST_MS = 10000 };

/* A program that has written to more has done more than it takes to be of use, or was looked at too
 * late. Each page costs a restore 1.4 us. */
#define MOST_WRITTEN_BYTES ((uint64_t)64 << 20)

int thump_learn_option(const struct thump_common *common, const char *word,
		       struct thump_learn *learn)
{
	struct thump_err err = THUMP_ERR_INIT;

	*learn = (struct thump_learn){ .never = strcmp(word, "no") == 0 };
	if (learn->never || strcmp(word, "auto") == 0)
		return -1;
	learn->has_moment = true;
	if (thump_when_parse(word, &learn->when, &err) < 0)
		return thump_usage_error(common, "--train %s, or auto, or no", err.text);
	return -1;
}

/* ---- until when ---------------------------------------------------------------------------- */

/* 1: not yet; 0: it has had a request, or is not one to get any. */
static int look_for_request(pid_t pid, struct thump_request_count *requests, uint64_t passed_ns,
			    struct thump_err *err)
{
	uint16_t ports[THUMP_PORTS_MAX];
	const size_t nr_ports = thump_listening_ports(pid, ports, THUMP_PORTS_MAX);

	if (nr_ports == 0)
		return passed_ns < NO_PORTS_MS * UINT64_C(1000000);
	if (thump_requests_look(requests, ports, nr_ports, err) < 0)
		return -1;
	return requests->nr_requests == 0;
}

/* As thump_when_wait(). What has come has the time of another look to be answered. */
static int wait_for_request(pid_t pid, int program_fd, struct thump_err *err)
{
	const uint64_t start_ns = thump_now_ns();
	struct pollfd program = { .fd = program_fd, .events = POLLIN };
	struct thump_request_count requests = { 0 };
	int result;

	for (;;) {
		const uint64_t passed_ns = thump_now_ns() - start_ns;

		result = look_for_request(pid, &requests, passed_ns, err);
		(void)poll(&program, 1, result < 0 ? 0 : LOOK_MS);
		if (program.revents)
			result = 1;
		if (result <= 0 || program.revents || passed_ns > NO_REQUEST_MS * UINT64_C(1000000))
			break;
	}
	thump_requests_deinit(&requests);
	return result;
}

/* ---- the process beside thump -------------------------------------------------------------- */

struct learning {
	const struct thump_learn *learn;
	const char *path;
	struct thump_file_state state;
	pid_t pid;
	struct thump_arena arena;
	struct thump_hot hot;
	uint64_t written_bytes;
};

/* Whoever has the lock is at it. It is that of the file, not of its name. */
static int lock_image(const struct learning *learning, int *fd_ret, struct thump_err *err)
{
	auto_close int fd = open(learning->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return thump_fail_errno(err, "open %s", learning->path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return thump_fail_errno(err, "another process trains %s", learning->path);
	*fd_ret = thump_take_fd(&fd);
	return 0;
}

static int check_image(const struct learning *learning, const struct thump_image *image,
		       struct thump_err *err)
{
	const struct thump_file_state now = thump_file_state_of(thump_image_origin(image));

	if (memcmp(&now, &learning->state, sizeof(now)) != 0)
		return thump_fail(err, "the image is another one than what was restored");
	if (thump_image_has_hot(image))
		return thump_fail(err, "it was trained meanwhile");
	return 0;
}

static int save(struct learning *learning, const struct thump_image *image, struct thump_err *err)
{
	if (check_image(learning, image, err) < 0 ||
	    thump_capture_touched(learning->pid, thump_image_model(image), &learning->arena,
				  &learning->hot, err) < 0)
		return -1;
	learning->written_bytes =
		thump_ranges_bytes(learning->hot.written, learning->hot.nr_written);
	if (learning->written_bytes > MOST_WRITTEN_BYTES)
		return thump_fail(err, "the program has written to %llu MB already",
				  (unsigned long long)learning->written_bytes / 1000000);
	return thump_image_save_hot(image, &learning->hot, err);
}

static int learn(struct learning *learning, struct thump_err *err)
{
	const struct thump_learn *how = learning->learn;
	auto_close int program_fd = pidfd_open(learning->pid, 0), lock = -1;
	struct thump_image *image;
	int result;

	if (program_fd < 0)
		return thump_fail_errno(err, "watch process %d", (int)learning->pid);
	if (lock_image(learning, &lock, err) < 0)
		return -1;
	result = how->has_moment ? thump_when_wait(&how->when, learning->pid, program_fd, err)
				 : wait_for_request(learning->pid, program_fd, err);
	if (result != 0)
		return result < 0 ? -1 : thump_fail(err, "the program was not used meanwhile");
	if (thump_image_open(learning->path, &image, err) < 0)
		return -1;
	result = save(learning, image, err);
	thump_image_destroy(image);
	return result;
}

_Noreturn static void learn_main(struct learning *learning, const struct thump_common *common)
{
	struct thump_err err = THUMP_ERR_INIT;
	int result;

	/* Nobody is to wait for the end of what we have inherited: a pipe that the caller reads,
	 * the socket of our init. */
	(void)close_range(STDERR_FILENO + 1, ~0U, 0);
	(void)close(STDIN_FILENO);
	(void)close(STDOUT_FILENO);
	if (!common->verbose)
		(void)close(STDERR_FILENO);
	result = learn(learning, &err);
	if (common->verbose && result < 0)
		fprintf(stderr, "thump %s: %s is not trained: %s\n", common->verb, learning->path,
			err.text);
	else if (common->verbose)
		fprintf(stderr, "thump %s: %s.hot is written: %llu kB will be there at once\n",
			common->verb, learning->path,
			(unsigned long long)learning->written_bytes >> 10);
	(void)fflush(stderr);
	_exit(result < 0);
}

/* ---- beside what --------------------------------------------------------------------------- */

/* Cheap: most restores have nothing to learn. */
static bool has_place(const char *image)
{
	auto_free char *copy = strdup(image);

	return copy && access(dirname(copy), W_OK) == 0;
}

void thump_learn_start(const struct thump_learn *how, const struct thump_restoring *restoring,
		       const struct thump_common *common, const struct thump_supervise *sup)
{
	struct learning learning = {
		.learn = how,
		.path = restoring->path,
		.state = restoring->state,
		.pid = restoring->report.pid_host,
	};

	if (how->never || !restoring->untrained || !has_place(restoring->path))
		return;
	if (thump_supervisor_fork_beside(sup, "thump-train") == 0)
		learn_main(&learning, common);
}
