/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child between fork and exec: everything that ordinary code can do, and that survives an
 * exec, is done here. Order:
 *   session and limits -> working directory -> the program's rights to files -> descriptors ->
 *   umask -> ids -> no_new_privs -> capabilities -> wait until the parent traces us -> exec
 * For a clone of a template it goes only as far as the descriptors, and hands them over.
 */
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/send_fds.h"
#include "rebuild/arch/arch.h"
#include "rebuild/plan.h"

/* Handlers go by themselves with the exec; what is ignored stays so. */
static void reset_dispositions(void)
{
	struct sigaction action, none = { .sa_handler = SIG_DFL };

	for (int signo = 1; signo <= THUMP_NR_SIGNALS; signo++) {
		if (sigaction(signo, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
			(void)sigaction(signo, &none, NULL);
	}
}

static bool stdio_is_terminal(void)
{
	return isatty(0) || isatty(1) || isatty(2);
}

/*
 * A leader becomes one again, unless it shares its terminal with us: then it stays in our group,
 * which is the one that may use the terminal.
 */
static int enter_session(const struct thump_plan *plan, struct thump_err *err)
{
	const struct thump_process *process = &plan->model->process;
	bool terminal = stdio_is_terminal();

	if (plan->options.new_session || (process->sid == process->pid && !terminal)) {
		if (setsid() < 0 && getsid(0) != getpid())
			return thump_fail_errno(err, "setsid");
	} else if (process->pgid == process->pid && !terminal) {
		if (setpgid(0, 0) < 0 && getpgrp() != getpid())
			return thump_fail_errno(err, "setpgid");
	}
	return 0;
}

/* As high as they go until the last steps: neither memory nor descriptors shall hit them. */
static int raise_limits(const struct thump_plan *plan, struct thump_err *err)
{
	for (uint32_t i = 0; i < THUMP_NR_RLIMITS; i++) {
		const struct thump_rlimit *own = &plan->own_rlimits[i];
		struct rlimit limit = { .rlim_cur = own->hard, .rlim_max = own->hard };

		if (thump_limit_is_raised(i) && own->soft != own->hard &&
		    setrlimit((__rlimit_resource_t)i, &limit) < 0)
			return thump_fail_errno(err, "raise resource limit %u", i);
	}
	return 0;
}

static int set_oom_score(const struct thump_plan *plan, struct thump_err *err)
{
	auto_close int fd = -1;
	char text[16];
	int len;

	if (!plan->set_oom_score)
		return 0;
	len = snprintf(text, sizeof(text), "%d", plan->model->process.oom_score_adj);
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	/* Going below the minimum takes CAP_SYS_RESOURCE; the plan warned. */
	if (fd < 0 || (write(fd, text, (size_t)len) < 0 && errno != EACCES))
		return thump_fail_errno(err, "set oom_score_adj");
	return 0;
}

/* ---- descriptors ---------------------------------------------------------------------------- */

/* What is handed over to the new program, and what we need until the exec. */
enum kept { KEPT_IMAGE, KEPT_REGION, KEPT_EXE, KEPT_GO, KEPT_PARK, NR_KEPT };

static int keep_open(int fd, struct thump_err *err)
{
	if (fcntl(fd, F_SETFD, 0) < 0)
		return thump_fail_errno(err, "keep fd %d open", fd);
	return 0;
}

/* Tells the blob where they are. */
static int fill_slots(const struct thump_plan *plan, struct thump_region *region, int image_fd,
		      int region_fd, struct thump_err *err)
{
	const struct thump_model *model = plan->model;

	if (keep_open(image_fd, err) < 0 || keep_open(region_fd, err) < 0)
		return -1;
	region->fds[thump_slot_image()] = image_fd;
	region->fds[thump_slot_region(model)] = region_fd;
	for (uint32_t id = 0; id < model->nr_backings; id++) {
		int fd = plan->rb.backing_fds[id];

		if (fd >= 0 && keep_open(fd, err) < 0)
			return -1;
		region->fds[thump_slot_backing(id)] = fd;
	}
	return 0;
}

/* A template has none of the program's. */
static int rebuild_fds(struct thump_plan *plan, struct thump_region *region, int keep[NR_KEPT],
		       struct thump_err *err)
{
	if (plan->options.part == THUMP_PART_TEMPLATE) {
		if (thump_rebuild_backings(&plan->rb, err) < 0 ||
		    keep_open(keep[KEPT_PARK], err) < 0)
			return -1;
		region->fds[thump_slot_own(plan->model)] = keep[KEPT_PARK];
	} else if (thump_rebuild_fds(&plan->rb, keep, KEPT_PARK, err) < 0) {
		return -1;
	}
	return fill_slots(plan, region, keep[KEPT_IMAGE], keep[KEPT_REGION], err);
}

/* ---- who ------------------------------------------------------------------------------------- */

/* Taking on ordinary ids would take the capabilities away that threads with wanted tids need; kept,
 * they are made effective again by thump_caps_before_exec(). */
static int set_ids(const struct thump_plan *plan, struct thump_err *err)
{
	const struct thump_creds *creds = &plan->model->process.creds;

	if (plan->ids != THUMP_IDS_SET)
		return 0;
	/* The groups are the image's since thump_act_as_program(). */
	if (setresgid(creds->gid, creds->egid, creds->sgid) < 0)
		return thump_fail_errno(err, "setresgid(%u)", creds->gid);
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return thump_fail_errno(err, "prctl(PR_SET_KEEPCAPS)");
	if (setresuid(creds->uid, creds->euid, creds->suid) < 0)
		return thump_fail_errno(err, "setresuid(%u)", creds->uid);
	return 0;
}

/* With our rights: the program may have been started where its user may not go. */
static int change_directory(const struct thump_plan *plan, struct thump_err *err)
{
	const char *cwd = plan->model->process.cwd;

	return chdir(cwd) < 0 ? thump_fail_errno(err, "change to the working directory %s", cwd)
			      : 0;
}

static int become(const struct thump_plan *plan, enum thump_pid_way tid_way,
		  const struct thump_caps *final, struct thump_err *err)
{
	const struct thump_process *process = &plan->model->process;

	(void)umask((mode_t)process->umask);
	if (set_ids(plan, err) < 0)
		return -1;
	if (process->creds.no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return thump_fail_errno(err, "prctl(PR_SET_NO_NEW_PRIVS)");
	return thump_caps_before_exec(final, tid_way, err);
}

/* ---- all of it ----------------------------------------------------------------------------- */

static int wait_for_go(int go_fd, struct thump_err *err)
{
	char go;

	/* End of file: thump is gone, and nobody would trace what we are about to start. */
	if (thump_read_full(go_fd, &go, sizeof(go)) < 0)
		return thump_fail_errno(err, "wait for thump");
	return 0;
}

static int child_run(struct thump_plan *plan, enum thump_pid_way tid_way,
		     const struct thump_caps *final, struct thump_region *region, int go_fd,
		     struct thump_err *err)
{
	int keep[NR_KEPT] = {
		[KEPT_IMAGE] = thump_image_fd(plan->image),
		[KEPT_REGION] = region->fd,
		[KEPT_EXE] = plan->exe_fd,
		[KEPT_GO] = go_fd,
		[KEPT_PARK] = plan->park_fd,
	};
	char *argv[] = { plan->model->process.exe_path, NULL };
	char *envp[] = { NULL };

	/* As `thump run` does: it outlives the exec, and the restored program can be checkpointed
	 * again under yama's ptrace_scope 1. EINVAL without yama. */
	(void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	reset_dispositions();
	if (enter_session(plan, err) < 0 || raise_limits(plan, err) < 0 ||
	    set_oom_score(plan, err) < 0 || change_directory(plan, err) < 0 ||
	    thump_act_as_program(plan, err) < 0 || rebuild_fds(plan, region, keep, err) < 0 ||
	    become(plan, tid_way, final, err) < 0)
		return -1;
	region->blob->ticks_exec = thump_ticks();
	if (wait_for_go(keep[KEPT_GO], err) < 0)
		return -1;
	(void)syscall(SYS_execveat, keep[KEPT_EXE], "", argv, envp, AT_EMPTY_PATH);
	return thump_fail_errno(err, "execute %s", plan->model->process.exe_path);
}

void thump_child_main(struct thump_plan *plan, enum thump_pid_way tid_way,
		      const struct thump_caps *final, struct thump_region *region, int go_fd)
{
	struct thump_err err = THUMP_ERR_INIT;

	(void)child_run(plan, tid_way, final, region, go_fd, &err);
	*region->child_err = err;
	_exit(127);
}

/* ---- for a clone ---------------------------------------------------------------------------- */

/* All that is open on purpose, in ascending order. */
static uint32_t list_fds(const struct thump_plan *plan, const struct thump_region *region,
			 int32_t *numbers)
{
	const struct thump_model *model = plan->model;
	uint32_t count = 0;

	/* Not there: what a rule closes, and what is opened later. */
	for (uint32_t i = 0; i < model->nr_fds; i++)
		if (fcntl(model->fds[i].fd, F_GETFD) >= 0)
			numbers[count++] = model->fds[i].fd;
	for (uint32_t slot = 0; slot < thump_nr_slots(model); slot++)
		if (region->fds[slot] >= 0)
			numbers[count++] = region->fds[slot];
	qsort(numbers, count, sizeof(*numbers), thump_compare_i32);
	return count;
}

static int send_fds(int socket_fd, const int32_t *numbers, uint32_t count, struct thump_err *err)
{
	const struct thump_clone_fds fds = { count, count ? numbers[count - 1] : 0 };

	if (send(socket_fd, &fds, sizeof(fds), MSG_NOSIGNAL) < 0)
		return thump_fail_errno(err, "hand descriptors over");
	for (uint32_t done = 0; done < count;) {
		const uint32_t part =
			(uint32_t)thump_min_u64(count - done, THUMP_CLONE_FDS_AT_ONCE);

		if (thump_send_fds(socket_fd, numbers + done, part * sizeof(*numbers),
				   numbers + done, part) < 0)
			return thump_fail_errno(err, "hand descriptors over");
		done += part;
	}
	return 0;
}

static int hand_over(struct thump_plan *plan, struct thump_region *region, int socket_fd,
		     struct thump_err *err)
{
	int keep[] = { thump_image_fd(plan->image), region->fd, socket_fd };
	auto_free int32_t *numbers = calloc(thump_max_handed_over(plan->model), sizeof(*numbers));
	int folder;

	if (!numbers)
		return thump_fail_errno(err, "memory for numbers of descriptors");
	region->fds[thump_slot_maker(plan->model)] = -1; /* the clone's, noted by itself */
	reset_dispositions();
	if (raise_limits(plan, err) < 0 || change_directory(plan, err) < 0 ||
	    thump_act_as_program(plan, err) < 0 ||
	    thump_rebuild_fds(&plan->rb, keep, THUMP_ARRAY_SIZE(keep), err) < 0 ||
	    fill_slots(plan, region, keep[0], keep[1], err) < 0)
		return -1;
	folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return thump_fail_errno(err, "open the working directory");
	region->fds[thump_slot_own(plan->model)] = fcntl(folder, F_DUPFD, plan->rb.safe_fd);
	if (region->fds[thump_slot_own(plan->model)] < 0)
		return thump_fail_errno(err, "keep the working directory open");
	return send_fds(keep[2], numbers, list_fds(plan, region, numbers), err);
}

void thump_child_hand_over(struct thump_plan *plan, struct thump_region *region, int socket_fd)
{
	struct thump_err err = THUMP_ERR_INIT;
	const int failed = hand_over(plan, region, socket_fd, &err);

	*region->child_err = err;
	_exit(failed ? 127 : 0);
}
