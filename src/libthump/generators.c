/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random generators that do not see for themselves that they are in a copy. What is renewed here is
 * so a moment after the restore, by a thread of ours; see generation.c for those that need none.
 *
 * Nothing is to be done for who asks the kernel each time (getrandom(2), arc4random(3) of glibc,
 * Python's secrets), nor for BoringSSL, which has MADV_WIPEONFORK memory of its own.
 */
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>

#include "coord/openssl.h"
#include "libthump/library.h"

/* gcrypt.h: random bytes of good quality, in percent; -1 would be "not known". */
enum { GCRYPT_QUALITY = 100, GCRYPT_BYTES = 32 };

/* Of a library that is loaded; what is not is none of our business. */
static void *symbol_of(const char *soname, const char *name, void **library_ret)
{
	*library_ret = dlopen(soname, RTLD_NOW | RTLD_NOLOAD);
	return *library_ret ? dlsym(*library_ret, name) : NULL;
}

static void renew_gcrypt(void)
{
	unsigned char bytes[GCRYPT_BYTES];
	void *library;
	void *symbol = symbol_of("libgcrypt.so.20", "gcry_random_add_bytes", &library);
	unsigned (*add_bytes)(const void *, size_t, int) =
		(unsigned (*)(const void *, size_t, int))symbol;

	if (add_bytes && getrandom(bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes))
		(void)add_bytes(bytes, sizeof(bytes), GCRYPT_QUALITY);
	explicit_bzero(bytes, sizeof(bytes));
	if (library)
		(void)dlclose(library);
}

static void renew_gnutls(void)
{
	void *library;
	void (*refresh)(void) =
		(void (*)(void))symbol_of("libgnutls.so.30", "gnutls_rnd_refresh", &library);

	if (refresh)
		refresh();
	if (library)
		(void)dlclose(library);
}

/* A symbol of the executable or what it was started with. */
static void *own_symbol(const char *name)
{
	return dlsym(RTLD_DEFAULT, name);
}

/* What CPython itself does in a child of fork(2); random.Random objects of the program's own stay
 * as they are there, too. On the main thread, with the interpreter's lock. */
static int reseed_python(void *arg)
{
	int (*run)(const char *, void *) =
		(int (*)(const char *, void *))own_symbol("PyRun_SimpleStringFlags");

	(void)arg;
	if (run)
		(void)run("import sys\n"
			  "if 'random' in sys.modules: sys.modules['random'].seed()\n"
			  "del sys\n",
			  NULL);
	return 0;
}

static void renew_python(void)
{
	int (*add_pending)(int (*)(void *), void *) =
		(int (*)(int (*)(void *), void *))own_symbol("Py_AddPendingCall");

	if (add_pending)
		(void)add_pending(reseed_python, NULL);
}

void generators_renew(void)
{
	int (*rand_poll)(void) = (int (*)(void))own_symbol("RAND_poll");

	thump_openssl_renew();
	/* Linked into the executable, as in Node.js. */
	if (rand_poll)
		(void)rand_poll();
	renew_gcrypt();
	renew_gnutls();
	renew_python();
}

/* OpenSSL in a library of its own, and libgcrypt, need none. */
bool generators_need_thread(void)
{
	void *executable = dlopen(NULL, RTLD_NOW);
	bool needs = own_symbol("Py_AddPendingCall");
	Dl_info info;
	void *rand_poll = own_symbol("RAND_poll");

	if (rand_poll && dladdr(rand_poll, &info) && info.dli_fname &&
	    !strstr(info.dli_fname, "libcrypto"))
		needs = true;
	if (executable)
		(void)dlclose(executable);
	return needs;
}
