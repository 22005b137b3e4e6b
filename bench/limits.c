/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's own limits, which the results of bench/bench are ratios to. Prints one JSON object;
 * each value is the best of several runs, as disturbances only ever make things slower.
 *
 * usage: limits costs                 nanoseconds of single operations
 *        limits fork SIZE-MB          milliseconds that fork(2) takes with so much memory in
 *                                     pages of 4 KiB
 *        limits hold SIZE-MB         has such memory, says "ready", and waits for its end
 *        limits huge SIZE-MB          milliseconds to fault SIZE-MB in as huge pages and copy into
 * them limits write FILE NEW-FILE   milliseconds to write the bytes of FILE to NEW-FILE, which is
 * removed
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE	  4096UL
#define HUGE_PAGE (2UL << 20)
#define MIB	  (1UL << 20)

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "limits: %s: %s\n", what, strerror(errno));
	exit(1);
}

static char *map_anonymous(size_t size_bytes)
{
	void *map =
		mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		die("mmap");
	return map;
}

/* A mapping whose start is a multiple of 2 MiB; the caller unmaps what *map_ret and *size_ret say.
 */
static char *map_huge(size_t size_bytes, char **map_ret, size_t *size_ret)
{
	*size_ret = size_bytes + HUGE_PAGE;
	*map_ret = map_anonymous(*size_ret);

	char *start = (char *)(((uintptr_t)*map_ret + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));

	if (madvise(start, size_bytes, MADV_HUGEPAGE) != 0)
		die("madvise(MADV_HUGEPAGE)");
	return start;
}

static void touch(char *start, size_t size_bytes, size_t step)
{
	for (size_t at = 0; at < size_bytes; at += step)
		((volatile char *)start)[at] = 1;
}

static uint64_t fault_4k_ns(void)
{
	const size_t size_bytes = 16 * MIB;
	char *map = map_anonymous(size_bytes);

	(void)madvise(map, size_bytes, MADV_NOHUGEPAGE);

	uint64_t start = now_ns();

	touch(map, size_bytes, PAGE);

	uint64_t each = (now_ns() - start) / (size_bytes / PAGE);

	munmap(map, size_bytes);
	return each;
}

static uint64_t fault_huge_ns(void)
{
	const size_t size_bytes = 32 * MIB;
	size_t mapped_bytes;
	char *map;
	char *start = map_huge(size_bytes, &map, &mapped_bytes);
	uint64_t begin = now_ns();

	touch(start, size_bytes, HUGE_PAGE);

	uint64_t each = (now_ns() - begin) / (size_bytes / HUGE_PAGE);

	munmap(map, mapped_bytes);
	return each;
}

static uint64_t mmap_ns(void)
{
	enum { ROUNDS = 1000 };
	char *maps[ROUNDS];
	uint64_t start = now_ns();

	for (int i = 0; i < ROUNDS; i++) {
		/* alternating protections, so that neighbours are not merged into one VMA */
		int prot = i % 2 ? PROT_READ : PROT_READ | PROT_WRITE;

		maps[i] = mmap(NULL, PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	}

	uint64_t each = (now_ns() - start) / ROUNDS;

	for (int i = 0; i < ROUNDS; i++)
		munmap(maps[i], PAGE);
	return each;
}

static int exit_at_once(void *unused)
{
	(void)unused;
	return 0;
}

/* A task that shares everything, as a thread does. */
static uint64_t clone_ns(void)
{
	enum { ROUNDS = 200 };
	static char stack[64 << 10];
	uint64_t start = now_ns();

	for (int i = 0; i < ROUNDS; i++) {
		int pid = clone(exit_at_once, stack + sizeof(stack),
				CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_VFORK |
					SIGCHLD,
				NULL);

		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			die("clone");
	}
	return (now_ns() - start) / ROUNDS;
}

static uint64_t fork_exec_ns(void)
{
	enum { ROUNDS = 20 };
	uint64_t start = now_ns();

	for (int i = 0; i < ROUNDS; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			execl("/bin/true", "true", (char *)NULL);
			_exit(127);
		}
		waitpid(pid, NULL, 0);
	}
	return (now_ns() - start) / ROUNDS;
}

/* Per MiB, both buffers warm but larger than the caches. */
static uint64_t memcpy_ns_per_mib(void)
{
	const size_t size_bytes = 64 * MIB;
	char *from = map_anonymous(size_bytes), *to = map_anonymous(size_bytes);

	memset(from, 1, size_bytes);
	memset(to, 2, size_bytes);

	uint64_t start = now_ns();

	memcpy(to, from, size_bytes);
	/* the copy must not be optimised away */
	if (((volatile char *)to)[size_bytes - 1] != 1)
		die("memcpy");

	uint64_t each = (now_ns() - start) / (size_bytes / MIB);

	munmap(from, size_bytes);
	munmap(to, size_bytes);
	return each;
}

static uint64_t best_of(unsigned rounds, uint64_t (*measure)(void))
{
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < rounds; i++) {
		uint64_t value = measure();

		best = value < best ? value : best;
	}
	return best;
}

