/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Way 2 without an image: thump_rebuild_here is a stand-in that starts this test program anew
 * under ptrace, with the wanted pid, and lets it set its threads' tids, drop its capabilities and
 * report what it finds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/note.h"
#include "rebuild/head_start.h"
#include "rebuild/spin.h"

#define WANTED_PID   4711
#define WANTED_TID   4713
#define ORDINARY_ID  12345
#define CLOCK_S	     UINT64_C(90000000)
#define REPORT_FD    200
#define PROGRAM_FLAG "--be-the-program"

struct thump_plan {
	struct thump_model model;
	struct thump_rebuild_options options;
	const char *then;     /* what the program does after its report */
	bool planned_set_tid; /* the plan found all ids free ... */
	pid_t own_tid;	      /* of a thread of ours in the namespace */
};

struct found {
	int32_t pid, tid, proc_self, sigkill_pgrp;
	int32_t clone_errno, unit_uid;
	uint64_t monotonic_s, boottime_s;
	struct thump_caps caps;
};

/* ---- the program -------------------------------------------------------------------------- */

static int read_link_number(const char *path)
{
	char text[32] = "";
	ssize_t len = readlink(path, text, sizeof(text) - 1);

	return len > 0 ? atoi(text) : -1;
}

static void clone_with_tid(struct found *found)
{
	pid_t wanted = WANTED_TID;
	struct clone_args args = { .exit_signal = SIGCHLD,
				   .set_tid = (uintptr_t)&wanted,
				   .set_tid_size = 1 };
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		_exit(0);
	found->clone_errno = pid < 0 ? errno : 0;
	found->tid = pid;
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
}

/* As the last steps of the blob do. */
static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	(void)syscall(SYS_capset, &header, none);
}

static int be_the_program(const char *then)
{
	struct found found = { .pid = getpid(), .unit_uid = (int32_t)getuid() };
	struct timespec now;

	clone_with_tid(&found);
	drop_capabilities();
	found.proc_self = read_link_number("/proc/self");
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	found.monotonic_s = (uint64_t)now.tv_sec;
	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	found.boottime_s = (uint64_t)now.tv_sec;
	found.caps = thump_caps_own();
	if (write(REPORT_FD, &found, sizeof(found)) != (ssize_t)sizeof(found))
		return 99;
	(void)close(REPORT_FD);
	if (strcmp(then, "stop") == 0)
		(void)raise(SIGSTOP);
	else if (strcmp(then, "usr2") == 0)
		(void)raise(SIGUSR2);
	else if (strcmp(then, "wait") == 0)
		for (;;)
			(void)pause();
	return 42;
}

/* ---- stand-ins for the rest of src/rebuild ------------------------------------------------ */

struct thump_head_start *thump_plan_take_head_start(struct thump_plan *plan)
{
	(void)plan;
	return NULL; /* none was made beforehand */
}

const struct thump_model *thump_plan_model(const struct thump_plan *plan)
{
	return &plan->model;
}

const struct thump_rebuild_options *thump_plan_options(const struct thump_plan *plan)
{
	return &plan->options;
}

enum thump_pid_way thump_plan_way(const struct thump_plan *plan)
{
	return plan->planned_set_tid ? THUMP_WAY_SET_TID : THUMP_WAY_NAMESPACE;
}

enum thump_memory_mode thump_plan_memory(const struct thump_plan *plan)
{
	(void)plan;
	return THUMP_MEMORY_EAGER;
}

int thump_region_prepare(struct thump_plan *plan, int *fd_ret, struct thump_err *err)
{
	(void)plan;
	(void)err;
	*fd_ret = -1;
	return 0;
}

void thump_region_forget(struct thump_plan *plan)
{
	(void)plan;
}

int thump_rebuild_here(struct thump_plan *plan, enum thump_pid_way tid_way,
		       struct thump_rebuild_report *report, pid_t *pid_ret, struct thump_err *err)
{
	struct thump_caps final = thump_caps_final(&plan->model, report);
	int status;

	if (plan->planned_set_tid && tid_way == THUMP_WAY_SET_TID &&
	    report->way == THUMP_WAY_SET_TID) { /* ... but one is taken meanwhile */
		errno = EEXIST;
		return thump_fail_errno(err, "thread %d", WANTED_PID + 1);
	}
	if (plan->model.nr_tasks && thump_spin_task(&plan->own_tid, err) < 0)
		return -1;
	if (thump_spawn_with_pid(tid_way, plan->model.process.pid, 0, pid_ret, &report->spins,
				 err) < 0)
		return -1;
	if (*pid_ret == 0) {
		sigset_t none;

		(void)sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		if (thump_caps_before_exec(&final, tid_way, err) < 0)
			fail_msg("%s", err->text);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(98);
		(void)execl("/proc/self/exe", "program", PROGRAM_FLAG, plan->then, (char *)NULL);
		_exit(97);
	}
	if (waitpid(*pid_ret, &status, 0) < 0 || !WIFSTOPPED(status))
		return thump_fail(err, "the program did not come to its exec: status %#x", status);
	if (ptrace(PTRACE_DETACH, *pid_ret, NULL, NULL) < 0)
		return thump_fail_errno(err, "detach");
	return 0;
}

