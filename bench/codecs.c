/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the libraries that packed images are made with can do at all here: each takes the content of
 * a file in pieces of 1 MiB, on all processors at once. Prints one JSON object: MB of content per
 * second, the best of several runs. Nothing is read or written meanwhile.
 *
 * usage: codecs FILE
 */
#include <errno.h>
#include <fcntl.h>
#include <lz4.h>
#include <pthread.h>
#include <sched.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <zstd.h>

#include "pack/aes.h"

#define PIECE	    ((size_t)1 << 20)
#define ROOM	    (PIECE + PIECE / 64) /* what does not get smaller grows by less */
#define RUNS	    5
#define MAX_THREADS 64

/* What unpacks follows what packs. */
enum work {
	COPY,
	LZ4_PACK,
	LZ4_UNPACK,
	ZSTD1_PACK,
	ZSTD1_UNPACK,
	ZSTD3_PACK,
	ZSTD3_UNPACK,
	HASH,
	XCHACHA,
	AES,
	NR_WORKS
};
static const char *const names[NR_WORKS] = { "memcpy",	     "lz4_pack",     "lz4_unpack",
					     "zstd1_pack",   "zstd1_unpack", "zstd3_pack",
					     "zstd3_unpack", "blake2b",	     "xchacha20_poly1305",
					     "aes256_ocb" };

struct bench {
	const unsigned char *content;
	size_t nr_pieces;
	enum work work;
	unsigned char *packed; /* [nr_pieces] of ROOM */
	size_t *sizes;	       /* of what is packed */
	atomic_size_t next;
	pthread_barrier_t start;
	pthread_mutex_t lock;
	double began, ended; /* of the first thread, of the last; under lock */
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "codecs: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *room_for(size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (map == MAP_FAILED)
		die("mmap");
	return map;
}

/* What one thread works with. */
struct tools {
	ZSTD_CCtx *compress;
	ZSTD_DCtx *decompress;
	unsigned char *to; /* ROOM */
	struct pack_aes *aes;
	unsigned char key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
	unsigned char nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];
};

static void seal(struct tools *tools, const unsigned char *from)
{
	const struct pack_aes_place place = { .nonce = { 0 }, .data = tools->nonce };
	struct thump_err err = THUMP_ERR_INIT;

	if (pack_aes_seal(tools->aes, &place, from, PIECE, tools->to, &err) < 0)
		die(err.text);
}

