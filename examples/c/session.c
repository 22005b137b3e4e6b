/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that keeps what clones must not share: a session key and a node id.
 *
 *     cc -o session session.c $(pkg-config --cflags --libs thump)
 *     thump run -- ./session &
 *     thump checkpoint PID -o session.thump     # or: kill -USR1 PID
 *     thump restore session.thump               # another key, another node, the same count
 *
 * The key lies in pages of its own that are never saved. SIGUSR1 has the program save itself.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <thump/thump.h>
#include <time.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096 };

struct session {
	unsigned char *key; /* a page; zeros in a restored process until renew() */
	uint32_t node;
	int migrating; /* no checkpoint now */
};

static void renew(struct session *session)
{
	if (getrandom(session->key, 16, 0) != 16 ||
	    getrandom(&session->node, sizeof(session->node), 0) != sizeof(session->node))
		abort();
}

static int before(void *ctx, char *why, size_t why_size_bytes)
{
	const struct session *session = ctx;

	if (session->migrating)
		(void)snprintf(why, why_size_bytes, "a migration is under way");
	return session->migrating;
}

static void after(void *ctx, enum thump_outcome outcome)
{
	if (outcome == THUMP_RESTORED)
		renew(ctx);
}

static void save(void)
{
	char why[4096];
	const struct thump_request request = {
		.size_bytes = sizeof(request),
		.image = "session.thump",
		.leave_running = 1,
		.why = why,
		.why_size_bytes = sizeof(why),
	};
	int outcome = thump_checkpoint(&request);

	if (outcome < 0)
		printf("not saved: %s\n%s", strerror(errno), why);
	else
		printf("%s\n", outcome == THUMP_RESTORED ? "restored" : "saved");
}

int main(void)
{
	struct session session = {
		.key = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0),
	};
	const struct thump_hook hook = {
		.size_bytes = sizeof(hook),
		.name = "session",
		.ctx = &session,
		.before = before,
		.after = after,
		.mode = THUMP_SINGLE_THREADED, /* nobody sees the key that is zeros */
	};
	const struct timespec second = { .tv_sec = 1 };
	sigset_t wanted;

	if (session.key == MAP_FAILED)
		return 1;
	renew(&session);
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &wanted, NULL);
	if (thump_scrub(session.key, PAGE_BYTES) < 0 || !thump_register(&hook)) {
		perror("thump");
		return 1;
	}
	for (int count = 0;; count++) {
		printf("%d: node %08" PRIx32 ", generation %016" PRIx64 "\n", count, session.node,
		       thump_generation());
		(void)fflush(stdout);
		if (sigtimedwait(&wanted, NULL, &second) == SIGUSR1)
			save();
	}
}
