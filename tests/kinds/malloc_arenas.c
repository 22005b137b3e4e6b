/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: malloc_arenas [FILE]: a program with blocks in several arenas of glibc's malloc, which
 * promises that nobody but malloc gives their memory back (coord/abi.h). It says "page ADDRESS" and
 * the address of one block in each arena, and waits for a checkpoint with that page; in the
 * original it says "is saved" then. If there is FILE, it writes to these blocks and makes
 * FILE.done. There, and when it was restored:
 *
 *     SIGHUP            the same once more
 *     SIGUSR1, SIGUSR2  verify: blocks keep their content, calloc(3) gives zeros, whatever was
 *                       given back to the kernel in between
 */
#include "workload.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "coord/abi.h"

#define NR_ARENAS  3
#define NR_BLOCKS  900
#define NR_ROUNDS  3
#define MOST_BYTES ((size_t)160 << 10) /* all of them: more than one heap of 64 MiB */
#define HALF_BYTES (MOST_BYTES / 2)

struct blocks {
	pthread_t thread;
	uint32_t seed;
	unsigned char *list[NR_BLOCKS];
};

static struct blocks arenas[NR_ARENAS];
static struct thump_coord_page page __attribute__((aligned(4096)));
static pthread_barrier_t filled, verified;

static size_t size_of(uint32_t block)
{
	return 1000 + (block * 7919u) % (MOST_BYTES - 1000);
}

static uint32_t seed_of(const struct blocks *blocks, uint32_t block)
{
	return blocks->seed * NR_BLOCKS + block;
}

static void fill(struct blocks *blocks, uint32_t block)
{
	blocks->list[block] = malloc(size_of(block));
	CHECK(blocks->list[block]);
	fill_pattern(blocks->list[block], size_of(block), seed_of(blocks, block));
}

static void check(const struct blocks *blocks, uint32_t block)
{
	if (!has_pattern(blocks->list[block], size_of(block), seed_of(blocks, block)))
		FAIL("block %u of arena %u is not what it was", block, blocks->seed);
}

/* Blocks that stay lie between blocks that go, so that pages in the middle are given back, too. */
static void free_others(struct blocks *blocks, uint32_t round)
{
	for (uint32_t i = 0; i < NR_BLOCKS; i++) {
		if (i % NR_ROUNDS != round) {
			free(blocks->list[i]);
			blocks->list[i] = NULL;
		}
	}
	(void)malloc_trim(0);
}

static void expect_zeros(void)
{
	unsigned char *zeros[NR_BLOCKS];

	for (uint32_t i = 0; i < NR_BLOCKS; i++) {
		size_t size_bytes = i % 2 ? size_of(i) : HALF_BYTES;

		zeros[i] = calloc(1, size_bytes);
		CHECK(zeros[i]);
		if (!is_zero(zeros[i], size_bytes))
			FAIL("calloc(%zu) does not give zeros", size_bytes);
		memset(zeros[i], 0xa5, size_bytes);
	}
	for (uint32_t i = 0; i < NR_BLOCKS; i++)
		free(zeros[i]);
	(void)malloc_trim(0);
}

static void grow(struct blocks *blocks, uint32_t block)
{
	unsigned char *grown = realloc(blocks->list[block], size_of(block) + MOST_BYTES);

	CHECK(grown);
	blocks->list[block] = grown;
	check(blocks, block);
	blocks->list[block] = realloc(grown, size_of(block));
	CHECK(blocks->list[block]);
}

static void use(struct blocks *blocks)
{
	for (uint32_t round = 0; round < NR_ROUNDS; round++) {
		for (uint32_t i = 0; i < NR_BLOCKS; i++)
			check(blocks, i);
		free_others(blocks, round);
		expect_zeros();
		for (uint32_t i = round; i < NR_BLOCKS; i += NR_ROUNDS)
			grow(blocks, i);
		for (uint32_t i = 0; i < NR_BLOCKS; i++) {
			if (!blocks->list[i])
				fill(blocks, i);
		}
	}
	for (uint32_t i = 0; i < NR_BLOCKS; i++)
		free(blocks->list[i]);
	(void)malloc_trim(0);
	expect_zeros();
}

/* Each thread has an arena of its own, as long as there are fewer than 8 per processor. */
static void *work(void *arg)
{
	struct blocks *blocks = arg;

	for (uint32_t i = 0; i < NR_BLOCKS; i++)
		fill(blocks, i);
	(void)pthread_barrier_wait(&filled);
	(void)pthread_barrier_wait(&verified);
	use(blocks);
	return NULL;
}

/* What a training finds: in a page that is touched by nobody else. */
static unsigned char *hot_byte(uint32_t arena)
{
	return arenas[arena].list[1];
}

static void touch(const char *touch_file)
{
	char done[PATH_MAX];
	int fd;

	for (uint32_t i = 0; i < NR_ARENAS; i++)
		*(volatile unsigned char *)hot_byte(i) = *hot_byte(i);
	(void)snprintf(done, sizeof(done), "%s.done", touch_file);
	fd = (int)MUST(open(done, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	MUST(close(fd));
}

static void wait_for_checkpoint(const char *touch_file)
{
	memset(&page, 0, sizeof(page));
	memcpy(page.magic, THUMP_COORD_MAGIC, sizeof(page.magic));
	page.promises = THUMP_COORD_PLAIN_MALLOC;
	__atomic_store_n(&page.state, THUMP_COORD_WAITING, __ATOMIC_RELEASE);
	workload_tell("page", "%p %p %p %p", (void *)&page, (void *)hot_byte(0),
		      (void *)hot_byte(1), (void *)hot_byte(2));
	while (__atomic_load_n(&page.state, __ATOMIC_ACQUIRE) == THUMP_COORD_WAITING)
		(void)syscall(SYS_futex, &page.state, FUTEX_WAIT_PRIVATE, THUMP_COORD_WAITING, NULL,
			      NULL, 0);
	if (page.state == THUMP_COORD_FAILED)
		FAIL("checkpoint: %s", page.text);
	if (page.state == THUMP_COORD_SAVED)
		workload_tell("is", "saved");
	if (touch_file && access(touch_file, F_OK) == 0)
		touch(touch_file);
}

int main(int argc, char **argv)
{
	sigset_t wanted;
	int signo;

	workload_init();
	sigemptyset(&wanted);
	for (size_t i = 0; i < 3; i++)
		sigaddset(&wanted, (const int[]){ SIGUSR1, SIGUSR2, SIGHUP }[i]);
	MUST(sigprocmask(SIG_BLOCK, &wanted, NULL));
	/* Setting it keeps it: no block gets a mapping of its own. */
	CHECK(mallopt(M_MMAP_THRESHOLD, 32 << 20));
	MUST_PTHREAD(pthread_barrier_init(&filled, NULL, NR_ARENAS + 1));
	MUST_PTHREAD(pthread_barrier_init(&verified, NULL, NR_ARENAS + 1));
	for (uint32_t i = 0; i < NR_ARENAS; i++) {
		arenas[i].seed = i;
		MUST_PTHREAD(pthread_create(&arenas[i].thread, NULL, work, &arenas[i]));
	}
	(void)pthread_barrier_wait(&filled);
	do {
		wait_for_checkpoint(argc > 1 ? argv[1] : NULL);
		MUST_PTHREAD(sigwait(&wanted, &signo));
	} while (signo == SIGHUP);
	(void)pthread_barrier_wait(&verified);
	for (uint32_t i = 0; i < NR_ARENAS; i++)
		MUST_PTHREAD(pthread_join(arenas[i].thread, NULL));
	workload_pass();
}
