/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/spares.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/send_fds.h"
#include "cli/running.h"
#include "cli/spare.h"
#include "proc/cgroup.h"

/* Whoever asks for clones goes first: no spare is begun until nobody has asked for so long. */
#define QUIET_NS ((uint64_t)50 * 1000 * 1000)
/* After a failure, and when there is no memory. */
#define RETRY_NS ((uint64_t)2000 * 1000 * 1000)
/* What is left for others in the control group, and the least that a spare is counted as. */
#define KEPT_FREE_BYTES	  ((uint64_t)32 << 20)
#define LEAST_SPARE_BYTES ((uint64_t)8 << 20)

/* Above what a maker gets. */
#define LOW_FDS 64

struct spare {
	pid_t maker;
	int order_fd;
	int client_fd; /* of its maker among the keeper's clients; owned there */
	bool ready;
	char *record; /* for thump ps */
};

struct thump_spares {
	unsigned wanted;
	struct spare list[THUMP_MAX_SPARES];
	size_t count;
	uint64_t due_ns;       /* when the next one may be begun */
	uint64_t left_before;  /* in the control group, before the last one was begun */
	uint64_t bytes_of_one; /* what that took */
	char trouble[sizeof(((struct thump_template_hello *)0)->spare_trouble)];
};

int thump_spares_create(unsigned wanted, struct thump_spares **spares_ret, struct thump_err *err)
{
	struct thump_spares *spares = calloc(1, sizeof(*spares));

	if (!spares)
		return thump_fail_errno(err, "memory for spares");
	spares->wanted = wanted;
	spares->bytes_of_one = LEAST_SPARE_BYTES;
	*spares_ret = spares;
	return 0;
}

static void forget(struct thump_spares *spares, size_t index)
{
	thump_close_fd(&spares->list[index].order_fd);
	thump_running_retract(&spares->list[index].record);
	spares->list[index] = spares->list[--spares->count];
}

/* It is our child, and not reaped: its pid means nobody else. What it has made ends with it. */
void thump_spares_end(struct thump_spares *spares)
{
	while (spares && spares->count > 0) {
		const pid_t maker = spares->list[spares->count - 1].maker;

		(void)kill(maker, SIGKILL);
		while (waitpid(maker, NULL, 0) < 0 && errno == EINTR)
			continue;
		forget(spares, spares->count - 1);
	}
	if (spares)
		spares->wanted = 0;
}

void thump_spares_destroy(struct thump_spares *spares)
{
	thump_spares_end(spares);
	free(spares);
}

/* ---- polling -----------------------------------------------------------------------------------
 */

size_t thump_spares_count(const struct thump_spares *spares)
{
	return spares ? spares->count : 0;
}

void thump_spares_poll(const struct thump_spares *spares, struct pollfd *fds)
{
	for (size_t i = 0; i < thump_spares_count(spares); i++)
		fds[i] = (struct pollfd){ spares->list[i].order_fd, POLLIN, 0 };
}

static bool is_making(const struct thump_spares *spares)
{
	for (size_t i = 0; i < spares->count; i++)
		if (!spares->list[i].ready)
			return true;
	return false;
}

int thump_spares_timeout_ms(const struct thump_spares *spares)
{
	const uint64_t now_ns = thump_now_ns();

	if (!spares || spares->count >= spares->wanted || is_making(spares))
		return -1;
	return spares->due_ns > now_ns ? (int)((spares->due_ns - now_ns) / 1000000 + 1) : 0;
}

static void note(struct thump_spares *spares, const char *trouble)
{
	(void)snprintf(spares->trouble, sizeof(spares->trouble), "%s", trouble);
	spares->due_ns = thump_now_ns() + RETRY_NS;
}

static struct thump_client *client_of(const struct thump_keeper *keeper, const struct spare *spare)
{
	for (size_t i = 0; i < keeper->nr_clients; i++)
		if (keeper->clients[i].fd == spare->client_fd)
			return &keeper->clients[i];
	return NULL;
}

static void became_ready(struct thump_spares *spares, struct spare *spare,
			 const struct thump_keeper *keeper)
{
	const struct thump_client *client = client_of(keeper, spare);
	const uint64_t left = thump_cgroup_own_memory_left();

	spare->ready = true;
	if (client)
		thump_running_note(client->clone, "spare", keeper->name, keeper->hello.path,
				   &spare->record);
	spares->trouble[0] = '\0';
	spares->due_ns = thump_now_ns();
	if (left < spares->left_before && spares->left_before - left > spares->bytes_of_one)
		spares->bytes_of_one = spares->left_before - left;
}

