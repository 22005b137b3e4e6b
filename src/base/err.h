/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One way to fail: a function returns 0 or -1 and fills `struct thump_err *err`, its last
 * parameter. The error is flat, so that a child process can write it whole into a pipe.
 * Context is put in front on the way up; only src/cli prints.
 */
#ifndef THUMP_BASE_ERR_H
#define THUMP_BASE_ERR_H

#include <errno.h>

#include "base/types.h"

/* The exit codes of thump(1); run and restore add THUMP_PASSTHROUGH_BASE. */
enum thump_code {
	THUMP_OK = 0,
	THUMP_FAILED = 1,  /* failed; the target is untouched or resumed */
	THUMP_USAGE = 2,   /* the command line is wrong */
	THUMP_REFUSED = 3, /* something cannot be saved, or does not fit this machine */
	THUMP_DAMAGED = 4, /* the image breaks a rule of docs/FORMAT.md */
};

#define THUMP_PASSTHROUGH_BASE 120

#define THUMP_ERR_TEXT_SIZE 2048

struct thump_err {
	int code;      /* enum thump_code */
	int sys_errno; /* errno of the failed call, or 0 */
	char text[THUMP_ERR_TEXT_SIZE];
};

#define THUMP_ERR_INIT ((struct thump_err){ 0 })

void thump_err_set(struct thump_err *err, int code, int sys_errno, const char *fmt, ...)
	THUMP_PRINTF(4, 5);

/* Puts "context: " in front of the text that is there; keeps code and errno. */
void thump_err_context(struct thump_err *err, const char *fmt, ...) THUMP_PRINTF(2, 3);

/* All of these have the value -1, so that static analysis follows `return thump_fail(...)`. */
#define thump_fail(err, ...)	    (thump_err_set((err), THUMP_FAILED, 0, __VA_ARGS__), -1)
#define thump_fail_errno(err, ...)  (thump_err_set((err), THUMP_FAILED, errno, __VA_ARGS__), -1)
#define thump_refuse(err, ...)	    (thump_err_set((err), THUMP_REFUSED, 0, __VA_ARGS__), -1)
#define thump_damaged(err, ...)	    (thump_err_set((err), THUMP_DAMAGED, 0, __VA_ARGS__), -1)
#define thump_add_context(err, ...) (thump_err_context((err), __VA_ARGS__), -1)

#endif
