package peft

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/safetensors"
)

// Module is a whole module of an adapter (modules_to_save): a matrix, or a vector of one
// column. It is read when it is asked for, since it may be large.
type Module struct {
	Name       string // of its weight, in MindFormers' names
	Rows, Cols int
	Vector     bool
	DType      string // as safetensors spells it

	file, name string
}

// Shape is that of its weight.
func (m *Module) Shape() []int {
	if m.Vector {
		return []int{m.Rows}
	}
	return []int{m.Rows, m.Cols}
}

// Size is the bytes of its weight as it is stored.
func (m *Module) Size() int { return m.Rows * m.Cols * sizes[m.DType] }

// Bytes is the weight as it is stored.
func (m *Module) Bytes() ([]byte, error) {
	f, done, err := open(m.file)
	if err != nil {
		return nil, err
	}
	defer done()
	t, ok := f.Tensor(m.name)
	if !ok {
		return nil, fmt.Errorf("%s no longer holds %s", m.file, m.name)
	}
	return bytes.Clone(t.Data), nil
}

// same reports whether two modules of a file have the same weight.
func (m *Module) same(other Module) (bool, error) {
	f, done, err := open(m.file)
	if err != nil {
		return false, err
	}
	defer done()
	x, _ := f.Tensor(m.name)
	y, _ := f.Tensor(other.name)
	if m.DType != other.DType || len(x.Data) != len(y.Data) {
		return false, nil
	}
	size := sizes[m.DType]
	for part, from := range pieces(x.Data, size) {
		beside := y.Data[from*size:][:len(part)]
		if !bytes.Equal(part, beside) {
			return false, nil
		}
		mmap.Release(part)
		mmap.Release(beside)
	}
	return true, nil
}

// Into writes the weight to x, which has its size.
func (m *Module) Into(x []float32) error {
	f, done, err := open(m.file)
	if err != nil {
		return err
	}
	defer done()
	t, ok := f.Tensor(m.name)
	if n, err := Count(t.DType, t.Data); !ok || err != nil || n != len(x) {
		return fmt.Errorf("%s no longer holds %s as it was (%v)", m.file, m.name, err)
	}
	size := sizes[t.DType]
	for part, from := range pieces(t.Data, size) {
		Into(x[from:], t.DType, part)
		mmap.Release(part)
	}
	return nil
}

// pieces divides stored elements, such that little of a mapped file is in memory at once.
// Each comes with the number of elements before it.
func pieces(data []byte, size int) func(yield func(part []byte, from int) bool) {
	const most = 1 << 18
	return func(yield func(part []byte, from int) bool) {
		for from := 0; from < len(data)/size; from += most {
			if !yield(data[from*size:min((from+most)*size, len(data))], from) {
				return
			}
		}
	}
}

// moduleName is the MindFormers name of the weight of a module by that of a tensor; "" if
// it is none. PEFT saves it under the name that it has in the base; in the state of a
// whole model it is among those of its copies.
func moduleName(name string) string {
	name = strings.Replace(name, ".modules_to_save.default.", ".", 1)
	hf, _ := naming.Bare(name, naming.SchemeHuggingFace)
	mf := naming.MindFormers(hf)
	if !naming.Whole(mf) {
		return ""
	}
	return mf
}

// takeModule adds a tensor of a file that is a whole module.
func (a *Adapter) takeModule(file string, t safetensors.Tensor) (bool, error) {
	name := moduleName(t.Name)
	if name == "" {
		return false, nil
	}
	m := Module{Name: name, DType: t.DType, Cols: 1, Vector: len(t.Shape) == 1, file: file, name: t.Name}
	switch len(t.Shape) {
	case 2:
		m.Rows, m.Cols = t.Shape[0], t.Shape[1]
	case 1:
		m.Rows = t.Shape[0]
	}
	if n, err := Count(t.DType, t.Data); err != nil {
		return true, err
	} else if m.Rows*m.Cols != n || n == 0 {
		return true, fmt.Errorf("the shape %v is not that of a module", t.Shape)
	}
	if _, ok := a.Modules[name]; ok {
		return true, fmt.Errorf("the module is also stored under another name")
	}
	if at, x := firstNotFinite(t.DType, t.Data); at >= 0 {
		return true, fmt.Errorf("element %d is %v; the run that wrote it has diverged", at, x)
	}
	a.Modules[name] = m
	return true, nil
}

// firstNotFinite finds the first element that is no finite number.
func firstNotFinite(dtype string, data []byte) (at int, x float32) {
	var buf []float32
	for part, from := range pieces(data, sizes[dtype]) {
		n := len(part) / sizes[dtype]
		if buf == nil {
			buf = make([]float32, n)
		}
		Into(buf[:n], dtype, part)
		mmap.Release(part)
		for i, v := range buf[:n] {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return from + i, v
			}
		}
	}
	return -1, 0
}

// savedAs is the entry of modules_to_save that selects the module of a weight alone.
func savedAs(name string) string {
	path := strings.TrimSuffix(naming.HF(name), ".weight")
	if naming.Layer(name) < 0 && !strings.HasSuffix(path, "norm") {
		return path[strings.LastIndexByte(path, '.')+1:]
	}
	return path
}

// fitModules compares the modules of the file with modules_to_save of its config. A tied
// module is stored as embedding and as head.
func (a *Adapter) fitModules(file, config string) error {
	for _, name := range slices.Sorted(maps.Keys(a.Modules)) {
		if naming.Saved(a.Config.Modules, name) || a.Config.Tied && slices.Contains(naming.Embeddings, name) {
			continue
		}
		a.Config.Modules = append(a.Config.Modules, savedAs(name))
		a.expects.unread = append(a.expects.unread, fmt.Sprintf("it holds %s, a whole module that modules_to_save does not name: as in PEFT, which writes embeddings that have grown so, it takes the place of the base's", naming.HF(name)))
	}
	for _, entry := range a.Config.Modules {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(a.Modules)), func(name string) bool { return naming.Selects(entry, name) }) {
			return fmt.Errorf("%s: it holds no module of the name %s, and %s says `modules_to_save: [%s]`\n  = help: take the whole adapter, or correct the config", file, entry, config, strings.Join(a.Config.Modules, ", "))
		}
	}
	embed, head := a.Modules[naming.Embeddings[0]], a.Modules[naming.Embeddings[1]]
	if a.Config.Tied && embed.Name != "" && head.Name != "" {
		same, err := embed.same(head)
		if err != nil {
			return err
		}
		if !same {
			return fmt.Errorf("%s: %s says `ensure_weight_tying: true`, and its embedding and head differ", file, config)
		}
	}
	return nil
}

// apart divides what is saved into matrices of adapters and whole modules.
func apart(tensors []Tensor) (matrices, modules []Tensor) {
	for _, t := range tensors {
		if naming.Whole(t.Name) {
			modules = append(modules, t)
		} else {
			matrices = append(matrices, t)
		}
	}
	return matrices, modules
}

// entries are modules as they are written.
func (c *Config) entries(modules []Tensor) (out []safetensors.Entry) {
	add := func(name string, t Tensor) {
		shape := []int{t.Rows, t.Cols}
		if strings.HasSuffix(name, "norm.weight") || strings.HasSuffix(name, "norm_out.weight") {
			shape = shape[:1]
		}
		out = append(out, safetensors.Entry{Name: name, DType: "F32", Shape: shape, Write: safetensors.Bytes(Bytes(t.Data))})
	}
	for _, t := range modules {
		add(t.Name, t)
		if c.Tied && t.Name == naming.Embeddings[0] { // as PEFT has it
			add(naming.Embeddings[1], t)
		}
	}
	return out
}
