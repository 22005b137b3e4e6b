/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/text.h"

#include <string.h>

bool thump_text_line(const char **at, const char **line_ret, size_t *len_ret)
{
	const char *end;

	if (**at == '\0')
		return false;
	end = strchrnul(*at, '\n');
	*line_ret = *at;
	*len_ret = (size_t)(end - *at);
	*at = *end ? end + 1 : end;
	return true;
}

bool thump_text_lists(const char *list, size_t list_len, const char *word, size_t word_len)
{
	const char *end = list + list_len;

	for (;;) {
		const char *comma = memchr(list, ',', (size_t)(end - list));
		const char *stop = comma ? comma : end;

		if ((size_t)(stop - list) == word_len && memcmp(list, word, word_len) == 0)
			return true;
		if (!comma)
			return false;
		list = comma + 1;
	}
}

/* Value of a digit, or 255. */
static unsigned digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned)(c - 'A') + 10;
	return 255;
}

bool thump_text_u64(const char **at, unsigned base, uint64_t *value_ret)
{
	const char *p = *at;
	uint64_t value = 0;

	if (digit_value(*p) >= base)
		return false;
	for (; digit_value(*p) < base; p++) {
		if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit_value(*p), &value))
			return false;
	}
	*at = p;
	*value_ret = value;
	return true;
}

bool thump_text_i64(const char **at, int64_t *value_ret)
{
	const char *p = *at;
	bool negative = thump_text_char(&p, '-');
	uint64_t value;

	if (!thump_text_u64(&p, 10, &value) || value > (uint64_t)INT64_MAX)
		return false;
	*at = p;
	*value_ret = negative ? -(int64_t)value : (int64_t)value;
	return true;
}

bool thump_text_char(const char **at, char wanted)
{
	if (**at != wanted || wanted == '\0')
		return false;
	(*at)++;
	return true;
}

void thump_text_blanks(const char **at)
{
	while (**at == ' ' || **at == '\t')
		(*at)++;
}

const char *thump_text_value(const char *text, const char *key)
{
	size_t key_len = strlen(key), len;
	const char *at = text, *line;

	while (thump_text_line(&at, &line, &len)) {
		const char *p = line + key_len;

		if (len < key_len || memcmp(line, key, key_len) != 0)
			continue;
		thump_text_blanks(&p);
		if (!thump_text_char(&p, ':'))
			continue;
		thump_text_blanks(&p);
		return p;
	}
	return NULL;
}

bool thump_text_value_u64(const char *text, const char *key, unsigned base, uint64_t *value_ret)
{
	const char *p = thump_text_value(text, key);

	return p && thump_text_u64(&p, base, value_ret);
}
