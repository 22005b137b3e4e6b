/* SPDX-License-Identifier: Apache-2.0 */
/* All descriptors of the target: facts, then who shares what, then one record per description. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "kinds/flight.h"
#include "kinds/registry.h"
#include "proc/status.h"
#include "trace/target.h"

/* pidfd_getfd(2) is the same permission for every descriptor: trying one tells for all. */
static bool can_dup_fds(struct thump_target *target)
{
	auto_close int dir_fd = openat(target->proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = NULL;
	const struct dirent *entry;

	if (dir_fd < 0 || !(dir = fdopendir(dir_fd)))
		return false;
	(void)thump_take_fd(&dir_fd);
	while ((entry = readdir(dir))) {
		int number = thump_fd_of_entry(entry);

		if (number >= 0) {
			auto_close int fd = thump_target_dup_fd(target, number);

			return fd >= 0;
		}
	}
	return false;
}

const char *thump_target_env(struct thump_target *target, struct thump_arena *arena,
			     const char *name)
{
	auto_free char *text = NULL;
	size_t size, len = strlen(name);

	if (thump_slurp(target->proc_fd, "environ", &text, &size) < 0)
		return NULL;
	for (const char *at = text; at < text + size; at += strlen(at) + 1)
		if (strncmp(at, name, len) == 0 && at[len] == '=')
			return thump_arena_strdup(arena, at + len + 1);
	return NULL;
}

static const struct thump_kind *find_kind(const struct thump_fd_facts *facts)
{
	for (const struct thump_kind *const *kind = thump_kinds(); *kind; kind++)
		if ((*kind)->matches(facts))
			return *kind;
	return NULL;
}

/* Nothing else gives a directory an owner, and nothing tells what is watched for. */
static void refuse_dnotify(struct thump_fd_capture *cap, const struct thump_fd_facts *facts)
{
	thump_refuse_fd(cap, facts, "dnotify",
			"directory %s: watched with F_NOTIFY (fcntl(2)), cannot be saved",
			facts->link);
}

/* Another process cannot be told from whoever has its pid by then; a group is that of the launcher.
 */
static void warn_about_owner(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			     const struct thump_ofd *ofd)
{
	if (ofd->owner && !thump_owner_is_own(cap->model, ofd))
		thump_warn_fd(cap, facts, "owner",
			      "%s: process or group %d gets a signal when it is ready (F_SETOWN), "
			      "of the restored program it does not",
			      facts->link, ofd->owner);
}

/* F_GETOWN_EX answers in the pid namespace of whoever asks, so the target itself is asked; first
 * through a duplicate whether there is anything to ask for. */
static int capture_owner(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			 struct thump_ofd *ofd, struct thump_err *err)
{
	auto_access struct thump_access access = THUMP_ACCESS_INIT;
	struct f_owner_ex owner = { 0 };
	uint64_t args[6] = { 0, F_GETOWN_EX };
	long result, signo;

	if (facts->open_flags & O_PATH)
		return 0;
	if (!cap->have_dup_fd && !(facts->open_flags & O_ASYNC) && !S_ISSOCK(facts->st.st_mode) &&
	    !S_ISDIR(facts->st.st_mode))
		return 0; /* two remote calls for each would cost more than they tell */
	for (bool dup_fd = cap->have_dup_fd;; dup_fd = false) {
		if (thump_access_open(cap->target, dup_fd, facts->fd, &access, err) < 0)
			return -1;
		args[0] = (uint64_t)access.fd;
		args[2] = access.addr;
		if (thump_access_call(&access, SYS_fcntl, args, sizeof(owner), &result, err) < 0)
			return -1;
		memcpy(&owner, access.bytes, sizeof(owner));
		if (result == 0 && owner.pid && S_ISDIR(facts->st.st_mode)) {
			refuse_dnotify(cap, facts);
			return 0;
		}
		if (result < 0 || !dup_fd || owner.pid == 0)
			break;
		if (thump_is_in_flight(facts->fd)) {
			thump_refuse_fd(cap, facts, "owner",
					"%s: with an owner for signals (F_SETOWN), which nobody "
					"can be asked for: cannot be saved",
					facts->link);
			return 0;
		}
		thump_access_close(&access);
	}
	if (result < 0)
		return 0; /* this kind of file has no owner */
	args[1] = F_GETSIG;
	if (thump_access_call(&access, SYS_fcntl, args, 0, &signo, err) < 0)
		return -1;
	ofd->owner = owner.pid;
	ofd->owner_type = owner.pid ? (int32_t)owner.type : 0;
	ofd->owner_signal = signo > 0 ? (int32_t)signo : 0;
	warn_about_owner(cap, facts, ofd);
	return 0;
}

/* One more problem where the target may not be asked; said once where nothing may be asked. */
static int cannot_ask(struct thump_fd_capture *cap, int fd, struct thump_err *err)
{
	if (err->code != THUMP_REFUSED)
		return -1;
	if (!cap->refusal_listed)
		thump_problem_add(cap->problems, false, fd, "remote-call", "%s", err->text);
	cap->refusal_listed = cap->target->calls_refused;
	return 0;
}

/* What the program is not to have any more: as an end of its kind. */
static const struct thump_kind *closed_kind(struct thump_fd_capture *cap,
					    const struct thump_fd_facts *facts,
					    const struct thump_kind *kind, enum thump_ending ending)
{
	if (kind != &thump_kind_inet_socket || facts->sock_type != SOCK_STREAM)
		return ending == THUMP_END_SOCKET ? &thump_kind_closed : kind;
	cap->ending = ending;
	return kind;
}

static void warn_of_close(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			  const struct thump_fd_rule *rule)
{
	thump_warn_fd(cap, facts, "policy",
		      "%s: closed in the restored program by the policy of %s", facts->link,
		      rule->source);
}

static const struct thump_kind *apply_rule(struct thump_fd_capture *cap,
					   const struct thump_fd_facts *facts,
					   const struct thump_fd_rule *rule,
					   const struct thump_kind *kind)
{
	switch (rule->action) {
	case THUMP_RULE_ERROR:
		thump_refuse_fd(cap, facts, "policy", "%s: refused by the policy of %s",
				facts->link, rule->source);
		return kind;
	case THUMP_RULE_CLOSE:
		if (rule->quiet)
			thump_rule_note(rule, facts->fd, facts->link, cap->problems);
		else
			warn_of_close(cap, facts, rule);
		return closed_kind(cap, facts, kind, THUMP_END_SOCKET);
	case THUMP_RULE_REOPEN:
		thump_rule_note(rule, facts->fd, facts->link, cap->problems);
		return closed_kind(cap, facts, kind, THUMP_END_CONNECTION);
	case THUMP_RULE_IGNORE:
		thump_rule_note(rule, facts->fd, facts->link, cap->problems);
		return kind;
	case THUMP_RULE_WARN: /* said when it is known what comes of it */
		return kind;
	}
	return kind;
}

/* NULL: it is of no kind. */
static int choose_kind(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		       const struct thump_kind **kind_ret, const struct thump_fd_rule **rule_ret,
		       struct thump_err *err)
{
	*kind_ret = find_kind(facts);
	cap->ending = THUMP_END_NOT;
	/* What it watches is told by the numbers that the descriptors once had. */
	if (*kind_ret == &thump_kind_epoll && thump_is_in_flight(facts->fd))
		thump_refuse_fd(cap, facts, "epoll", "epoll: cannot be saved");
	if (thump_rule_find(cap, facts, *kind_ret, rule_ret, err) < 0)
		return -1;
	if (*rule_ret)
		*kind_ret = apply_rule(cap, facts, *rule_ret, *kind_ret);
	return 0;
}

/* What cannot be saved is listed. */
static int capture_as(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		      const struct thump_kind *kind, struct thump_ofd *ofd,
		      struct thump_buf *record, struct thump_err *err)
{
	*ofd = (struct thump_ofd){
		.open_flags = facts->open_flags,
		.pos = facts->pos,
		.backing_id = THUMP_NO_ID,
	};
	if (!kind) {
		thump_refuse_unknown(cap, facts);
		return thump_ofd_describe(cap, ofd, err, "%s", facts->link);
	}
	ofd->kind_id = kind->kind_id;
	ofd->version = kind->version;
	if (kind->capture(cap, facts, ofd, record, err) < 0)
		return thump_add_context(err, "%s", kind->name);
	return ofd->text ? 0 : thump_ofd_describe(cap, ofd, err, "%s", facts->link);
}

/* Of what is listed from `from` on: it is said, and closed instead. */
static int close_instead(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			 const struct thump_fd_rule *rule, size_t from,
			 const struct thump_kind *kind, struct thump_ofd *ofd,
			 struct thump_buf *record, struct thump_err *err)
{
	thump_problems_soften(cap->problems, from);
	warn_of_close(cap, facts, rule);
	record->size_bytes = 0;
	return capture_as(cap, facts, closed_kind(cap, facts, kind, THUMP_END_SOCKET), ofd, record,
			  err);
}

static int capture_one(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
		       struct thump_ofd *ofd, struct thump_err *err)
{
	const size_t fatal_before = cap->problems->nr_fatal, before = cap->problems->count;
	auto_buf struct thump_buf record = THUMP_BUF_INIT;
	const struct thump_fd_rule *rule;
	const struct thump_kind *kind;

	if (choose_kind(cap, facts, &kind, &rule, err) < 0 ||
	    capture_as(cap, facts, kind, ofd, &record, err) < 0)
		return -1;
	if (rule && rule->action == THUMP_RULE_WARN) {
		if (cap->problems->nr_fatal == fatal_before)
			thump_rule_note(rule, facts->fd, facts->link, cap->problems);
		else if (close_instead(cap, facts, rule, before, kind, ofd, &record, err) < 0)
			return -1;
	}
	if (cap->problems->nr_fatal != fatal_before)
		return 0;
	if (record.failed || record.size_bytes > UINT32_MAX)
		return thump_fail(err, "%s: out of memory", ofd->text);
	ofd->record = thump_arena_memdup(&cap->model->arena, record.bytes, record.size_bytes);
	ofd->record_size = (uint32_t)record.size_bytes;
	if (!ofd->record)
		return thump_fail(err, "out of memory");
	return capture_owner(cap, facts, ofd, err);
}

/*
 * A file that the parent has open under the same number was most likely opened by the parent, for
 * itself: flock(1) in shell scripts does that. It is kept, but somebody should know.
 */
static void warn_if_inherited(struct thump_fd_capture *cap, const struct thump_fd_facts *facts,
			      int32_t ppid)
{
	char path[64];
	struct stat st;

	if (facts->fd <= 2 || facts->cloexec || facts->link[0] != '/' || ppid <= 1 ||
	    !S_ISREG(facts->st.st_mode))
		return;
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", ppid, facts->fd);
	if (stat(path, &st) == 0 && st.st_ino == facts->st.st_ino && st.st_dev == facts->st.st_dev)
		thump_warn_fd(cap, facts, "inherited",
			      "file %s: probably inherited: the parent (process %d) has it, too",
			      facts->link, ppid);
}

static int32_t parent_of(struct thump_target *target)
{
	auto_free char *text = NULL;
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_stat stat;

	if (thump_slurp(target->proc_fd, "stat", &text, NULL) < 0 ||
	    thump_stat_parse(text, &stat, &err) < 0)
		return 0;
	return stat.ppid;
}

/* Fills the place of every description in model->ofds, and gives every descriptor one in
 * model->fds; to what is in flight only the records of sockets refer. */
static int capture_all(struct thump_fd_capture *cap, const size_t *first, struct thump_err *err)
{
	struct thump_model *model = cap->model;
	int32_t ppid = parent_of(cap->target);

	for (size_t i = 0; i < cap->nr_all; i++) {
		const struct thump_fd_facts *facts = &cap->all[i];

		if (first[i] == i &&
		    capture_one(cap, facts, &model->ofds[cap->ofd_ids[i]], err) < 0) {
			thump_err_context(err, "fd %d", facts->fd);
			if (cannot_ask(cap, facts->fd, err) < 0)
				return -1;
		}
		if (thump_is_in_flight(facts->fd))
			continue;
		model->fds[model->nr_fds++] = (struct thump_fd){
			.fd = facts->fd,
			.cloexec = facts->cloexec,
			.ofd_id = cap->ofd_ids[i],
		};
		warn_if_inherited(cap, facts, ppid);
	}
	return 0;
}

/* Before anything is captured, as what is in flight refers to descriptions that come later. */
static int number_all(struct thump_fd_capture *cap, const size_t *first, struct thump_arena *arena,
		      struct thump_err *err)
{
	struct thump_model *model = cap->model;
	uint32_t *ofd_ids = thump_arena_alloc(arena, cap->nr_all + 1, sizeof(*ofd_ids));

	model->ofds = thump_arena_alloc(&model->arena, cap->nr_all + 1, sizeof(*model->ofds));
	model->fds = thump_arena_alloc(&model->arena, cap->nr_all + 1, sizeof(*model->fds));
	if (!ofd_ids || !model->ofds || !model->fds)
		return thump_fail(err, "out of memory");
	model->nr_ofds = model->nr_fds = 0;
	for (size_t i = 0; i < cap->nr_all; i++)
		ofd_ids[i] = first[i] == i ? model->nr_ofds++ : ofd_ids[first[i]];
	cap->ofd_ids = ofd_ids;
	return 0;
}

static int capture_with(struct thump_fd_capture *cap, struct thump_arena *arena,
			struct thump_err *err)
{
	struct thump_fd_facts *facts;
	enum thump_share_way way;
	size_t count, *first;

	cap->have_dup_fd = can_dup_fds(cap->target);
	cap->tmpdir = thump_target_env(cap->target, arena, "TMPDIR");
	if (thump_facts_collect(cap->target, cap->have_dup_fd, arena, &facts, &count, err) < 0)
		return -1;
	if (thump_flights_collect(cap, arena, &facts, &count, err) < 0)
		return -1;
	cap->all = facts;
	cap->nr_all = count;
	first = thump_arena_alloc(arena, count + 1, sizeof(*first));
	if (!first)
		return thump_fail(err, "out of memory");
	way = count ? thump_share_probe(cap->target, facts[0].fd) : THUMP_SHARE_KCMP;
	if (thump_share_find(cap->target, way, facts, count, first, err) < 0 &&
	    cannot_ask(cap, -1, err) < 0)
		return -1;
	if (number_all(cap, first, arena, err) < 0)
		return -1;
	return capture_all(cap, first, err);
}

int thump_capture_fds(struct thump_target *target, struct thump_model *model,
		      const struct thump_fd_options *options, struct thump_problems *problems,
		      struct thump_err *err)
{
	struct thump_fd_capture cap = {
		.target = target,
		.model = model,
		.problems = problems,
		.carry_limit_bytes = options->carry_limit_bytes,
		.rules = options->rules,
		.refusal_listed = target->calls_refused,
	};
	struct thump_arena arena;
	int status;

	thump_arena_init(&arena);
	status = capture_with(&cap, &arena, err);
	if (status == 0)
		thump_rules_warn_of_missing(options->rules, model, problems);
	thump_flights_close(&cap);
	thump_arena_deinit(&arena);
	return status;
}
