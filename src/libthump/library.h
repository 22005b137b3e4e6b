/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of libthump. Its state is one struct: what an application registers belongs to the
 * process, and so does the library.
 *
 * Rules for editing:
 * - The library may be preloaded into any program (`thump run`): until the program calls it there
 *   is no thread of it, no descriptor and no signal handler, but for watch.c's thread in
 *   programs whose generators cannot be reached otherwise. Nothing in such a program need call the
 *   library after a restore, so this thread cannot wait for one to be started.
 * - Nothing is printed. Reasons travel as text to who asked.
 * - While others are held (park.c) nothing here may allocate or take a lock that a program's thread
 *   could hold.
 */
#ifndef THUMP_LIBTHUMP_LIBRARY_H
#define THUMP_LIBTHUMP_LIBRARY_H

#include <pthread.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "coord/abi.h"
#include "coord/listener.h"
#include "thump/thump.h"

#define PAGE_SIZE 4096

#define THUMP_EXPORT __attribute__((visibility("default")))

struct thump_registration {
	struct thump_registration *next;
	uint64_t number; /* of registration; later ones are higher */
	char name[64];
	void *ctx;
	int (*before)(void *ctx, char *why, size_t why_size_bytes);
	void (*after)(void *ctx, enum thump_outcome outcome);
	enum thump_priority priority;
	enum thump_mode mode;
	uint32_t limit_ms;
	bool called;   /* in this checkpoint, so that `after` is due */
	bool in_round; /* that is under way: it has this in its list */
	bool removed;  /* by a hook; the round frees it */
};

struct library {
	pthread_mutex_t lock;  /* all but what the functions below say of themselves */
	pthread_cond_t idle;   /* busy has become false */
	bool busy;	       /* a checkpoint is under way, or a hook of one has not returned */
	pthread_t hook_thread; /* that calls hooks; while has_hook_thread */
	bool has_hook_thread;
	struct thump_registration *hooks;
	uint64_t next_number;
	struct thump_coord_range *ranges;
	size_t nr_ranges;
	struct thump_coord_page *page; /* NULL: the library does not serve yet */
	struct thump_coord_listener listener;
	int client_fd;			       /* the connection that the server answers, or -1 */
	pid_t server_tid, watch_tid, hook_tid; /* of our threads; 0: there is none */
};

struct library *library(void);

static inline long library_futex(uint32_t *word, int op, uint32_t value,
				 const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

/* With all signals blocked: those of the process are for the program's threads. 0 or an errno. The
 * tid is there before anybody needs it to leave the thread alone (park.c). */
int library_start_thread(pthread_t *thread_ret, pid_t *tid_ret, void *(*run)(void *arg), void *arg);

/* Starts the server, if there is none. 0 or an errno. With the lock held. */
int library_serve_locked(struct library *lib);
bool library_is_hook_thread_locked(const struct library *lib);
/* Ends a connection also where a child of fork(2) has it, too: thump waits for the end. */
void library_hang_up(struct library *lib, int fd);
/* In a child of fork(2), on its only thread. */
void library_forget_in_child(void);

/* ---- generation.c -------------------------------------------------------------------------- */

/* In a process restored by an engine that leaves MADV_WIPEONFORK memory as it was. */
void generation_renew(void);
/* Sees whether this is a copy, and is done with it when that has been seen before. */
void generation_look(void);

/* The futex that says whether a copy was seen. Once watch_begin() was called. */
uint32_t generation_alive(void);
/* Sleeps while nobody has seen a copy, or called _wake(), since `alive` was read; timeout_ns < 0:
 * for ever. */
void generation_sleep(uint32_t alive, int64_t timeout_ns);
void generation_wake(void);

/* ---- watch.c ------------------------------------------------------------------------------- */

/* Starts the thread that renews generators which no other one can reach. */
void watch_begin(void);
void watch_forget_in_child(void);

/* ---- generators.c -------------------------------------------------------------------------- */

/* Gives new state to the random generators of the libraries that are there. It takes their locks.
 * False: it is to be tried again. */
bool generators_renew(void);
/* Whether generators of the executable itself need a thread to be renewed. */
bool generators_need_thread(void);

/* ---- park.c -------------------------------------------------------------------------------- */

/* Chooses the signal, once. 0 or an errno. With the library's lock held. */
int park_prepare(void);
/* Has all threads stand still but the calling one and those in `but` (0: none). False with what is
 * in the way in `why`; then nobody is held. */
bool park_all(const pid_t *but, size_t nr_but, char *why, size_t why_size_bytes);
/* Lets them go. */
void park_release(void);
/* In a child of fork(2): whoever is held is held in the parent. */
void park_forget_in_child(void);

/* ---- round.c ------------------------------------------------------------------------------- */

/* One checkpoint: hooks, capture, hooks. */
struct round {
	/* Who asked: a program's thread, with what it asked for, or through the socket. */
	const struct thump_request *request; /* NULL: through the socket */
	char thump[4096];		     /* of `request`: the engine */
	int client_fd;			     /* -1: nobody hears */
	pid_t client_pid;
	bool dry_run;
	bool only_look;		 /* no hook is called: thump looks for what none of them can cure */
	uint64_t stand_limit_ns; /* 0: thump captures; else another engine does */
	bool stood;		 /* it was told that we stand */

	posix_spawn_file_actions_t actions; /* with `request` */

	struct thump_coord_range *ranges; /* as the engine is told */
	size_t nr_ranges;
	struct hook_caller *caller;	   /* NULL once it is left behind */
	struct thump_registration **hooks; /* in the order of their first calls */
	size_t nr_hooks, nr_concurrent;	   /* single-threaded ones are last */
	bool parked;
	char reasons[THUMP_COORD_TEXT_SIZE]; /* one a line */
};

/* 0 or an errno: EBUSY, EDEADLK, ENOMEM, EAGAIN. *outcome_ret and round->reasons say how it went.
 */
int round_run(struct library *lib, struct round *round, enum thump_outcome *outcome_ret);

void round_add_reason(struct round *round, const char *text);

/* There may be another one. Frees the list, and what was taken out of it meanwhile. */
void round_end(struct library *lib, struct thump_registration **hooks, size_t nr_hooks);

/* The capture itself, between the hooks; capture.c. */
enum thump_outcome round_capture(struct library *lib, struct round *round);
/* Before the hooks; false: they need not be called, the page says why. */
bool round_look(struct library *lib, struct round *round);

/* Path of thump(1), in `path`; false: there is none. */
bool engine_find(const char *wanted, char *path, size_t size_bytes);

/* ---- hooks.c ------------------------------------------------------------------------------- */

/* Its thread; NULL with errno. */
struct hook_caller *hook_caller_create(struct library *lib);
/* Nothing for NULL. */
void hook_caller_destroy(struct hook_caller *caller);
pthread_t hook_caller_thread(const struct hook_caller *caller);

/* Calls `before` of hooks [from, to) of the round. False: one refused, or did not return. */
bool hooks_before(struct round *round, size_t from, size_t to, bool stop_at_first);
/* Calls `after` of those of [from, to) that are due, last first. */
void hooks_after(struct round *round, size_t from, size_t to, enum thump_outcome outcome);

/* ---- server.c ------------------------------------------------------------------------------ */

void *server_main(void *arg);

#endif
