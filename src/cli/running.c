/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/running.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "proc/status.h"

#define VERSION	     "1"
#define NO_TEMPLATE  "-"
#define BOOT_LEN     36 /* of a UUID */
#define NAME_MAX_LEN 64
/* A detached restore looks at no more records than this: it must not take long with many. */
#define SWEEP_MAX 256

/* ---- where and when we are ------------------------------------------------------------------- */

struct here {
	uint64_t pid_ns;
	char boot[BOOT_LEN + 1];
};

static int find_here(struct here *here)
{
	auto_free char *boot = NULL;
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) < 0 ||
	    thump_slurp(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &boot, NULL) < 0 ||
	    strlen(boot) < BOOT_LEN)
		return -1;
	here->pid_ns = st.st_ino;
	memcpy(here->boot, boot, BOOT_LEN);
	here->boot[BOOT_LEN] = '\0';
	return 0;
}

/* When the process began. -1 with errno; ESRCH when it has ended, also while nobody has reaped it.
 */
static int read_start(pid_t pid, uint64_t *ticks_ret)
{
	struct thump_err ignored = THUMP_ERR_INIT;
	auto_free char *text = NULL;
	struct thump_stat stat;
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (thump_slurp(AT_FDCWD, path, &text, NULL) < 0) {
		if (errno == ENOENT)
			errno = ESRCH;
		return -1;
	}
	if (thump_stat_parse(text, &stat, &ignored) < 0) {
		errno = EINVAL;
		return -1;
	}
	if (stat.state == 'Z' || stat.state == 'X') {
		errno = ESRCH;
		return -1;
	}
	*ticks_ret = stat.start_time_ticks;
	return 0;
}

/* ---- making one ------------------------------------------------------------------------------ */

/* What a link says must fit into a page: symlink(2). */
static int describe(const struct here *here, const char *how, const char *template_name,
		    const char *path, char target[PATH_MAX])
{
	char resolved[PATH_MAX];
	const char *image = realpath(path, resolved) ? resolved : path;
	int len;

	for (int tries = 0; tries < 2; tries++, image = "") {
		len = snprintf(target, PATH_MAX, VERSION " %s %s %s %" PRIu64 " %s", here->boot,
			       how, template_name ? template_name : NO_TEMPLATE,
			       thump_clock_ns(CLOCK_REALTIME), image);
		if (len > 0 && len < PATH_MAX)
			return 0;
	}
	return -1;
}

void thump_running_note(pid_t pid, const char *how, const char *template_name, const char *path,
			char **record_ret)
{
	struct thump_err ignored = THUMP_ERR_INIT;
	char folder[PATH_MAX], target[PATH_MAX];
	auto_free char *record = NULL;
	struct here here;
	uint64_t start;

	*record_ret = NULL;
	if (find_here(&here) < 0 || read_start(pid, &start) < 0 ||
	    describe(&here, how, template_name, path, target) < 0 ||
	    thump_template_folder(folder, sizeof(folder), true, &ignored) < 0)
		return;
	if (asprintf(&record, "%s/@%" PRIu64 ".%d.%" PRIu64, folder, here.pid_ns, (int)pid, start) <
	    0) {
		record = NULL;
		return;
	}
	if (symlink(target, record) < 0)
		return;
	*record_ret = record;
	record = NULL;
}

void thump_running_forget(char **record, pid_t pid)
{
	if (*record && kill(pid, 0) < 0 && errno == ESRCH)
		(void)unlink(*record);
	thump_free_ptr(record);
}

void thump_running_retract(char **record)
{
	if (*record)
		(void)unlink(*record);
	thump_free_ptr(record);
}

/* ---- reading them ---------------------------------------------------------------------------- */

/* The next word of *at, which may end in `size` - 1 characters. */
static bool take_word(const char **at, char *word, size_t size)
{
	const size_t len = strcspn(*at, " ");

	if (len == 0 || len >= size || (*at)[len] != ' ')
		return false;
	memcpy(word, *at, len);
	word[len] = '\0';
	*at += len + 1;
	return true;
}

/* Written by who owns the directory, whom root need not believe. */
static bool parse_target(const char *at, char boot[BOOT_LEN + 1], struct thump_running *running)
{
	char version[2], since[24];

	if (!take_word(&at, version, sizeof(version)) || strcmp(version, VERSION) != 0 ||
	    !take_word(&at, boot, BOOT_LEN + 1) ||
	    !take_word(&at, running->how, sizeof(running->how)) ||
	    !take_word(&at, running->template_name, sizeof(running->template_name)) ||
	    !take_word(&at, since, sizeof(since)) ||
	    sscanf(since, "%" SCNu64, &running->since_ns) != 1)
		return false;
	if (!thump_template_name_fits(running->template_name))
		running->template_name[0] = '\0';
	(void)snprintf(running->image, sizeof(running->image), "%s", at);
	return true;
}

enum record_state {
	RECORD_RUNS,
	RECORD_STALE, /* of a program that has ended */
	RECORD_OTHER, /* of another pid namespace, or none that we understand */
};

/* A user's program is that user's: of what others have noted nothing else is believed. */
static bool belongs_to(pid_t pid, uid_t uid)
{
	char path[32];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return stat(path, &st) == 0 && st.st_uid == uid;
}