static int print_costs(void)
{
	static const struct {
		const char *name;
		uint64_t (*measure)(void);
	} costs[] = {
		{ "fault_4k_ns", fault_4k_ns },	  { "fault_huge_ns", fault_huge_ns },
		{ "mmap_ns", mmap_ns },		  { "clone_ns", clone_ns },
		{ "fork_exec_ns", fork_exec_ns }, { "memcpy_ns_per_mib", memcpy_ns_per_mib },
	};
	const size_t count = sizeof(costs) / sizeof(costs[0]);

	for (size_t i = 0; i < count; i++)
		printf("%s\"%s\": %lu", i ? ", " : "{", costs[i].name,
		       (unsigned long)best_of(5, costs[i].measure));
	printf("}\n");
	return 0;
}

/* Faulting and copying in one pass over each huge page, as a restore at its best would do. */
static double huge_copy_ms(size_t size_bytes, const char *source, size_t source_bytes)
{
	size_t mapped_bytes;
	char *map;
	char *start = map_huge(size_bytes, &map, &mapped_bytes);
	uint64_t begin = now_ns();

	for (size_t at = 0; at < size_bytes; at += HUGE_PAGE)
		memcpy(start + at, source + at % source_bytes, HUGE_PAGE);

	double ms = (double)(now_ns() - begin) / 1e6;

	munmap(map, mapped_bytes);
	return ms;
}

static int print_huge(const char *size_mb)
{
	const size_t source_bytes = 64 * MIB;
	size_t size_bytes = strtoul(size_mb, NULL, 10) * MIB & ~(HUGE_PAGE - 1);
	char *source = map_anonymous(source_bytes);
	double best = 0;

	memset(source, 3, source_bytes);
	for (int i = 0; i < 7; i++) {
		double ms = huge_copy_ms(size_bytes, source, source_bytes);

		best = i == 0 || ms < best ? ms : best;
	}
	printf("{\"size_bytes\": %zu, \"ms\": %.3f}\n", size_bytes, best);
	return 0;
}

static double fork_ms(void)
{
	uint64_t begin = now_ns();
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0)
		_exit(0);

	double ms = (double)(now_ns() - begin) / 1e6;

	waitpid(pid, NULL, 0);
	return ms;
}

/* In pages of 4 KiB. */
static void hold_memory(const char *size_mb, size_t *size_ret)
{
	char *memory;

	*size_ret = strtoul(size_mb, NULL, 10) * MIB;
	memory = map_anonymous(*size_ret);
	(void)madvise(memory, *size_ret, MADV_NOHUGEPAGE);
	touch(memory, *size_ret, PAGE);
}

static int hold(const char *size_mb)
{
	size_t size_bytes;

	hold_memory(size_mb, &size_bytes);
	printf("ready\n");
	fflush(stdout);
	for (;;)
		(void)pause();
	return 0;
}

static int print_fork(const char *size_mb)
{
	size_t size_bytes;
	double best = 0;

	hold_memory(size_mb, &size_bytes);
	for (int i = 0; i < 7; i++) {
		double ms = fork_ms();

		best = i == 0 || ms < best ? ms : best;
	}
	printf("{\"size_bytes\": %zu, \"ms\": %.3f}\n", size_bytes, best);
	return 0;
}

static double write_ms(const char *data, size_t size_bytes, const char *path)
{
	uint64_t begin = now_ns();
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		die(path);
	for (size_t at = 0; at < size_bytes;) {
		size_t left = size_bytes - at;
		ssize_t done = write(fd, data + at, left < MIB ? left : MIB);

		if (done <= 0)
			die(path);
		at += (size_t)done;
	}
	close(fd);

	double ms = (double)(now_ns() - begin) / 1e6;

	unlink(path);
	return ms;
}

static int print_write(const char *path, const char *new_path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		die(path);

	size_t size_bytes = (size_t)st.st_size;
	char *data = map_anonymous(size_bytes);
	double best = 0;

	for (size_t at = 0; at < size_bytes;) {
		ssize_t done = read(fd, data + at, size_bytes - at);

		if (done <= 0)
			die(path);
		at += (size_t)done;
	}
	for (int i = 0; i < 5; i++) {
		double ms = write_ms(data, size_bytes, new_path);

		best = i == 0 || ms < best ? ms : best;
	}
	printf("{\"size_bytes\": %zu, \"ms\": %.3f}\n", size_bytes, best);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "costs") == 0)
		return print_costs();
	if (argc == 3 && strcmp(argv[1], "fork") == 0)
		return print_fork(argv[2]);
	if (argc == 3 && strcmp(argv[1], "hold") == 0)
		return hold(argv[2]);
	if (argc == 3 && strcmp(argv[1], "huge") == 0)
		return print_huge(argv[2]);
	if (argc == 4 && strcmp(argv[1], "write") == 0)
		return print_write(argv[2], argv[3]);
	fprintf(stderr,
		"usage: limits costs|fork SIZE-MB|hold SIZE-MB|huge SIZE-MB|write FILE NEW-FILE\n");
	return 2;
}
