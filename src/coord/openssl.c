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

bool thump_openssl_is(const char *path)
{
	static const char stem[] = "libcrypto";
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	if (strcmp(name, "fips.so") == 0)
		return true;
	/* Not libcryptopp.so, which is Crypto++. */
	return strncmp(name, stem, strlen(stem)) == 0 && name[strlen(stem)] != '\0' &&
	       strchr(".-_0123456789", name[strlen(stem)]) && strstr(name, ".so");
}

/* Inside of dl_iterate_phdr(3) no library may be opened. */
static int note_library(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct libraries *libraries = arg;

	(void)size;
	if (info->dlpi_name && thump_openssl_is(info->dlpi_name) &&
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