static enum record_state read_record(int folder_fd, const char *name, const struct here *here,
				     struct thump_running *running)
{
	char target[PATH_MAX], boot[BOOT_LEN + 1];
	uint64_t pid_ns, noted_start, start;
	ssize_t len;
	int pid, end = 0;

	if (sscanf(name, "@%" SCNu64 ".%d.%" SCNu64 "%n", &pid_ns, &pid, &noted_start, &end) != 3 ||
	    name[end] != '\0' || pid <= 0)
		return RECORD_OTHER;
	len = readlinkat(folder_fd, name, target, sizeof(target) - 1);
	if (len < 0)
		return RECORD_OTHER;
	target[len] = '\0';
	running->pid = pid;
	if (!parse_target(target, boot, running))
		return RECORD_OTHER;
	if (strcmp(boot, here->boot) != 0)
		return RECORD_STALE;
	if (pid_ns != here->pid_ns)
		return RECORD_OTHER;
	if (read_start(pid, &start) < 0)
		return errno == ESRCH ? RECORD_STALE : RECORD_OTHER;
	return start == noted_start ? RECORD_RUNS : RECORD_STALE;
}

/* ---- all of a directory ---------------------------------------------------------------------- */

struct listing {
	struct here here;
	struct thump_running *entries;
	size_t count, room;
	bool failed; /* out of memory */
};

static void add(struct listing *listing, const struct thump_running *running)
{
	if (listing->count == listing->room) {
		const size_t room = listing->room ? 2 * listing->room : 16;
		struct thump_running *grown =
			reallocarray(listing->entries, room, sizeof(*listing->entries));

		if (!grown) {
			listing->failed = true;
			return;
		}
		listing->entries = grown;
		listing->room = room;
	}
	listing->entries[listing->count++] = *running;
}

/* In the directory `path` if it is `uid`'s alone, at most `max` records. */
static void list_folder(const char *path, uid_t uid, size_t max, struct listing *listing)
{
	auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_closedir DIR *dir = NULL;
	const struct dirent *entry;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != uid || (st.st_mode & 077))
		return;
	dir = fdopendir(fd);
	if (!dir)
		return;
	(void)thump_take_fd(&fd);
	while (max > 0 && (entry = readdir(dir))) {
		struct thump_running running = { .uid = uid };

		if (entry->d_name[0] != '@')
			continue;
		max--;
		switch (read_record(dirfd(dir), entry->d_name, &listing->here, &running)) {
		case RECORD_RUNS:
			if (uid == geteuid() || belongs_to(running.pid, uid))
				add(listing, &running);
			break;
		case RECORD_STALE:
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
			break;
		case RECORD_OTHER:
			break;
		}
	}
}

static void list_own(size_t max, struct listing *listing)
{
	struct thump_err ignored = THUMP_ERR_INIT;
	char path[PATH_MAX];

	if (thump_template_folder(path, sizeof(path), false, &ignored) == 0)
		list_folder(path, geteuid(), max, listing);
}

void thump_running_sweep(void)
{
	struct listing listing = { .count = 0 };

	if (find_here(&listing.here) == 0)
		list_own(SWEEP_MAX, &listing);
	free(listing.entries);
}

/* Those of all users that have a number at the end of prefix: PREFIXuidSUFFIX in `folder`. */
static void list_others(const char *folder, const char *prefix, const char *suffix,
			struct listing *listing)
{
	auto_closedir DIR *dir = opendir(folder);
	const struct dirent *entry;
	char own[PATH_MAX], path[PATH_MAX];
	struct thump_err ignored = THUMP_ERR_INIT;

	if (!dir)
		return;
	if (thump_template_folder(own, sizeof(own), false, &ignored) < 0)
		own[0] = '\0';
	while ((entry = readdir(dir))) {
		const char *digits = entry->d_name + strlen(prefix);
		unsigned long uid;
		char *end;

		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 || !isdigit(*digits))
			continue;
		uid = strtoul(digits, &end, 10);
		(void)snprintf(path, sizeof(path), "%s/%s%s", folder, entry->d_name, suffix);
		if (*end == '\0' && uid < UINT32_MAX && strcmp(path, own) != 0)
			list_folder(path, (uid_t)uid, SIZE_MAX, listing);
	}
}

static int compare_since(const void *a, const void *b)
{
	const struct thump_running *left = a, *right = b;

	return left->since_ns < right->since_ns ? -1 : left->since_ns > right->since_ns;
}

int thump_running_list(struct thump_running **list_ret, size_t *count_ret, struct thump_err *err)
{
	struct listing listing = { .count = 0 };

	if (find_here(&listing.here) < 0)
		return thump_fail_errno(err, "find our pid namespace and boot in /proc");
	list_own(SIZE_MAX, &listing);
	if (geteuid() == 0) {
		list_others("/tmp", "thump-", "", &listing);
		list_others("/run/user", "", "/thump", &listing);
	}
	if (listing.failed) {
		free(listing.entries);
		errno = ENOMEM;
		return thump_fail_errno(err, "memory for what runs");
	}
	if (listing.count)
		qsort(listing.entries, listing.count, sizeof(*listing.entries), compare_since);
	*list_ret = listing.entries;
	*count_ret = listing.count;
	return 0;
}
