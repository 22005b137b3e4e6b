/* SPDX-License-Identifier: Apache-2.0 */
/* `thump keygen` and `thump sign`. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/cli.h"
#include "cli/keys.h"
#include "cli/report.h"
#include "pack/pack.h"

static const char keygen_usage[] =
	"usage: thump keygen -o FILE [--sign] [OPTION...]\n"
	"\n"
	"Make a new pair of keys: the secret one is written to FILE, the public one printed.\n"
	"\n"
	"  -o, --output FILE    write the secret key to FILE, which must not exist\n"
	"      --sign           for signatures; else for encryption\n"
	"      --json           print one JSON object on stdout\n"
	"  -v, --verbose        say on stderr what the keys are for\n"
	"  -h, --help           print this\n"
	"      --version        print thump's version\n"
	"\n"
	"Exit codes: 0 done; 1 failed; 2 usage.\n";

static const char sign_usage[] =
	"usage: thump sign FILE --key KEY [-o OUT] [OPTION...]\n"
	"\n"
	"Sign the packed image FILE.\n"
	"\n"
	"      --key KEY        sign with the secret key in the file KEY; may be repeated\n"
	"  -o, --output OUT     write the signed image to OUT, not to FILE\n"
	"      --mode MODE      permissions of the signed image, octal (default 0400)\n"
	"      --json           print one JSON object on stdout\n"
	"  -v, --verbose        say on stderr how many signatures there are\n"
	"  -h, --help           print this\n"
	"      --version        print thump's version\n"
	"\n"
	"Exit codes: 0 done; 1 failed; 2 usage; 3 made for another thump or machine;\n"
	"4 FILE is damaged, or not packed.\n";

/* ---- keygen ---------------------------------------------------------------------------- */

enum { OPT_FOR_SIGNING = THUMP_OPT_VERB, OPT_MODE };

struct keygen {
	struct thump_common common;
	const char *path;
	enum thump_key_kind kind;
};

static int take_keygen_option(void *ctx, int opt)
{
	struct keygen *keygen = ctx;

	switch (opt) {
	case 'o':
		keygen->path = optarg;
		return -1;
	case OPT_FOR_SIGNING:
		keygen->kind = THUMP_KEY_SIGN;
		return -1;
	default:
		return thump_common_option(&keygen->common, opt);
	}
}

static int report_keygen(const struct keygen *keygen, const char *public,
			 const struct thump_err *err)
{
	bool done = err->code == THUMP_OK;

	if (keygen->common.json)
		return thump_print_json(json_pack("{s:o, s:o, s:o}", "secret_key",
						  thump_json_text(keygen->path), "public_key",
						  done ? json_string(public) : json_null(), "error",
						  thump_json_error(err)),
					err->code);
	thump_print_error(&keygen->common, err);
	if (done && keygen->common.verbose)
		fprintf(stderr, "thump keygen: for %s\n",
			keygen->kind == THUMP_KEY_SIGN ? "signatures" : "encryption");
	if (done)
		puts(public);
	return thump_end_of_output(err->code);
}

static int verb_keygen(int argc, char **argv)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "sign", no_argument, NULL, OPT_FOR_SIGNING },
		THUMP_COMMON_OPTIONS,
		{ 0 },
	};
	struct keygen keygen = { .common = { .verb = "keygen", .usage = keygen_usage },
				 .kind = THUMP_KEY_DECRYPT };
	int status = thump_parse_options(&keygen.common, argc, argv, ":o:hv", options,
					 take_keygen_option, &keygen);
	struct thump_err err = THUMP_ERR_INIT;
	char public[THUMP_KEY_WORD_MAX];

	if (status >= 0)
		return status;
	if (optind != argc)
		return thump_usage_error(&keygen.common, "no operand is expected");
	if (!keygen.path)
		return thump_usage_error(&keygen.common, "where to? -o FILE is missing");
	(void)!thump_key_generate(keygen.kind, keygen.path, public, &err);
	status = report_keygen(&keygen, public, &err);
	/* Of no use to anybody, and in the way of the next try. */
	if (err.code == THUMP_OK && status != THUMP_OK)
		(void)unlink(keygen.path);
	return status;
}

/* ---- sign ------------------------------------------------------------------------------ */

struct signing {
	struct thump_common common;
	const char *path, *to;
	mode_t mode;
	struct thump_key_words key_words;
};

static int take_sign_option(void *ctx, int opt)
{
	struct signing *signing = ctx;

	switch (opt) {
	case 'o':
		signing->to = optarg;
		return -1;
	case OPT_MODE:
		return thump_mode_option(&signing->common, optarg, &signing->mode);
	default:
		if (thump_key_option(&signing->key_words, opt, optarg))
			return -1;
		return thump_common_option(&signing->common, opt);
	}
}

static int do_sign(const struct signing *signing, struct thump_packed_info *info_ret,
		   struct thump_err *err)
{
	struct thump_keys *keys;
	int failed;

	if (thump_keys_load(&signing->key_words, &keys, err) < 0)
		return -1;
	failed = thump_sign(signing->path, signing->to, signing->mode, keys, info_ret, err);
	thump_keys_destroy(keys);
	return failed;
}

static int report_sign(const struct signing *signing, const struct thump_packed_info *info,
		       const struct thump_err *err)
{
	if (signing->common.json)
		return thump_print_json(
			json_pack("{s:o, s:o, s:i, s:o}", "image", thump_json_text(signing->path),
				  "output", thump_json_text(signing->to), "signatures",
				  (int)info->nr_signatures, "error", thump_json_error(err)),
			err->code);
	thump_print_error(&signing->common, err);
	if (err->code == THUMP_OK && signing->common.verbose)
		fprintf(stderr, "thump sign: %s has %u signature%s\n", signing->to,
			info->nr_signatures, info->nr_signatures == 1 ? "" : "s");
	return err->code;
}

static int verb_sign(int argc, char **argv)
{
	static const struct option options[] = {
		{ "key", required_argument, NULL, THUMP_OPT_SIGN },
		{ "output", required_argument, NULL, 'o' },
		{ "mode", required_argument, NULL, OPT_MODE },
		THUMP_COMMON_OPTIONS,
		{ 0 },
	};
	struct signing signing = { .common = { .verb = "sign", .usage = sign_usage } };
	int status = thump_parse_options(&signing.common, argc, argv, ":o:hv", options,
					 take_sign_option, &signing);
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_packed_info info = { 0 };

	if (status >= 0)
		return status;
	if (optind + 1 != argc)
		return thump_usage_error(&signing.common, "one image is expected");
	if (signing.key_words.count == 0)
		return thump_usage_error(&signing.common, "whose signature? --key KEY is missing");
	signing.path = argv[optind];
	if (!signing.to)
		signing.to = signing.path;
	(void)!do_sign(&signing, &info, &err);
	return report_sign(&signing, &info, &err);
}

const struct thump_verb thump_verb_keygen = {
	.name = "keygen",
	.summary = "make keys to encrypt or sign packed images",
	.run = verb_keygen,
};

const struct thump_verb thump_verb_sign = {
	.name = "sign",
	.summary = "sign a packed image",
	.run = verb_sign,
};
