/* SPDX-License-Identifier: Apache-2.0 */
/* `thump pack` and `thump unpack`: an image for storage and transport, and back. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/keys.h"
#include "cli/report.h"
#include "pack/pack.h"

static const char pack_usage[] =
	"usage: thump pack FILE -o OUT [OPTION...]\n"
	"\n"
	"Make a packed image OUT of the image FILE, for storage and transport.\n"
	"\n"
	"  -o, --output OUT     write the packed image to OUT\n"
	"      --compress METHOD\n"
	"                       zstd (default), zstd:LEVEL (1 to 22), lz4 or none\n"
	"      --encrypt-to KEY encrypt OUT to a recipient: his public key, or a file of such "
	"keys;\n"
	"                       may be repeated\n"
	"      --passphrase-file FILE, --passphrase-fd N\n"
	"                       encrypt OUT with the passphrase that is the first line there\n"
	"      --sign FILE      sign OUT with the secret key in FILE; may be repeated\n"
	"      --store DIR      put the chunks into the chunk store DIR, which is made if need "
	"be,\n"
	"                       and shared by the images of a program\n"
	"      --decrypt-with FILE\n"
	"                       the secret key in FILE opens an encrypted image; may be repeated\n"
	"      --decrypt-passphrase-file FILE, --decrypt-passphrase-fd N\n"
	"                       the passphrase that is the first line there opens it, and not OUT\n"
	"      --mode MODE      permissions of OUT, octal (default 0400)\n"
	"      --json           print one JSON object on stdout\n"
	"  -v, --verbose        say on stderr how small it became, and how fast\n"
	"  -h, --help           print this\n"
	"      --version        print thump's version\n"
	"\n"
	"Exit codes: 0 done; 1 failed; 2 usage; 3 made for another thump or machine;\n"
	"4 FILE is damaged.\n";

static const char unpack_usage[] =
	"usage: thump unpack FILE -o OUT [OPTION...]\n"
	"\n"
	"Make the image OUT of the packed image FILE; FILE may be -, standard input.\n"
	"\n"
	"  -o, --output OUT     write the image to OUT\n"
	"      --decrypt-with FILE\n"
	"                       the secret key in FILE opens an encrypted image; may be repeated\n"
	"      --passphrase-file FILE, --passphrase-fd N\n"
	"                       the passphrase of an encrypted image is the first line there\n"
	"      --store DIR      the chunks of FILE are in the chunk store DIR, not where it says\n"
	"      --mode MODE      permissions of OUT, octal (default 0400)\n"
	"      --json           print one JSON object on stdout\n"
	"  -v, --verbose        say on stderr how big it became, and how fast\n"
	"  -h, --help           print this\n"
	"      --version        print thump's version\n"
	"\n"
	"Exit codes: 0 done; 1 failed; 2 usage; 3 made for another thump or machine;\n"
	"4 FILE is damaged.\n";

enum { OPT_COMPRESS = THUMP_OPT_VERB, OPT_MODE, OPT_OPENING_FILE, OPT_OPENING_FD };

struct packing {
	struct thump_common common;
	const char *from, *to;
	mode_t mode;
	struct thump_compression compression;
	struct thump_key_words key_words;
	struct thump_key_words opening_words; /* what opens `from`, if it is not these */
	struct thump_progress progress;
	uint64_t start_ns;
};

static int take_option(void *ctx, int opt)
{
	struct packing *packing = ctx;

	switch (opt) {
	case 'o':
		packing->to = optarg;
		return -1;
	case OPT_MODE:
		return thump_mode_option(&packing->common, optarg, &packing->mode);
	case OPT_COMPRESS:
		return thump_compression_option(&packing->common, optarg, &packing->compression);
	case OPT_OPENING_FILE:
		(void)thump_key_option(&packing->opening_words, THUMP_OPT_PASSPHRASE_FILE, optarg);
		return -1;
	case OPT_OPENING_FD:
		(void)thump_key_option(&packing->opening_words, THUMP_OPT_PASSPHRASE_FD, optarg);
		return -1;
	default:
		if (thump_key_option(&packing->key_words, opt, optarg))
			return -1;
		return thump_common_option(&packing->common, opt);
	}
}

static int parse(struct packing *packing, int argc, char **argv, const struct option *options)
{
	int status = thump_parse_options(&packing->common, argc, argv, ":o:hv", options,
					 take_option, packing);

	if (status >= 0)
		return status;
	if (optind + 1 != argc)
		return thump_usage_error(&packing->common, "one image is expected");
	if (!packing->to)
		return thump_usage_error(&packing->common, "where to? -o OUT is missing");
	packing->from = argv[optind];
	packing->start_ns = thump_now_ns();
	thump_progress_init(&packing->progress, packing->common.verb);
	return -1;
}

/* Both sizes of one image, and how long it took to make one of the other. `stats` only of what was
 * packed. */
static json_t *result_json(const struct packing *packing, uint64_t raw_bytes, uint64_t packed_bytes,
			   const struct thump_pack_stats *stats, const struct thump_err *err)
{
	json_t *object = json_pack(
		"{s:o, s:o, s:I, s:I, s:o}", "image", thump_json_text(packing->from), "output",
		thump_json_text(packing->to), "raw_bytes", (json_int_t)raw_bytes, "packed_bytes",
		(json_int_t)packed_bytes, "error", thump_json_error(err));

	if (object && stats && packing->key_words.store)
		json_object_set_new(object, "store",
				    json_pack("{s:I, s:I, s:I, s:I}", "chunks",
					      (json_int_t)stats->nr_stored, "bytes",
					      (json_int_t)stats->stored_bytes, "new_chunks",
					      (json_int_t)stats->nr_new, "new_bytes",
					      (json_int_t)stats->new_bytes));
	return object;
}

