/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/worker.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/note.h"
#include "cli/coord.h"
#include "cli/levels.h"
#include "coord/abi.h"
#include "proc/arch/cpu.h"

/* Every x86-64 CPU for servers since about 2015 has it. */
enum { COMMON_LEVEL = 3 };

#define PROGRESS_EVERY_NS ((uint64_t)100 * 1000 * 1000)

struct worker {
	const struct thump_worker_options *options;
	int socket_fd;
	struct thump_problems problems;
	struct thump_capture *capture;
	struct thump_image_writer *writer;
	struct thump_page_source source; /* of the capture */
	/* What the program told. */
	struct thump_range *needless, *vouched;
	size_t nr_needless, nr_vouched;
	uint32_t promises; /* enum thump_coord_promise */
	struct thump_runtime runtime;
	int32_t tid_from_self;
	int cpu_level;
	char runtime_name[sizeof(((struct thump_coord_page *)NULL)->runtime) + 1];
	struct thump_worker_result result;
	uint64_t start_ns, stopped_ns, resumed_ns, told_ns; /* told_ns: progress was sent */
	bool told_program;				    /* the outcome */
};

/* ---- talking to the verb ------------------------------------------------------------------- */

/* A verb that does not listen any more is seen by cancelled(); here it does not matter. */
static void send_message(const struct worker *worker, const struct thump_worker_message *message,
			 int flags)
{
	ssize_t sent;

	if (worker->options->detached)
		return;
	do
		sent = send(worker->socket_fd, message, sizeof(*message), flags | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
}

/* From number `first` on. */
static void send_problems(const struct worker *worker, size_t first)
{
	for (size_t i = first; i < worker->problems.count; i++) {
		const struct thump_problem *problem = &worker->problems.list[i];
		struct thump_worker_message message = { .type = THUMP_WORKER_PROBLEM };
		size_t kind_len = strlen(problem->kind) + 1;
		size_t room = sizeof(message.problem.text) - kind_len - 1;

		/* Warnings come with the checkpoint, when there is one. */
		if (problem->warning && worker->options->capture.before_hooks)
			continue;
		message.problem.warning = problem->warning;
		message.problem.note = problem->note;
		message.problem.fd = problem->fd;
		memcpy(message.problem.text, problem->kind, kind_len);
		memcpy(message.problem.text + kind_len, problem->text,
		       strnlen(problem->text, room));
		send_message(worker, &message, 0);
	}
}

/* Nobody waits for progress: it is dropped when the socket is full (the verb may be stopped). Each
 * message wakes the verb up, which then takes a processor from those who write. */
static void send_progress(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
	struct worker *worker = ctx;
	const struct thump_worker_message message = {
		.type = THUMP_WORKER_PROGRESS,
		.progress = { done_bytes, total_bytes },
	};
	const uint64_t now_ns = thump_now_ns();

	if (now_ns - worker->told_ns < PROGRESS_EVERY_NS)
		return;
	worker->told_ns = now_ns;
	send_message(worker, &message, MSG_DONTWAIT);
}

/* What begins from now on may be a copy of the target. */
static void send_copies(const struct worker *worker)
{
	struct thump_worker_message message = { .type = THUMP_WORKER_COPIES };
	const uint64_t per_s = (uint64_t)sysconf(_SC_CLK_TCK);
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	message.copies.since_ticks =
		(uint64_t)now.tv_sec * per_s + (uint64_t)now.tv_nsec * per_s / THUMP_NS_PER_S;
	send_message(worker, &message, 0);
}

/* The verb never sends anything: what can be read is the end of file. */
static bool cancelled(const struct worker *worker)
{
	struct pollfd poll_fd = { .fd = worker->socket_fd, .events = POLLIN };

	if (worker->options->detached)
		return false;
	return poll(&poll_fd, 1, 0) > 0;
}

static int check_cancelled(const struct worker *worker, struct thump_err *err)
{
	return cancelled(worker) ? thump_fail(err, "cancelled; the process runs on") : 0;
}

/* ---- the page source: the capture's, with a way out ---------------------------------------- */

static int read_memory(void *ctx, uint64_t addr, void *buf, size_t size_bytes,
		       struct thump_err *err)
{
	const struct worker *worker = ctx;

	if (check_cancelled(worker, err) < 0)
		return -1;
	if (worker->source.read_memory(worker->source.ctx, addr, buf, size_bytes, err) < 0)
		return -1;
	thump_coord_patch(worker->options->coord_addr, addr, buf, size_bytes);
	return 0;
}

static int read_backing(void *ctx, uint32_t backing_id, uint64_t offset, void *buf,
			size_t size_bytes, struct thump_err *err)
{
	const struct worker *worker = ctx;

	if (check_cancelled(worker, err) < 0)
		return -1;
	return worker->source.read_backing(worker->source.ctx, backing_id, offset, buf, size_bytes,
					   err);
}

static int settle(void *ctx, struct thump_err *err)
{
	const struct worker *worker = ctx;

	return thump_capture_settle(worker->capture, err);
}

/* ---- steps --------------------------------------------------------------------------------- */

/* The program stands still now. One that gave us up before is in the middle of something else, and
 * what it told of its memory is not true any more. */
static int check_waiting(const struct worker *worker, struct thump_err *err)
{
	struct thump_coord_page page;

	if (!worker->options->coord_addr)
		return 0;
	return thump_coord_read(worker->options->capture.pid, worker->options->coord_addr, &page,
				err);
}

/* Of a program with a runtime only that knows. */
static int level_of(const struct worker *worker)
{
	if (!worker->runtime.name)
		return thump_level_of_process(worker->options->capture.pid);
	return worker->cpu_level;
}

/* A JVM chooses its code by all that the CPU has. */
static void warn_of_level(struct worker *worker, const struct thump_model *model)
{
	const struct thump_machine *machine = &model->machine;
	int level = thump_cpu_level_for(machine->cpuid_words, machine->nr_cpuid_words);

	if (!worker->runtime.name || worker->options->capture.before_hooks ||
	    (level && level <= COMMON_LEVEL))
		return;
	thump_problem_add(
		&worker->problems, true, -1, "cpu-level",
		"the image needs every feature of this CPU; one that other CPUs can have, "
		"too, is made of a program that was started with `thump run --cpu "
		"x86-64-v%d`",
		COMMON_LEVEL);
}

static int check_problems(const struct worker *worker, struct thump_err *err)
{
	char what[32];

	(void)snprintf(what, sizeof(what), "process %d", (int)worker->options->capture.pid);
	return thump_problems_check(&worker->problems, what, err);
}

static int capture(struct worker *worker, struct thump_err *err)
{
	struct thump_worker_result *result = &worker->result;
	const struct thump_capture_times *times;
	const struct thump_model *model;
	struct thump_capture_options options = worker->options->capture;
	int status;

	options.needless = worker->needless;
	options.nr_needless = worker->nr_needless;
	options.vouched = worker->vouched;
	options.nr_vouched = worker->nr_vouched;
	options.vouches_arenas = worker->promises & THUMP_COORD_PLAIN_MALLOC;
	options.runtime = worker->runtime;
	options.tid_from_self = worker->tid_from_self;
	options.cpu_level = level_of(worker);
	if (options.live)
		send_copies(worker);
	status = thump_capture_begin(&options, &worker->problems, &worker->capture, err);
	if (status == 0) {
		model = thump_capture_model(worker->capture);
		times = thump_capture_times(worker->capture);
		result->times = *times;
		result->nr_threads = model->nr_tasks;
		result->nr_vmas = model->nr_vmas;
		result->nr_fds = model->nr_fds;
		worker->stopped_ns = times->stopped_at_ns;
		warn_of_level(worker, model);
	}
	send_problems(worker, 0);
	if (status < 0 || check_waiting(worker, err) < 0)
		return -1;
	return check_problems(worker, err);
}

/* The last moment at which a verb that is gone keeps the program running. */
static int check_before_commit(void *ctx, struct thump_err *err)
{
	return check_cancelled(ctx, err);
}

static void resume_target(struct worker *worker)
{
	if (!worker->capture || worker->resumed_ns)
		return;
	thump_capture_resume(worker->capture);
	worker->resumed_ns = thump_now_ns();
}

/* Writes the outcome for a program that waits for it, once. */
static void tell_program(struct worker *worker)
{
	if (worker->options->coord_addr && !worker->told_program)
		thump_coord_finish(worker->options->capture.pid, worker->options->coord_addr,
				   &worker->result.err, &worker->problems);
	worker->told_program = true;
}

/*
 * The program goes on now, and hears that it is saved: it cannot wait for what becomes of the image
 * without standing still. The verb tells that.
 */
static int part(struct worker *worker, struct thump_err *err)
{
	const size_t first = worker->problems.count;
	int status;

	tell_program(worker);
	resume_target(worker);
	status = thump_capture_look_at_copy(worker->capture, err);
	worker->result.times = *thump_capture_times(worker->capture);
	send_problems(worker, first);
	return status < 0 ? -1 : check_problems(worker, err);
}

/* Live, when its memory is not needed any more. The image is complete, or there will be none. */
static void take_copy_back(struct worker *worker)
{
	struct thump_err err = THUMP_ERR_INIT;
	size_t first = worker->problems.count;

	if (!worker->capture ||
	    thump_capture_end_copy(worker->capture, &worker->result.reap_ns, &err) == 0)
		return;
	thump_problem_add(&worker->problems, true, -1, "live-copy",
			  "process %d keeps a zombie, its copy, until it ends: %s",
			  worker->options->capture.pid, err.text);
	send_problems(worker, first);
}

/*
 * What is in memory becomes the file. A process that goes on whatever comes of that need not wait
 * for it; one that waits for the outcome itself must, as that is written while it stands still.
 */
static int pack_image(struct worker *worker, struct thump_err *err)
{
	const struct thump_worker_options *options = worker->options;
	const struct thump_pack_options pack_options = {
		.path = options->path,
		.mode = options->mode,
		.compression = options->compression,
		.keys = options->keys,
		.before_commit = check_before_commit,
		.before_commit_ctx = worker,
		.progress = send_progress,
		.progress_ctx = worker,
	};
	auto_close int fd = thump_image_writer_take_memory(worker->writer);
	struct thump_pack_stats stats;
	struct thump_image *image;
	int failed;

	if (options->leave_running && !options->coord_addr)
		resume_target(worker);
	if (thump_image_open_fd(fd, "in memory", &image, err) < 0)
		return -1;
	failed = thump_pack(image, &pack_options, &stats, err);
	thump_image_destroy(image);
	if (!failed)
		worker->result.stats.file_bytes = stats.file_bytes;
	return failed;
}

static int write_image(struct worker *worker, struct thump_err *err)
{
	const struct thump_image_options options = {
		.path = worker->options->pack ? NULL : worker->options->path,
		.mode = worker->options->mode,
		.sync = !worker->options->pack,
		.progress = send_progress,
		.progress_ctx = worker,
	};
	const struct thump_page_source source = { worker, read_memory, read_backing, settle };
	uint64_t start_ns = thump_now_ns();
	int failed;

	worker->source = thump_capture_source(worker->capture);
	if (thump_image_write(&options, thump_capture_model(worker->capture), &source,
			      &worker->writer, &worker->result.stats, err) < 0)
		return -1;
	if (worker->options->pack) {
		failed = pack_image(worker, err);
		worker->result.write_ns = thump_now_ns() - start_ns;
		return failed;
	}
	worker->result.write_ns = thump_now_ns() - start_ns;
	if (check_before_commit(worker, err) < 0)
		return -1;
	return thump_image_commit(worker->writer, err);
}

/* The image is complete and has its name. */
static int finish_target(struct worker *worker, struct thump_err *err)
{
	struct thump_supervisor supervisor;
	struct thump_err ignored = THUMP_ERR_INIT;

	if (thump_note_find(worker->options->capture.pid, &supervisor, &ignored) < 0)
		supervisor = (struct thump_supervisor){ 0 };
	worker->result.continued = supervisor.wants_continue && !worker->options->leave_running;
	if (worker->options->leave_running || supervisor.wants_continue)
		return 0;
	if (thump_note_send(&supervisor, err) < 0)
		return thump_add_context(err, "the image is complete, but the process runs on");
	if (thump_capture_kill(worker->capture, err) < 0)
		return thump_add_context(err, "the image is complete");
	worker->result.ended = true;
	return 0;
}

static void take_runtime(struct worker *worker, const struct thump_coord_page *page)
{
	memcpy(worker->runtime_name, page->runtime, sizeof(page->runtime));
	if (!*worker->runtime_name)
		return;
	worker->runtime = (struct thump_runtime){
		.name = worker->runtime_name,
		.parameters_addr = page->parameters_addr,
		.parameters_size_bytes = page->parameters_size_bytes,
		.clock_addr = page->clock_addr,
		.heap_bytes = page->heap_bytes,
		.heap_max_bytes = page->heap_max_bytes,
		.processors = page->processors,
	};
}

/* What the program's own hooks refused comes first, and everything else with it. */
static int begin_coord(struct worker *worker, bool *only_check_ret, struct thump_err *err)
{
	pid_t pid = worker->options->capture.pid;
	struct thump_coord_page page;
	auto_free char *text = NULL;
	char *line, *rest;

	if (thump_coord_read(pid, worker->options->coord_addr, &page, err) < 0 ||
	    thump_coord_begin(pid, worker->options->coord_addr, err) < 0 ||
	    thump_coord_ranges(pid, &page, THUMP_COORD_NEEDLESS, &worker->needless,
			       &worker->nr_needless, err) < 0 ||
	    thump_coord_ranges(pid, &page, THUMP_COORD_VOUCHED, &worker->vouched,
			       &worker->nr_vouched, err) < 0)
		return -1;
	take_runtime(worker, &page);
	worker->tid_from_self = page.tid_from_self;
	worker->promises = page.promises;
	worker->cpu_level = page.cpu_level <= THUMP_CPU_LEVELS ? (int)page.cpu_level : 0;
	if (thump_coord_refusals(pid, &page, &text, err) < 0)
		return -1;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		if (*line)
			thump_problem_add(&worker->problems, false, -1, THUMP_COORD_HOOK_KIND, "%s",
					  line);
	}
	*only_check_ret = page.only_check != 0;
	return 0;
}

