/* SPDX-License-Identifier: Apache-2.0 */
package thump.jvm;

/**
 * What the agent does in C. Registered by the agent with RegisterNatives before any of it can be called.
 */
final class Native {

    private Native() {
    }

    /** Whether the agent knows where to write an image and how to start thump. */
    static native boolean canCheckpoint();

    /**
     * Asks the engine to save this process and blocks until it has. Returns twice: in the original process and in
     * every restored one. All other application threads are suspended meanwhile; in a restored process the random
     * generators of the JDK have fresh state before any of them runs.
     *
     * @param dryRun only find out what would be refused
     * @param refused what resources threw, as text for who asked from outside, or null
     * @return what was refused, one problem a line, or null when the image was made
     */
    static native String capture(boolean dryRun, String refused);

    /** Whether this process was made from an image by the last {@link #capture}. */
    static native boolean wasRestored();

    /** Defines {@link ManagementComponent}, after java.management exports what it implements. */
    static native Class<?> defineManagementComponent();

    /** Puts a component into the JDK's list of platform MXBeans. */
    static native void addPlatformComponent(String objectName, Object component);
}
