/* SPDX-License-Identifier: Apache-2.0 */
#include "workload.h"

#include <sched.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static pid_t first_pid, first_tid;

void workload_init(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
}

void workload_ready(void)
{
	first_pid = (pid_t)syscall(SYS_getpid);
	first_tid = sys_gettid();
	must_write(STDOUT_FILENO, "ready\n", 6);
}

void workload_check_ids(void)
{
	CHECK_EQ(syscall(SYS_getpid), first_pid);
	CHECK_EQ(getpid(), first_pid);
	CHECK_EQ(sys_gettid(), first_tid);
}

enum workload_life workload_checkpoint(void)
{
	sigset_t set;
	siginfo_t info;
	int signo;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	workload_ready();
	/* EINTR would be a trace of the stop: it is a failure, not to be retried. */
	signo = (int)MUST(sigwaitinfo(&set, &info));
	workload_check_ids();
	return signo == SIGUSR2 ? WORKLOAD_RESTORED : WORKLOAD_ORIGINAL;
}

void workload_tell(const char *key, const char *fmt, ...)
{
	char line[512];
	va_list args;
	int head = snprintf(line, sizeof(line), "%s ", key);
	int tail;

	va_start(args, fmt);
	tail = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, fmt, args);
	va_end(args);
	line[head + tail] = '\n';
	must_write(STDOUT_FILENO, line, (size_t)(head + tail + 1));
}

void workload_fail(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "FAIL %s:%d: ", file, line);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
	fflush(stderr);
	_exit(1);
}

void workload_skip(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "SKIP ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
	fflush(stderr);
	_exit(77);
}

void workload_pass(void)
{
	_exit(0);
}

void *must_mmap(void *addr, size_t size_bytes, int prot, int flags, int fd, off_t offset)
{
	void *mapped = mmap(addr, size_bytes, prot, flags, fd, offset);

	if (mapped == MAP_FAILED)
		FAIL("mmap of %zu bytes: %s", size_bytes, strerror(errno));
	return mapped;
}

static unsigned char pattern_byte(size_t i, uint32_t seed)
{
	uint32_t word = ((uint32_t)i + 1) * 2654435761u ^ (seed + 1) * 40503u;

	return (unsigned char)(word >> 13);
}

void fill_pattern(void *buf, size_t size_bytes, uint32_t seed)
{
	unsigned char *bytes = buf;

	for (size_t i = 0; i < size_bytes; i++)
		bytes[i] = pattern_byte(i, seed);
}

bool has_pattern(const void *buf, size_t size_bytes, uint32_t seed)
{
	const unsigned char *bytes = buf;

	for (size_t i = 0; i < size_bytes; i++) {
		if (bytes[i] != pattern_byte(i, seed)) {
			fprintf(stderr, "byte %zu of %zu is %02x, not %02x\n", i, size_bytes,
				bytes[i], pattern_byte(i, seed));
			return false;
		}
	}
	return true;
}

bool is_zero(const void *buf, size_t size_bytes)
{
	const unsigned char *bytes = buf;

	for (size_t i = 0; i < size_bytes; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

int make_file(const char *name, size_t size_bytes, uint32_t seed, int flags)
{
	unsigned char *content = malloc(size_bytes + 1);
	int fd = (int)MUST(open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));

	CHECK(content != NULL);
	fill_pattern(content, size_bytes, seed);
	must_write(fd, content, size_bytes);
	free(content);
	MUST(close(fd));
	return (int)MUST(open(name, flags));
}

void must_read(int fd, void *buf, size_t size_bytes)
{
	size_t done = 0;

	while (done < size_bytes) {
		ssize_t part = read(fd, (char *)buf + done, size_bytes - done);

		if (part <= 0)
			FAIL("read of fd %d: %zd after %zu of %zu bytes: %s", fd, part, done,
			     size_bytes, part < 0 ? strerror(errno) : "end of file");
		done += (size_t)part;
	}
}

void must_write(int fd, const void *buf, size_t size_bytes)
{
	size_t done = 0;

	while (done < size_bytes)
		done += (size_t)MUST(write(fd, (const char *)buf + done, size_bytes - done));
}

uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	MUST(clock_gettime(clock, &now));
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

pid_t sys_gettid(void)
{
	return (pid_t)syscall(SYS_gettid);
}

uint64_t proc_number(const char *path, const char *key, int base)
{
	char line[4096];
	size_t key_len = strlen(key);
	FILE *file = fopen(path, "re");

	if (file == NULL)
		FAIL("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, key, key_len) == 0 && line[key_len] == ':') {
			fclose(file);
			return strtoull(line + key_len + 1, NULL, base);
		}
	}
	FAIL("no %s in %s", key, path);
}

void wait_until_blocked(pid_t tid)
{
	char path[64], text[512];

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	/* There is no event for "another thread went to sleep"; the driver's deadline bounds this.
	 */
	for (;;) {
		int fd = (int)MUST(open(path, O_RDONLY | O_CLOEXEC));
		ssize_t size = MUST(read(fd, text, sizeof(text) - 1));
		const char *state;

		MUST(close(fd));
		text[size] = '\0';
		state = strrchr(text, ')');
		if (state != NULL && state[2] == 'S')
			return;
		sched_yield();
	}
}
