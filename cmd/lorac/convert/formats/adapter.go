package formats

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"lorac/runtime/weights"
	"lorac/runtime/weights/claims"
	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
)

// Adapter is a LoRA adapter of any format: y = W·x + Scale·B·A·x for each
// adapted linear. Its matrices go by their MindFormers names.
type Adapter struct {
	Path    string
	Config  peft.Config // Base, Dropout and Layers as far as they are known
	Linears []Linear    // in the order of the network
	Missing []string    // what its own config promises and its file lacks, in words
	Idle    bool        // all factors B are zero
	Left    int         // tensors other than the adapter: of the base, of a run

	Unfinished string // how far the run was that wrote it, where that has not ended

	says    string   // where its own files say its scale; "" where they do not
	ignored []string // what is known beside them and does not count, in words

	peft *peft.Adapter // what was read, of a directory of PEFT's or MLX-LM's
}

// Warnings are what a user should know of an adapter that can be read.
func (a *Adapter) Warnings() []string {
	var out []string
	for _, m := range a.Missing {
		out = append(out, fmt.Sprintf("%s: %s; was it saved in part? Take the whole adapter, or correct adapter_config.json", a.Path, m))
	}
	if a.Idle {
		out = append(out, a.Path+": all its factors B are zero, so it changes nothing; it is as before training, or was saved without what was trained")
	}
	return out
}

// Notes are how it was read, and how far the run was that wrote it, where that has
// not ended.
func (a *Adapter) Notes() []string {
	var out []string
	if a.Unfinished != "" {
		out = append(out, fmt.Sprintf("the adapter %s is of a run that has not ended: %s", a.Path, a.Unfinished))
	}
	out = append(out, a.ignored...)
	if a.peft != nil {
		for _, n := range a.peft.Notes() {
			out = append(out, a.Path+": "+n)
		}
	}
	return out
}

// OtherBase says that it names another base than the one at a path; "" where it does not.
func (a *Adapter) OtherBase(base string) string {
	if other := peft.OtherBase(a.Config.Base, base); other != "" {
		return a.Path + ": " + other
	}
	return ""
}

// idle finds out whether the adapter changes anything.
func (a *Adapter) idle() error {
	a.Idle = !a.Config.DoRA && a.SavedModules() == 0 // of those the base alone tells
	for i := range a.Linears {
		x, err := a.Linears[i].B.floats()
		if err != nil {
			return err
		}
		for _, v := range x {
			if v != 0 {
				a.Idle = false
				return nil
			}
		}
	}
	return nil
}

// Linear is the adapter of one linear.
type Linear struct {
	Name  string // model.layers.0.attention.wq
	A, B  Param  // [rank, in], [out, rank]
	M     *Param // magnitudes of DoRA, [out]; nil: there are none
	Scale float64
}

// Rank is that of the adapter.
func (l *Linear) Rank() int { return l.A.Shape[0] }

// Known is what the user says where an adapter's files do not.
type Known struct {
	Model *Model
	Alpha float64 // lora_alpha; 0: not known
	Rank  int     // lora_rank; 0: not known
	Place string  // where that is said
}

// ErrNoAlpha is the error for an adapter that does not say its scale.
var ErrNoAlpha = errors.New("nothing says its lora_alpha, on which its effect depends\n  = help: --lora_alpha A, or --config CONFIG with the pet_config of the training")

