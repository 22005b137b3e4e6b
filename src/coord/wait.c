/* SPDX-License-Identifier: Apache-2.0 */
#include "coord/wait.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

extern char **environ;

/* How often to look whether the engine is still there, while it has not answered. */
#define LIVENESS_CHECK_NS 50000000L

/* The thump that is started leaves its worker behind and ends, in milliseconds. One that does not
 * (a stopped one, say) has the time that its worker would have. */
#define VERB_LOOK_NS  100000L
#define VERB_LIMIT_NS (30 * THUMP_NS_PER_S)

/*
 * So many looks (30 s in which nobody has stopped us: a stop ends a look) are given to an engine
 * that has not said who it is, because it did not get so far or is in a pid namespace above ours,
 * and to one that has. One that is only late finds that nobody waits for it any more.
 */
#define PATIENCE_CHECKS	      600
#define PATIENCE_CHECKS_BEGUN 1200

/* Unless there is an outcome: the engine may have it, or saved us right here. */
void thump_coord_fail(struct thump_coord_page *page, const char *what, const char *why)
{
	uint32_t waiting = THUMP_COORD_WAITING;

	/* What an engine wrote that has ended since is all there, its reasons in `text`, too. */
	if (thump_coord_state(page) != THUMP_COORD_WAITING)
		return;
	page->code = 1;
	(void)snprintf(page->text, sizeof(page->text), "%s: %s", what, why);
	(void)__atomic_compare_exchange_n(&page->state, &waiting, THUMP_COORD_FAILED, false,
					  __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

int thump_coord_spawn_actions(posix_spawn_file_actions_t *actions_ret)
{
	int rc = posix_spawn_file_actions_init(actions_ret);

	if (rc != 0)
		return rc;
	rc = posix_spawn_file_actions_addclosefrom_np(actions_ret, 3);
	if (rc != 0)
		(void)posix_spawn_file_actions_destroy(actions_ret);
	return rc;
}

/* Whether the child has ended by then. *status_ret: zero when somebody else has reaped it, be it
 * the program's SIGCHLD handling, or because we are a copy that never had it. */
static bool await_child(pid_t child, uint64_t limit_ns, int *status_ret)
{
	const struct timespec pause = { .tv_nsec = VERB_LOOK_NS };
	uint64_t start_ns = thump_now_ns();
	pid_t ended;

	*status_ret = 0;
	while ((ended = waitpid(child, status_ret, WNOHANG)) == 0) {
		if (thump_now_ns() - start_ns >= limit_ns)
			return false;
		(void)nanosleep(&pause, NULL);
	}
	return true;
}

static int spawn(char *const *argv, const posix_spawn_file_actions_t *actions)
{
	pid_t child;
	int status, rc;

	rc = posix_spawn(&child, argv[0], actions, NULL, argv, environ);
	if (rc != 0)
		return rc;
	if (!await_child(child, VERB_LIMIT_NS, &status)) {
		(void)kill(child, SIGKILL);
		(void)await_child(child, THUMP_NS_PER_S, &status);
		return -1;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

struct words {
	char *list[THUMP_COORD_WORDS_MAX + 16];
	int count;
};

static void add_word(struct words *words, const char *word)
{
	words->list[words->count++] = (char *)(uintptr_t)word; /* posix_spawn(3) changes none */
}

static void add_option(struct words *words, const char *option, const char *argument)
{
	if (!argument)
		return;
	add_word(words, option);
	add_word(words, argument);
}

int thump_coord_start(const struct thump_coord_page *page, const struct thump_coord_order *order,
		      const posix_spawn_file_actions_t *actions)
{
	const bool captures = order->task == THUMP_COORD_CAPTURE;
	struct words words = { .count = 0 };
	char pid[16], addr[32];

	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	(void)snprintf(addr, sizeof(addr), "%p", (const void *)page);
	add_word(&words, order->thump);
	add_word(&words, "checkpoint");
	add_word(&words, pid);
	add_option(&words, "--coord", addr);
	if (captures)
		add_option(&words, "-o", order->image);
	else
		add_word(&words, "--dry-run");
	if (order->task == THUMP_COORD_LOOK)
		add_word(&words, "--before-hooks");
	if (captures && order->leave_running)
		add_word(&words, "--leave-running");
	for (int i = 0; order->words && i < THUMP_COORD_WORDS_MAX && order->words[i]; i++)
		add_word(&words, order->words[i]);
	add_word(&words, NULL);
	return spawn(words.list, actions);
}

/*
 * Whether a process has ended, reaped or not: a zombie has no executable any more
 * (proc_pid_exe(5)). Without a descriptor, which might be in the image. False where it cannot be
 * known: of another user's zombies, and of whatever a /proc with hidepid=2 does not show.
 */
static bool has_ended(pid_t pid)
{
	char path[40], target[1];

	if (kill(pid, 0) != 0 && errno == ESRCH)
		return true;
	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (access(path, F_OK) != 0)
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	return readlink(path, target, sizeof(target)) < 0 && errno == ENOENT;
}

/* Why the engine is not to be waited for any more, or NULL. */
static const char *engine_lost(const struct thump_coord_page *page, pid_t asker, int nr_checks)
{
	pid_t pid = (pid_t)__atomic_load_n(&page->helper_pid, __ATOMIC_ACQUIRE);

	if ((pid && has_ended(pid)) || (!pid && asker && has_ended(asker)))
		return "it ended before it had answered";
	if (nr_checks >= (pid ? PATIENCE_CHECKS_BEGUN : PATIENCE_CHECKS))
		return "it did nothing for too long";
	return NULL;
}

void thump_coord_wait(struct thump_coord_page *page, pid_t asker)
{
	const struct timespec pause = { .tv_nsec = LIVENESS_CHECK_NS };
	int nr_checks = 0;

	while (thump_coord_state(page) == THUMP_COORD_WAITING) {
		long rc = syscall(SYS_futex, &page->state, FUTEX_WAIT_PRIVATE, THUMP_COORD_WAITING,
				  &pause, NULL, 0);
		const char *why = NULL;

		if (rc < 0 && errno == ETIMEDOUT)
			why = engine_lost(page, asker, nr_checks++);
		if (why)
			thump_coord_fail(page, "thump checkpoint", why);
	}
}
