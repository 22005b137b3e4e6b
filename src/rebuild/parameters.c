/* SPDX-License-Identifier: Apache-2.0 */
/* What a restore says to the runtime in the process; coord/abi.h has the words. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "rebuild/commit.h"

static size_t size_of(const struct thump_plan *plan)
{
	size_t size_bytes = 1; /* of the empty one */

	for (size_t i = 0; i < plan->options.nr_parameters; i++)
		size_bytes += strlen(plan->options.parameters[i]) + 1;
	return size_bytes;
}

void thump_check_parameters(const struct thump_plan *plan, struct thump_problems *problems)
{
	const struct thump_runtime *runtime = &plan->model->process.runtime;
	size_t size_bytes = size_of(plan);

	if (plan->options.nr_parameters > 0 && size_bytes > runtime->parameters_size_bytes)
		thump_problem_add(problems, false, -1, "parameters",
				  "arguments and environment take %zu bytes, the program has room "
				  "for %" PRIu64 " (--env keep passes no environment)",
				  size_bytes, runtime->parameters_size_bytes);
}

/* Always, so that nothing of an earlier restore is taken for ours. */
static int write_strings(const struct thump_plan *plan, const struct thump_newborn *newborn,
			 struct thump_err *err)
{
	auto_free char *block = calloc(1, size_of(plan));
	size_t used = 0;

	if (!block)
		return thump_fail_errno(err, "memory for parameters");
	for (size_t i = 0; i < plan->options.nr_parameters; i++) {
		size_t size_bytes = strlen(plan->options.parameters[i]) + 1;

		memcpy(block + used, plan->options.parameters[i], size_bytes);
		used += size_bytes;
	}
	return thump_newborn_write(newborn, REMOTE(plan->model->process.runtime.parameters_addr),
				   block, used + 1, err);
}

static int move_clock(const struct thump_plan *plan, const struct thump_newborn *newborn,
		      struct thump_err *err)
{
	const struct remote_addr at = REMOTE(plan->model->process.runtime.clock_addr);
	int64_t ahead_ns;

	if (thump_newborn_read(newborn, at, &ahead_ns, sizeof(ahead_ns), err) < 0)
		return -1;
	ahead_ns = (int64_t)((uint64_t)ahead_ns + (uint64_t)plan->rb.monotonic_shift_ns);
	return thump_newborn_write(newborn, at, &ahead_ns, sizeof(ahead_ns), err);
}

int thump_write_parameters(const struct thump_plan *plan, const struct thump_newborn *newborn,
			   struct thump_err *err)
{
	const struct thump_runtime *runtime = &plan->model->process.runtime;

	if (runtime->parameters_addr && runtime->parameters_size_bytes > 0 &&
	    write_strings(plan, newborn, err) < 0)
		return thump_add_context(err, "parameters of the restore");
	if (runtime->clock_addr && plan->rb.monotonic_shift_ns != 0 &&
	    move_clock(plan, newborn, err) < 0)
		return thump_add_context(err, "clock of the program");
	return 0;
}