// OpenAdapter reads an adapter. Its matrices are copied: they are small.
func OpenAdapter(path string, known Known) (*Adapter, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	a := &Adapter{Path: path}
	dir := path
	if !info.IsDir() {
		dir = filepath.Dir(path)
	}
	_, configured := os.Stat(filepath.Join(dir, "adapter_config.json"))
	matrices := filepath.Join(dir, "adapter_model.safetensors")
	if _, err := os.Stat(matrices); err != nil {
		matrices = filepath.Join(dir, "adapter_model.bin")
	}
	if _, err := os.Stat(matrices); err != nil {
		matrices = filepath.Join(dir, peft.MLXName)
	}
	_, hasMatrices := os.Stat(matrices)
	switch {
	case configured == nil && hasMatrices == nil && (info.IsDir() || filepath.Base(path) == filepath.Base(matrices)):
		err = a.readPEFT(path, known)
	case configured != nil && hasMatrices == nil && (info.IsDir() || filepath.Base(path) == filepath.Base(matrices)):
		if known.Alpha == 0 {
			return nil, fmt.Errorf("%s has no adapter_config.json beside it: %w", matrices, ErrNoAlpha)
		}
		err = a.readPEFT(path, known)
	case filepath.Ext(path) == ".gguf":
		err = a.readGGUF(path, known)
	default:
		err = a.readNames(path, dir, known)
	}
	if err != nil {
		return nil, err
	}
	a.Unfinished = peft.Unfinished(path)
	if err := a.compare(known); err != nil {
		return nil, err
	}
	recorded, err := claims.IgnoredAt(path)
	if err != nil {
		return nil, err
	}
	for _, line := range recorded {
		a.ignored = append(a.ignored, path+": "+line)
	}
	if known.Model != nil && known.Model.Layers > 0 {
		a.Config.Layers = known.Model.Layers
	}
	if a.peft != nil {
		layers := a.Config.Layers
		for _, l := range a.Linears {
			layers = max(layers, naming.Layer(l.Name)+1)
		}
		a.Missing = a.peft.Missing(layers)
	}
	return a, a.idle()
}

// compare compares the scale that its files say with what is said beside them. That of
// its files counts; ranks that differ where they say none are an error, since the scale
// is alpha/rank.
func (a *Adapter) compare(known Known) error {
	if known.Alpha == 0 {
		return nil
	}
	other := 0
	var first string
	for i := range a.Linears {
		l := &a.Linears[i]
		rank := l.Rank()
		if known.Rank > 0 {
			rank = known.Rank
		}
		if a.says == "" && rank != l.Rank() {
			return fmt.Errorf("the adapter of %s in %s has rank %d, %s says %d\n  = help: give the config of its training, or --lora_alpha", l.Name, a.Path, l.Rank(), known.Place, rank)
		}
		if scale := known.Alpha / float64(rank); math.Abs(scale-l.Scale) > 1e-6*math.Abs(scale) {
			if other++; other == 1 {
				first = fmt.Sprintf("%s of %s scales %s by %.6g, %s by %.6g", a.says, a.Path, l.Name, l.Scale, known.Place, scale)
			}
		}
	}
	if other > 1 {
		first += fmt.Sprintf(" (and %d linears more)", other-1)
	}
	if other > 0 {
		a.ignored = append(a.ignored, first+": that of the adapter counts")
	}
	return nil
}

func (a *Adapter) readPEFT(path string, known Known) error {
	a.says = "adapter_config.json"
	p, err := peft.LoadStored(path)
	if errors.Is(err, peft.ErrNoConfig) && known.Alpha != 0 {
		a.says = ""
		p, err = peft.LoadBareStored(path, known.Alpha)
	}
	if err != nil {
		return err
	}
	a.Config, a.peft = p.Config, p
	return a.pair(slices.Collect(maps.Keys(p.Tensors)), func(name string) (Param, bool) {
		t, ok := p.Tensors[name]
		s := p.Stored[name]
		shape := []int{t.Rows, t.Cols}
		if _, f, _ := naming.SplitLoRA(name, naming.SchemeMindFormers); f == naming.Magnitudes {
			shape = shape[:1]
		}
		return Param{name, s.DType, shape, 0, bytesOfMemory(s.Data)}, ok
	}, func(linear string, _ int) float64 {
		return p.Scale[naming.LoRAName(linear, naming.FactorA, naming.SchemeMindFormers)]
	})
}

