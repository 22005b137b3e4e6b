/* SPDX-License-Identifier: Apache-2.0 */
/* Which libraries are taken for OpenSSL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coord/openssl.h"

static void openssl_is_known_by_its_names(void **state)
{
	(void)state;
	assert_true(thump_openssl_is("/usr/lib/x86_64-linux-gnu/libcrypto.so.3"));
	assert_true(thump_openssl_is("libcrypto.so"));
	assert_true(thump_openssl_is("/venv/cryptography.libs/libcrypto-1a2b3c4d.so.3"));
	assert_true(thump_openssl_is("/usr/lib/ossl-modules/fips.so"));
}

static void others_are_not(void **state)
{
	(void)state;
	assert_false(thump_openssl_is("/usr/lib/libcryptopp.so.8"));
	assert_false(thump_openssl_is("/usr/lib/libcryptsetup.so.12"));
	assert_false(thump_openssl_is("/usr/lib/libcrypto"));
	assert_false(thump_openssl_is("/opt/libcrypto.so.3/libssl.so.3"));
	assert_false(thump_openssl_is(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(openssl_is_known_by_its_names),
		cmocka_unit_test(others_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
