package mindspore

// types are MindSpore's names of element types, what safetensors calls them,
// and their sizes in bytes (MindSpore python/mindspore/train/serialization.py,
// tensor_to_ms_type). Text is UTF-32.
var types = []struct {
	name, dtype string
	size        int
}{
	{"Float32", "F32", 4}, {"Float16", "F16", 2}, {"BFloat16", "BF16", 2}, {"Float64", "F64", 8},
	{"Int8", "I8", 1}, {"UInt8", "U8", 1}, {"Int16", "I16", 2}, {"UInt16", "U16", 2},
	{"Int32", "I32", 4}, {"UInt32", "U32", 4}, {"Int64", "I64", 8}, {"UInt64", "U64", 8},
	{"Bool", "BOOL", 1}, {"Int4", "I4", 0}, {"str", "STR", 4},
}

// typeOf finds a type by MindSpore's name.
func typeOf(name string) (dtype string, size int, ok bool) {
	for _, t := range types {
		if t.name == name {
			return t.dtype, t.size, true
		}
	}
	return "", 0, false
}

// typeName finds MindSpore's name of a type.
func typeName(dtype string) (name string, size int, ok bool) {
	for _, t := range types {
		if t.dtype == dtype {
			return t.name, t.size, true
		}
	}
	return "", 0, false
}

// ElemSize is the number of bytes of an element of a type, as safetensors
// spells it.
func ElemSize(dtype string) (int, bool) {
	_, size, ok := typeName(dtype)
	return size, ok && size > 0
}
