/* SPDX-License-Identifier: Apache-2.0 */
/* The page of a program that asks for its checkpoint, and its table of ranges. An input is the head
 * of the page up to its text, and then the table, which this process has in its own memory. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/coord.h"
#include "coord/abi.h"

#define HEAD offsetof(struct thump_coord_page, text)

static void read_ranges(const struct thump_coord_page *page, uint32_t advice)
{
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_range *ranges = NULL;
	size_t count;

	if (thump_coord_ranges(getpid(), page, advice, &ranges, &count, &err) == 0)
		free(ranges);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct thump_coord_page page;
	struct thump_coord_page read;
	struct thump_err err = THUMP_ERR_INIT;
	size_t table_size;
	uint8_t *table;

	if (size < HEAD)
		return 0;
	table_size = size - HEAD;
	table = malloc(table_size ? table_size : 1);
	if (!table)
		return 0;
	memcpy(&page, data, HEAD);
	memcpy(table, data + HEAD, table_size);
	/* An address in the input would never be one of ours. */
	if (page.ranges_addr)
		page.ranges_addr = (uintptr_t)table;
	/* Reading behind the table is not our fault: it is in the program's own memory. */
	if (page.range_size_bytes && page.nr_ranges > table_size / page.range_size_bytes)
		page.nr_ranges = (uint32_t)(table_size / page.range_size_bytes);
	if (thump_coord_read(getpid(), (uintptr_t)&page, &read, &err) == 0) {
		read_ranges(&read, THUMP_COORD_NEEDLESS);
		read_ranges(&read, THUMP_COORD_VOUCHED);
	}
	free(table);
	return 0;
}
