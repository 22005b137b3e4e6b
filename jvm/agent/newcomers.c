/* SPDX-License-Identifier: Apache-2.0 */
/* Libraries that the JVM loads from now on: what they call of others may have to come to us. */
#include <dlfcn.h>

#include "agent.h"

/* The JVM loads a library when a class first needs it, and names it by its whole path: who calls
 * dlopen(3) makes no difference. */
static void *own_dlopen(const char *file, int mode)
{
	void *library = dlopen(file, mode);

	if (library) {
		ports_loaded(agent_get());
		given_back_loaded(agent_get());
	}
	return library;
}

bool newcomers_watch(const struct agent *agent)
{
	const struct slot slot = { "dlopen", (uintptr_t)own_dlopen };

	return slots_point(agent, &slot, 1) > 0;
}