/* ---- tests -------------------------------------------------------------------------------- */

struct fixture {
	struct thump_plan plan;
	int report_read_fd;
	struct thump_rebuild_report report;
	pid_t init;
	struct thump_err err;
};

static void fixture_init(struct fixture *f, const char *then)
{
	int fds[2];

	memset(f, 0, sizeof(*f));
	f->plan.then = then;
	f->plan.model.process.pid = WANTED_PID;
	f->plan.model.process.creds.cap_bounding =
		THUMP_CAP_BIT(CAP_CHOWN) | THUMP_CAP_BIT(CAP_KILL);
	f->plan.model.machine.monotonic_ns = CLOCK_S * UINT64_C(1000000000);
	f->plan.model.machine.boottime_ns = (CLOCK_S + 1000) * UINT64_C(1000000000);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(dup2(fds[1], REPORT_FD), REPORT_FD); /* crosses the exec */
	(void)close(fds[1]);
	f->report_read_fd = fds[0];
}

static struct found start(struct fixture *f)
{
	struct found found = { 0 };

	if (thump_rebuild_start(&f->plan, &f->report, &f->init, &f->err) < 0)
		fail_msg("%s", f->err.text);
	(void)close(REPORT_FD);
	assert_int_equal(read(f->report_read_fd, &found, sizeof(found)), sizeof(found));
	return found;
}

static int end_status(struct fixture *f)
{
	int status;

	assert_int_equal(waitpid(f->init, &status, 0), f->init);
	(void)close(f->report.control_fd);
	(void)close(f->report_read_fd);
	return status;
}

static void check_found(const struct found *found)
{
	assert_int_equal(found->pid, WANTED_PID);
	assert_int_equal(found->clone_errno, 0);
	assert_int_equal(found->tid, WANTED_TID);
	assert_int_equal(found->proc_self, WANTED_PID);
	assert_in_range(found->monotonic_s, CLOCK_S, CLOCK_S + 60);
	assert_in_range(found->boottime_s, CLOCK_S + 1000, CLOCK_S + 1060);
	assert_int_equal(found->caps.permitted, 0);
	assert_int_equal(found->caps.effective, 0);
	assert_int_equal(found->caps.inheritable, 0);
	assert_int_equal(found->caps.ambient, 0);
	assert_int_equal(found->caps.bounding, THUMP_CAP_BIT(CAP_CHOWN) | THUMP_CAP_BIT(CAP_KILL));
}

static void pid_tids_clocks_and_capabilities_are_right(void **state)
{
	struct fixture f;
	struct found found;
	int status;

	(void)state;
	fixture_init(&f, "exit");
	found = start(&f);
	check_found(&found);
	assert_int_equal(found.unit_uid, getuid());
	assert_true(f.report.time_namespace);
	assert_true(f.report.own_proc);
	status = end_status(&f);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
}

static void a_signal_s_end_is_passed_on(void **state)
{
	struct fixture f;
	int status;

	(void)state;
	fixture_init(&f, "usr2");
	(void)start(&f);
	status = end_status(&f);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 128 + SIGUSR2);
}

static void the_program_is_named_as_we_see_it(void **state)
{
	struct fixture f;
	int status;

	(void)state;
	fixture_init(&f, "wait");
	(void)start(&f);
	assert_int_not_equal(f.report.pid_host, WANTED_PID);
	assert_int_equal(kill(f.report.pid_host, SIGTERM), 0);
	status = end_status(&f);
	assert_int_equal(WEXITSTATUS(status), 128 + SIGTERM);
}

static void the_init_passes_signals_on(void **state)
{
	struct fixture f;
	int status;

	(void)state;
	fixture_init(&f, "wait");
	(void)start(&f);
	assert_int_equal(kill(f.init, SIGUSR1), 0);
	status = end_status(&f);
	assert_int_equal(WEXITSTATUS(status), 128 + SIGUSR1);
}

static struct thump_init_event next_event(const struct fixture *f)
{
	struct thump_init_event event = { 0 };