static int checkpoint(struct worker *worker, struct thump_err *err)
{
	bool only_check = false;

	if (worker->options->coord_addr && begin_coord(worker, &only_check, err) < 0)
		return -1;
	if (worker->options->path && !only_check && thump_image_try(worker->options->path, err) < 0)
		return -1;
	if (capture(worker, err) < 0)
		return -1;
	if (!worker->options->path || only_check)
		return 0;
	if (worker->options->capture.live && part(worker, err) < 0)
		return -1;
	if (write_image(worker, err) < 0)
		return -1;
	return finish_target(worker, err);
}

/* A reader that was told to stop says where it was; that it was told to is what matters. */
static void set_outcome(struct worker *worker, int status)
{
	struct thump_err *err = &worker->result.err;

	if (status == 0)
		err->code = THUMP_OK;
	else if (err->code == THUMP_FAILED && cancelled(worker))
		(void)check_cancelled(worker, err);
	if (!worker->result.ended)
		tell_program(worker);
}

static void run(const struct thump_worker_options *options, int socket_fd)
{
	struct worker worker = { .options = options, .socket_fd = socket_fd };
	struct thump_worker_message message = { .type = THUMP_WORKER_RESULT };

	worker.start_ns = thump_now_ns();
	thump_keys_lock_again(options->keys);
	thump_problems_init(&worker.problems);
	set_outcome(&worker, checkpoint(&worker, &worker.result.err));
	/* The target first, then what is left of an unfinished image: it waits for neither. */
	resume_target(&worker);
	take_copy_back(&worker);
	thump_image_writer_destroy(worker.writer);
	worker.result.freeze_ns = worker.stopped_ns ? worker.resumed_ns - worker.stopped_ns : 0;
	worker.result.total_ns = thump_now_ns() - worker.start_ns;
	thump_capture_destroy(worker.capture);
	thump_problems_deinit(&worker.problems);
	thump_free_ptr(&worker.needless);
	thump_free_ptr(&worker.vouched);
	message.result = worker.result;
	send_message(&worker, &message, 0);
}

