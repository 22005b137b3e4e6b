/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random generators that do not see for themselves that they are in a copy. What is renewed here is
 * so a moment after the restore, by a thread of ours; see generation.c for those that need none.
 *
 * Nothing is to be done for who asks the kernel each time (getrandom(2), arc4random(3) of glibc,
 * Python's secrets), nor for BoringSSL, which has MADV_WIPEONFORK memory of its own. Nothing can be
 * done for GnuTLS: it has a generator for each thread, and hears of copies by pthread_atfork(3).
 */
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>

#include "coord/openssl.h"
#include "libthump/library.h"

/* gcrypt.h: random bytes of good quality, in percent; -1 would be "not known". */
enum { GCRYPT_QUALITY = 100, GCRYPT_BYTES = 32 };

static void renew_gcrypt(void)
{
	/* One that is not loaded is none of our business. */
	void *library = dlopen("libgcrypt.so.20", RTLD_NOW | RTLD_NOLOAD);
	unsigned (*add_bytes)(const void *, size_t, int) = NULL;
	unsigned char bytes[GCRYPT_BYTES];

	if (library)
		add_bytes = (unsigned (*)(const void *, size_t, int))dlsym(library,
									   "gcry_random_add_bytes");
	if (add_bytes && getrandom(bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes))
		(void)add_bytes(bytes, sizeof(bytes), GCRYPT_QUALITY);
	explicit_bzero(bytes, sizeof(bytes));
	if (library)
		(void)dlclose(library);
}

/* A symbol of the executable or what it was started with. */
static void *own_symbol(const char *name)
{
	return dlsym(RTLD_DEFAULT, name);
}

/* Before Py_Initialize() and after Py_Finalize() there is none, and `random` is not loaded. */
static bool has_interpreter(void)
{
	int (*is_initialized)(void) = (int (*)(void))own_symbol("Py_IsInitialized");

	return is_initialized && is_initialized();
}

/* random.seed(), if somebody has imported that: what CPython itself does in a child of fork(2).
 * Objects of random.Random that the program has made stay as they are there, too. Called by the
 * interpreter, on its main thread. */
static int reseed_python(void *arg)
{
	void *(*modules)(void) = (void *(*)(void))own_symbol("PyImport_GetModuleDict");
	void *(*item)(void *, const char *) =
		(void *(*)(void *, const char *))own_symbol("PyDict_GetItemString");
	void *(*call)(void *, const char *, const char *, ...) =
		(void *(*)(void *, const char *, const char *, ...))own_symbol(
			"PyObject_CallMethod");
	void (*forget)(void *) = (void (*)(void *))own_symbol("Py_DecRef");
	void (*clear)(void) = (void (*)(void))own_symbol("PyErr_Clear");
	void *module, *result;

	(void)arg;
	if (!modules || !item || !call || !forget || !clear || !has_interpreter())
		return 0;
	module = item(modules(), "random");
	result = module ? call(module, "seed", NULL) : NULL;
	if (result)
		forget(result);
	else
		clear(); /* else somebody else would get the exception */
	return 0;
}

/* False: the interpreter's queue of calls is full; its main thread empties it some time. */
static bool renew_python(void)
{
	int (*add_pending)(int (*)(void *), void *) =
		(int (*)(int (*)(void *), void *))own_symbol("Py_AddPendingCall");

	return !add_pending || !has_interpreter() || add_pending(reseed_python, NULL) == 0;
}

/* RAND_poll() of an OpenSSL that is linked into the executable, as in Node.js; else NULL. */
static void *own_openssl(void)
{
	void *rand_poll = own_symbol("RAND_poll");
	Dl_info info;

	if (rand_poll && dladdr(rand_poll, &info) && info.dli_fname &&
	    !thump_openssl_is(info.dli_fname))
		return rand_poll;
	return NULL;
}

bool generators_renew(void)
{
	int (*rand_poll)(void) = (int (*)(void))own_openssl();

	thump_openssl_renew();
	if (rand_poll)
		(void)rand_poll();
	renew_gcrypt();
	return renew_python();
}

/* OpenSSL in a library of its own, and libgcrypt, need none. */
bool generators_need_thread(void)
{
	return own_symbol("Py_AddPendingCall") || own_openssl();
}
