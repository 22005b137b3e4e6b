/* SPDX-License-Identifier: Apache-2.0 */
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/**
 * Says "ready" when it has drawn from OpenSSL's generators, and what it draws for each line on standard input. Run from
 * its source.
 */
public final class OpenSsl {

    private OpenSsl() {
    }

    private static String draw(MethodHandle function, MemorySegment bytes) throws Throwable {
        if ((int) function.invokeExact(bytes, (int) bytes.byteSize()) != 1) {
            throw new IllegalStateException("OpenSSL gives no random bytes");
        }
        return Long.toHexString(bytes.get(ValueLayout.JAVA_LONG, 0));
    }

    public static void main(String[] args) throws Throwable {
        SymbolLookup library = SymbolLookup.libraryLookup(Path.of(args[0]), Arena.global());
        FunctionDescriptor signature = FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS,
                ValueLayout.JAVA_INT);
        MethodHandle common = Linker.nativeLinker().downcallHandle(library.find("RAND_bytes").get(), signature);
        MethodHandle secret = Linker.nativeLinker().downcallHandle(library.find("RAND_priv_bytes").get(), signature);
        MemorySegment bytes = Arena.global().allocate(ValueLayout.JAVA_LONG);
        draw(common, bytes);
        draw(secret, bytes);
        System.out.println("ready");
        while (System.in.read() >= 0) {
            System.out.println(draw(common, bytes) + " " + draw(secret, bytes));
        }
    }
}
