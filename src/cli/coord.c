/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/coord.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#include "base/arena.h"
#include "base/fd.h"
#include "cli/java.h"
#include "coord/abi.h"
#include "proc/status.h"

/* The program opens its socket again as soon as it runs: so often, and at such intervals, it is
 * tried. There is nothing to wait for. */
enum { CONNECT_TRIES = 400, CONNECT_PAUSE_NS = 5000000, EXPLAIN_TIMEOUT_S = 30 };

/* ---- the page ------------------------------------------------------------------------------ */

static bool transfer(pid_t pid, uint64_t addr, void *buf, size_t size_bytes, bool write)
{
	const struct iovec local = { .iov_base = buf, .iov_len = size_bytes };
	const struct iovec remote = { .iov_base = (void *)(uintptr_t)addr, .iov_len = size_bytes };
	ssize_t done = write ? process_vm_writev(pid, &local, 1, &remote, 1, 0)
			     : process_vm_readv(pid, &local, 1, &remote, 1, 0);

	return done == (ssize_t)size_bytes;
}

static bool put(pid_t pid, uint64_t addr, const void *value, size_t size_bytes)
{
	char copy[THUMP_COORD_TEXT_SIZE];

	memcpy(copy, value, size_bytes);
	return transfer(pid, addr, copy, size_bytes, true);
}

int thump_coord_read(pid_t pid, uint64_t addr, struct thump_coord_page *page_ret,
		     struct thump_err *err)
{
	struct thump_coord_page page;

	if (!transfer(pid, addr, &page, sizeof(page), false))
		return thump_fail_errno(err, "read the coordination page of process %d at 0x%lx",
					pid, addr);
	if (memcmp(page.magic, THUMP_COORD_MAGIC, sizeof(page.magic)) != 0 ||
	    page.state != THUMP_COORD_WAITING)
		return thump_fail(err, "process %d has no waiting coordination page at 0x%lx", pid,
				  addr);
	page.text[sizeof(page.text) - 1] = '\0';
	*page_ret = page;
	return 0;
}

/* Its end may be cut off: it stands in the program's own memory. */
#define MAX_REFUSALS_BYTES ((uint32_t)1 << 20)

int thump_coord_refusals(pid_t pid, const struct thump_coord_page *page, char **text_ret,
			 struct thump_err *err)
{
	const size_t here = strlen(page->text);
	const uint32_t room = page->text_size_bytes < MAX_REFUSALS_BYTES ? page->text_size_bytes
									 : MAX_REFUSALS_BYTES;
	char *text = calloc((room > here ? room : here) + 1, 1);

	if (!text)
		return thump_fail(err, "out of memory");
	/* One that does not fill the page is all there is. */
	if (here + 1 < sizeof(page->text) || !page->text_addr || room <= here ||
	    !transfer(pid, page->text_addr, text, room, false))
		memcpy(text, page->text, here);
	*text_ret = text;
	return 0;
}

/* ---- ranges -------------------------------------------------------------------------------- */

/* Page tables of 8 GiB could not be scattered more. */
#define MAX_RANGES	     ((uint32_t)1 << 20)
#define MAX_RANGE_SIZE_BYTES 256u

static int read_table(pid_t pid, const struct thump_coord_page *page, char **table_ret,
		      struct thump_err *err)
{
	size_t size_bytes = (size_t)page->nr_ranges * page->range_size_bytes;
	auto_free char *table = NULL;

	if (page->nr_ranges > MAX_RANGES || page->range_size_bytes > MAX_RANGE_SIZE_BYTES ||
	    page->range_size_bytes < sizeof(struct thump_coord_range))
		return thump_fail(err, "process %d tells of %u ranges of %u bytes each", pid,
				  page->nr_ranges, page->range_size_bytes);
	table = malloc(size_bytes);
	if (!table)
		return thump_fail_errno(err, "memory for %u ranges", page->nr_ranges);
	if (!transfer(pid, page->ranges_addr, table, size_bytes, false))
		return thump_fail_errno(err, "read the ranges of process %d at 0x%lx", pid,
					page->ranges_addr);
	*table_ret = table;
	table = NULL;
	return 0;
}