func (a *Adapter) readGGUF(path string, known Known) error {
	f, err := gguf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	arch, _ := f.Meta["general.architecture"].(string)
	if arch != "llama" && arch != "qwen2" {
		return fmt.Errorf("%s: its general.architecture is %q, \"llama\" or \"qwen2\" is due for an adapter of a Llama", path, arch)
	}
	for key, want := range map[string]string{"general.type": "adapter", "adapter.type": "lora"} {
		if got, _ := f.Meta[key].(string); got != want {
			return fmt.Errorf("%s: its %s is %q, %q is due for an adapter of a Llama", path, key, got, want)
		}
	}
	alpha, _ := f.Meta["adapter.lora.alpha"].(float64)
	a.says = "adapter.lora.alpha"
	inFile := map[string]string{}
	var names []string
	paired := false
	for _, t := range f.Tensors {
		mf, ok := naming.Translate(t.Name, naming.SchemeGGUF, naming.SchemeMindFormers)
		if _, _, factor := naming.SplitLoRA(mf, naming.SchemeMindFormers); !ok || !factor {
			return fmt.Errorf("%s: the tensor %s is no factor of an adapter of a Llama's linear", path, t.Name)
		}
		inFile[mf] = t.Name
		names = append(names, mf)
		paired = paired || arch == "llama" && naming.SchemeGGUF.Paired(t.Name)
	}
	headDim, err := headDim(known, paired, path)
	if err != nil {
		return err
	}
	return a.pair(names, func(name string) (Param, bool) {
		t, ok := f.Tensor(inFile[name])
		data := slices.Clone(t.Data)
		p := Param{name, t.Type, t.Shape, 0, bytesOfMemory(data)}
		if arch == "llama" && naming.SchemeGGUF.Paired(t.Name) {
			p.headDim = headDim
		}
		return p, ok
	}, func(_ string, rank int) float64 {
		if alpha == 0 { // as llama.cpp has it
			return 1
		}
		return shortest(alpha) / float64(rank)
	})
}

// headDim is the width of a head, which must be known when rows are in rotary pairs.
func headDim(known Known, needed bool, path string) (int, error) {
	if known.Model != nil && known.Model.HeadDim > 0 {
		return known.Model.HeadDim, nil
	}
	if needed {
		return 0, fmt.Errorf("%s: the rows of queries and keys are grouped by head, whose width it does not say\n  = help: --config CONFIG: the MindFormers YAML, or the config.json or params.json of the base", path)
	}
	return 0, nil
}

