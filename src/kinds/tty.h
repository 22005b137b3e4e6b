/* SPDX-License-Identifier: Apache-2.0 */
/* What terminals and masters of pseudoterminals share. */
#ifndef THUMP_KINDS_TTY_H
#define THUMP_KINDS_TTY_H

#include <sys/ioctl.h>

#include "kinds/capture.h"

/* ioctl(2) that fills `value`; *result_ret is 0 or -errno. tty.c */
THUMP_MUST_CHECK int thump_tty_ask(struct thump_access *access, unsigned long request, void *value,
				   size_t size_bytes, long *result_ret, struct thump_err *err);

/* u8 1 and MODES, or u8 0 where it has hung up; *modes_ret is all zero then. */
THUMP_MUST_CHECK int thump_tty_capture_modes(struct thump_access *access, struct thump_buf *record,
					     bool *there_ret, struct thump_err *err);
/* False when there are none. */
bool thump_tty_decode_modes(struct thump_reader *r, struct thump_tty_modes *modes);

/* WINDOW: u16 rows, columns, and width and height in pixels (TIOCGWINSZ). */
THUMP_MUST_CHECK int thump_tty_capture_window(struct thump_access *access, struct thump_buf *record,
					      struct thump_err *err);
void thump_tty_decode_window(struct thump_reader *r, struct winsize *window_ret);

/* ---- pty.c -------------------------------------------------------------------------------- */

/* Is this the other end of a master that the process holds, too? */
bool thump_pty_is_inside(const struct thump_fd_capture *cap, const struct thump_fd_facts *facts);

/* The number of pseudoterminal /dev/pts/N. */
uint32_t thump_pty_number(const struct thump_fd_facts *facts);

/* Another description of the terminal whose master had this number; makes the master when it is not
 * there yet. CLOEXEC. */
THUMP_MUST_CHECK int thump_pty_open_other_end(struct thump_fd_rebuild *rb, uint32_t number,
					      int flags, int *fd_ret, struct thump_err *err);

/* Does the image have the master with this number? */
bool thump_pty_has_master(const struct thump_fd_rebuild *rb, uint32_t number);

#endif
