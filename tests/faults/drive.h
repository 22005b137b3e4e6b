/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the victim and talking to it; what it understands is in victim.h. */
#ifndef THUMP_TESTS_FAULTS_DRIVE_H
#define THUMP_TESTS_FAULTS_DRIVE_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

struct victim {
	pid_t pid;
	FILE *orders, *answers;
	int eintrs, late; /* seen so far */
};

void die(const char *what);
/* savable: with nothing that no image can hold. */
struct victim start_victim(const char *path, bool savable);
/* Number of EINTRs since the last time; -1 when something is wrong with the victim. */
int ask(struct victim *victim, char order);

#endif
