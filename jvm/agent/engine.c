/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's side of a capture: fill the coordination page, start thump, wait in a futex. The
 * wait ends in the original process when the engine has written the outcome, and in the restored
 * one because the page says RESTORED there (see coord/abi.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent.h"
#include "coord/wait.h"
#include "vmstructs.h"

/* As thump_coord_start(). */
static int start_engine(const struct agent *agent, enum thump_coord_task task)
{
	const struct thump_coord_order order = {
		.thump = agent->options.thump,
		.task = task,
		.image = agent->options.image,
		.leave_running = agent->options.leave_running,
		.words = agent->options.words,
	};
	posix_spawn_file_actions_t actions;
	int rc = thump_coord_spawn_actions(&actions);

	if (rc != 0)
		return rc;
	rc = thump_coord_start(agent->page, &order, &actions);
	(void)posix_spawn_file_actions_destroy(&actions);
	return rc;
}

/* One call of the engine, and what it needs to know on the VM thread. */
struct call {
	struct agent *agent;
	enum thump_coord_task task;
	bool asked; /* through the socket */
};

/* Who captures: the thump that asked through the socket, or one that is started now. Returns who
 * asked, 0 for nobody whom we can see. */
static pid_t call_engine(const struct call *call)
{
	struct agent *agent = call->agent;
	pid_t asker = 0;
	int rc;

	if (call->asked) {
		if (!server_hand_over(agent, &asker))
			thump_coord_fail(agent->page, "thump checkpoint",
					 "it ended before the process was ready");
		return asker;
	}
	rc = start_engine(agent, call->task);
	if (rc != 0)
		thump_coord_fail(agent->page, agent->options.thump,
				 rc < 0 ? "it could not start its worker" : strerror(rc));
	return 0;
}

const char *engine_text(const struct agent *agent)
{
	return agent->long_text && agent->long_text[0] ? agent->long_text : agent->page->text;
}

static void begin_page(const struct agent *agent, bool dry_run, const char *refused)
{
	struct thump_coord_page *page = agent->page;
	struct vm_sizes sizes;

	memset(page, 0, sizeof(*page));
	memcpy(page->magic, THUMP_COORD_MAGIC, sizeof(page->magic));
	page->only_check = dry_run ? 1 : 0;
	(void)snprintf(page->runtime, sizeof(page->runtime), "java");
	if (agent->parameters) {
		page->parameters_addr = (uintptr_t)agent->parameters;
		page->parameters_size_bytes = AGENT_PARAMETERS_SIZE;
	}
	page->cpu_level = (uint32_t)agent->cpu_level;
	vm_sizes(agent, &sizes);
	page->heap_bytes = sizes.heap_bytes;
	page->heap_max_bytes = sizes.heap_max_bytes;
	page->processors = sizes.processors;
	if (agent->has_clock)
		page->clock_addr = (uintptr_t)&agent->clock_ahead_ns;
	page->tid_from_self = tids_from_self(agent);
	if (code_keeps_malloc(agent) && newcomers_watch(agent))
		page->promises = THUMP_COORD_PLAIN_MALLOC;
	if (agent->long_text) {
		page->text_addr = (uintptr_t)agent->long_text;
		page->text_size_bytes = AGENT_LONG_TEXT_SIZE;
		/* Written only when it was used: else it takes no memory. */
		if (agent->long_text[0])
			agent->long_text[0] = '\0';
		if (refused && strlen(refused) >= sizeof(page->text))
			(void)snprintf(agent->long_text, AGENT_LONG_TEXT_SIZE, "%s", refused);
	}
	(void)snprintf(page->text, sizeof(page->text), "%s", refused ? refused : "");
	__atomic_store_n(&page->state, THUMP_COORD_WAITING, __ATOMIC_RELEASE);
}

/* Others run again, and heap and descriptors are not what they were. */
static void fail_late(const struct agent *agent)
{
	const char *why = watchdog_late(agent);

	if (agent->long_text)
		(void)snprintf(agent->long_text, AGENT_LONG_TEXT_SIZE, "%s", why);
	thump_coord_fail(agent->page, "the checkpoint was given up", why);
}

/* Another engine saves us. What it would refuse only it can say: a dry run ends here. */
static void stand_here(const struct call *call)
{
	struct agent *agent = call->agent;
	const char *why = NULL;
	uint32_t state = call->task == THUMP_COORD_DRY_RUN ? THUMP_COORD_SAVED : stand(agent, &why);

	if (state == THUMP_COORD_FAILED)
		thump_coord_fail(agent->page, "the process was not saved", why);
	else
		__atomic_store_n(&agent->page->state, state, __ATOMIC_RELEASE);
}

/* Under yama 1 only descendants may be traced; EINVAL where there is no yama. */
static void permit_tracing(void)
{
	(void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
}

/* But what thump has granted for good. What the program itself had granted is not to be known. */
static void forbid_tracing(const struct agent *agent)
{
	if (!agent->traceable)
		(void)prctl(PR_SET_PTRACER, 0, 0, 0, 0);
}

/* From here to the outcome, in the original process and in the restored one. */
static void capture_here(void *arg)
{
	const struct call *call = arg;

	if (!watchdog_reach(call->agent)) {
		fail_late(call->agent);
		return;
	}
	if (call->agent->stand_limit_ns)
		stand_here(call);
	else
		thump_coord_wait(call->agent->page, call_engine(call));
	times_note(call->agent, MOMENT_RESTORED);
}

/* On the VM thread, at a safepoint: what is free in the heap stays free. */
static void capture_at_safepoint(void *arg)
{
	const struct call *call = arg;
	struct thump_coord_page *page = call->agent->page;
	uint32_t count;
	struct thump_coord_range *ranges = heap_ranges(call->agent, &count);

	page->ranges_addr = (uintptr_t)ranges;
	page->nr_ranges = count;
	page->range_size_bytes = sizeof(*ranges);
	if (call->agent->stand_limit_ns)
		heap_drop(ranges, count);
	capture_here(arg);
	free(ranges);
}

uint32_t engine_look(struct agent *agent)
{
	const struct call call = {
		.agent = agent,
		.task = THUMP_COORD_LOOK,
		.asked = server_is_serving(agent),
	};

	begin_page(agent, true, NULL);
	permit_tracing();
	thump_coord_wait(agent->page, call_engine(&call));
	forbid_tracing(agent);
	return thump_coord_state(agent->page);
}

uint32_t engine_capture(struct agent *agent, JNIEnv *jni, bool dry_run, const char *refused)
{
	struct thump_coord_page *page = agent->page;
	struct call call = {
		.agent = agent,
		.task = dry_run ? THUMP_COORD_DRY_RUN : THUMP_COORD_CAPTURE,
		.asked = server_is_serving(agent),
	};
	bool keeps_malloc;

	begin_page(agent, dry_run, refused);
	/* In a restored process the page has only its state. */
	keeps_malloc = page->promises & THUMP_COORD_PLAIN_MALLOC;
	refusals_forget(agent);
	server_suspend(agent);
	if (!dry_run) {
		attach_close();
		random_find(agent, jni);
		changes_find(agent, jni);
	}
	permit_tracing();
	/* Without a safepoint the heap may be in the middle of anything, and is saved whole. */
	if (dry_run || !safepoint_run(agent, capture_at_safepoint, &call))
		capture_here(&call);
	times_note(agent, MOMENT_OUTSIDE);
	/* `thump restore` grants it, as `thump run` does. */
	if (thump_coord_state(page) == THUMP_COORD_RESTORED && !agent->stand_limit_ns)
		agent->traceable = true;
	forbid_tracing(agent);
	if (thump_coord_state(page) == THUMP_COORD_RESTORED) {
		agent->restored = true;
		given_back_restored(agent, keeps_malloc);
		random_renew(agent, jni);
		times_note(agent, MOMENT_RANDOM);
		changes_apply(agent, jni);
		times_note(agent, MOMENT_CHANGES);
		ports_apply(agent);
		times_note(agent, MOMENT_PORTS);
		times_asked(agent);
	}
	/* The socket first: who asked for a checkpoint that failed wants to know what is found. */
	server_resume(agent);
	if (thump_coord_state(page) == THUMP_COORD_FAILED)
		refusals_explain(agent, jni, engine_text(agent));
	return thump_coord_state(page);
}
