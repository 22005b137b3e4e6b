/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/watch.h"

#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "cli/cli.h"
#include "cli/coord.h"
#include "coord/abi.h"

/* Of a server that makes its image by itself: clients that keep connections are not in the way. */
#define DEFAULT_DRAIN "5s"

/* A program that stands for a rehearsal goes on by itself when this process is gone for so long. */
#define STANDS_MS "10000"

static void complain(const struct thump_err *err)
{
	fprintf(stderr, "thump run: no checkpoint was made: %s\n", err->text);
}

struct stat thump_image_at(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		memset(&st, 0, sizeof(st));
	return st;
}

bool thump_image_is_new(const char *path, const struct stat *before)
{
	const struct stat now = thump_image_at(path);

	return now.st_ino != 0 && (now.st_ino != before->st_ino || now.st_dev != before->st_dev ||
				   now.st_ctim.tv_sec != before->st_ctim.tv_sec ||
				   now.st_ctim.tv_nsec != before->st_ctim.tv_nsec);
}

/* A locked descriptor of the image's folder. */
static int lock_folder(const char *image, struct thump_err *err)
{
	auto_free char *copy = strdup(image);
	auto_close int fd = -1;

	if (!copy)
		return thump_fail(err, "out of memory");
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return thump_fail_errno(err, "lock the folder of %s", image);
	return thump_take_fd(&fd);
}

/* What the verb would be asked for by hand. */
static int make_image(const struct thump_watch *watch, pid_t program)
{
	char pid[16];
	char *argv[8 + 2 * THUMP_MAKING_MAX] = {
		(char *)"checkpoint",  pid, (char *)"-o", (char *)watch->image, (char *)"--drain",
		(char *)DEFAULT_DRAIN,
	};
	int argc = 6;

	for (size_t i = 0; i < watch->making->count; i++) {
		argv[argc++] = (char *)watch->making->list[i].option;
		argv[argc++] = (char *)watch->making->list[i].argument;
	}
	if (watch->making->hooks_first)
		argv[argc++] = (char *)"--hooks-first";
	(void)snprintf(pid, sizeof(pid), "%d", (int)program);
	optind = 0; /* getopt(3): begin anew */
	return thump_verb_checkpoint.run(argc, argv);
}

static int checkpoint(const struct thump_watch *watch, pid_t program, const struct stat *before)
{
	struct thump_err err = THUMP_ERR_INIT;
	auto_close int lock = lock_folder(watch->image, &err);

	if (lock < 0) {
		complain(&err);
		return err.code;
	}
	if (thump_image_is_new(watch->image, before)) {
		fprintf(stderr, "thump run: %s has been made by another process meanwhile\n",
			watch->image);
		return THUMP_OK;
	}
	return make_image(watch, program);
}

static int run_hooks(pid_t program, struct thump_problems *problems, struct thump_err *err)
{
	if (thump_coord_hooks(program, THUMP_COORD_ASK_BEFORE STANDS_MS "\n", problems, err) < 0)
		return -1;
	return thump_coord_hooks(program, THUMP_COORD_ASK_AFTER "\n", problems, err);
}

static int rehearse(pid_t program, struct thump_err *err)
{
	struct thump_problems problems;
	int result;

	thump_problems_init(&problems);
	result = run_hooks(program, &problems, err);
	for (size_t i = 0; i < problems.count; i++)
		fprintf(stderr, "thump run: rehearsal: %s\n", problems.list[i].text);
	thump_problems_deinit(&problems);
	return result;
}

/* As thump_when_wait(), for the moment after the last rehearsal. */
static int wait_for_moment(const struct thump_watch *watch, pid_t program, int program_fd,
			   struct thump_err *err)
{
	for (unsigned i = 0; i < watch->rehearsals; i++) {
		int ended = thump_when_wait(&watch->when, program, program_fd, err);

		if (ended != 0)
			return ended;
		if (rehearse(program, err) < 0)
			return -1;
	}
	return thump_when_wait(&watch->when, program, program_fd, err);
}

static int watch_program(const struct thump_watch *watch, pid_t program, int program_fd)
{
	const struct stat before = thump_image_at(watch->image);
	struct thump_err err = THUMP_ERR_INIT;

	switch (wait_for_moment(watch, program, program_fd, &err)) {
	case 0:
		return checkpoint(watch, program, &before);
	case 1:
		return THUMP_OK;
	default:
		complain(&err);
		return err.code;
	}
}

_Noreturn static void watcher(const struct thump_watch *watch, pid_t program, int program_fd)
{
	int code;

	/* Standard output is the program's. */
	(void)dup2(STDERR_FILENO, STDOUT_FILENO);
	code = watch_program(watch, program, program_fd);
	(void)fflush(NULL);
	if (code != THUMP_OK && watch->end_program) {
		fprintf(stderr, "thump run: ending the program, which was to be checkpointed\n");
		*watch->given_up = code;
		(void)pidfd_send_signal(program_fd, SIGTERM, NULL, 0);
	}
	_exit(code);
}

int thump_watch_start(struct thump_watch *watch, pid_t program, const struct thump_supervise *sup,
		      struct thump_err *err)
{
	auto_close int program_fd = pidfd_open(program, 0);
	int result;

	watch->given_up = mmap(NULL, sizeof(*watch->given_up), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (program_fd < 0 || watch->given_up == MAP_FAILED)
		return thump_fail_errno(err, "watch process %d", (int)program);
	result = thump_supervisor_fork_beside(sup, "thump-watch");
	if (result < 0)
		return thump_fail_errno(err, "fork");
	if (result == 0)
		watcher(watch, program, program_fd);
	return 0;
}
