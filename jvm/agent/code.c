/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose code runs in this process. What is promised of malloc's memory (coord/abi.h) holds for the
 * JDK's libraries and those of the system that it needs: libjvm calls madvise(2) on the Java heap
 * only, libnio on mapped files, the others not at all. Any other library is as good if it calls
 * nothing that could give memory back. Calls that no relocation shows are not seen: of what
 * dlsym(3) found, and system call instructions of its own. Those that come later: given_back.c.
 */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"

/* By the beginning of their names, whatever directory they are in. */
static const char *const system_libraries[] = {
	"ld-linux-x86-64.so.2", "libc.so.6",  "libcap.so.2",	"libdl.so.2",
	"libgcc_s.so.1",	"libm.so.6",  "libnss_",	"libpthread.so.0",
	"libresolv.so.2",	"librt.so.1", "libstdc++.so.6", "libz.so.1",
	"linux-vdso.so.1",
};

static const char *const harmful_calls[] = { "madvise", "mremap", "process_madvise", "syscall" };

struct look {
	char *home;	 /* of the JDK, "/" at its end */
	const char *own; /* the file of this agent */
	bool harmless;
};

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool is_system_library(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	for (size_t i = 0; i < sizeof(system_libraries) / sizeof(system_libraries[0]); i++)
		if (begins(name, system_libraries[i]))
			return true;
	return false;
}

static int look_at(struct dl_phdr_info *info, size_t size, void *arg)
{
	const size_t nr_calls = sizeof(harmful_calls) / sizeof(harmful_calls[0]);
	struct look *look = arg;
	const char *path = info->dlpi_name;

	(void)size;
	if (begins(path, look->home) || strcmp(path, look->own) == 0 || is_system_library(path))
		return 0;
	look->harmless = !slots_lead_to(info, harmful_calls, nr_calls);
	return !look->harmless;
}

bool code_keeps_malloc(const struct agent *agent)
{
	jvmtiEnv *jvmti = agent->jvmti;
	struct look look = { .harmless = false };
	char *home = NULL;
	Dl_info own;

	if (!dladdr((const void *)code_keeps_malloc, &own) || !own.dli_fname ||
	    (*jvmti)->GetSystemProperty(jvmti, "java.home", &home) != JVMTI_ERROR_NONE)
		return false;
	if (asprintf(&look.home, "%s/", home) >= 0) {
		look.own = own.dli_fname;
		look.harmless = true;
		(void)dl_iterate_phdr(look_at, &look);
		free(look.home);
	}
	(void)(*jvmti)->Deallocate(jvmti, (unsigned char *)home);
	return look.harmless;
}
