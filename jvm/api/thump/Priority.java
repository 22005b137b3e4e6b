/* SPDX-License-Identifier: Apache-2.0 */
package thump;

/**
 * The order of the hooks of one {@link Mode}: high to low before a checkpoint, low to high after a restore. Among equals
 * the last one registered is the first before a checkpoint and the last after a restore.
 */
public enum Priority {

    /** The last before a checkpoint, the first after a restore. */
    LOW,

    /** The default. */
    MEDIUM,

    /** The first before a checkpoint, the last after a restore. */
    HIGH
}