static void do_piece(struct bench *bench, size_t i, struct tools *tools)
{
	const unsigned char *from = bench->content + i * PIECE;
	unsigned char *packed = bench->packed + i * ROOM, *to = tools->to;

	switch (bench->work) {
	case COPY:
		memcpy(to, from, PIECE);
		break;
	case LZ4_PACK:
		bench->sizes[i] = (size_t)LZ4_compress_default((const char *)from, (char *)packed,
							       (int)PIECE, (int)ROOM);
		break;
	case LZ4_UNPACK:
		if (LZ4_decompress_safe((const char *)packed, (char *)to, (int)bench->sizes[i],
					(int)PIECE) != (int)PIECE)
			die("lz4");
		break;
	case ZSTD1_PACK:
	case ZSTD3_PACK:
		bench->sizes[i] = ZSTD_compressCCtx(tools->compress, packed, ROOM, from, PIECE,
						    bench->work == ZSTD1_PACK ? 1 : 3);
		break;
	case ZSTD1_UNPACK:
	case ZSTD3_UNPACK:
		if (ZSTD_decompressDCtx(tools->decompress, to, PIECE, packed, bench->sizes[i]) !=
		    PIECE)
			die("zstd");
		break;
	case HASH:
		(void)crypto_generichash(to, 32, from, PIECE, NULL, 0);
		break;
	case XCHACHA:
		(void)crypto_aead_xchacha20poly1305_ietf_encrypt(to, NULL, from, PIECE, NULL, 0,
								 NULL, tools->nonce, tools->key);
		break;
	case AES:
		seal(tools, from);
		break;
	case NR_WORKS:
		break;
	}
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* By the threads themselves: who waits for them may be woken when they are done already. */
static void note_times(struct bench *bench, double began, double ended)
{
	(void)pthread_mutex_lock(&bench->lock);
	if (bench->began == 0 || began < bench->began)
		bench->began = began;
	if (ended > bench->ended)
		bench->ended = ended;
	(void)pthread_mutex_unlock(&bench->lock);
}

static void *do_pieces(void *arg)
{
	struct bench *bench = arg;
	struct tools tools = { .compress = ZSTD_createCCtx(),
			       .decompress = ZSTD_createDCtx(),
			       .to = room_for(ROOM) };
	struct thump_err err = THUMP_ERR_INIT;
	double began;
	size_t i;

	if (pack_aes_create(tools.key, &tools.aes, &err) < 0)
		die(err.text);
	if (!tools.compress || !tools.decompress)
		die("memory");
	(void)pthread_barrier_wait(&bench->start);
	began = now();
	while ((i = atomic_fetch_add(&bench->next, 1)) < bench->nr_pieces)
		do_piece(bench, i, &tools);
	note_times(bench, began, now());
	(void)ZSTD_freeCCtx(tools.compress);
	(void)ZSTD_freeDCtx(tools.decompress);
	pack_aes_destroy(tools.aes);
	(void)munmap(tools.to, ROOM);
	return NULL;
}

static double run(struct bench *bench, unsigned nr_threads)
{
	pthread_t threads[MAX_THREADS];

	atomic_store(&bench->next, 0);
	bench->began = bench->ended = 0;
	(void)pthread_barrier_init(&bench->start, NULL, nr_threads);
	for (unsigned i = 0; i < nr_threads; i++)
		if (pthread_create(&threads[i], NULL, do_pieces, bench) != 0)
			die("pthread_create");
	for (unsigned i = 0; i < nr_threads; i++)
		(void)pthread_join(threads[i], NULL);
	(void)pthread_barrier_destroy(&bench->start);
	return bench->ended - bench->began;
}

static unsigned nr_processors(void)
{
	cpu_set_t set;
	unsigned count = 2;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		count = (unsigned)CPU_COUNT(&set);
	return count < MAX_THREADS ? count : MAX_THREADS;
}

static void load(const char *path, struct bench *bench)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *map;

	if (fd < 0 || fstat(fd, &st) != 0)
		die(path);
	bench->nr_pieces = (size_t)st.st_size / PIECE;
	if (bench->nr_pieces == 0)
		die("the file has less than 1 MiB");
	map = mmap(NULL, bench->nr_pieces * PIECE, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED)
		die(path);
	bench->content = map;
	bench->packed = room_for(bench->nr_pieces * ROOM);
	bench->sizes = calloc(bench->nr_pieces, sizeof(*bench->sizes));
	if (!bench->sizes)
		die("memory");
}

int main(int argc, char **argv)
{
	struct bench bench = { .work = COPY, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct thump_err err = THUMP_ERR_INIT;

	if (argc != 2) {
		fprintf(stderr, "usage: codecs FILE\n");
		return 2;
	}
	if (sodium_init() < 0 || pack_aes_prepare(&err) < 0)
		die("libsodium or libgcrypt");
	load(argv[1], &bench);
	for (int work = 0; work < NR_WORKS; work++) {
		double best = 0;

		bench.work = (enum work)work;
		for (int i = 0; i < RUNS; i++) {
			double seconds = run(&bench, nr_processors());

			best = i == 0 || seconds < best ? seconds : best;
		}
		printf("%s\"%s\": %.0f", work ? ", " : "{", names[work],
		       (double)(bench.nr_pieces * PIECE) / best / 1e6);
	}
	printf("}\n");
	return 0;
}
