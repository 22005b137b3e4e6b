/* SPDX-License-Identifier: Apache-2.0 */
/* What can be said to a JVM that is restored: -Dkey=value, manageable -XX flags, a main class. */
#include <string.h>

#include "cli/parameters.h"

/* `java -XX:+PrintFlagsFinal | grep manageable` of JDK 17 and 25. The JVM itself may know fewer and
 * says so. */
static const char *const manageable[] = {
	"FullGCHeapDumpLimit",
	"G1PeriodicGCInterval",
	"G1PeriodicGCSystemLoadThreshold",
	"HeapDumpAfterFullGC",
	"HeapDumpBeforeFullGC",
	"HeapDumpGzipLevel",
	"HeapDumpOnOutOfMemoryError",
	"HeapDumpPath",
	"MaxHeapFreeRatio",
	"MinHeapFreeRatio",
	"PrintClassHistogram",
	"PrintConcurrentLocks",
	"ShowCodeDetailsInExceptionMessages",
	"SoftMaxHeapSize",
};

/* +Flag, -Flag or Flag=value */
static bool is_manageable(const char *flag)
{
	bool is_switch = *flag == '+' || *flag == '-';
	const char *name = flag + is_switch;
	size_t len = strcspn(name, "=");

	if (is_switch == (name[len] == '='))
		return false;
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(manageable); i++)
		if (strlen(manageable[i]) == len && strncmp(name, manageable[i], len) == 0)
			return true;
	return false;
}

static int check_option(const char *option, struct thump_err *err)
{
	if (strncmp(option, "-D", 2) == 0 && option[2] != '\0' && option[2] != '=')
		return 0;
	if (strncmp(option, "-XX:", 4) != 0)
		return thump_refuse(err,
				    "%s cannot be changed in a JVM that is restored; what can be: "
				    "-Dkey=value, manageable -XX flags, a main class with its "
				    "arguments",
				    option);
	if (!is_manageable(option + 4))
		return thump_refuse(err,
				    "%s cannot be changed in a JVM that is restored: it is no "
				    "manageable flag (java -XX:+PrintFlagsFinal lists those)",
				    option);
	return 0;
}

int thump_java_check_restore(char *const *arguments, struct thump_err *err)
{
	for (size_t i = 0; arguments[i] && arguments[i][0] == '-'; i++)
		if (check_option(arguments[i], err) < 0)
			return -1;
	return 0;
}