// readNames reads an adapter that says what it is by its names alone: a .ckpt
// of MindFormers, with the base in it or without, a file of torchtune, or
// safetensors. torchtune may have PEFT's config next to it.
func (a *Adapter) readNames(path, dir string, known Known) error {
	beside, err := peft.Uniform(dir)
	if err != nil {
		return err
	}
	if beside != nil {
		known.Alpha, a.Config.Base, a.says = beside.Alpha, beside.Base, "adapter_config.json"
	}
	width, err := headDim(known, false, path)
	if err != nil {
		return err
	}
	if err := notRanks(path); err != nil {
		return err
	}
	set, err := weights.OpenHeads(path, width)
	if errors.Is(err, weights.ErrNoHeads) {
		_, err = headDim(known, true, path)
	}
	if err != nil {
		return err
	}
	defer set.Close()
	set = weights.Unwrap(set)
	inFile := map[string]string{}
	var names []string
	for _, n := range set.Names() {
		mf := n
		if their := naming.MindFormers(n); their != "" {
			mf = their
		}
		if naming.Started(n) {
			return fmt.Errorf("%s holds %s: its adapter started as a part of the base (init_lora_weights), which is to be taken off again\n  = help: give the adapter that its run exported: that is for the base as it is", path, n)
		}
		linear, f, factor := naming.SplitLoRA(mf, naming.SchemeMindFormers)
		if !factor || !naming.Known(linear+".weight", naming.SchemeMindFormers) {
			if _, state := naming.StateOf(n); factor && !state {
				return fmt.Errorf("%s: %s adapts what is no linear of a Llama", path, n)
			}
			a.Left++
			continue
		}
		mf = naming.LoRAName(linear, f, naming.SchemeMindFormers) // old spellings
		if inFile[mf] != "" {
			return fmt.Errorf("%s: %s and %s are the same matrix", path, inFile[mf], n)
		}
		inFile[mf] = n
		names = append(names, mf)
	}
	if len(names) == 0 {
		return fmt.Errorf("%s holds no adapter: none of its %d tensors is a factor A or B of LoRA", path, a.Left)
	}
	if known.Alpha == 0 {
		return fmt.Errorf("%s: %w", path, ErrNoAlpha)
	}
	names, get := parted(names, func(name string) (Param, bool) {
		t, ok := set.Tensor(inFile[name])
		data := slices.Clone(t.Data)
		pairs := weights.Pairs(set, inFile[name])
		if known.Model != nil && known.Model.qwen2() {
			pairs = 0
		}
		return Param{name, t.DType, t.Shape, pairs, bytesOfMemory(data)}, ok
	}, known.Model)
	err = a.pair(names, get, func(_ string, rank int) float64 { return known.Alpha / float64(rank) })
	for i := range a.Linears {
		if l := &a.Linears[i]; err == nil && beside != nil {
			if err = beside.Check(l.Name, l.Rank()); err != nil {
				err = fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return err
}

// parted splits the adapters of qkv_concat: factor A is that of each part,
// the rows of B are divided.
func parted(names []string, get func(string) (Param, bool), m *Model) ([]string, func(string) (Param, bool)) {
	var out []string
	whole := map[string]string{}
	for _, n := range names {
		parts := naming.Parts(n)
		if parts == nil {
			out = append(out, n)
		}
		for _, p := range parts {
			out = append(out, p)
			whole[p] = n
		}
	}
	return out, func(name string) (Param, bool) {
		full, ok := whole[name]
		if !ok {
			return get(name)
		}
		p, ok := get(full)
		if naming.Shared(full) || !ok || len(p.Shape) == 0 {
			p.Name = name
			return p, ok
		}
		parts := naming.Parts(full)
		rows := p.Shape[0]
		first := rows / len(parts) // gate and up; or the queries, of as many heads as keys and values
		if linear, _, _ := naming.SplitLoRA(full, naming.SchemeMindFormers); len(parts) == 3 {
			if m != nil && m.Heads*m.HeadDim > 0 {
				first = m.Heads * m.HeadDim
			} else if fa, ok := get(naming.LoRAName(linear, naming.FactorA, naming.SchemeMindFormers)); ok && len(fa.Shape) == 2 {
				first = fa.Shape[1] // heads make up the width
			}
		}
		rest := (rows - first) / (len(parts) - 1)
		at := slices.Index(parts, name)
		from, to := 0, first
		if at > 0 {
			from, to = first+(at-1)*rest, first+at*rest
		}
		if rest < 1 || first+rest*(len(parts)-1) != rows {
			return Param{}, false
		}
		data, err := p.data()
		if err != nil {
			return Param{}, false
		}
		n := len(data) / rows
		return Param{name, p.DType, append([]int{to - from}, p.Shape[1:]...), 0, bytesOfMemory(data[from*n : to*n])}, true
	}
}

// pair sorts matrices to linears and checks them: both factors, of one rank,
// finite numbers.
func (a *Adapter) pair(names []string, get func(string) (Param, bool), scale func(linear string, rank int) float64) error {
	there := map[string]bool{}
	layers := 0
	for _, n := range names {
		there[n] = true
		layers = max(layers, naming.Layer(n)+1)
	}
	for _, weight := range naming.ParameterNames(layers, naming.SchemeMindFormers, false) {
		linear, isWeight := cutWeight(weight)
		if !isWeight {
			continue
		}
		an := naming.LoRAName(linear, naming.FactorA, naming.SchemeMindFormers)
		bn := naming.LoRAName(linear, naming.FactorB, naming.SchemeMindFormers)
		if !there[an] && !there[bn] {
			continue
		}
		fa, ok1 := get(an)
		fb, ok2 := get(bn)
		if !ok1 || !ok2 || !there[an] || !there[bn] {
			return fmt.Errorf("%s: the adapter of %s has only one of its two matrices, or rows that cannot be divided", a.Path, linear)
		}
		delete(there, an)
		delete(there, bn)
		l := Linear{Name: linear, A: fa, B: fb}
		if len(fa.Shape) != 2 || len(fb.Shape) != 2 || slices.Min(append(slices.Clone(fa.Shape), fb.Shape...)) < 1 || fa.Shape[0] != fb.Shape[1] {
			return fmt.Errorf("%s: the adapter of %s has the shapes %v and %v", a.Path, linear, fa.Shape, fb.Shape)
		}
		if fb.headDim > 0 && fb.Shape[0]%fb.headDim != 0 {
			return fmt.Errorf("%s: the adapter of %s has %d rows, which are no heads of %d", a.Path, linear, fb.Shape[0], fb.headDim)
		}
		l.Scale = scale(linear, l.Rank())
		params := []Param{fa, fb}
		if mn := naming.LoRAName(linear, naming.Magnitudes, naming.SchemeMindFormers); there[mn] {
			m, ok := get(mn)
			if !ok || len(m.Shape) != 1 || m.Shape[0] != fb.Shape[0] {
				return fmt.Errorf("%s: the magnitudes of %s have the shape %v, factor B %v", a.Path, linear, m.Shape, fb.Shape)
			}
			delete(there, mn)
			l.M, params = &m, append(params, m)
		}
		for _, p := range params {
			x, err := p.floats()
			n := 1
			for _, d := range p.Shape {
				n *= d
			}
			if err == nil && len(x) != n {
				err = fmt.Errorf("it has %d numbers for %v", len(x), p.Shape)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", a.Path, err)
			}
			for _, v := range x {
				if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
					return fmt.Errorf("%s: %s has the value %v; the run that made it has diverged", a.Path, p.Name, v)
				}
			}
		}
		a.Linears = append(a.Linears, l)
	}
	if len(there) > 0 {
		return fmt.Errorf("%s: %s adapts what is no linear of a Llama", a.Path, some(slices.Sorted(maps.Keys(there))))
	}
	if len(a.Linears) == 0 {
		return fmt.Errorf("%s holds no adapter", a.Path)
	}
	for i := range a.Linears {
		if (a.Linears[i].M == nil) != (a.Linears[0].M == nil) {
			return fmt.Errorf("%s: some linears have magnitudes of DoRA, others none: %s, %s", a.Path, a.Linears[0].Name, a.Linears[i].Name)
		}
	}
	a.Config.DoRA = a.Linears[0].M != nil
	a.Config.Rank = a.Linears[0].Rank()
	a.Config.Alpha = tidy(a.Linears[0].Scale * float64(a.Config.Rank))
	return nil
}

// cutWeight is the path of a linear of a layer.
func cutWeight(name string) (string, bool) {
	for _, leaf := range []string{".wq", ".wk", ".wv", ".wo", ".w1", ".w2", ".w3"} {
		if n := len(name) - len(".weight"); n > len(leaf) && name[n-len(leaf):] == leaf+".weight" {
			return name[:n], true
		}
	}
	return "", false
}

// tidy takes away the last bit that alpha/r·r may leave.
func tidy(x float64) float64 {
	if r := math.Round(x*1024) / 1024; math.Abs(x-r) < 1e-9*math.Abs(r) {
		return r
	}
	return x
}
