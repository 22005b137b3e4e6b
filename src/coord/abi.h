/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page through which a program that asked for its own checkpoint and the engine talk. It lies
 * in the program's memory; the program passes its address to `thump checkpoint --coord ADDR`.
 *
 *   program: fills the page, state = WAITING, starts thump, FUTEX_WAITs on state while WAITING
 *   engine:  in the image the page says RESTORED; before the original goes on it writes code, text
 *            and SAVED or FAILED
 *
 * The stop itself interrupts the futex wait and makes it start again, in the original and in the
 * restored process, so it sees the new state without being woken.
 */
#ifndef THUMP_COORD_ABI_H
#define THUMP_COORD_ABI_H

#include <stdint.h>

#define THUMP_COORD_MAGIC     "thumpco1"
#define THUMP_COORD_TEXT_SIZE 3976

enum thump_coord_state {
	THUMP_COORD_IDLE = 0,
	THUMP_COORD_WAITING = 1,
	THUMP_COORD_FAILED = 2,	  /* no image; code and text say why */
	THUMP_COORD_SAVED = 3,	  /* the image is there and the program goes on */
	THUMP_COORD_RESTORED = 4, /* this is a process made from the image */
};

/* What the program tells about a range of its memory. Values that the engine does not know are
 * skipped. */
enum thump_coord_advice {
	/* The content is not needed: zeros do, in every process that is made from the image. */
	THUMP_COORD_NEEDLESS = 1,
	/* Nobody gives this memory back with MADV_DONTNEED or MADV_FREE, or moves it with
	 * mremap(2): it may be a private mapping of the image. */
	THUMP_COORD_VOUCHED = 2,
};

enum thump_coord_promise {
	/* None of it uses MADV_DONTNEED, MADV_FREE or mremap(2) on memory of malloc(3) but malloc
	 * itself: if that is glibc's, its arenas may be private mappings of the image. */
	THUMP_COORD_PLAIN_MALLOC = 1,
};

/* Pages; ranges of one advice are in ascending order and do not overlap. */
struct thump_coord_range {
	uint64_t start, end;
	uint32_t advice;
	uint32_t reserved; /* 0 */
};

struct thump_coord_page {
	char magic[8];
	uint32_t state;	     /* futex */
	uint32_t code;	     /* enum thump_code */
	uint32_t helper_pid; /* of the engine, once it is at work; 0 before */
	uint32_t only_check; /* 1: say what would be refused, make no image */
	/* A table of struct thump_coord_range, or of a later version of it that begins alike; it
	 * stays as it is while WAITING. A page of zeros here is the first version: no table. */
	uint64_t ranges_addr;
	uint32_t nr_ranges;
	uint32_t range_size_bytes;
	/* Who this is, and where it looks at what a restore says, once the state is RESTORED: see
	 * below. 0: nowhere. */
	char runtime[12];
	/* It uses no features of the CPU beyond this level, x86-64-v1 to v4. 0: it may. */
	uint32_t cpu_level;
	uint64_t parameters_addr;
	uint64_t parameters_size_bytes;
	/* Of an int64_t: by how many nanoseconds CLOCK_MONOTONIC is ahead of the program's own
	 * clock, which goes on where it was. A restore adds what CLOCK_MONOTONIC has moved since
	 * the capture, before the program runs. 0: it has no clock of its own. */
	uint64_t clock_addr;
	/* Where the program has room for a longer text than fits here: the outcome's is written
	 * there, too, and what hooks refused stands there when it fills all of `text`. 0: nowhere.
	 */
	uint64_t text_addr;
	uint32_t text_size_bytes;
	/* The program stands other tids, its own included: it remembers them only in the C library
	 * and in records of its own, one for each thread, which hold the pid_t so many bytes behind
	 * the pthread_t. Both are aligned. 0: it does not stand them, as a record holds both. */
	int32_t tid_from_self;
	/* What the runtime has set itself up for: processors, memory committed for its heap, and
	 * what that may grow to; 0: not known. */
	uint64_t heap_bytes, heap_max_bytes;
	uint32_t processors;
	/* What the program says of all code in it: enum thump_coord_promise, or'ed. */
	uint32_t promises;
	/* NUL-terminated, one problem a line. While WAITING: what the program's own hooks refused
	 * (then only_check is 1). In the outcome: what the engine refused. */
	char text[THUMP_COORD_TEXT_SIZE];
};

