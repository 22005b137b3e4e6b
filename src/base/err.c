/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void append_errno(struct thump_err *err)
{
	size_t used = strlen(err->text);

	if (err->sys_errno != 0 && used + 3 < sizeof(err->text))
		(void)snprintf(err->text + used, sizeof(err->text) - used, ": %s",
			       strerrordesc_np(err->sys_errno) ? strerrordesc_np(err->sys_errno)
							       : "unknown error");
}

void thump_err_set(struct thump_err *err, int code, int sys_errno, const char *fmt, ...)
{
	va_list args;

	err->code = code;
	err->sys_errno = sys_errno;
	va_start(args, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	append_errno(err);
}

void thump_err_context(struct thump_err *err, const char *fmt, ...)
{
	char inner[THUMP_ERR_TEXT_SIZE];
	size_t used;
	va_list args;

	memcpy(inner, err->text, sizeof(inner));
	va_start(args, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	used = strlen(err->text);
	(void)snprintf(err->text + used, sizeof(err->text) - used, ": %.*s",
		       (int)(sizeof(inner) - 1), inner);
}
