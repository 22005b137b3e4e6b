/* SPDX-License-Identifier: Apache-2.0 */
package thump;

/**
 * A registered {@link Hook}.
 */
public interface Registration extends AutoCloseable {

    /** Takes the hook back. It is still called in a checkpoint that has already begun. */
    @Override
    void close();
}
