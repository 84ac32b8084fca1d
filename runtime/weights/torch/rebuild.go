package torch

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// storageTypes are the storage classes with the safetensors name and the size of
// an element.
var storageTypes = []struct {
	class, dtype string
	elem         int
}{
	{"FloatStorage", "F32", 4}, {"HalfStorage", "F16", 2}, {"BFloat16Storage", "BF16", 2}, {"DoubleStorage", "F64", 8},
	{"LongStorage", "I64", 8}, {"IntStorage", "I32", 4}, {"ShortStorage", "I16", 2}, {"CharStorage", "I8", 1},
	{"ByteStorage", "U8", 1}, {"BoolStorage", "BOOL", 1},
}

// Globals that may be named besides the storage classes.
var (
	rebuildTensor    = global{"torch._utils", "_rebuild_tensor_v2"}
	rebuildParameter = global{"torch._utils", "_rebuild_parameter"}
	orderedDict      = global{"collections", "OrderedDict"}
	defaultDict      = global{"collections", "defaultdict"}
	torchSize        = global{"torch", "Size"}
	torchDevice      = global{"torch", "device"}
	dictClass        = global{"builtins", "dict"}
)

// allowed reports whether a global is known here.
func allowed(g global) bool {
	switch g {
	case rebuildTensor, rebuildParameter, orderedDict, defaultDict, torchSize, torchDevice, dictClass:
		return true
	}
	if g.module != "torch" {
		return false
	}
	for _, t := range storageTypes {
		if g.name == t.class {
			return true
		}
	}
	switch g.name { // element types, as values of a config stored with the weights
	case "float32", "float16", "bfloat16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool":
		return true
	}
	return false
}

// global pushes a class or a function; any but the few above is rejected.
func (m *machine) global(op byte) error {
	var g global
	var err error
	if op == 'c' {
		if g.module, err = m.line(); err == nil {
			g.name, err = m.line()
		}
	} else {
		var name, module any
		if name, err = m.pop(); err == nil {
			module, err = m.pop()
		}
		var ok1, ok2 bool
		g.name, ok1 = name.(string)
		g.module, ok2 = module.(string)
		if err == nil && !(ok1 && ok2) {
			err = errors.New("the name of a class is not a string")
		}
	}
	if err != nil {
		return err
	}
	if !allowed(g) {
		return fmt.Errorf("it imports %.80q, but a file of weights needs only tensors and dicts; no code was executed\n  = help: save the state dict alone: torch.save(model.state_dict(), …), or as safetensors", g.String())
	}
	return m.push(g)
}

// persistent resolves ('storage', class, key, device, elements).
func (m *machine) persistent() error {
	v, err := m.pop()
	if err != nil {
		return err
	}
	id, ok := v.(tuple)
	if !ok || len(id) != 5 || id[0] != "storage" {
		return errors.New("a persistent id is not a storage")
	}
	class, ok1 := id[1].(global)
	key, ok2 := id[2].(string)
	numel, ok3 := id[4].(int)
	if !ok1 || !ok2 || !ok3 || numel < 0 || strings.ContainsAny(key, "/\\") {
		return errors.New("a storage has an unknown description")
	}
	for _, t := range storageTypes {
		if class.module != "torch" || class.name != t.class {
			continue
		}
		if s := m.storages[key]; s != nil {
			if s.dtype != t.dtype || s.numel != numel {
				return fmt.Errorf("the storage %q is %d of %s here, %d of %s elsewhere", key, numel, t.dtype, s.numel, s.dtype)
			}
			return m.push(s)
		}
		data, err := m.archive.record(m.archive.root + "data/" + key)
		if err != nil {
			return err
		}
		if len(data)/t.elem != numel || len(data)%t.elem != 0 {
			return fmt.Errorf("the storage %q has %d elements of %d bytes, but its record has %d bytes", key, numel, t.elem, len(data))
		}
		s := &storage{t.dtype, t.elem, numel, data}
		m.storages[key] = s
		return m.push(s)
	}
	return fmt.Errorf("the class %[2]s of the storage %[1]q is not supported", key, class)
}