static bool is_in_order(const struct thump_coord_range *range, uint64_t last_end)
{
	return (range->start | range->end) % THUMP_PAGE_SIZE == 0 && range->start < range->end &&
	       range->start >= last_end;
}

int thump_coord_ranges(pid_t pid, const struct thump_coord_page *page, uint32_t advice,
		       struct thump_range **ranges_ret, size_t *count_ret, struct thump_err *err)
{
	auto_free struct thump_range *ranges = NULL;
	auto_free char *table = NULL;
	uint64_t last_end = 0;
	size_t count = 0;

	if (page->nr_ranges && read_table(pid, page, &table, err) < 0)
		return -1;
	ranges = calloc((size_t)page->nr_ranges + 1, sizeof(*ranges));
	if (!ranges)
		return thump_fail_errno(err, "memory for %u ranges", page->nr_ranges);
	for (uint32_t i = 0; i < page->nr_ranges; i++) {
		struct thump_coord_range range;

		memcpy(&range, table + (size_t)i * page->range_size_bytes, sizeof(range));
		if (range.advice != advice)
			continue;
		if (!is_in_order(&range, last_end))
			return thump_fail(err, "process %d tells of a range 0x%lx-0x%lx", pid,
					  range.start, range.end);
		last_end = range.end;
		ranges[count++] = (struct thump_range){ range.start, range.end };
	}
	*ranges_ret = ranges;
	*count_ret = count;
	ranges = NULL;
	return 0;
}

/* ---- the outcome --------------------------------------------------------------------------- */

/* Our pid means something to the program only in the same pid namespace. */
static bool same_pid_namespace(pid_t pid)
{
	struct stat theirs, ours;
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	return stat(path, &theirs) == 0 && stat("/proc/self/ns/pid", &ours) == 0 &&
	       theirs.st_ino == ours.st_ino;
}

int thump_coord_begin(pid_t pid, uint64_t addr, struct thump_err *err)
{
	uint32_t own_pid = same_pid_namespace(pid) ? (uint32_t)getpid() : 0;

	if (!put(pid, addr + offsetof(struct thump_coord_page, helper_pid), &own_pid,
		 sizeof(own_pid)))
		return thump_fail_errno(err, "write the coordination page of process %d", pid);
	return 0;
}

void thump_coord_patch(uint64_t addr, uint64_t start, void *buf, size_t size_bytes)
{
	struct thump_coord_page page = { .state = THUMP_COORD_RESTORED };

	/* The page is one page of memory, and memory is read in whole pages. */
	if (addr == 0 || addr < start || addr - start >= size_bytes)
		return;
	memcpy(page.magic, THUMP_COORD_MAGIC, sizeof(page.magic));
	memcpy((char *)buf + (addr - start), &page, sizeof(page));
}

/* All problems, one a line, but for those that came from the program itself; malloc'ed. */
static char *outcome_text(const struct thump_err *err, const struct thump_problems *problems)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < problems->count; i++) {
		const struct thump_problem *problem = &problems->list[i];

		if (!problem->warning && strcmp(problem->kind, THUMP_COORD_HOOK_KIND) != 0)
			(void)fprintf(out, "%s\n", problem->text);
	}
	if (err->code != THUMP_OK && problems->nr_fatal == 0)
		(void)fprintf(out, "%s\n", err->text);
	(void)fclose(out);
	return text;
}

/* Whole lines, and a word about those that do not fit. */
static void cut_text(const char *text, char *cut, size_t room)
{
	static const char more[] = "and more";
	size_t len = strlen(text);

	if (len >= room) {
		len = room - sizeof(more);
		while (len > 0 && text[len - 1] != '\n')
			len--;
	}
	memcpy(cut, text, len);
	(void)snprintf(cut + len, room - len, "%s", text[len] ? more : "");
}