/*
 * A program that starts thump for itself is an ancestor of the worker, and those cannot be stopped,
 * until the verb between them is gone. The kernel sends PDEATHSIG after it has given the worker
 * another parent.
 */
static void wait_for_end_of(pid_t verb)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)prctl(PR_SET_PDEATHSIG, SIGUSR1);
	while (getppid() == verb)
		(void)sigwaitinfo(&set, NULL);
}

static void run_detached(const struct thump_worker_options *options, pid_t verb)
{
	struct thump_worker_options own = *options;

	/* The program may not have waited for the verb yet when it is stopped. */
	own.capture.own_pids[0] = verb;
	own.capture.own_pids[1] = getpid();
	wait_for_end_of(verb);
	run(&own, -1);
}

/* ---- both ends ----------------------------------------------------------------------------- */

int thump_worker_start(const struct thump_worker_options *options, int *socket_ret, pid_t *pid_ret,
		       struct thump_err *err)
{
	sigset_t all, old;
	pid_t pid, verb = getpid();
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return thump_fail_errno(err, "socketpair");
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0) {
		(void)close(fds[0]);
		(void)prctl(PR_SET_NAME, "thump-worker");
		if (options->detached)
			run_detached(options, verb);
		else
			run(options, fds[1]);
		_exit(0);
	}
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	(void)close(fds[1]);
	if (pid < 0 || options->detached)
		thump_close_fd(&fds[0]);
	if (pid < 0)
		return thump_fail_errno(err, "fork");
	*socket_ret = fds[0];
	*pid_ret = pid;
	return 0;
}

int thump_worker_receive(int socket_fd, struct thump_worker_message *message_ret)
{
	ssize_t got;

	do
		got = recv(socket_fd, message_ret, sizeof(*message_ret), 0);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return 0;
	if (got != (ssize_t)sizeof(*message_ret)) {
		if (got > 0)
			errno = EBADMSG;
		return -1;
	}
	return 1;
}

void thump_worker_clean_up(pid_t pid, uint64_t since_ticks)
{
	sigset_t all, old;
	pid_t cleaner;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	cleaner = fork();
	if (cleaner == 0) {
		(void)prctl(PR_SET_NAME, "thump-cleaner");
		thump_capture_clean_up(pid, since_ticks);
		_exit(0);
	}
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	while (cleaner > 0 && waitpid(cleaner, NULL, 0) < 0 && errno == EINTR)
		;
}

void thump_worker_cancel(int socket_fd)
{
	(void)shutdown(socket_fd, SHUT_WR);
}
