/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that does a checkpoint. It is forked from the verb, has all signals blocked, and does
 * all tracing, capturing and writing; the verb only shows what it says. When the verb dies,
 * whatever the reason, the worker reads end of file from their socket and rolls back. Nothing in it
 * prints.
 */
#ifndef THUMP_CLI_WORKER_H
#define THUMP_CLI_WORKER_H

#include "base/err.h"
#include "capture/capture.h"
#include "pack/pack.h"

struct thump_worker_options {
	struct thump_capture_options capture;
	const char *path; /* of the image; NULL: --dry-run */
	mode_t mode;
	bool pack; /* the image is a packed one: */
	struct thump_compression compression;
	struct thump_keys *keys; /* or NULL */
	bool leave_running;	 /* always, when capture.live */
	uint64_t coord_addr; /* of the page of a program that waits for the outcome (cli/coord.h),
				or 0 */
	bool detached;	     /* nobody listens, and nobody's end ends the worker */
};

/* What comes through the socket (SOCK_SEQPACKET): any number of PROGRESS and PROBLEM, then one
 * RESULT. Both ends are the same program, so structs travel as they are. */
enum thump_worker_message_type {
	THUMP_WORKER_PROGRESS = 1,
	THUMP_WORKER_PROBLEM = 2, /* text: kind, NUL, text, NUL */
	THUMP_WORKER_RESULT = 3,
	/* Of a live capture: from here on a worker that is killed may leave a copy of the target
	 * behind (thump_worker_clean_up()). */
	THUMP_WORKER_COPIES = 4,
};

struct thump_worker_result {
	struct thump_err err; /* code THUMP_OK: done */
	bool ended;	      /* the target was ended */
	bool continued;	      /* it was not, because its supervisor runs with --then continue */
	uint32_t nr_threads, nr_vmas, nr_fds;
	struct thump_capture_times times;
	struct thump_image_stats stats;
	uint64_t write_ns;  /* reading, hashing and writing memory: all of thump_image_write */
	uint64_t freeze_ns; /* how long the target stood still */
	uint64_t reap_ns;   /* and once more, to take back its copy */
	uint64_t total_ns;
};

struct thump_worker_message {
	uint32_t type;
	union {
		struct {
			uint64_t done_bytes, total_bytes;
		} progress;
		struct {
			bool warning, note;
			int32_t fd;
			char text[8192];
		} problem;
		struct {
			uint64_t since_ticks;
		} copies;
		struct thump_worker_result result;
	};
};

/* Forks the worker with all signals blocked; *socket_ret is the verb's end, CLOEXEC. The worker of
 * `detached` outlives the verb: *socket_ret is -1. */
THUMP_MUST_CHECK int thump_worker_start(const struct thump_worker_options *options, int *socket_ret,
					pid_t *pid_ret, struct thump_err *err);

/* Next message: 1, or 0 at the end of file (the worker is gone), -1 with errno. */
THUMP_MUST_CHECK int thump_worker_receive(int socket_fd, struct thump_worker_message *message_ret);

/* A worker that had said COPIES was killed: takes back the copy that it may have left (capture.h),
 * in a process that no signal but SIGKILL ends. */
void thump_worker_clean_up(pid_t pid, uint64_t since_ticks);

/* Asks the worker to roll back; the result still comes. */
void thump_worker_cancel(int socket_fd);

#endif