/* End of file: its SIGCHLD comes, too. */
void thump_spares_hear(struct thump_spares *spares, const struct thump_keeper *keeper,
		       const struct pollfd *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct thump_spare_word word = { 0 };

		if (!fds[i].revents || recv(spares->list[i].order_fd, &word, sizeof(word),
					    MSG_DONTWAIT) != (ssize_t)sizeof(word))
			continue;
		word.trouble[sizeof(word.trouble) - 1] = '\0';
		if (word.ready)
			became_ready(spares, &spares->list[i], keeper);
		else
			note(spares, word.trouble);
	}
}

/* ---- making ------------------------------------------------------------------------------------
 */

/* What the keeper has open is not the maker's. */
_Noreturn static void be_maker(const struct thump_template_hello *hello, int keeper_fd,
			       int order_fd, pid_t keeper)
{
	const int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int own[2] = { fcntl(keeper_fd, F_DUPFD_CLOEXEC, LOW_FDS), -1 };
	sigset_t none;

	own[1] = fcntl(order_fd, F_DUPFD_CLOEXEC, own[0] + 1);
	for (int fd = STDIN_FILENO; null_fd >= 0 && fd <= STDERR_FILENO; fd++)
		(void)dup2(null_fd, fd);
	if (own[0] < 0 || own[1] < 0 || dup3(own[0], 3, O_CLOEXEC) < 0 ||
	    dup3(own[1], 4, O_CLOEXEC) < 0)
		_exit(THUMP_FAILED);
	(void)close_range(5, ~0U, 0);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setsid();
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != keeper)
		_exit(THUMP_FAILED);
	_exit(thump_restore_as_spare(hello, 3, 4));
}

static bool has_memory(struct thump_spares *spares)
{
	spares->left_before = thump_cgroup_own_memory_left();
	if (spares->left_before > spares->bytes_of_one + KEPT_FREE_BYTES)
		return true;
	note(spares, "the memory limit of the control group leaves no room for another spare");
	return false;
}

static int begin(struct thump_spares *spares, struct thump_keeper *keeper)
{
	const pid_t own = getpid();
	auto_close int order = -1, other_order = -1, client = -1, other_client = -1;
	int ends[2];
	struct spare *spare = &spares->list[spares->count];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	order = ends[0];
	other_order = ends[1];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	client = ends[0];
	other_client = ends[1];
	*spare = (struct spare){ .order_fd = order, .client_fd = client };
	spare->maker = fork();
	if (spare->maker == 0)
		be_maker(&keeper->hello, other_client, other_order, own);
	if (spare->maker < 0)
		return -1;
	(void)thump_take_fd(&order);
	spares->count++;
	/* Without it the maker gets no answer, and ends. */
	return thump_keeper_add_client(keeper, &client, true);
}

void thump_spares_tend(struct thump_spares *spares, struct thump_keeper *keeper)
{
	if (!spares || keeper->stopping || spares->count >= spares->wanted || is_making(spares) ||
	    thump_now_ns() < spares->due_ns || !has_memory(spares))
		return;
	if (begin(spares, keeper) < 0)
		note(spares, "no process can be made for a spare");
}

/* ---- giving away -------------------------------------------------------------------------------
 */

/* The oldest is as good as any. */
pid_t thump_spares_take(struct thump_spares *spares, struct thump_keeper *keeper, const int *fds)
{
	for (size_t i = 0; i < thump_spares_count(spares); i++) {
		struct spare *spare = &spares->list[i];
		struct thump_client *client = client_of(keeper, spare);
		const pid_t maker = spare->maker;

		if (!spare->ready || !client)
			continue;
		spares->due_ns = thump_now_ns() + QUIET_NS;
		/* Its maker will note it as a program. */
		thump_running_retract(&spare->record);
		if (thump_send_fds(spare->order_fd, "t", 1, fds, THUMP_NR_TAKING_FDS) < 0)
			continue;
		client->is_spare = false;
		forget(spares, i);
		return maker;
	}
	return 0;
}

bool thump_spares_reap(struct thump_spares *spares, pid_t pid)
{
	for (size_t i = 0; i < thump_spares_count(spares); i++) {
		if (spares->list[i].maker != pid)
			continue;
		if (!spares->list[i].ready && !spares->trouble[0])
			note(spares, "the maker of a spare has ended");
		else
			spares->due_ns = thump_now_ns() + (spares->list[i].ready ? 0 : RETRY_NS);
		forget(spares, i);
		return true;
	}
	return false;
}

void thump_spares_describe(const struct thump_spares *spares, const struct thump_keeper *keeper,
			   struct thump_template_hello *hello)
{
	hello->nr_spares = 0;
	hello->wanted_spares = spares ? spares->wanted : 0;
	hello->spare_trouble[0] = '\0';
	for (size_t i = 0; i < thump_spares_count(spares); i++) {
		const struct thump_client *client = client_of(keeper, &spares->list[i]);

		if (spares->list[i].ready && client)
			hello->spares[hello->nr_spares++] = client->clone;
	}
	if (spares)
		memcpy(hello->spare_trouble, spares->trouble, sizeof(hello->spare_trouble));
}