static void say_stored(const struct packing *packing, const struct thump_pack_stats *stats)
{
	fprintf(stderr,
		"thump pack: %" PRIu32 " chunks of %.1f MB in %s, %" PRIu32
		" of %.1f MB were not there\n",
		stats->nr_stored, (double)stats->stored_bytes / 1e6, packing->key_words.store,
		stats->nr_new, (double)stats->new_bytes / 1e6);
}

static int report(struct packing *packing, uint64_t raw_bytes, uint64_t packed_bytes,
		  const struct thump_pack_stats *stats, const struct thump_err *err)
{
	const struct thump_common *common = &packing->common;
	double seconds = (double)(thump_now_ns() - packing->start_ns) / (double)THUMP_NS_PER_S;

	thump_progress_clear(&packing->progress);
	if (common->json)
		return thump_print_json(result_json(packing, raw_bytes, packed_bytes, stats, err),
					err->code);
	thump_print_error(common, err);
	if (err->code != THUMP_OK || !common->verbose)
		return err->code;
	fprintf(stderr, "thump %s: %.1f MB raw, %.1f MB packed (%.0f%%) in %.3f s (%.0f MB/s)\n",
		common->verb, (double)raw_bytes / 1e6, (double)packed_bytes / 1e6,
		100.0 * (double)packed_bytes / (double)raw_bytes, seconds,
		(double)raw_bytes / 1e6 / seconds);
	if (stats && packing->key_words.store)
		say_stored(packing, stats);
	return err->code;
}

/* What was encrypted is not written as plain text by mistake. */
static int check_stays_encrypted(const struct thump_packed_info *info,
				 const struct thump_keys *keys, struct thump_err *err)
{
	if (!info->encrypted || thump_keys_encrypt(keys))
		return 0;
	return thump_refuse(err, "the image is encrypted, and the packed one would not be "
				 "(--encrypt-to; thump unpack makes a plain one)");
}

static int do_pack(struct packing *packing, struct thump_pack_stats *stats_ret,
		   struct thump_err *err)
{
	struct thump_open_options open_options = { .extent = THUMP_OPEN_ALL };
	struct thump_packed_info info;
	struct thump_pack_options options = {
		.path = packing->to,
		.mode = packing->mode,
		.store = packing->key_words.store,
		.compression = packing->compression,
		.progress = thump_progress_show,
		.progress_ctx = &packing->progress,
	};
	struct thump_image *image = NULL;
	struct thump_keys *keys = NULL, *opening = NULL;
	int failed = thump_keys_load(&packing->key_words, &keys, err);

	if (!failed)
		failed = thump_keys_load(&packing->opening_words, &opening, err);
	options.keys = keys;
	open_options.keys = opening ? opening : keys;
	if (!failed)
		failed = thump_open(packing->from, &open_options, &image, &info, err);
	if (!failed)
		failed = check_stays_encrypted(&info, keys, err);
	if (!failed)
		failed = thump_pack(image, &options, stats_ret, err);
	thump_image_destroy(image);
	thump_keys_destroy(opening);
	thump_keys_destroy(keys);
	return failed;
}

static int verb_pack(int argc, char **argv)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "compress", required_argument, NULL, OPT_COMPRESS },
		{ "decrypt-passphrase-file", required_argument, NULL, OPT_OPENING_FILE },
		{ "decrypt-passphrase-fd", required_argument, NULL, OPT_OPENING_FD },
		{ "mode", required_argument, NULL, OPT_MODE },
		THUMP_SEAL_OPTIONS,
		THUMP_DECRYPT_OPTIONS,
		THUMP_STORE_OPTION,
		THUMP_PASSPHRASE_OPTIONS,
		THUMP_COMMON_OPTIONS,
		{ 0 },
	};
	struct packing packing = { .common = { .verb = "pack", .usage = pack_usage },
				   .compression = thump_compression_default };
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_pack_stats stats = { 0 };
	int status = parse(&packing, argc, argv, options);

	if (status >= 0)
		return status;
	(void)!do_pack(&packing, &stats, &err);
	return report(&packing, stats.raw_bytes, stats.file_bytes, &stats, &err);
}

static int do_unpack(struct packing *packing, struct thump_packed_info *info_ret,
		     struct thump_err *err)
{
	struct thump_unpack_options options = {
		.path = packing->to,
		.mode = packing->mode,
		.store = packing->key_words.store,
		.progress = thump_progress_show,
		.progress_ctx = &packing->progress,
	};
	struct thump_keys *keys;
	int failed;

	if (thump_keys_load(&packing->key_words, &keys, err) < 0)
		return -1;
	options.keys = keys;
	failed = thump_unpack(packing->from, &options, info_ret, err);
	thump_keys_destroy(keys);
	return failed;
}

static int verb_unpack(int argc, char **argv)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "mode", required_argument, NULL, OPT_MODE },
		THUMP_DECRYPT_OPTIONS,
		THUMP_STORE_OPTION,
		THUMP_PASSPHRASE_OPTIONS,
		THUMP_COMMON_OPTIONS,
		{ 0 },
	};
	struct packing packing = { .common = { .verb = "unpack", .usage = unpack_usage } };
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_packed_info info = { 0 };
	int status = parse(&packing, argc, argv, options);

	if (status >= 0)
		return status;
	(void)!do_unpack(&packing, &info, &err);
	return report(&packing, info.raw_bytes, info.file_bytes, NULL, &err);
}

const struct thump_verb thump_verb_pack = {
	.name = "pack",
	.summary = "make a small image for storage and transport",
	.run = verb_pack,
};

const struct thump_verb thump_verb_unpack = {
	.name = "unpack",
	.summary = "make an image of a packed one",
	.run = verb_unpack,
};
