# SPDX-License-Identifier: Apache-2.0
"""What the tests of kinds and scenarios share: worlds (a user, a directory, processes that end with
the test), waiting for events, snapshots of /proc, and thump's verbs."""