	assert_int_equal(recv(f->report.control_fd, &event, sizeof(event), 0), sizeof(event));
	return event;
}

static void a_stop_is_told(void **state)
{
	struct fixture f;
	struct thump_init_event event;

	(void)state;
	fixture_init(&f, "stop");
	(void)start(&f);
	event = next_event(&f);
	assert_int_equal(event.what, THUMP_INIT_STOPPED);
	assert_int_equal(event.value, SIGSTOP);
	assert_int_equal(kill(f.report.pid_host, SIGCONT), 0);
	assert_int_equal(WEXITSTATUS(end_status(&f)), 42);
}

static void a_note_is_told(void **state)
{
	const union sigval value = { .sival_int = THUMP_NOTE_CHECKPOINTED };
	struct fixture f;

	(void)state;
	fixture_init(&f, "wait");
	(void)start(&f);
	assert_int_equal(sigqueue(f.init, THUMP_NOTE_SIGNAL, value), 0);
	assert_int_equal(next_event(&f).what, THUMP_INIT_CHECKPOINTED);
	/* The init ends it itself: a kill of ours may find nobody. */
	assert_int_equal(WEXITSTATUS(end_status(&f)), 128 + SIGKILL);
}

/* As the child of any program that was killed. */
static void an_attached_program_goes_on_without_us(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, "wait");
	(void)start(&f);
	(void)close(f.report.control_fd);
	f.report.control_fd = -1;
	assert_int_equal(kill(f.report.pid_host, SIGUSR2), 0);
	assert_int_equal(WEXITSTATUS(end_status(&f)), 128 + SIGUSR2);
}

static void a_detached_program_goes_on(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, "wait");
	f.plan.options.detach = true;
	(void)start(&f);
	(void)close(f.report.control_fd);
	f.report.control_fd = -1;
	assert_int_not_equal(getsid(f.report.pid_host), getsid(0));
	assert_int_equal(kill(f.report.pid_host, SIGUSR2), 0);
	assert_int_equal(WEXITSTATUS(end_status(&f)), 128 + SIGUSR2);
}

static void many_at_once_have_the_same_pid(void **state)
{
	struct fixture fixtures[5];
	struct found found;

	(void)state;
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(fixtures); i++) {
		fixture_init(&fixtures[i], "wait");
		found = start(&fixtures[i]);
		check_found(&found);
	}
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(fixtures); i++) {
		assert_int_equal(kill(fixtures[i].report.pid_host, SIGTERM), 0);
		assert_int_equal(WEXITSTATUS(end_status(&fixtures[i])), 128 + SIGTERM);
	}
}

static void an_id_taken_after_the_plan_leads_to_a_namespace(void **state)
{
	struct fixture f;
	int status;

	(void)state;
	fixture_init(&f, "wait");
	f.plan.planned_set_tid = true;
	(void)start(&f);
	assert_int_equal(f.report.way, THUMP_WAY_NAMESPACE);
	assert_int_equal(kill(f.report.pid_host, SIGTERM), 0);
	status = end_status(&f);
	assert_int_equal(WEXITSTATUS(status), 128 + SIGTERM);
}

/* A clone that was saved again: its newer threads have the first ids of its namespace. */
static void our_threads_leave_the_program_its_ids(void **state)
{
	struct thump_task tasks[] = {
		{ .tid = WANTED_PID }, { .tid = 9 }, { .tid = 2 }, { .tid = 3 }
	};
	struct fixture f;

	(void)state;
	fixture_init(&f, "exit");
	f.plan.model.tasks = tasks;
	f.plan.model.nr_tasks = sizeof(tasks) / sizeof(tasks[0]);
	(void)start(&f);
	assert_int_equal(f.report.way, THUMP_WAY_NAMESPACE);
	assert_in_range(f.plan.own_tid, 10, WANTED_PID - 1);
	(void)end_status(&f);
}

static void a_failure_inside_leaves_nothing(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, "exit");
	f.plan.model.process.pid = INT32_MAX; /* above any pid_max */
	assert_int_equal(thump_rebuild_start(&f.plan, &f.report, &f.init, &f.err), -1);
	assert_int_equal(f.err.code, THUMP_REFUSED);
	assert_non_null(strstr(f.err.text, "is not to be had"));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	(void)close(REPORT_FD);
	(void)close(f.report_read_fd);
}

