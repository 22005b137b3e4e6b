/* SPDX-License-Identifier: Apache-2.0 */
#include "kinds/locks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "base/arena.h"
#include "kinds/kind.h"
#include "proc/text.h"

#define NR_LOCKS_LIMIT 65536U

/* The word at *at, and past the blanks after it. */
static size_t take_word(const char **at, const char **word_ret)
{
	size_t len = strcspn(*at, " \t\n");

	*word_ret = *at;
	*at += len;
	thump_text_blanks(at);
	return len;
}

static bool word_is(const char *word, size_t len, const char *wanted)
{
	return len == strlen(wanted) && memcmp(word, wanted, len) == 0;
}

static uint8_t type_of(const char *word, size_t len)
{
	if (word_is(word, len, "FLOCK"))
		return THUMP_LOCK_FLOCK;
	if (word_is(word, len, "POSIX"))
		return THUMP_LOCK_POSIX;
	if (word_is(word, len, "OFDLCK"))
		return THUMP_LOCK_OFD;
	return THUMP_LOCK_OTHER;
}

/* "1: POSIX  ADVISORY  READ  5463 08:08:2859 128 EOF" (proc(5), /proc/locks) */
static bool parse_line(const char *at, struct thump_lock *lock_ret)
{
	const char *word, *end_at;
	uint64_t end;
	size_t len;

	(void)take_word(&at, &word);
	len = take_word(&at, &word);
	lock_ret->type = type_of(word, len);
	(void)take_word(&at, &word);
	len = take_word(&at, &word);
	lock_ret->exclusive = word_is(word, len, "WRITE");
	(void)take_word(&at, &word);
	(void)take_word(&at, &word);
	if (!thump_text_u64(&at, 10, &lock_ret->start) || lock_ret->start > INT64_MAX)
		return false;
	thump_text_blanks(&at);
	end_at = at;
	len = take_word(&at, &word);
	lock_ret->len = 0;
	if (word_is(word, len, "EOF"))
		return true;
	if (!thump_text_u64(&end_at, 10, &end) || end < lock_ret->start || end >= INT64_MAX)
		return false;
	lock_ret->len = end - lock_ret->start + 1;
	return true;
}

/* "fe:00:2859" */
static bool number_is(const char *word, size_t len, uint64_t ino)
{
	const char *colon = memrchr(word, ':', len);
	uint64_t number;

	if (!colon)
		return false;
	colon++;
	return thump_text_u64(&colon, 10, &number) && colon == word + len && number == ino;
}

bool thump_locks_show_lease(const char *text, uint64_t ino)
{
	const char *line;
	size_t len;

	while (thump_text_line(&text, &line, &len)) {
		const char *at = line, *word;
		bool lease = false;

		while (at < line + len) {
			size_t word_len = take_word(&at, &word);

			if (word_len == 0)
				break;
			lease |= word_is(word, word_len, "LEASE") ||
				 word_is(word, word_len, "DELEG");
			if (lease && number_is(word, word_len, ino))
				return true;
		}
	}
	return false;
}

int thump_locks_parse(const char *fdinfo, struct thump_arena *arena, struct thump_locks *locks_ret,
		      struct thump_err *err)
{
	static const char key[] = "lock:";
	struct thump_locks locks = { 0 };
	const char *line;
	size_t len;

	while (thump_text_line(&fdinfo, &line, &len)) {
		struct thump_lock lock;
		const char *at = line + sizeof(key) - 1;

		if (strncmp(line, key, sizeof(key) - 1) != 0)
			continue;
		thump_text_blanks(&at);
		if (!parse_line(at, &lock))
			return thump_fail(err, "malformed lock in fdinfo: %.*s", (int)len, line);
		locks.list = thump_arena_grow(arena, locks.list, locks.count, sizeof(lock));
		if (!locks.list)
			return thump_fail(err, "out of memory");
		locks.list[locks.count++] = lock;
	}
	*locks_ret = locks;
	return 0;
}

void thump_locks_encode(struct thump_buf *record, const struct thump_locks *locks)
{
	thump_buf_put_u32(record, locks->count);
	for (uint32_t i = 0; i < locks->count; i++) {
		thump_buf_put_u8(record, locks->list[i].type);
		thump_buf_put_u8(record, locks->list[i].exclusive);
		thump_buf_put_u64(record, locks->list[i].start);
		thump_buf_put_u64(record, locks->list[i].len);
	}
}

void thump_locks_decode(struct thump_reader *r, struct thump_arena *arena,
			struct thump_locks *locks_ret)
{
	uint32_t count = thump_get_u32(r);
	struct thump_locks locks = { 0 };

	if (count > NR_LOCKS_LIMIT)
		r->failed = true;
	for (uint32_t i = 0; i < count && !r->failed; i++) {
		struct thump_lock lock = { .type = thump_get_u8(r) };
		uint8_t exclusive = thump_get_u8(r);

		lock.exclusive = exclusive == 1;
		lock.start = thump_get_u64(r);
		lock.len = thump_get_u64(r);
		if (lock.type < THUMP_LOCK_FLOCK || lock.type > THUMP_LOCK_OFD || exclusive > 1 ||
		    lock.start > INT64_MAX || lock.len > INT64_MAX - lock.start)
			r->failed = true;
		locks.list = thump_arena_grow(arena, locks.list, locks.count, sizeof(lock));
		if (!locks.list) {
			r->failed = true;
			return;
		}
		locks.list[locks.count++] = lock;
	}
	*locks_ret = locks;
}

bool thump_locks_have(const struct thump_locks *locks, enum thump_lock_type type)
{
	for (uint32_t i = 0; i < locks->count; i++)
		if (locks->list[i].type == type)
			return true;
	return false;
}

static struct flock range_of(const struct thump_lock *lock)
{
	return (struct flock){
		.l_type = lock->exclusive ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)lock->start,
		.l_len = (off_t)lock->len,
	};
}

static int take(int fd, const struct thump_lock *lock, int cmd)
{
	struct flock range = range_of(lock);

	if (lock->type == THUMP_LOCK_FLOCK)
		return flock(fd, (lock->exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB);
	return fcntl(fd, cmd, &range);
}

int thump_locks_take(int fd, const struct thump_locks *locks, enum thump_lock_type type)
{
	int cmd = type == THUMP_LOCK_OFD ? F_OFD_SETLK : F_SETLK;

	for (uint32_t i = 0; i < locks->count; i++)
		if (locks->list[i].type == type && take(fd, &locks->list[i], cmd) < 0)
			return -1;
	return 0;
}

bool thump_locks_free(int fd, const struct thump_locks *locks)
{
	for (uint32_t i = 0; i < locks->count; i++)
		if (take(fd, &locks->list[i], F_OFD_SETLK) < 0)
			return false;
	return true;
}

int thump_locks_put_off(struct thump_fd_rebuild *rb, int fd, const struct thump_locks *locks,
			struct thump_err *err)
{
	for (uint32_t i = 0; i < locks->count; i++) {
		if (locks->list[i].type != THUMP_LOCK_POSIX)
			continue;
		rb->late_locks = thump_arena_grow(rb->arena, rb->late_locks, rb->nr_late_locks,
						  sizeof(*rb->late_locks));
		if (!rb->late_locks)
			return thump_fail(err, "out of memory");
		rb->late_locks[rb->nr_late_locks++] =
			(struct thump_late_lock){ .fd = fd, .range = range_of(&locks->list[i]) };
	}
	return 0;
}
