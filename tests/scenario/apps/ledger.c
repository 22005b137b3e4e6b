/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that allocate and free: on standard input a number per line, on standard output the
 * number and a digest of all that is allocated. The answers depend on nothing but the numbers, and
 * a block that has lost its content ends the program. "overflow" reads behind a block, for ASan.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, SLOTS = 400, ROUNDS = 3000, SIZE_MAX_BYTES = 3000 };

struct slot {
	unsigned char *block;
	size_t size_bytes;
};

struct worker {
	pthread_t thread;
	uint64_t state; /* of its generator; the same for all on the way to the same numbers */
	uint64_t digest;
	struct slot slots[SLOTS];
};

static struct worker workers[THREADS];
static pthread_barrier_t begin, done;
static uint64_t step;

static uint64_t draw(uint64_t *state)
{
	*state = *state * 6364136223846793005U + 1442695040888963407U;
	return *state >> 33;
}

static void replace(struct slot *slot, size_t size_bytes, unsigned char value)
{
	for (size_t i = 1; i < slot->size_bytes; i++)
		if (slot->block[i] != slot->block[0])
			abort();
	if (value & 1) {
		free(slot->block);
		slot->block = malloc(size_bytes);
	} else {
		slot->block = realloc(slot->block, size_bytes);
	}
	if (!slot->block)
		abort();
	slot->size_bytes = size_bytes;
	memset(slot->block, value, size_bytes);
}

static void work(struct worker *worker)
{
	worker->state ^= step;
	for (int i = 0; i < ROUNDS; i++) {
		struct slot *slot = &worker->slots[draw(&worker->state) % SLOTS];

		replace(slot, 1 + draw(&worker->state) % SIZE_MAX_BYTES,
			(unsigned char)draw(&worker->state));
	}
	for (int i = 0; i < SLOTS; i++)
		if (worker->slots[i].size_bytes)
			worker->digest = worker->digest * 31 + worker->slots[i].size_bytes +
					 worker->slots[i].block[0];
}

static void *run(void *worker)
{
	for (;;) {
		pthread_barrier_wait(&begin);
		work(worker);
		pthread_barrier_wait(&done);
	}
	return NULL;
}

static int read_behind(void)
{
	const volatile char *block = malloc(10);

	return block ? block[10] : 0;
}

int main(void)
{
	char line[40];

	pthread_barrier_init(&begin, NULL, THREADS + 1);
	pthread_barrier_init(&done, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++) {
		workers[i].state = (uint64_t)i;
		if (pthread_create(&workers[i].thread, NULL, run, &workers[i]) != 0)
			abort();
	}
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		uint64_t digest = 0;

		if (strcmp(line, "overflow\n") == 0)
			return read_behind();
		step = strtoull(line, NULL, 10);
		pthread_barrier_wait(&begin);
		pthread_barrier_wait(&done);
		for (int i = 0; i < THREADS; i++)
			digest = digest * 31 + workers[i].digest;
		printf("%llu %llx\n", (unsigned long long)step, (unsigned long long)digest);
		fflush(stdout);
	}
	return 0;
}