/* As when the plan finds that the image does not fit; at any moment of what the init does. */
static void an_init_that_is_not_needed_leaves_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		const struct thump_model model = { .process.pid = WANTED_PID };
		const struct thump_rebuild_options options = { .assume_namespaces = true };
		struct thump_err err = THUMP_ERR_INIT;
		struct thump_head_start *start;
		int probe = open("/dev/null", O_RDONLY | O_CLOEXEC);

		assert_int_equal(thump_init_begin(&start, &err), 0);
		if (i % 2)
			(void)sched_yield();
		if (i % 4 < 2)
			thump_init_set_clocks(start, &model, &options);
		thump_head_start_destroy(start);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
		assert_int_equal(errno, ECHILD);
		(void)close(probe);
		/* Nor a descriptor: the lowest number is free again. */
		assert_int_equal(open("/dev/null", O_RDONLY | O_CLOEXEC), probe);
		(void)close(probe);
	}
}

static void only_wait(struct thump_namespace_setup *setup, struct thump_plan *plan,
		      struct thump_rebuild_report *report, int control_fd)
{
	(void)setup;
	(void)plan;
	(void)report;
	(void)control_fd;
	for (;;)
		(void)pause();
}

/* A process in the namespaces of `init` that is our child and has ended, as that of a keeper that
 * was killed is the child of somebody who does not reap it. */
static pid_t leave_a_zombie(pid_t init)
{
	const int flags = geteuid() == 0 ? CLONE_NEWPID : CLONE_NEWUSER | CLONE_NEWPID;
	siginfo_t info;
	pid_t zombie = -1;
	int fds[2];
	pid_t helper;

	assert_int_equal(pipe(fds), 0);
	helper = fork();
	if (helper == 0) {
		if (setns((int)syscall(SYS_pidfd_open, init, 0), flags) == 0)
			zombie = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL,
						NULL);
		if (zombie != 0)
			(void)!write(fds[1], &zombie, sizeof(zombie));
		_exit(0);
	}
	assert_int_equal(read(fds[0], &zombie, sizeof(zombie)), sizeof(zombie));
	assert_true(zombie > 0);
	assert_int_equal(waitpid(helper, NULL, 0), helper);
	assert_int_equal(waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT), 0);
	(void)close(fds[0]);
	(void)close(fds[1]);
	return zombie;
}

/* zap_pid_ns_processes() in the kernel: nobody reaps what it waits for. */
static void an_init_that_cannot_end_is_not_waited_for(void **state)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_rebuild_report report = { 0 };
	struct thump_plan plan = { 0 };
	struct thump_head_start *start;
	pid_t init, zombie;
	int control_fd;

	(void)state;
	assert_int_equal(thump_head_start_create(only_wait, &start, &err), 0);
	thump_head_start_set_clocks(start, NULL);
	assert_int_equal(thump_head_start_go(start, &plan, &report, &control_fd, &init, &err), 0);
	zombie = leave_a_zombie(init);
	thump_head_start_destroy(start);
	assert_int_equal(waitpid(init, NULL, WNOHANG), 0);
	assert_int_equal(waitpid(zombie, NULL, 0), zombie);
	assert_int_equal(waitpid(init, NULL, 0), init);
	(void)close(control_fd);
}

/* The whole group again as somebody who may nothing at all. */
static int as_ordinary_user(int (*group)(void))
{
	int status;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (setgroups(0, NULL) < 0 ||
		    setresgid(ORDINARY_ID, ORDINARY_ID, ORDINARY_ID) < 0 ||
		    setresuid(ORDINARY_ID, ORDINARY_ID, ORDINARY_ID) < 0 ||
		    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
			_exit(96);
		exit(group());
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int run_group(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pid_tids_clocks_and_capabilities_are_right),
		cmocka_unit_test(a_signal_s_end_is_passed_on),
		cmocka_unit_test(the_program_is_named_as_we_see_it),
		cmocka_unit_test(the_init_passes_signals_on),
		cmocka_unit_test(a_stop_is_told),
		cmocka_unit_test(a_note_is_told),
		cmocka_unit_test(an_attached_program_goes_on_without_us),
		cmocka_unit_test(a_detached_program_goes_on),
		cmocka_unit_test(many_at_once_have_the_same_pid),
		cmocka_unit_test(an_id_taken_after_the_plan_leads_to_a_namespace),
		cmocka_unit_test(our_threads_leave_the_program_its_ids),
		cmocka_unit_test(a_failure_inside_leaves_nothing),
		cmocka_unit_test(an_init_that_is_not_needed_leaves_nothing),
		cmocka_unit_test(an_init_that_cannot_end_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	int failed;

	if (argc == 3 && strcmp(argv[1], PROGRAM_FLAG) == 0)
		return be_the_program(argv[2]);
	failed = run_group();
	if (geteuid() == 0)
		failed += as_ordinary_user(run_group);
	return failed;
}
