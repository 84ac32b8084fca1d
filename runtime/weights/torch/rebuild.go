package torch

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// storageTypes are the classes of storages, with what safetensors calls their
// elements, and the bytes of one.
var storageTypes = []struct {
	class, dtype string
	elem         int
}{
	{"FloatStorage", "F32", 4}, {"HalfStorage", "F16", 2}, {"BFloat16Storage", "BF16", 2}, {"DoubleStorage", "F64", 8},
	{"LongStorage", "I64", 8}, {"IntStorage", "I32", 4}, {"ShortStorage", "I16", 2}, {"CharStorage", "I8", 1},
	{"ByteStorage", "U8", 1}, {"BoolStorage", "BOOL", 1},
}

// What may be named beside the storages of torch.
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
	switch g.name { // element types, as values of a config beside the weights
	case "float32", "float16", "bfloat16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool":
		return true
	}
	return false
}

// global names a class or a function; anything but the few above is refused.
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
			err = errors.New("it names a class by what is no text")
		}
	}
	if err != nil {
		return err
	}
	if !allowed(g) {
		return fmt.Errorf("it asks for %.80q, and a file of weights needs no more than tensors and dicts; nothing was run\n  = help: save the state dict alone: torch.save(model.state_dict(), …), or as safetensors", g.String())
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
		return errors.New("it refers to what is no storage")
	}
	class, ok1 := id[1].(global)
	key, ok2 := id[2].(string)
	numel, ok3 := id[4].(int)
	if !ok1 || !ok2 || !ok3 || numel < 0 || strings.ContainsAny(key, "/\\") {
		return errors.New("a storage is described in another form")
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
			return fmt.Errorf("the storage %q is said to have %d elements of %d bytes, its record has %d bytes", key, numel, t.elem, len(data))
		}
		s := &storage{t.dtype, t.elem, numel, data}
		m.storages[key] = s
		return m.push(s)
	}
	return fmt.Errorf("the storage %q is of the class %s, which is not read", key, class)
}

// reduce makes what a call would.
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
		return errors.New("it calls with what are no arguments")
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
			return fmt.Errorf("a parameter is made of %s", kind(args[0]))
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
	return fmt.Errorf("it calls %s, which is not done", kind(f))
}

// filled is a dict made of a list of pairs, the form of older protocols. A
// list can be recalled and copied many times, so the pairs are counted.
func (m *machine) filled(args tuple) (*dict, error) {
	d := newDict()
	for _, a := range args {
		pairs, _ := a.(*list)
		if pairs == nil {
			continue
		}
		if m.copied += len(pairs.items); m.copied > maxStack {
			return nil, fmt.Errorf("it fills dicts with more than %d pairs", maxStack)
		}
		for _, p := range pairs.items {
			pair, ok := p.(tuple)
			if l, isList := p.(*list); isList {
				pair, ok = l.items, true
			}
			if !ok || len(pair) != 2 {
				return nil, errors.New("it fills a dict with what are no pairs")
			}
			if err := d.set(pair); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

// newTensor checks (storage, offset, size, stride, …): all elements must lie in
// the storage, and they must not be more than the storage has, as they would
// be after expand, which could ask for any amount of memory.
func newTensor(args tuple) (*tensor, error) {
	if len(args) < 4 {
		return nil, fmt.Errorf("a tensor is made of %d values", len(args))
	}
	s, ok1 := args[0].(*storage)
	offset, ok2 := args[1].(int)
	shape, ok3 := ints(args[2])
	stride, ok4 := ints(args[3])
	if !ok1 || !ok2 || !ok3 || !ok4 || offset < 0 || len(shape) != len(stride) || len(shape) > 8 {
		return nil, errors.New("a tensor is described in another form")
	}
	n, last := 1, offset
	for i, d := range shape {
		if d == 0 {
			return &tensor{s, 0, shape, stride}, nil
		}
		if d > math.MaxInt32 || stride[i] > math.MaxInt/4/d || n > math.MaxInt32*16/d {
			return nil, fmt.Errorf("a tensor of shape %v and strides %v is impossible", shape, stride)
		}
		n *= d
		last += (d - 1) * stride[i]
		if last < 0 {
			return nil, fmt.Errorf("a tensor of shape %v and strides %v is impossible", shape, stride)
		}
	}
	if last >= s.numel {
		return nil, fmt.Errorf("a tensor of shape %v and strides %v from %d does not lie in its storage of %d", shape, stride, offset, s.numel)
	}
	if n > s.numel {
		return nil, fmt.Errorf("a tensor of shape %v repeats the %d elements of its storage; call contiguous() before saving", shape, s.numel)
	}
	return &tensor{s, offset, shape, stride}, nil
}

// ints reads a tuple of numbers, none negative.
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