// reduce makes the value that a call would return.
func (m *machine) reduce() error {
	v, err := m.pop()
	if err != nil {
		return err
	}
	f, err := m.pop()
	if err != nil {
		return err
	}
	args, ok := v.(tuple)
	if !ok {
		return errors.New("the arguments of a call are not a tuple")
	}
	switch f {
	case rebuildTensor:
		t, err := newTensor(args)
		if err != nil {
			return err
		}
		return m.push(t)
	case rebuildParameter: // (data, requires_grad, hooks)
		if len(args) < 1 {
			return errors.New("a parameter without a tensor")
		}
		t, ok := args[0].(*tensor)
		if !ok {
			return fmt.Errorf("a parameter wraps %s, not a tensor", kind(args[0]))
		}
		return m.push(t)
	case orderedDict, defaultDict, dictClass:
		d, err := m.filled(args)
		if err != nil {
			return err
		}
		return m.push(d)
	case torchSize, torchDevice:
		return m.push(opaque{"a size or device"})
	}
	return fmt.Errorf("it calls %s, which is not supported", kind(f))
}

// filled is a dict made of a list of pairs, as in older protocols. A list can be
// recalled from the memo and copied many times, so the pairs are counted.
func (m *machine) filled(args tuple) (*dict, error) {
	d := newDict()
	for _, a := range args {
		pairs, _ := a.(*list)
		if pairs == nil {
			continue
		}
		if m.copied += len(pairs.items); m.copied > maxStack {
			return nil, fmt.Errorf("dicts are given more than %d pairs", maxStack)
		}
		for _, p := range pairs.items {
			pair, ok := p.(tuple)
			if l, isList := p.(*list); isList {
				pair, ok = l.items, true
			}
			if !ok || len(pair) != 2 {
				return nil, errors.New("a dict is given items that are not pairs")
			}
			if err := d.set(pair); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

// newTensor validates (storage, offset, size, stride, …): all elements must be
// inside the storage, and no more than the storage has. After expand they would be
// more, and could require any amount of memory.
func newTensor(args tuple) (*tensor, error) {
	if len(args) < 4 {
		return nil, fmt.Errorf("a tensor has %d arguments", len(args))
	}
	s, ok1 := args[0].(*storage)
	offset, ok2 := args[1].(int)
	shape, ok3 := ints(args[2])
	stride, ok4 := ints(args[3])
	if !ok1 || !ok2 || !ok3 || !ok4 || offset < 0 || len(shape) != len(stride) || len(shape) > 8 {
		return nil, errors.New("a tensor has an unknown description")
	}
	n, last := 1, offset
	for i, d := range shape {
		if d == 0 {
			return &tensor{s, 0, shape, stride}, nil
		}
		if d > math.MaxInt32 || stride[i] > math.MaxInt/4/d || n > math.MaxInt32*16/d {
			return nil, fmt.Errorf("a tensor of shape %v and strides %v is invalid", shape, stride)
		}
		n *= d
		last += (d - 1) * stride[i]
		if last < 0 {
			return nil, fmt.Errorf("a tensor of shape %v and strides %v is invalid", shape, stride)
		}
	}
	if last >= s.numel {
		return nil, fmt.Errorf("a tensor of shape %v and strides %v at offset %d exceeds its storage of %d elements", shape, stride, offset, s.numel)
	}
	if n > s.numel {
		return nil, fmt.Errorf("a tensor of shape %v repeats the %d elements of its storage; call contiguous() before saving", shape, s.numel)
	}
	return &tensor{s, offset, shape, stride}, nil
}

// ints reads a tuple of non-negative integers.
func ints(v any) ([]int, bool) {
	t, ok := v.(tuple)
	out := []int{}
	for _, x := range t {
		n, isInt := x.(int)
		if !isInt || n < 0 {
			return nil, false
		}
		out = append(out, n)
	}
	return out, ok
}
