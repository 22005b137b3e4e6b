/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A round trip of descriptors without the rest of thump: one process makes them and stops; they are
 * captured; a second process rebuilds them and looks at the result. Every trip is made twice: as it
 * is, and as an ordinary user under a filter that answers as container engines do (EPERM to
 * pidfd_getfd and kcmp), so that every fallback is taken.
 */
#ifndef TESTS_UNIT_KINDS_FIXTURE_H
#define TESTS_UNIT_KINDS_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/fd.h"
#include "image/image.h"
#include "kinds/kind.h"
#include "trace/target.h"

#include "../lib/tied_fork.h"

struct trip {
	void (*prepare)(void); /* in the process that runs the trip; may be NULL */
	void (*make)(void);    /* in the first process; makes descriptors from 3 on */
	void (*between)(void); /* in between, the first process being gone; may be NULL */
	void (*verify)(void);  /* in the second process */
	void (*after)(void);   /* in the process that runs the trip; may be NULL */
	const char *refused;   /* the checkpoint is refused with this text */
	const char *misfit;    /* the restore does not fit, with this text */
	const char *warning;   /* either side warns with this text */
	const char *cwd;       /* for the model; NULL: none */
	bool keep_stdio;
	bool outlives; /* the first process goes on while the second one is made */
	const struct thump_port_map *ports;
	size_t nr_ports;
	uint64_t carry_limit_bytes;   /* 0: 64 MiB */
	const struct thump_vma *vmas; /* mappings to put into the model; backing by descriptor: */
	int vma_backing_of_fd;
};

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			dprintf(STDERR_FILENO, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__,       \
				#condition, errno);                                                \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* Content comes from where it was captured, not from an image. */
static const struct thump_model *trip_model;

int thump_image_read_backing(struct thump_image *image, uint32_t backing_id, uint64_t offset,
			     void *buf, size_t size_bytes, struct thump_err *err)
{
	(void)image;
	if (thump_pread_full(trip_model->backings[backing_id].capture_fd, buf, size_bytes, offset) <
	    0)
		return thump_fail_errno(err, "read backing %u", backing_id);
	return 0;
}

static void deny(const int *numbers, size_t count)
{
	struct sock_filter filter[32];
	struct sock_fprog program = { .filter = filter };
	unsigned short n = 0;

	filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						   offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < count; i++) {
		filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							   (unsigned)numbers[i], 0, 1);
		filter[n++] =
			(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	}
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = n;
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void become_ordinary(void)
{
	const int denied[] = { SYS_pidfd_getfd, SYS_kcmp };

	if (getuid() == 0) {
		CHECK(setresgid(12345, 12345, 12345) == 0);
		CHECK(setresuid(12345, 12345, 12345) == 0);
		CHECK(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
	}
	deny(denied, sizeof(denied) / sizeof(denied[0]));
}

static pid_t start_maker(const struct trip *trip)
{
	pid_t pid = tied_fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		CHECK(null >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1);
		CHECK(syscall(SYS_close_range, 3U, ~0U, 0U) == 0);
		trip->make();
		CHECK(raise(SIGSTOP) == 0);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	return pid;
}

static bool has_text(const struct thump_problems *problems, const char *text, bool warning)
{
	for (size_t i = 0; i < problems->count; i++)
		if (problems->list[i].warning == warning && strstr(problems->list[i].text, text))
			return true;
	return false;
}

static void show(const struct thump_problems *problems)
{
	for (size_t i = 0; i < problems->count; i++)
		dprintf(STDERR_FILENO, "%s: %s\n",
			problems->list[i].warning ? "warning" : "problem", problems->list[i].text);
}

/* Exactly the expected problems, or none. */
static void check_problems(const struct thump_problems *problems, const char *expected)
{
	bool ok = expected ? has_text(problems, expected, false) : problems->nr_fatal == 0;

	if (!ok)
		show(problems);
	CHECK(ok);
}

/* Every record, cut short anywhere, is refused as damaged; the copy has exactly its size, so that
 * a sanitizer sees every read past its end. */
static void check_truncations(const struct thump_model *model)
{
	for (uint32_t i = 0; i < model->nr_ofds; i++) {
		const struct thump_kind *kind = thump_kind_by_id(model->ofds[i].kind_id);

		for (uint32_t size = 0; kind && size < model->ofds[i].record_size; size++) {
			struct thump_ofd ofd = model->ofds[i];
			struct thump_err err = THUMP_ERR_INIT;
			struct thump_arena arena;
			void *object = NULL;

			ofd.record = malloc(size ? size : 1);
			CHECK(ofd.record);
			memcpy(ofd.record, model->ofds[i].record, size);
			ofd.record_size = size;
			thump_arena_init(&arena);
			CHECK(kind->decode(&ofd, &arena, &object, &err) < 0);
			CHECK(err.code == THUMP_DAMAGED);
			thump_arena_deinit(&arena);
			free(ofd.record);
		}
	}
}

/* A changed record is refused or decoded; the sanitizers watch. */
static void check_mutations(const struct thump_model *model)
{
	const unsigned char changes[] = { 0x01, 0x80, 0xff };

	for (uint32_t i = 0; i < model->nr_ofds; i++) {
		const struct thump_kind *kind = thump_kind_by_id(model->ofds[i].kind_id);
		uint32_t size = model->ofds[i].record_size < 512 ? model->ofds[i].record_size : 512;

		for (uint32_t at = 0; kind && at < size * sizeof(changes); at++) {
			struct thump_ofd ofd = model->ofds[i];
			struct thump_err err = THUMP_ERR_INIT;
			struct thump_arena arena;
			void *object = NULL;

			thump_arena_init(&arena);
			ofd.record[at / sizeof(changes)] ^= changes[at % sizeof(changes)];
			if (kind->decode(&ofd, &arena, &object, &err) < 0)
				CHECK(err.code == THUMP_DAMAGED);
			else
				CHECK(object);
			ofd.record[at / sizeof(changes)] ^= changes[at % sizeof(changes)];
			thump_arena_deinit(&arena);
		}
	}
}

static uint32_t backing_of_fd(const struct thump_model *model, int fd)
{
	for (uint32_t i = 0; i < model->nr_fds; i++)
		if (model->fds[i].fd == fd)
			return model->ofds[model->fds[i].ofd_id].backing_id;
	return THUMP_NO_ID;
}

static void rebuild_and_verify(const struct trip *trip, struct thump_fd_rebuild *rb)
{
	struct thump_err err = THUMP_ERR_INIT;
	int status;
	pid_t pid = tied_fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		if (thump_rebuild_fds(rb, NULL, 0, &err) < 0) {
			dprintf(STDERR_FILENO, "rebuild: %s\n", err.text);
			_exit(1);
		}
		trip->verify();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void restore(const struct trip *trip, struct thump_model *model,
		    struct thump_problems *problems)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_arena arena;
	struct thump_fd_rebuild rb = {
		.model = model,
		.arena = &arena,
		.keep_stdio = trip->keep_stdio,
		.ports = trip->ports,
		.nr_ports = trip->nr_ports,
	};

	thump_arena_init(&arena);
	if (thump_check_fds(&rb, problems, &err) < 0) {
		dprintf(STDERR_FILENO, "check: %s\n", err.text);
		_exit(1);
	}
	check_problems(problems, trip->misfit);
	if (trip->warning && !has_text(problems, trip->warning, true)) {
		show(problems);
		CHECK(!"the warning is there");
	}
	if (!trip->misfit)
		rebuild_and_verify(trip, &rb);
	thump_close_fds(&rb);
	thump_arena_deinit(&arena);
}

/* As in an image: the files themselves are not held open. */
static void copy_content(struct thump_model *model)
{
	for (uint32_t i = 0; i < model->nr_backings; i++) {
		struct thump_backing *backing = &model->backings[i];
		auto_free char *bytes = malloc(backing->content_size_bytes + 1);
		int copy = memfd_create("content", MFD_CLOEXEC);

		if (backing->capture_fd < 0) {
			CHECK(close(copy) == 0);
			continue;
		}
		CHECK(bytes && copy >= 0);
		CHECK(thump_pread_full(backing->capture_fd, bytes, backing->content_size_bytes,
				       0) == 0);
		CHECK(thump_pwrite_full(copy, bytes, backing->content_size_bytes, 0) == 0);
		CHECK(close(backing->capture_fd) == 0);
		backing->capture_fd = copy;
	}
}

static void make_trip(const struct trip *trip)
{
	struct thump_target *target = NULL;
	struct thump_problems problems;
	struct thump_model model;
	struct thump_err err = THUMP_ERR_INIT;
	const struct thump_fd_options options = {
		.carry_limit_bytes =
			trip->carry_limit_bytes ? trip->carry_limit_bytes : (uint64_t)64 << 20,
	};
	pid_t pid;

	if (trip->prepare)
		trip->prepare();
	pid = start_maker(trip);

	thump_model_init(&model);
	thump_problems_init(&problems);
	trip_model = &model;
	if (thump_target_stop(pid, 1000, &target, &err) < 0 ||
	    thump_capture_fds(target, &model, &options, &problems, &err) < 0) {
		dprintf(STDERR_FILENO, "capture: %s\n", err.text);
		_exit(1);
	}
	thump_target_resume(target);
	thump_target_destroy(target);
	copy_content(&model);
	if (!trip->outlives)
		CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	check_problems(&problems, trip->refused);
	if (!trip->refused) {
		check_truncations(&model);
		check_mutations(&model);
		if (trip->vmas) {
			struct thump_vma *vma =
				thump_arena_memdup(&model.arena, trip->vmas, sizeof(*vma));

			CHECK(vma);
			vma->backing_id = backing_of_fd(&model, trip->vma_backing_of_fd);
			model.vmas = vma;
			model.nr_vmas = 1;
		}
		if (trip->cwd)
			model.process.cwd = thump_arena_strdup(&model.arena, trip->cwd);
		if (trip->between)
			trip->between();
		restore(trip, &model, &problems);
	}
	if (trip->outlives)
		CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	if (trip->after)
		trip->after();
	for (uint32_t i = 0; i < model.nr_backings; i++)
		thump_close_fd(&model.backings[i].capture_fd);
	thump_problems_deinit(&problems);
	thump_model_deinit(&model);
}

static void assert_trip_as(const struct trip *trip, bool ordinary)
{
	int status;
	pid_t self = getpid(), pid = tied_fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		/* Bounded: what hangs is killed by its own alarm. */
		alarm(60);
		if (ordinary) {
			become_ordinary();
			tie_to(self);
		}
		make_trip(trip);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		print_error("%s: status %#x\n", ordinary ? "as an ordinary user" : "as it is",
			    (unsigned)status);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static inline void assert_trip(const struct trip *trip)
{
	assert_trip_as(trip, false);
	assert_trip_as(trip, true);
}

/* Not there, or not for long: what the second process itself uses is closed by execve(2). */
static inline bool gone_after_exec(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	return flags < 0 || (flags & FD_CLOEXEC);
}

/* Access mode and status flags without O_LARGEFILE, which open(2) adds by itself. */
static inline int status_flags(int fd)
{
	return fcntl(fd, F_GETFL) & ~0100000;
}

/* The same open file description? F_SETFL through one shows through the other. */
static inline bool share_flags(int a, int b)
{
	int flags = fcntl(a, F_GETFL), before = fcntl(b, F_GETFL);
	bool shared;

	CHECK(flags >= 0 && before >= 0 && fcntl(a, F_SETFL, flags ^ O_NONBLOCK) == 0);
	shared = fcntl(b, F_GETFL) != before;
	CHECK(fcntl(a, F_SETFL, flags) == 0);
	return shared;
}

#endif
