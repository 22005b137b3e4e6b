/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking through the text of /proc files. A cursor is a `const char *` into a NUL-terminated
 * text; the take functions move it past what they took and leave it alone when they fail.
 */
#ifndef THUMP_PROC_TEXT_H
#define THUMP_PROC_TEXT_H

#include "base/err.h"

/* One line without its newline; false at the end of the text. */
bool thump_text_line(const char **at, const char **line_ret, size_t *len_ret);

/* Digits of base 8, 10 or 16, without sign or prefix; false when there is none or on overflow. */
bool thump_text_u64(const char **at, unsigned base, uint64_t *value_ret);

/* The same with an optional '-'. */
bool thump_text_i64(const char **at, int64_t *value_ret);

bool thump_text_char(const char **at, char wanted);

/* Whether a word is one of a list, which is parted by commas; the words of an empty list are one,
 * which is empty. */
bool thump_text_lists(const char *list, size_t list_len, const char *word, size_t word_len);

/* Spaces and tabs; always succeeds. */
void thump_text_blanks(const char **at);

/*
 * The value of a line "KEY:<blanks>VALUE" or "KEY<blanks>:<blanks>VALUE" (as in /proc/PID/sched);
 * a pointer into the text, ended by newline or NUL. NULL when there is no such line.
 */
const char *thump_text_value(const char *text, const char *key);

/* Value of such a line as one number; false when it is missing or malformed. */
bool thump_text_value_u64(const char *text, const char *key, unsigned base, uint64_t *value_ret);

#endif