static bool put_text(pid_t pid, uint64_t addr, const char *text)
{
	char *all = (char *)(uintptr_t)text; /* only read: process_vm_writev(2) knows no const */
	struct thump_coord_page page;
	char cut[THUMP_COORD_TEXT_SIZE] = "";

	cut_text(text, cut, sizeof(cut));
	if (!put(pid, addr + offsetof(struct thump_coord_page, text), cut, sizeof(cut)) ||
	    !transfer(pid, addr, &page, sizeof(page), false))
		return false;
	if (page.text_addr == 0 || strlen(text) >= page.text_size_bytes)
		return true;
	return transfer(pid, page.text_addr, all, strlen(text) + 1, true);
}

void thump_coord_finish(pid_t pid, uint64_t addr, const struct thump_err *err,
			const struct thump_problems *problems)
{
	uint32_t code = (uint32_t)err->code;
	uint32_t state = code == THUMP_OK ? THUMP_COORD_SAVED : THUMP_COORD_FAILED;
	auto_free char *text = outcome_text(err, problems);

	/* The state last: it is what the program waits for. */
	if (put_text(pid, addr, text ? text : "out of memory") &&
	    put(pid, addr + offsetof(struct thump_coord_page, code), &code, sizeof(code)))
		(void)!put(pid, addr + offsetof(struct thump_coord_page, state), &state,
			   sizeof(state));
}

/* ---- the socket ---------------------------------------------------------------------------- */

/* The pid that a process itself knows, in the innermost of its pid namespaces; -1: it is gone. */
static pid_t own_pid_of(pid_t pid)
{
	struct thump_status status = { 0 };
	struct thump_err ignored = THUMP_ERR_INIT;
	struct thump_arena arena;
	char path[40];
	pid_t own_pid = -1;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	thump_arena_init(&arena);
	if (thump_status_read(AT_FDCWD, path, &arena, &status, &ignored) == 0)
		own_pid = status.nspid_levels ? status.ns_tgid : status.tgid;
	thump_arena_deinit(&arena);
	return own_pid;
}

/* Whether one of its threads is that of libthump, which serves requests; all have a name. */
static bool has_server(pid_t pid)
{
	auto_closedir DIR *tasks = NULL;
	const struct dirent *entry;
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks && (entry = readdir(tasks))) {
		auto_free char *comm = NULL;
		char comm_path[sizeof(entry->d_name) + sizeof("/comm")];

		(void)snprintf(comm_path, sizeof(comm_path), "%s/comm", entry->d_name);
		if (thump_slurp(dirfd(tasks), comm_path, &comm, NULL) < 0)
			continue;
		if (strcmp(comm, THUMP_COORD_THREAD "\n") == 0)
			return true;
	}
	return false;
}

/* What of ours a process has that runs its hooks, in words; NULL: nothing. */
static const char *runner_of_hooks(pid_t pid)
{
	auto_free char *text = NULL;
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	if (thump_slurp(AT_FDCWD, path, &text, NULL) < 0)
		return NULL;
	if (strstr(text, "/" THUMP_JVM_AGENT "\n"))
		return "JVM agent";
	return strstr(text, "/libthump.so") && has_server(pid) ? "libthump" : NULL;
}

/* A descriptor; -1 with errno: nobody listens. */
static int connect_to(pid_t pid)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t own_pid = own_pid_of(pid);
	struct stat pid_namespace;
	char path[40];
	int len;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	if (fd < 0 || own_pid < 0 || stat(path, &pid_namespace) < 0)
		return -1;
	len = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1,
		       THUMP_COORD_SOCKET_FORMAT, (unsigned long long)pid_namespace.st_ino,
		       own_pid);
	if (connect(fd, (const struct sockaddr *)&address,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) < 0)
		return -1;
	return thump_take_fd(&fd);
}

/* A process that has just been restored, or goes on after a checkpoint, runs before its server
 * listens again. */
