# SPDX-License-Identifier: Apache-2.0
"""Reads heap dumps of a JVM (HPROF 1.0.2, as documented in the JDK's heapDumper.cpp): every object
with its class and content, and the objects that can be walked to from a class's static fields."""
import struct

UTF8, LOAD_CLASS, HEAP_DUMP, HEAP_DUMP_SEGMENT = 0x01, 0x02, 0x0c, 0x1c
CLASS_DUMP, INSTANCE_DUMP, OBJECT_ARRAY, PRIMITIVE_ARRAY = 0x20, 0x21, 0x22, 0x23
OBJECT = 2
# Codes of struct by type, most significant byte first.
FORMATS = {OBJECT: "Q", 4: "?", 5: "H", 6: "f", 7: "d", 8: "b", 9: "h", 10: "i", 11: "q"}
SIZES = {kind: struct.calcsize(f">{code}") for kind, code in FORMATS.items()}
# Roots: how many bytes follow the identifier.
ROOTS = {0xff: 0, 0x01: 8, 0x02: 8, 0x03: 8, 0x04: 4, 0x05: 0, 0x06: 4, 0x07: 0, 0x08: 8}


class Malformed(Exception):
    pass


class Cursor:
    def __init__(self, data):
        self.data, self.at = memoryview(data), 0

    def take(self, size):
        if self.at + size > len(self.data):
            raise Malformed(f"{size} bytes wanted at {self.at} of {len(self.data)}")
        self.at += size
        return self.data[self.at - size:self.at]

    def value(self, code):
        return struct.unpack(f">{code}", self.take(struct.calcsize(f">{code}")))[0]

    def ended(self):
        return self.at == len(self.data)


class Class:
    def __init__(self, name, parent, statics, fields, content):
        self.name, self.parent, self.statics, self.fields = name, parent, statics, fields
        self.content = content  # the static fields as they are: NaN is equal to itself there


class Dump:
    """objects: identifier -> (class name, content as bytes); the content of an instance is that of
    its own class's fields, then its parent's; of an array, its elements."""

    def __init__(self, path):
        self.names, self.class_names = {}, {}
        self.classes, self.objects, self._class_of = {}, {}, {}
        with open(path, "rb") as file:
            cursor = Cursor(file.read())
        if bytes(cursor.take(19)) != b"JAVA PROFILE 1.0.2\0" or cursor.value("I") != 8:
            raise Malformed("not a heap dump of a 64-bit JVM")
        cursor.take(8)  # when it was made
        while not cursor.ended():
            tag, _, size = cursor.value("B"), cursor.value("I"), cursor.value("I")
            self._record(tag, Cursor(cursor.take(size)))

    def _record(self, tag, body):
        if tag == UTF8:
            key = body.value("Q")
            self.names[key] = bytes(body.data[8:]).decode()
        elif tag == LOAD_CLASS:
            body.value("I")
            key = body.value("Q")
            body.value("I")
            self.class_names[key] = self.names[body.value("Q")]
        elif tag in (HEAP_DUMP, HEAP_DUMP_SEGMENT):
            while not body.ended():
                self._heap_record(body.value("B"), body)

    def _heap_record(self, tag, body):
        if tag in ROOTS:
            body.take(8 + ROOTS[tag])
        elif tag == CLASS_DUMP:
            self._class(body)
        elif tag == INSTANCE_DUMP:
            key, _, kind, size = (body.value(code) for code in "QIQI")
            self._object(key, self.class_names[kind], body.take(size))
            self._class_of[key] = kind
        elif tag == OBJECT_ARRAY:
            key, _, count, kind = (body.value(code) for code in "QIIQ")
            self._object(key, self.class_names[kind], body.take(8 * count))
        elif tag == PRIMITIVE_ARRAY:
            key, _, count, kind = (body.value(code) for code in "QIIB")
            self._object(key, FORMATS[kind] + "[]", body.take(SIZES[kind] * count))
        else:
            raise Malformed(f"heap record {tag:#x}")

    def _object(self, key, name, content):
        if key in self.objects:
            raise Malformed(f"object {key:#x} twice")
        self.objects[key] = (name, bytes(content))

    def _class(self, body):
        key, _, parent = (body.value(code) for code in "QIQ")
        body.take(5 * 8 + 4)
        for _ in range(body.value("H")):
            body.value("H")
            body.take(SIZES[body.value("B")])
        statics, begin = {}, body.at
        for _ in range(body.value("H")):
            name, kind = self.names[body.value("Q")], body.value("B")
            statics[name] = body.value(FORMATS[kind])
        content = bytes(body.data[begin:body.at])
        fields = [(self.names[body.value("Q")], body.value("B")) for _ in range(body.value("H"))]
        self.classes[key] = Class(self.class_names[key], parent, statics, fields,
                                  content)

    # ---- looking around -------------------------------------------------------------------

    def counts(self):
        """class name -> (instances, bytes of content)."""
        totals = {}
        for name, content in self.objects.values():
            instances, size = totals.get(name, (0, 0))
            totals[name] = (instances + 1, size + len(content))
        return totals

    def statics(self, name):
        """All static fields of a class by its name ("a/b/C")."""
        found = [one for one in self.classes.values() if one.name == name]
        if len(found) != 1:
            raise Malformed(f"{len(found)} classes named {name}")
        return found[0].statics

    def fields(self, key):
        """Fields of an instance by name; those of a class hide its parents'."""
        cursor, kind, values = Cursor(self.objects[key][1]), self._class_of[key], {}
        while kind:
            for name, type_code in self.classes[kind].fields:
                values.setdefault(name, cursor.value(FORMATS[type_code]))
            kind = self.classes[kind].parent
        return values

    def array(self, key):
        name, content = self.objects[key]
        code = name[0] if name.endswith("[]") else "Q"
        return list(struct.unpack(f">{len(content) // struct.calcsize('>' + code)}{code}", content))

    def string(self, key):
        fields = self.fields(key)
        content = self.objects[fields["value"]][1]
        return content.decode("utf-16-le" if fields["coder"] else "latin-1")
