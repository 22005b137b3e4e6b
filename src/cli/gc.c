/* SPDX-License-Identifier: Apache-2.0 */
/* `thump gc`: a chunk store without what no image needs. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/report.h"
#include "pack/pack.h"

static const char usage[] =
	"usage: thump gc --store DIR [OPTION...]\n"
	"\n"
	"Remove from the chunk store DIR the chunks that no image needs any more.\n"
	"\n"
	"      --store DIR  the chunk store (thump pack --store)\n"
	"      --keep FILE  a copy of an image, or one that came from another file system: keep "
	"its\n"
	"                   chunks; may be repeated\n"
	"      --dry-run    say what would be removed; remove nothing\n"
	"      --json       print one JSON object on stdout\n"
	"  -h, --help       print this\n"
	"      --version    print thump's version\n"
	"\n"
	"Exit codes: 0 done; 1 failed; 2 usage; 3 an image is for another thump; 4 an image is\n"
	"damaged, so that nothing was removed.\n";

enum { OPT_STORE = THUMP_OPT_VERB, OPT_KEEP, OPT_DRY_RUN };

#define MAX_KEPT 256u

struct collecting {
	struct thump_common common;
	const char *store;
	const char *kept[MAX_KEPT];
	struct thump_gc_options options;
};

static int take_option(void *ctx, int opt)
{
	struct collecting *collecting = ctx;
	struct thump_gc_options *options = &collecting->options;

	switch (opt) {
	case OPT_STORE:
		collecting->store = optarg;
		return -1;
	case OPT_KEEP:
		if (options->nr_kept == MAX_KEPT)
			return thump_usage_error(&collecting->common, "--keep: at most %u images",
						 MAX_KEPT);
		collecting->kept[options->nr_kept++] = optarg;
		return -1;
	case OPT_DRY_RUN:
		options->dry_run = true;
		return -1;
	default:
		return thump_common_option(&collecting->common, opt);
	}
}

static int report(const struct collecting *collecting, const struct thump_gc_stats *stats,
		  const struct thump_err *err)
{
	const struct thump_common *common = &collecting->common;
	const bool dry_run = collecting->options.dry_run;

	if (common->json)
		return thump_print_json(
			json_pack("{s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:o}", "store",
				  thump_json_text(collecting->store), "dry_run", dry_run, "images",
				  (json_int_t)stats->nr_images, "kept_chunks",
				  (json_int_t)stats->nr_chunks, "kept_bytes",
				  (json_int_t)stats->kept_bytes, "removed_chunks",
				  (json_int_t)stats->nr_removed, "removed_bytes",
				  (json_int_t)stats->removed_bytes, "error", thump_json_error(err)),
			err->code);
	thump_print_error(common, err);
	if (err->code == THUMP_OK)
		printf("%s: %" PRIu32 " images need %" PRIu32 " chunks of %.1f MB; %" PRIu32
		       " of %.1f MB %s removed\n",
		       collecting->store, stats->nr_images, stats->nr_chunks,
		       (double)stats->kept_bytes / 1e6, stats->nr_removed,
		       (double)stats->removed_bytes / 1e6, dry_run ? "would be" : "were");
	return thump_end_of_output(err->code);
}

static int verb_gc(int argc, char **argv)
{
	static const struct option options[] = {
		{ "store", required_argument, NULL, OPT_STORE },
		{ "keep", required_argument, NULL, OPT_KEEP },
		{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
		THUMP_COMMON_OPTIONS,
		{ 0 },
	};
	struct collecting collecting = { .common = { .verb = "gc", .usage = usage } };
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_gc_stats stats = { 0 };
	int status = thump_parse_options(&collecting.common, argc, argv, ":h", options, take_option,
					 &collecting);

	if (status >= 0)
		return status;
	if (optind != argc)
		return thump_usage_error(&collecting.common, "%s: nothing but options is expected",
					 argv[optind]);
	if (!collecting.store)
		return thump_usage_error(&collecting.common, "which store? --store DIR is missing");
	collecting.options.kept = collecting.kept;
	(void)!thump_gc(collecting.store, &collecting.options, &stats, &err);
	return report(&collecting, &stats, &err);
}

const struct thump_verb thump_verb_gc = {
	.name = "gc",
	.summary = "remove from a chunk store what no image needs",
	.run = verb_gc,
};
