/* SPDX-License-Identifier: Apache-2.0 */
/* For LD_PRELOAD: adds a line to the file $PRCTL_LOG for each prctl(PR_SET_PTRACER), with the pid
 * and who may trace it from then on. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void log_tracer(unsigned long tracer)
{
	const char *path = getenv("PRCTL_LOG");
	FILE *log = path ? fopen(path, "ae") : NULL;

	if (!log)
		return;
	(void)fprintf(log, "%d %s\n", (int)getpid(),
		      tracer == PR_SET_PTRACER_ANY ? "any"
		      : tracer == 0		   ? "nobody"
						   : "somebody");
	(void)fclose(log);
}

int prctl(int option, ...)
{
	unsigned long arguments[4];
	va_list list;

	va_start(list, option);
	for (int i = 0; i < 4; i++)
		arguments[i] = va_arg(list, unsigned long);
	va_end(list);
	if (option == PR_SET_PTRACER)
		log_tracer(arguments[0]);
	return (int)syscall(SYS_prctl, option, arguments[0], arguments[1], arguments[2],
			    arguments[3]);
}
