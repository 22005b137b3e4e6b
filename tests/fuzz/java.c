/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of a JVM, whose options come from images, scripts and other products. An input
 * is a list of words, each ended by NUL or newline. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "cli/java.h"

#define MAX_WORDS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct thump_making making = {
		.list = { { "--mode", "0444" } },
		.count = size % 5 == 0,
	};
	const struct thump_java_options options = { .image = size % 2 ? "/i.thump" : NULL,
						    .thump = "/thump",
						    .agent = "/libthump-jvm.so",
						    .making = &making,
						    .then_continue = size % 3 == 0 };
	struct thump_java_command command;
	struct thump_err err = THUMP_ERR_INIT;
	char *text = malloc(size + 1), *words[MAX_WORDS + 2] = { NULL };
	struct thump_arena arena;
	size_t nr_words = 0;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	words[nr_words++] = (char[]){ "java" };
	for (size_t i = 0; i < size && nr_words <= MAX_WORDS; i += strlen(text + i) + 1) {
		text[i + strcspn(text + i, "\n")] = '\0';
		words[nr_words++] = text + i;
	}
	thump_arena_init(&arena);
	(void)!thump_java_command(&arena, words, &options, &command, &err);
	thump_arena_deinit(&arena);
	free(text);
	return 0;
}
