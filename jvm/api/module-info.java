/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Hooks of a program in its checkpoints and restores.
 */
module thump {
    exports thump;
}
