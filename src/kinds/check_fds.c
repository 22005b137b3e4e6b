/* SPDX-License-Identifier: Apache-2.0 */
/* In thump, before anything exists: every record is decoded and every misfit is listed. */
#include <fcntl.h>
#include <sys/resource.h>

#include "base/fd.h"
#include "kinds/registry.h"
#include "kinds/restore.h"
#include "kinds/sock.h"

static int make_arrays(struct thump_fd_rebuild *rb, struct thump_err *err)
{
	uint32_t nr_ofds = rb->model->nr_ofds, nr_backings = rb->model->nr_backings;

	rb->objects = thump_arena_alloc(rb->arena, nr_ofds + 1, sizeof(*rb->objects));
	rb->ofd_fds = thump_arena_alloc(rb->arena, nr_ofds + 1, sizeof(*rb->ofd_fds));
	rb->backing_fds = thump_arena_alloc(rb->arena, nr_backings + 1, sizeof(*rb->backing_fds));
	rb->plans = thump_arena_alloc(rb->arena, nr_backings + 1, sizeof(*rb->plans));
	rb->kept_fds = thump_arena_alloc(rb->arena, nr_ofds + 1, sizeof(*rb->kept_fds));
	rb->closed = thump_arena_alloc(rb->arena, nr_ofds + 1, sizeof(*rb->closed));
	rb->any_file = thump_arena_alloc(rb->arena, nr_ofds + 1, sizeof(*rb->any_file));
	if (!rb->objects || !rb->ofd_fds || !rb->kept_fds || !rb->backing_fds || !rb->plans ||
	    !rb->closed || !rb->any_file)
		return thump_fail(err, "out of memory");
	for (uint32_t i = 0; i < nr_ofds; i++)
		rb->ofd_fds[i] = rb->kept_fds[i] = -1;
	for (uint32_t i = 0; i < nr_backings; i++)
		rb->backing_fds[i] = -1;
	return 0;
}

static int decode_all(struct thump_fd_rebuild *rb, struct thump_err *err)
{
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++) {
		const struct thump_ofd *ofd = &rb->model->ofds[i];
		const struct thump_kind *kind = thump_kind_by_id(ofd->kind_id);
		int fd = thump_ofd_first_fd(rb->model, i);

		if (!kind)
			return thump_refuse(err,
					    "fd %d: descriptor of kind %u is not known to this "
					    "version of thump",
					    fd, ofd->kind_id);
		if (ofd->version == 0 || ofd->version > kind->version)
			return thump_refuse(err, "fd %d: %s record of version %u, known is %u", fd,
					    kind->name, ofd->version, kind->version);
		if (kind->decode(ofd, rb->arena, &rb->objects[i], err) < 0)
			return thump_add_context(err, "fd %d", fd);
	}
	return 0;
}

static int check_references(const struct thump_model *model, struct thump_err *err)
{
	for (uint32_t i = 0; i < model->nr_fds; i++) {
		if (model->fds[i].ofd_id >= model->nr_ofds || model->fds[i].fd < 0)
			return thump_damaged(err, "descriptor %u: out of range", i);
		if (i && model->fds[i].fd <= model->fds[i - 1].fd)
			return thump_damaged(err, "descriptor %u: not in ascending order", i);
	}
	return 0;
}

static int check_limit(const struct thump_fd_rebuild *rb, struct thump_problems *problems,
		       struct thump_err *err)
{
	const struct thump_model *model = rb->model;
	struct rlimit limit;

	if (model->nr_fds == 0)
		return 0;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return thump_fail_errno(err, "getrlimit");
	if ((rlim_t)model->fds[model->nr_fds - 1].fd >= limit.rlim_max)
		thump_problem_add(problems, false, model->fds[model->nr_fds - 1].fd, "nofile",
				  "fd %d: above the hard limit of open files (%llu)",
				  model->fds[model->nr_fds - 1].fd,
				  (unsigned long long)limit.rlim_max);
	return 0;
}

static int put_off_owners(struct thump_fd_rebuild *rb, struct thump_err *err)
{
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++) {
		const struct thump_ofd *ofd = &rb->model->ofds[i];
		const bool own = thump_owner_is_own(rb->model, ofd);
		const int fd = thump_ofd_first_fd(rb->model, i);

		if ((!own && !ofd->owner_signal) || fd < 0 || thump_ofd_is_callers(rb, i) ||
		    rb->closed[i])
			continue;
		rb->late_owners = thump_arena_grow(rb->arena, rb->late_owners, rb->nr_late_owners,
						   sizeof(*rb->late_owners));
		if (!rb->late_owners)
			return thump_fail(err, "out of memory");
		rb->late_owners[rb->nr_late_owners++] = (struct thump_late_owner){
			.fd = fd,
			.signo = ofd->owner_signal,
			.owner = { .type = ofd->owner_type, .pid = own ? ofd->owner : 0 },
		};
	}
	return 0;
}

static bool port_is_mapped_from(const struct thump_fd_rebuild *rb, uint16_t port)
{
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++)
		if (thump_ofd_kind(rb, i) == &thump_kind_inet_socket &&
		    thump_inet_listens_on(rb->objects[i], port))
			return true;
	return false;
}

/* A mapping that maps nothing is a mistake that would only show when a client does not connect.
 * Which sockets a program will open that is told of the ports (coord/abi.h) nobody knows. */
static void check_ports(const struct thump_fd_rebuild *rb, struct thump_problems *problems)
{
	if (rb->model->process.runtime.parameters_addr)
		return;
	for (size_t i = 0; i < rb->nr_ports; i++)
		if (!port_is_mapped_from(rb, rb->ports[i].from))
			thump_problem_add(problems, false, -1, "port",
					  "port %u:%u: the program does not listen on TCP port %u",
					  rb->ports[i].from, rb->ports[i].to, rb->ports[i].from);
}

int thump_check_fds(struct thump_fd_rebuild *rb, struct thump_problems *problems,
		    struct thump_err *err)
{
	if (check_references(rb->model, err) < 0 || make_arrays(rb, err) < 0 ||
	    decode_all(rb, err) < 0 || check_limit(rb, problems, err) < 0 ||
	    thump_apply_restore_rules(rb, problems, err) < 0 ||
	    thump_check_backings(rb, problems, err) < 0 || put_off_owners(rb, err) < 0)
		return -1;
	if (rb->only_backings)
		return 0;
	check_ports(rb, problems);
	thump_terminals_look(rb);
	for (uint32_t i = 0; i < rb->model->nr_ofds; i++) {
		const struct thump_kind *kind = thump_ofd_kind(rb, i);

		if (!kind->check || thump_ofd_is_callers(rb, i))
			continue;
		if (kind->check(rb, i, rb->objects[i], problems, err) < 0)
			return thump_add_context(err, "fd %d: %s", thump_ofd_first_fd(rb->model, i),
						 kind->name);
	}
	return 0;
}

void thump_close_fds(struct thump_fd_rebuild *rb)
{
	for (uint32_t i = 0; rb->kept_fds && i < rb->model->nr_ofds; i++)
		thump_close_fd(&rb->kept_fds[i]);
	for (uint32_t i = 0; rb->backing_fds && i < rb->model->nr_backings; i++)
		thump_close_fd(&rb->backing_fds[i]);
}
