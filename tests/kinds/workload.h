/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every workload of this folder shares. A workload makes one kind of state, calls
 * workload_checkpoint(), and then says whether the state is still there:
 *
 *     stdout "ready\n"  the state is made; the driver (tests/lib) checkpoints and restores
 *     SIGUSR1           verify now: this process was never restored
 *     SIGUSR2           verify now: this process was restored, perhaps several times
 *     exit status       0 pass, 1 fail, 77 skip; the reason is on stderr
 *
 * One image is restored, checkpointed again and restored again, and the original verifies, too,
 * before any of that: so verifying must leave outside objects (files, ports) usable once more.
 */
#ifndef THUMP_TESTS_WORKLOAD_H
#define THUMP_TESTS_WORKLOAD_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum workload_life {
	WORKLOAD_ORIGINAL,
	WORKLOAD_RESTORED,
};

/* Blocks SIGUSR1 and SIGUSR2; to be called first, before threads exist. */
void workload_init(void);

/* Says "ready", waits for the driver, checks that pid and tid are still the same. */
enum workload_life workload_checkpoint(void);

/* The two halves of workload_checkpoint, for programs that wait in a way of their own. */
void workload_ready(void);
void workload_check_ids(void);

/* A line "KEY VALUE" on stdout, for the driver, before "ready". */
void workload_tell(const char *key, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

_Noreturn void workload_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
_Noreturn void workload_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void workload_pass(void);

#define FAIL(...) workload_fail(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			FAIL("%s is false", #cond);                                                \
	} while (0)
#define CHECK_EQ(have, want)                                                                       \
	do {                                                                                       \
		long long have_ = (long long)(have), want_ = (long long)(want);                    \
		if (have_ != want_)                                                                \
			FAIL("%s is %lld (0x%llx), not %lld (0x%llx) = %s", #have, have_,          \
			     (unsigned long long)have_, want_, (unsigned long long)want_, #want);  \
	} while (0)
/* The value of a call that must not fail (a number >= 0). */
#define MUST(call)                                                                                 \
	({                                                                                         \
		long value_ = (long)(call);                                                        \
		if (value_ == -1)                                                                  \
			FAIL("%s: %s", #call, strerror(errno));                                    \
		value_;                                                                            \
	})
#define MUST_PTHREAD(call)                                                                         \
	do {                                                                                       \
		int code_ = (call);                                                                \
		if (code_ != 0)                                                                    \
			FAIL("%s: %s", #call, strerror(code_));                                    \
	} while (0)

#define NR_OF(array) (sizeof(array) / sizeof((array)[0]))

/* mmap that cannot fail. */
void *must_mmap(void *addr, size_t size_bytes, int prot, int flags, int fd, off_t offset);

/* A pattern that differs from byte to byte and seed to seed, and its check. */
void fill_pattern(void *buf, size_t size_bytes, uint32_t seed);
bool has_pattern(const void *buf, size_t size_bytes, uint32_t seed);
bool is_zero(const void *buf, size_t size_bytes);

/* A file of size_bytes with the pattern, in the current directory; its open descriptor. */
int make_file(const char *name, size_t size_bytes, uint32_t seed, int flags);

/* Whole reads and writes, failing otherwise. */
void must_read(int fd, void *buf, size_t size_bytes);
void must_write(int fd, const void *buf, size_t size_bytes);

uint64_t now_ns(clockid_t clock);
pid_t sys_gettid(void);

/* One line "key value" of /proc/self/status, or of another /proc file in that style. */
uint64_t proc_number(const char *path, const char *key, int base);

/* Waits until thread `tid` of this process sleeps in the kernel (state S of /proc). */
void wait_until_blocked(pid_t tid);

#endif
