/* SPDX-License-Identifier: Apache-2.0 */
#include "coord/openssl.h"

#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LIBRARIES = 8 };

struct libraries {
	char *paths[MAX_LIBRARIES];
	size_t count;
};

/* Inside of dl_iterate_phdr(3) no library may be opened. */
static int note_library(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct libraries *libraries = arg;
	const char *slash = info->dlpi_name ? strrchr(info->dlpi_name, '/') : NULL;

	(void)size;
	if (slash && strncmp(slash + 1, "libcrypto", strlen("libcrypto")) == 0 &&
	    libraries->count < MAX_LIBRARIES)
		libraries->paths[libraries->count++] = strdup(info->dlpi_name);
	return 0;
}

static void poll_library(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
	int (*rand_poll)(void) = library ? (int (*)(void))dlsym(library, "RAND_poll") : NULL;

	if (rand_poll)
		(void)rand_poll();
	if (library)
		(void)dlclose(library);
}

void thump_openssl_renew(void)
{
	struct libraries libraries = { 0 };

	(void)dl_iterate_phdr(note_library, &libraries);
	for (size_t i = 0; i < libraries.count; i++) {
		if (libraries.paths[i])
			poll_library(libraries.paths[i]);
		free(libraries.paths[i]);
	}
}
