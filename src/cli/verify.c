/* SPDX-License-Identifier: Apache-2.0 */
/* `thump verify`: every rule of docs/FORMAT.md and every checksum. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/keys.h"
#include "cli/report.h"
#include "pack/pack.h"

static const char usage[] =
	"usage: thump verify FILE [--record] [--json]\n"
	"\n"
	"Check every byte of an image, packed or not; FILE may be -, standard input.\n"
	"\n"
	"      --key KEYS   the image must be signed by one of KEYS: a public key, or a file of "
	"such\n"
	"                   keys; may be repeated\n"
	"      --decrypt-with FILE\n"
	"                   the secret key in FILE opens an encrypted image; may be repeated\n"
	"      --passphrase-file FILE, --passphrase-fd N\n"
	"                   the passphrase of an encrypted image is the first line there\n"
	"      --store DIR  its chunks are in the chunk store DIR, not where FILE says\n"
	"      --record     note in FILE.verified that it is whole, for restores where FILE lies\n"
	"                   on a read-only mount, as in a container\n"
	"      --json       print one JSON object on stdout\n"
	"  -v, --verbose    say on stderr what was checked, and how fast\n"
	"  -h, --help       print this\n"
	"      --version    print thump's version\n"
	"\n"
	"Exit codes: 0 the image is whole; 1 it cannot be read; 2 usage; 3 it is "
	"made\nfor another thump or machine; 4 it is damaged.\n";

static int print_json(const char *path, uint64_t size_bytes, const struct thump_err *err)
{
	json_t *size = size_bytes ? json_integer((json_int_t)size_bytes) : json_null();

	return thump_print_json(json_pack("{s:o, s:b, s:o, s:o}", "image", thump_json_text(path),
					  "whole", err->code == THUMP_OK, "size_bytes", size,
					  "error", thump_json_error(err)),
				err->code);
}

static void print_verbose(const struct thump_image *image, uint64_t start_ns)
{
	const struct thump_model *model = thump_image_model(image);
	double seconds = (double)(thump_now_ns() - start_ns) / (double)THUMP_NS_PER_S;

	fprintf(stderr,
		"thump verify: %" PRIu32 " threads, %" PRIu32 " mappings, %" PRIu32
		" descriptors; %.1f MB in %.3f s (%.0f MB/s)\n",
		model->nr_tasks, model->nr_vmas, model->nr_fds,
		(double)thump_image_size(image) / 1e6, seconds,
		(double)thump_image_size(image) / 1e6 / seconds);
}

struct verify {
	struct thump_common common;
	bool record;
	struct thump_key_words key_words;
};

enum { OPT_RECORD = THUMP_OPT_VERB };

static int take_option(void *ctx, int opt)
{
	struct verify *verify = ctx;

	if (thump_key_option(&verify->key_words, opt, optarg))
		return -1;
	if (opt != OPT_RECORD)
		return thump_common_option(&verify->common, opt);
	verify->record = true;
	return -1;
}

/* A record must not outlive the content that it was made for. */
static int check_and_record(struct thump_image *image, struct thump_progress *progress, bool record,
			    struct thump_err *err)
{
	struct thump_err forgotten = THUMP_ERR_INIT;

	if (record && thump_image_is_unpacked(image))
		return thump_fail(err, "--record is for an image as a restore maps it: not for a "
				       "packed one, and not for standard input");
	if (thump_image_verify(image, thump_progress_show, progress, err) == 0)
		return record ? thump_image_record(image, err) : 0;
	if (record && thump_image_forget_record(image, &forgotten) < 0)
		return thump_add_context(err, "its record stays (%s)", forgotten.text);
	return -1;
}

static int verify_image(const struct verify *verify, const char *path)
{
	const struct thump_common *common = &verify->common;
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_image *image = NULL;
	struct thump_keys *keys = NULL;
	struct thump_packed_info packed = { 0 };
	struct thump_progress progress;
	struct thump_open_options options = {
		.extent = THUMP_OPEN_ALL,
		.progress = thump_progress_show,
		.progress_ctx = &progress,
	};
	uint64_t size_bytes = 0, start_ns = thump_now_ns();
	int failed;

	thump_progress_init(&progress, "verify");
	failed = thump_keys_load(&verify->key_words, &keys, &err);
	options.keys = keys;
	options.store = verify->key_words.store;
	if (!failed)
		failed = thump_open(path, &options, &image, &packed, &err);
	if (!failed) {
		size_bytes = packed.raw_bytes ? packed.file_bytes : thump_image_size(image);
		failed = check_and_record(image, &progress, verify->record, &err);
	}
	thump_progress_clear(&progress);
	if (!failed && common->verbose)
		print_verbose(image, start_ns);
	thump_image_destroy(image);
	thump_keys_destroy(keys);
	if (common->json)
		return print_json(path, size_bytes, &err);
	thump_print_error(common, &err);
	if (!failed)
		printf("%s is whole: %llu bytes\n", path, (unsigned long long)size_bytes);
	return err.code;
}

static int verb_verify(int argc, char **argv)
{
	static const struct option options[] = {
		{ "record", no_argument, NULL, OPT_RECORD },
		{ "key", required_argument, NULL, THUMP_OPT_SIGNED_BY },
		THUMP_DECRYPT_OPTIONS,
		THUMP_STORE_OPTION,
		THUMP_PASSPHRASE_OPTIONS,
		THUMP_COMMON_OPTIONS,
		{ 0 },
	};
	struct verify verify = { .common = { .verb = "verify", .usage = usage } };
	int status = thump_parse_options(&verify.common, argc, argv, ":hv", options, take_option,
					 &verify);

	if (status >= 0)
		return status;
	if (optind + 1 != argc)
		return thump_usage_error(&verify.common, "one image is expected");
	return verify_image(&verify, argv[optind]);
}

const struct thump_verb thump_verb_verify = {
	.name = "verify",
	.summary = "check every byte of an image",
	.run = verb_verify,
};
