/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a restored program was busy with itself before it went on as before: what `thump restore
 * -v` asks it to say. A reading of the clock costs less than what is between two of them, so they
 * are always taken. They are the machine's, not the program's, whose clock stands still for a part.
 */
#include <stdio.h>
#include <string.h>

#include "agent.h"

void times_note(struct agent *agent, enum moment moment)
{
	agent->moments_ns[moment] = agent_now_ns(CLOCK_MONOTONIC);
}

void times_asked(struct agent *agent)
{
	const char *asked = parameters_next(agent, THUMP_COORD_SAY_OPTION "times=", NULL);

	agent->says_times = asked && strcmp(asked, "yes") == 0;
}

static double between_ms(const struct agent *agent, enum moment from, enum moment to)
{
	return (double)(agent->moments_ns[to] - agent->moments_ns[from]) / 1e6;
}

/* From the moment before it. */
static double ms(const struct agent *agent, enum moment moment)
{
	return between_ms(agent, moment - 1, moment);
}

void times_say(const struct agent *agent)
{
	if (!agent->says_times)
		return;
	(void)fprintf(stderr,
		      "thump: restored: the JVM left its safepoint in %.3f ms, its own fixes took "
		      "%.3f (randomness %.3f, environment and process %.3f, ports %.3f, "
		      "properties %.3f), single-threaded hooks %.3f, threads %.3f, other hooks "
		      "%.3f\n",
		      ms(agent, MOMENT_OUTSIDE),
		      between_ms(agent, MOMENT_OUTSIDE, MOMENT_PROPERTIES),
		      ms(agent, MOMENT_RANDOM), ms(agent, MOMENT_CHANGES), ms(agent, MOMENT_PORTS),
		      ms(agent, MOMENT_PROPERTIES), ms(agent, MOMENT_SINGLE),
		      ms(agent, MOMENT_RESUMED), ms(agent, MOMENT_HOOKS));
}
