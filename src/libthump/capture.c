/* SPDX-License-Identifier: Apache-2.0 */
/* What is between the hooks: the process is saved, by thump or by somebody else. Others may be held
 * here, so nothing allocates. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "coord/find.h"
#include "coord/post.h"
#include "coord/wait.h"
#include "libthump/library.h"

/* ---- thump(1) ------------------------------------------------------------------------------ */

static bool is_there(const char *path)
{
	return access(path, X_OK) == 0;
}

/* Beside the library, or in `bin` of the same prefix. */
static bool find_beside(char *path, size_t size_bytes)
{
	static const char *const places[] = { "thump", "../bin/thump", "../../bin/thump",
					      "../../../bin/thump" };
	const char *slash;
	Dl_info info;

	if (dladdr((void *)engine_find, &info) == 0 || !info.dli_fname ||
	    !(slash = strrchr(info.dli_fname, '/')))
		return false;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		(void)snprintf(path, size_bytes, "%.*s/%s", (int)(slash - info.dli_fname),
			       info.dli_fname, places[i]);
		if (is_there(path))
			return true;
	}
	return false;
}

/* In a set-user-ID program the environment is somebody else's: it does not choose what is executed.
 */
bool engine_find(const char *wanted, char *path, size_t size_bytes)
{
	if (!wanted)
		wanted = secure_getenv("THUMP");
	if (wanted) {
		(void)snprintf(path, size_bytes, "%s", wanted);
		return is_there(path);
	}
	return find_beside(path, size_bytes) ||
	       thump_coord_find(secure_getenv("PATH"), "thump", path, size_bytes);
}

/* As thump_coord_start(). */
static int start_engine(const struct library *lib, const struct round *round, bool looks)
{
	const struct thump_request *request = round->request;
	const struct thump_coord_order order = {
		.thump = round->thump,
		.task = looks		   ? THUMP_COORD_LOOK
			: request->dry_run ? THUMP_COORD_DRY_RUN
					   : THUMP_COORD_CAPTURE,
		.image = request->image,
		.leave_running = request->leave_running,
	};

	return thump_coord_start(lib->page, &order, &round->actions);
}

/* ---- the page ------------------------------------------------------------------------------ */

static void begin_page(struct library *lib, const struct round *round)
{
	struct thump_coord_page *page = lib->page;

	memset(page, 0, sizeof(*page));
	memcpy(page->magic, THUMP_COORD_MAGIC, sizeof(page->magic));
	page->only_check = round->dry_run || round->reasons[0];
	page->ranges_addr = (uintptr_t)round->ranges;
	page->nr_ranges = (uint32_t)round->nr_ranges;
	page->range_size_bytes = sizeof(*round->ranges);
	(void)snprintf(page->text, sizeof(page->text), "%s", round->reasons);
	__atomic_store_n(&page->state, THUMP_COORD_WAITING, __ATOMIC_RELEASE);
}

static pid_t call_engine(struct library *lib, struct round *round, bool looks)
{
	char line[64];
	int rc;

	if (round->request) {
		rc = start_engine(lib, round, looks);
		if (rc != 0)
			thump_coord_fail(lib->page, round->thump,
					 rc < 0 ? "it could not start its worker" : strerror(rc));
		return 0;
	}
	(void)snprintf(line, sizeof(line), THUMP_COORD_SAY_READY " %lx\n",
		       (unsigned long)(uintptr_t)lib->page);
	if (!thump_coord_send(round->client_fd, line))
		thump_coord_fail(lib->page, "thump checkpoint",
				 "it ended before the process was ready");
	library_hang_up(lib, round->client_fd);
	round->client_fd = -1;
	return round->client_pid;
}

static void set_state(const struct library *lib, uint32_t state)
{
	__atomic_store_n(&lib->page->state, state, __ATOMIC_RELEASE);
}

/* Somebody else saves us. Both the original and a copy go on as copies do. */
static void stand(struct library *lib, struct round *round)
{
	struct thump_coord_post post;
	uint32_t state;

	if (lib->page->only_check) {
		set_state(lib, THUMP_COORD_FAILED);
		return;
	}
	if (!thump_coord_post_open(&post)) {
		thump_coord_fail(lib->page, "the process was not saved",
				 "it could not listen for `thump hooks after`");
		return;
	}
	round->stood = thump_coord_send(round->client_fd, THUMP_COORD_SAY_STANDING "\n");
	if (round->stood) {
		library_hang_up(lib, round->client_fd);
		round->client_fd = -1;
		state = thump_coord_post_stand(&post, round->stand_limit_ns, &round->client_fd);
		lib->client_fd = round->client_fd;
		set_state(lib, state == THUMP_COORD_WAITING ? THUMP_COORD_RESTORED : state);
	} else {
		thump_coord_fail(lib->page, "the process was not saved",
				 "`thump hooks before` has ended before the process stood still");
	}
	thump_coord_post_close(&post);
}

static enum thump_outcome outcome_of(const struct library *lib, const struct round *round)
{
	switch ((enum thump_coord_state)thump_coord_state(lib->page)) {
	case THUMP_COORD_RESTORED:
		return THUMP_RESTORED;
	case THUMP_COORD_SAVED:
		/* Of one that was told to go on since nothing was saved, too. */
		return round->dry_run || round->stand_limit_ns ? THUMP_NOT_SAVED : THUMP_SAVED;
	case THUMP_COORD_IDLE:
	case THUMP_COORD_WAITING:
	case THUMP_COORD_FAILED:
		break;
	}
	return THUMP_NOT_SAVED;
}

/* Under yama 1 only descendants may be traced; EINVAL where there is no yama. */
static void permit_tracing(void)
{
	(void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
}

bool round_look(struct library *lib, struct round *round)
{
	begin_page(lib, round);
	lib->page->only_check = 1;
	permit_tracing();
	thump_coord_wait(lib->page, call_engine(lib, round, true));
	return thump_coord_state(lib->page) == THUMP_COORD_SAVED;
}

enum thump_outcome round_capture(struct library *lib, struct round *round)
{
	enum thump_outcome outcome;

	begin_page(lib, round);
	thump_coord_listener_suspend(&lib->listener);
	permit_tracing();
	if (round->stand_limit_ns)
		stand(lib, round);
	else
		thump_coord_wait(lib->page, call_engine(lib, round, false));
	outcome = outcome_of(lib, round);
	if (outcome == THUMP_RESTORED && round->stand_limit_ns)
		generation_renew();
	else
		generation_look();
	thump_coord_listener_resume(&lib->listener);
	return outcome;
}