/*
 * What a restore says to the program, at parameters_addr: strings, each with its NUL, then an empty
 * one. The engine passes them on without knowing what they mean.
 *
 *   "environment NAME=VALUE"  of whoever restores
 *   "option NAME=VALUE"       how to do it: option environment=merge|replace|keep,
 *                             option on-failure=continue|exit|start (exit and start: end with
 *                             status 125 when hooks fail after the restore)
 *   "option times=yes"        say on standard error what the restore took in the program
 *   "option port=OLD:NEW"     whatever TCP socket the program binds to port OLD from now on is to
 *                             be bound to NEW; those of the image have been moved by the engine
 *   "argument TEXT"           what follows the image on the command line, in order
 */
#define THUMP_COORD_SAY_ENVIRONMENT "environment "
#define THUMP_COORD_SAY_OPTION	    "option "
#define THUMP_COORD_SAY_ARGUMENT    "argument "

/*
 * A program that runs hooks before its capture (the JVM agent) listens on an abstract unix socket,
 * SOCK_STREAM, named as below with the inode of its pid namespace and its pid in it. Both sides
 * check SO_PEERCRED: the program accepts its own user and root, thump insists on the target's pid.
 *
 *   thump:   "look\n"
 *   program: no hook has run; answers as below, and goes on after the outcome. thump looks for what
 *            no hook can cure; when there is nothing, it asks again, for one of these:
 *   thump:   "checkpoint\n" or "dry-run\n"
 *   program: runs its hooks, then answers with one line and closes
 *            "ready ADDR\n"  the page is at ADDR (hex) and WAITING; thump captures, and writes the
 *                            outcome into the page
 *            "failed\n" and the reasons as text up to end of file; nothing was captured
 *   thump:   "holders\n", after the outcome was FAILED: of a line of its text that begins with
 *            "fd N: " the program may know which of its objects holds that descriptor
 *   program: "N TEXT\n" for each that it knows, up to end of file
 *
 * Or another engine saves the program, and thump only has the hooks run. While it stands, the
 * program listens under its name, and under its new one when it finds itself with another pid or in
 * another pid namespace: as a copy that the other engine has made.
 *
 *   thump:   "hooks-before N\n": stand for N milliseconds at most
 *   program: runs its hooks, then answers "standing\n" and closes; it stands still from then on
 *            "failed\n" and the reasons: it goes on
 *   thump:   "hooks-after\n", or "hooks-abort\n" when nothing was saved
 *   program: goes on; when all hooks have run
 *            "done\n", or "broken\n" and what they threw, one reason a line
 *            "failed\n" and the reason: it does not stand
 */
#define THUMP_COORD_SOCKET_FORMAT  "thump-coord-%llu-%d"
#define THUMP_COORD_ASK_LOOK	   "look"
#define THUMP_COORD_ASK_CHECKPOINT "checkpoint"
#define THUMP_COORD_ASK_DRY_RUN	   "dry-run"
#define THUMP_COORD_ASK_HOLDERS	   "holders"
#define THUMP_COORD_ASK_BEFORE	   "hooks-before "
#define THUMP_COORD_ASK_AFTER	   "hooks-after"
#define THUMP_COORD_ASK_ABORT	   "hooks-abort"
#define THUMP_COORD_SAY_READY	   "ready"
#define THUMP_COORD_SAY_FAILED	   "failed"
#define THUMP_COORD_SAY_STANDING   "standing"
#define THUMP_COORD_SAY_DONE	   "done"
#define THUMP_COORD_SAY_BROKEN	   "broken"
/* The reason when a program does not know the question: it may be older than thump. */
#define THUMP_COORD_UNKNOWN "this request is not known"

/* Name of the thread that listens. */
#define THUMP_COORD_THREAD "thump"

/* Reasons for "failed" that every program has. */
#define THUMP_COORD_NOT_STANDING                                                                   \
	"it does not stand at a safe point: nobody has run `thump hooks before`, or its time was " \
	"over and it has gone on by itself\n"

_Static_assert(sizeof(struct thump_coord_page) == 4096, "one page");
_Static_assert(sizeof(struct thump_coord_range) == 24, "coord/abi.h: a range");

#endif