static int connect_patiently(pid_t pid)
{
	const struct timespec pause = { .tv_nsec = CONNECT_PAUSE_NS };
	int fd = connect_to(pid);

	for (int i = 0;
	     fd < 0 && errno == ECONNREFUSED && runner_of_hooks(pid) && i < CONNECT_TRIES; i++) {
		(void)nanosleep(&pause, NULL);
		fd = connect_to(pid);
	}
	return fd;
}

/* Anybody may bind an abstract name: only the process itself is believed. 0: it is in a pid
 * namespace that we do not see. */
static pid_t process_of(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.pid : 0;
}

/* Everything up to the end of file or a full buffer. */
static void read_answer(int fd, char *text, size_t room)
{
	size_t used = 0;

	while (used + 1 < room) {
		ssize_t got = read(fd, text + used, room - used - 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	text[used] = '\0';
}

/* Sends a question to a connection of connect_to(), which may be -1. 1: sent; 0: nobody is there
 * who could be asked. */
static int ask(int fd, pid_t pid, const char *question, struct thump_err *err)
{
	const pid_t peer = fd >= 0 ? process_of(fd) : 0;
	const bool answers = fd >= 0 && peer == pid;
	const char *runner = answers ? NULL : runner_of_hooks(pid);

	if (runner && fd >= 0)
		return thump_refuse(
			err,
			"process %d has taken the name of the socket by which the %s of process %d "
			"is asked, and without it no hooks run: end process %d",
			peer, runner, pid, peer);
	if (runner)
		return thump_refuse(
			err,
			"the %s of process %d does not answer, and without it no hooks run: it is "
			"just starting, ending or being checkpointed, or it is in another network "
			"namespace (run thump in there)",
			runner, pid);
	if (!answers)
		return 0;
	if (send(fd, question, strlen(question), MSG_NOSIGNAL) != (ssize_t)strlen(question))
		return thump_fail_errno(err, "ask process %d to run its hooks", pid);
	return 1;
}

/* What follows the line `word`, when that is what the answer begins with; else NULL. */
static const char *after_line(const char *answer, const char *word)
{
	size_t len = strlen(word);

	return strncmp(answer, word, len) == 0 && answer[len] == '\n' ? answer + len + 1 : NULL;
}

/* Who closes its socket for a capture hangs up on those who wait to be heard. */
static int fail_without_outcome(pid_t pid, const char *answer, struct thump_err *err)
{
	if (!*answer)
		return thump_fail(err,
				  "process %d hung up without an answer: it has ended, or another "
				  "checkpoint of it came first; then try again",
				  pid);
	return thump_fail(err, "process %d did not say how its hooks ended", pid);
}

int thump_coord_ask(pid_t pid, const char *question, uint64_t *addr_ret, struct thump_err *err)
{
	auto_close int fd = connect_patiently(pid);
	char answer[THUMP_ERR_TEXT_SIZE];
	const size_t ready_len = strlen(THUMP_COORD_SAY_READY " ");
	const char *failed;
	char line[32];
	int asked;

	(void)snprintf(line, sizeof(line), "%s\n", question);
	asked = ask(fd, pid, line, err);
	if (asked <= 0)
		return asked;
	read_answer(fd, answer, sizeof(answer));
	if (strncmp(answer, THUMP_COORD_SAY_READY " ", ready_len) == 0) {
		*addr_ret = strtoull(answer + ready_len, NULL, 16);
		return 1;
	}
	failed = after_line(answer, THUMP_COORD_SAY_FAILED);
	if (failed && strcmp(failed, THUMP_COORD_UNKNOWN "\n") == 0)
		return 0;
	if (failed)
		return thump_refuse(err, "process %d did not get ready: %s", pid, failed);
	return fail_without_outcome(pid, answer, err);
}

/* ---- hooks for another engine -------------------------------------------------------------- */

/* Reasons of all hooks of a large program. */
enum { ANSWER_ROOM = 1 << 18 };

static void add_reasons(struct thump_problems *problems, char *reasons)
{
	char *line;

	while ((line = strsep(&reasons, "\n")))
		if (*line)
			thump_problem_add(problems, false, -1, THUMP_COORD_HOOK_KIND, "%s", line);
}

static int check_answer(pid_t pid, const char *answer, struct thump_problems *problems,
			struct thump_err *err)
{
	const char *failed = after_line(answer, THUMP_COORD_SAY_FAILED);
	const char *broken = after_line(answer, THUMP_COORD_SAY_BROKEN);
	auto_free char *reasons = NULL;
	char what[32];

	if (after_line(answer, THUMP_COORD_SAY_STANDING) ||
	    after_line(answer, THUMP_COORD_SAY_DONE))
		return 0;
	if (!failed && !broken)
		return fail_without_outcome(pid, answer, err);
	reasons = strdup(failed ? failed : broken);
	if (!reasons)
		return thump_fail_errno(err, "memory for what hooks say");
	add_reasons(problems, reasons);
	(void)snprintf(what, sizeof(what), "process %d", (int)pid);
	if (thump_problems_check(problems, what, err) == 0)
		return thump_fail(err, "process %d does not say what is wrong with its hooks", pid);
	if (broken)
		err->code = THUMP_FAILED; /* it goes on all the same */
	return -1;
}

int thump_coord_hooks(pid_t pid, const char *question, struct thump_problems *problems,
		      struct thump_err *err)
{
	auto_close int fd = connect_patiently(pid);
	auto_free char *answer = malloc(ANSWER_ROOM);
	int asked = ask(fd, pid, question, err);

	if (asked < 0)
		return -1;
	if (asked == 0 && kill(pid, 0) < 0 && errno == ESRCH)
		return thump_fail(err, "there is no process %d", pid);
	if (asked == 0)
		return thump_refuse(
			err,
			"process %d has no hooks: it has registered none with libthump, and is no "
			"JVM with thump's agent, which must be there from the start (`thump run`, "
			"or -agentpath)",
			pid);
	if (!answer)
		return thump_fail_errno(err, "memory for an answer");
	read_answer(fd, answer, ANSWER_ROOM);
	return check_answer(pid, answer, problems, err);
}

/* ---- who holds what ------------------------------------------------------------------------ */

static void add_holder(struct thump_problems *problems, int fd, const char *holder)
{
	for (size_t i = 0; i < problems->count; i++) {
		struct thump_problem *problem = &problems->list[i];
		const char *text;

		if (problem->fd != fd || problem->warning)
			continue;
		text = thump_arena_printf(&problems->arena, "%s <- %s", problem->text, holder);
		if (text)
			problem->text = text;
		return;
	}
}

static void read_holders(FILE *answer, struct thump_problems *problems)
{
	auto_free char *line = NULL;
	size_t room = 0;
	ssize_t len;

	while ((len = getline(&line, &room, answer)) > 0) {
		char *end;
		long fd = strtol(line, &end, 10);

		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		if (end != line && *end == ' ' && fd >= 0 && fd <= INT32_MAX)
			add_holder(problems, (int)fd, end + 1);
	}
}

static bool names_a_descriptor(const struct thump_problems *problems)
{
	for (size_t i = 0; i < problems->count; i++)
		if (problems->list[i].fd >= 0 && !problems->list[i].warning)
			return true;
	return false;
}

void thump_coord_explain(pid_t pid, struct thump_problems *problems)
{
	static const char question[] = THUMP_COORD_ASK_HOLDERS "\n";
	const struct timeval timeout = { .tv_sec = EXPLAIN_TIMEOUT_S };
	auto_close int fd = -1;
	auto_fclose FILE *answer = NULL;

	if (!names_a_descriptor(problems))
		return;
	fd = connect_patiently(pid);
	if (fd < 0 || process_of(fd) != pid ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    send(fd, question, strlen(question), MSG_NOSIGNAL) != (ssize_t)strlen(question))
		return;
	answer = fdopen(fd, "r");
	if (!answer)
		return;
	(void)thump_take_fd(&fd);
	read_holders(answer, problems);
}
