/* SPDX-License-Identifier: Apache-2.0 */
/* Resource policies of a restore: what the image holds may not be wanted, or not be there, here. */
#include <fcntl.h>
#include <string.h>

#include "kinds/closed.h"
#include "kinds/registry.h"
#include "kinds/restore.h"

/* As at the capture (rules.c): by what its name in /proc/PID/fd began with. */
static enum thump_rule_type type_of(const struct thump_kind *kind, const char *path)
{
	if (kind->names)
		return THUMP_RULE_SOCKET;
	if (kind == &thump_kind_pipe)
		return THUMP_RULE_PIPE;
	return path ? THUMP_RULE_FILE : THUMP_RULE_DESCRIPTOR;
}

/* As at the capture: by its first number, or by any that a rule names. */
static bool fits(const struct thump_fd_rebuild *rb, uint32_t ofd_id,
		 const struct thump_fd_rule *rule, enum thump_rule_type type, const char *name)
{
	const struct thump_kind *kind = thump_ofd_kind(rb, ofd_id);
	const int first_fd = thump_ofd_first_fd(rb->model, ofd_id);

	for (uint32_t i = 0; i < rb->model->nr_fds; i++) {
		const struct thump_fd *place = &rb->model->fds[i];

		if (place->ofd_id == ofd_id && (rule->fd >= 0 || place->fd == first_fd) &&
		    thump_rule_fits(rule, type, place->fd, kind->name, name))
			return true;
	}
	return false;
}

static const struct thump_fd_rule *find_rule(const struct thump_fd_rebuild *rb, uint32_t ofd_id)
{
	const struct thump_kind *kind = thump_ofd_kind(rb, ofd_id);
	const void *object = rb->objects[ofd_id];
	const char *path = kind->path ? kind->path(rb, ofd_id, object) : NULL;
	const enum thump_rule_type type = type_of(kind, path);
	struct thump_rule_names names = { 0 };

	if (kind->names)
		kind->names(object, &names);
	for (size_t i = 0; i < rb->rules->count; i++) {
		const struct thump_fd_rule *rule = &rb->rules->list[i];

		if (fits(rb, ofd_id, rule, type, path ? path : kind->name) &&
		    (rule->type != THUMP_RULE_SOCKET || thump_rule_fits_names(rule, &names)))
			return rule;
	}
	return NULL;
}

static void note(const struct thump_fd_rebuild *rb, uint32_t ofd_id,
		 const struct thump_fd_rule *rule, struct thump_problems *problems)
{
	thump_rule_note(rule, thump_ofd_first_fd(rb->model, ofd_id), rb->model->ofds[ofd_id].text,
			problems);
}

static int close_it(struct thump_fd_rebuild *rb, uint32_t ofd_id, const struct thump_fd_rule *rule,
		    struct thump_problems *problems, struct thump_err *err)
{
	const struct thump_ofd *ofd = &rb->model->ofds[ofd_id];
	const struct thump_kind *kind = thump_ofd_kind(rb, ofd_id);

	rb->objects[ofd_id] = thump_closed_object(
		rb->arena,
		kind == &thump_kind_regular || kind == &thump_kind_directory ? S_IFREG
		: kind == &thump_kind_pipe || kind == &thump_kind_fifo	     ? S_IFIFO
									     : S_IFSOCK,
		ofd->open_flags);
	if (!rb->objects[ofd_id])
		return thump_fail(err, "out of memory");
	rb->closed[ofd_id] = true;
	if (rule->quiet)
		note(rb, ofd_id, rule, problems);
	else
		thump_misfit_warn(rb, ofd_id, problems, "policy", "%s: closed by the policy of %s",
				  ofd->text, rule->source);
	return 0;
}

static int apply(struct thump_fd_rebuild *rb, uint32_t ofd_id, const struct thump_fd_rule *rule,
		 struct thump_problems *problems, struct thump_err *err)
{
	switch (rule->action) {
	case THUMP_RULE_ERROR:
		thump_misfit(rb, ofd_id, problems, "policy", "%s: refused by the policy of %s",
			     rb->model->ofds[ofd_id].text, rule->source);
		return 0;
	case THUMP_RULE_CLOSE:
		return close_it(rb, ofd_id, rule, problems, err);
	case THUMP_RULE_WARN:
		thump_misfit_warn(rb, ofd_id, problems, "policy", "%s: meant by the policy of %s",
				  rb->model->ofds[ofd_id].text, rule->source);
		rb->any_file[ofd_id] = true;
		return 0;
	case THUMP_RULE_REOPEN:
		note(rb, ofd_id, rule, problems);
		rb->any_file[ofd_id] = true;
		return 0;
	case THUMP_RULE_IGNORE:
		note(rb, ofd_id, rule, problems);
		return 0;
	}
	return 0;
}

int thump_apply_restore_rules(struct thump_fd_rebuild *rb, struct thump_problems *problems,
			      struct thump_err *err)
{
	for (uint32_t i = 0; rb->rules && i < rb->model->nr_ofds; i++) {
		const struct thump_fd_rule *rule = find_rule(rb, i);

		if (rule && apply(rb, i, rule, problems, err) < 0)
			return -1;
	}
	thump_rules_warn_of_missing(rb->rules, rb->model, problems);
	return 0;
}
