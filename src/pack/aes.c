/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/aes.h"

#include <gcrypt.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the library's memory -------------------------------------------------------------------- */

/*
 * It has little, and all of it can be keys or be made of them: so all of it is sodium_malloc(3)'s.
 * In front of each piece stands its size, in as many bytes as pieces are aligned to.
 */
#define ALIGNMENT ((size_t)16)

static void *locked_malloc(size_t size)
{
	unsigned char *piece;
	size_t size_in_all;

	if (size > SIZE_MAX - 2 * ALIGNMENT) {
		errno = ENOMEM;
		return NULL;
	}
	/* It ends at a guard page: only a round size is aligned. */
	size_in_all = ALIGNMENT + (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	piece = sodium_malloc(size_in_all);
	/* No single failure counts: for good, the library's test of itself would have failed. */
	if (!piece)
		piece = sodium_malloc(size_in_all);
	if (!piece)
		return NULL;
	memcpy(piece, &size, sizeof(size));
	return piece + ALIGNMENT;
}

static void locked_free(void *bytes)
{
	if (bytes)
		sodium_free((unsigned char *)bytes - ALIGNMENT);
}

static void *locked_realloc(void *old, size_t size)
{
	unsigned char *bytes = locked_malloc(size);
	size_t old_size;

	if (!bytes || !old)
		return bytes;
	memcpy(&old_size, (unsigned char *)old - ALIGNMENT, sizeof(old_size));
	memcpy(bytes, old, old_size < size ? old_size : size);
	locked_free(old);
	return bytes;
}

static int is_locked(const void *bytes)
{
	(void)bytes;
	return 1;
}

/* ---- the library's questions ------------------------------------------------------------------
 */

/*
 * CMakeLists.txt makes these of some calls in the archives of libgcrypt and libgpg-error. The first
 * asks whether the system is in FIPS mode, and ends the program when it gets no answer: for want of
 * a descriptor, say. thump has no such mode.
 */
void *pack_aes_malloc(size_t size);
FILE *pack_aes_no_file(const char *path, const char *mode);
int pack_aes_no_access(const char *path, int mode);
struct passwd *pack_aes_no_user(const char *name);
struct passwd *pack_aes_no_uid(uid_t uid);

/* A dozen constants, before it can be told of any other memory. Where it does not get them it ends
 * the program, so there is room for them (make_room()), and no single failure counts. */
void *pack_aes_malloc(size_t size)
{
	void *bytes = malloc(size);

	return bytes ? bytes : malloc(size);
}

FILE *pack_aes_no_file(const char *path, const char *mode)
{
	(void)path, (void)mode;
	errno = ENOENT;
	return NULL;
}

int pack_aes_no_access(const char *path, int mode)
{
	(void)path, (void)mode;
	errno = ENOENT;
	return -1;
}

/* In a static program these would load libraries, getpwnam(3) by nsswitch.conf(5); libgpg-error
 * finds home folders by them, which nobody asks for. */
struct passwd *pack_aes_no_user(const char *name)
{
	(void)name;
	errno = ENOENT;
	return NULL;
}

struct passwd *pack_aes_no_uid(uid_t uid)
{
	(void)uid;
	errno = ENOENT;
	return NULL;
}

/* ---- keys ----------------------------------------------------------------------------------- */

struct pack_aes {
	gcry_cipher_hd_t handle;
};

bool pack_aes_is_fast(void)
{
	return sodium_runtime_has_aesni();
}

/* Far more than its constants take; malloc(3) keeps it for the next who asks. */
#define ROOM_BYTES ((size_t)16 << 10)

static int make_room(struct thump_err *err)
{
	/* Or the compiler would leave both calls out. */
	void *volatile room = malloc(ROOM_BYTES);

	if (!room)
		return thump_fail_errno(err, "memory for a cipher");
	free(room);
	return 0;
}

int pack_aes_prepare(struct thump_err *err)
{
	if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P))
		return 0;
	if (make_room(err) < 0)
		return -1;
	gcry_set_allocation_handler(locked_malloc, locked_malloc, is_locked, locked_realloc,
				    locked_free);
	if (!gcry_check_version(GCRYPT_VERSION) ||
	    gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0) != 0)
		return thump_fail(err, "libgcrypt cannot be used here");
	return 0;
}

static int library_failed(gcry_error_t error, struct thump_err *err)
{
	/* Its test of itself takes memory, too, and does not say that there was none. */
	if (gcry_err_code(error) == GPG_ERR_SELFTEST_FAILED && errno)
		return thump_fail_errno(err, "memory for the test of AES-256-OCB");
	return thump_fail(err, "AES-256-OCB of libgcrypt: %s", gcry_strerror(error));
}

int pack_aes_create(const unsigned char key[PACK_AES_KEY_BYTES], struct pack_aes **aes_ret,
		    struct thump_err *err)
{
	struct pack_aes *aes = calloc(1, sizeof(*aes));
	gcry_error_t error;

	if (!aes)
		return thump_fail_errno(err, "memory for a cipher");
	errno = 0;
	error = gcry_cipher_open(&aes->handle, GCRY_CIPHER_AES256, GCRY_CIPHER_MODE_OCB, 0);
	if (!error)
		error = gcry_cipher_setkey(aes->handle, key, PACK_AES_KEY_BYTES);
	if (error) {
		(void)library_failed(error, err);
		pack_aes_destroy(aes);
		return -1;
	}
	*aes_ret = aes;
	return 0;
}

void pack_aes_destroy(struct pack_aes *aes)
{
	if (aes)
		gcry_cipher_close(aes->handle);
	free(aes);
}

/* ---- chunks --------------------------------------------------------------------------------- */

/* Up to where its bytes come; all that comes is the last of it. */
static gcry_error_t begin(struct pack_aes *aes, const struct pack_aes_place *place)
{
	gcry_error_t error = gcry_cipher_reset(aes->handle);

	if (!error)
		error = gcry_cipher_setiv(aes->handle, place->nonce, sizeof(place->nonce));
	if (!error)
		error = gcry_cipher_authenticate(aes->handle, place->data, place->data_size);
	return error ? error : gcry_cipher_final(aes->handle);
}

int pack_aes_seal(struct pack_aes *aes, const struct pack_aes_place *place,
		  const unsigned char *from, size_t size, unsigned char *to, struct thump_err *err)
{
	gcry_error_t error = begin(aes, place);

	if (!error && from == to)
		error = gcry_cipher_encrypt(aes->handle, to, size, NULL, 0);
	else if (!error)
		error = gcry_cipher_encrypt(aes->handle, to, size, from, size);
	if (!error)
		error = gcry_cipher_gettag(aes->handle, to + size, PACK_AES_TAG_BYTES);
	return error ? library_failed(error, err) : 0;
}

bool pack_aes_unseal(struct pack_aes *aes, const struct pack_aes_place *place, unsigned char *bytes,
		     size_t size)
{
	return !begin(aes, place) && !gcry_cipher_decrypt(aes->handle, bytes, size, NULL, 0) &&
	       !gcry_cipher_checktag(aes->handle, bytes + size, PACK_AES_TAG_BYTES);
}
