/* SPDX-License-Identifier: Apache-2.0 */
/** A program in a module, which needs org.crac as one. */
module com.acme {
    requires org.crac;
    requires java.management;
}
