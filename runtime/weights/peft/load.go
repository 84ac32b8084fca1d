package peft

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/sys/disk"
	"lorac/runtime/weights/kind"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/safetensors"
	"lorac/runtime/weights/torch"
)

// Load reads an adapter: its directory, or a safetensors file next to its
// adapter_config.json. Every matrix must belong to a linear of a Llama that
// target_modules selects, have the rank of the config, its other factor, and
// finite values.
func Load(path string) (*Adapter, error) { return load(path, false) }

// LoadStored is Load, and also keeps the tensors in their stored type.
func LoadStored(path string) (*Adapter, error) { return load(path, true) }

func load(path string, stored bool) (*Adapter, error) {
	file, config, err := locate(path)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(config)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is an adapter without %s (%w next to it), which holds the scale; download that, too", path, configName, ErrNoConfig)
	}
	if err != nil {
		return nil, err
	}
	c, err := parseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config, err)
	}
	if other := filepath.Join(filepath.Dir(file), "adapter_model.bin"); filepath.Base(file) == weightsName && disk.Exists(other) {
		c.unread = append(c.unread, "adapter_model.bin beside "+weightsName+" is not read: as in PEFT the latter counts")
	}
	a := &Adapter{Config: c.Config, Tensors: map[string]Tensor{}, Modules: map[string]Module{}, Scale: map[string]float64{}, expects: c}
	if stored {
		a.Stored = map[string]Stored{}
	}
	err = a.read(file, func(module string, rank int) (float64, error) {
		if why := c.ignores(module); why != "" {
			return 0, c.contradiction(module, why, config)
		}
		want, scale := c.scaling(module)
		if rank != want {
			return 0, fmt.Errorf("the adapter of %s has rank %d, %s says %d", module, rank, config, want)
		}
		return scale, nil
	})
	if err != nil {
		return nil, err
	}
	switch m := a.magnitudes(); {
	case m > 0 && !c.DoRA:
		return nil, fmt.Errorf("%s: it holds lora_magnitude_vector, those of DoRA, and %s does not say `use_dora: true`, so PEFT would ignore them\n  = help: correct the config, or take the file that belongs to it", file, config)
	case m == 0 && c.DoRA:
		return nil, fmt.Errorf("%s: it holds no lora_magnitude_vector, and %s says `use_dora: true`\n  = help: correct the config, or take the file that belongs to it", file, config)
	}
	return a, a.fitModules(file, config)
}

// magnitudes counts the linears that have magnitudes.
func (a *Adapter) magnitudes() (n int) {
	for name := range a.Tensors {
		if _, f, _ := naming.SplitLoRA(name, naming.SchemeMindFormers); f == naming.Magnitudes {
			n++
		}
	}
	return n
}

// LoadBare reads the tensors of an adapter without adapter_config.json. The scale of
// each linear is alpha/rank.
func LoadBare(path string, alpha float64) (*Adapter, error) { return loadBare(path, alpha, false) }

// LoadBareStored is LoadBare, and also keeps the tensors in their stored type.
func LoadBareStored(path string, alpha float64) (*Adapter, error) { return loadBare(path, alpha, true) }

func loadBare(path string, alpha float64, stored bool) (*Adapter, error) {
	file, _, err := locate(path)
	if err != nil {
		return nil, err
	}
	a := &Adapter{Config: Config{Alpha: alpha}, Tensors: map[string]Tensor{}, Modules: map[string]Module{}, Scale: map[string]float64{}}
	if stored {
		a.Stored = map[string]Stored{}
	}
	err = a.read(file, func(module string, rank int) (float64, error) {
		a.Config.Rank = rank
		return alpha / float64(rank), nil
	})
	if err != nil {
		return nil, err
	}
	a.Config.DoRA = a.magnitudes() > 0
	for _, name := range slices.Sorted(maps.Keys(a.Modules)) {
		a.Config.Modules = append(a.Config.Modules, savedAs(name))
	}
	return a, nil
}

// locate returns the paths of the two files of an adapter.
func locate(path string) (file, config string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", "", err
	}
	if !info.IsDir() {
		return path, filepath.Join(filepath.Dir(path), configName), nil
	}
	file = filepath.Join(path, weightsName)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if bin := filepath.Join(path, "adapter_model.bin"); disk.Exists(bin) {
			return bin, filepath.Join(path, configName), nil
		}
		if mlx := filepath.Join(path, MLXName); disk.Exists(mlx) {
			return mlx, filepath.Join(path, configName), nil
		}
		return "", "", fmt.Errorf("%s holds no %s; give the directory of a PEFT adapter", path, weightsName)
	}
	return file, filepath.Join(path, configName), nil
}

// tensors is a file of tensors.
type tensors interface {
	Names() []string
	Tensor(name string) (safetensors.Tensor, bool)
}

// open opens safetensors, or a torch file, as older versions of PEFT write.
func open(path string) (t tensors, close func(), err error) {
	if err := kind.Refuse(path); err != nil {
		return nil, nil, err
	}
	if filepath.Ext(path) == ".bin" {
		f, err := torch.Open(path)
		if err != nil {
			return nil, nil, err
		}
		return f, f.Close, nil
	}
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, nil, err
	}
	return f, func() { f.Close() }, nil
}

// read adds all tensors of a file. scaling checks the rank of a module's adapter
// and returns its scale.
func (a *Adapter) read(path string, scaling func(module string, rank int) (float64, error)) error {
	f, done, err := open(path)
	if err != nil {
		return err
	}
	defer done()
	for _, name := range f.Names() {
		t, _ := f.Tensor(name)
		if taken, err := a.takeModule(path, t); err != nil {
			return fmt.Errorf("%s: tensor %q: %w", path, name, err)
		} else if taken {
			continue
		}
		if err := a.take(t); err != nil {
			return fmt.Errorf("%s: tensor %q: %w", path, name, err)
		}
	}
	if len(a.Tensors) == 0 && len(a.Modules) > 0 {
		return fmt.Errorf("%s holds no matrices of an adapter, whole modules alone (modules_to_save)", path)
	}
	if len(a.Tensors) == 0 {
		return fmt.Errorf("%s holds no tensors", path)
	}
	dora := a.magnitudes() > 0
	for _, name := range slices.Sorted(maps.Keys(a.Tensors)) {
		linear, factor, _ := naming.SplitLoRA(name, naming.SchemeMindFormers)
		if factor == naming.Magnitudes {
			if b, ok := a.Tensors[naming.LoRAName(linear, naming.FactorB, naming.SchemeMindFormers)]; !ok || b.Rows != a.Tensors[name].Rows {
				return fmt.Errorf("%s: %s belongs to no factor B of %d rows", path, naming.HF(name), a.Tensors[name].Rows)
			}
			continue
		}
		if m := naming.LoRAName(linear, naming.Magnitudes, naming.SchemeMindFormers); dora && a.Tensors[m].Data == nil {
			return fmt.Errorf("%s: %s is missing, other linears have magnitudes", path, naming.HF(m))
		}
		other := naming.LoRAName(linear, factor^naming.FactorA^naming.FactorB, naming.SchemeMindFormers)
		half, ok := a.Tensors[other]
		if !ok {
			return fmt.Errorf("%s: %s is present, %s is missing", path, naming.HF(name), naming.HF(other))
		}
		if factor != naming.FactorA {
			continue
		}
		rank := a.Tensors[name].Rows
		if half.Cols != rank {
			return fmt.Errorf("%s: %s has rank %d, %s has rank %d", path, naming.HF(name), rank, naming.HF(other), half.Cols)
		}
		module, _ := naming.TranslateLinear(linear, naming.SchemeMindFormers, naming.SchemeHuggingFace)
		if a.Scale[name], err = scaling(module, rank); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// take converts and adds one tensor of a file.
func (a *Adapter) take(t safetensors.Tensor) error {
	given := t.Name
	t = fromMLX(t)
	hf, _ := naming.Bare(t.Name, naming.SchemeHuggingFace)
	name := naming.MindFormers(hf)
	if mf, ok := naming.Bare(t.Name, naming.SchemeMindFormers); ok { // MindFormers names are understood too
		name = naming.MindFormers(naming.HF(mf))
	}
	_, factor, ok := naming.SplitLoRA(name, naming.SchemeMindFormers)
	if !ok {
		return errors.New(notLoRA(given))
	}
	if _, ok := a.Tensors[name]; ok {
		return errors.New("the matrix is also stored under another name")
	}
	if factor == naming.Magnitudes {
		if len(t.Shape) != 1 {
			return fmt.Errorf("the shape %v is not that of a vector", t.Shape)
		}
		t.Shape = []int{t.Shape[0], 1}
	}
	if len(t.Shape) != 2 || t.Shape[0] == 0 || t.Shape[1] == 0 {
		return fmt.Errorf("the shape %v is not that of a matrix", t.Shape)
	}
	data, err := Floats(t.DType, t.Data)
	if err != nil {
		return err
	}
	for i, x := range data {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return fmt.Errorf("element %d is %v; the run that wrote it has diverged", i, x)
		}
	}
	a.Tensors[name] = Tensor{name, t.Shape[0], t.Shape[1], data}
	if a.Stored != nil {
		a.Stored[name] = Stored{t.DType, bytes.Clone(t.Data)}
	}
	return nil
}

// notLoRA describes a tensor that does not belong in a plain LoRA adapter.
func notLoRA(name string) string {
	switch {
	case strings.Contains(name, "lora_embedding_"):
		return "it adapts the embedding, which is not supported"
	case strings.HasSuffix(name, ".alpha"):
		return "it is a scale as kohya's scripts store it, the lora_alpha of one linear; PEFT has that in adapter_config.json\n  = help: write it there as lora_alpha or alpha_pattern, and save the file without tensors of .alpha"
	case strings.HasSuffix(name, ".bias"):
		return "it is a bias, which is not read with an adapter: merge it with PEFT"
	case !strings.Contains(name, "lora_"):
		return "it is a whole module (modules_to_save) that is neither embedding, head nor norm"
	}
	return "it belongs to no linear of a Llama (q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj)"
}

// MostRank is the greatest rank of its linears.
func (a *Adapter) MostRank() (most int) {
	for name, t := range a.Tensors {
		if _, factor, _ := naming.SplitLoRA(name, naming.SchemeMindFormers); factor == naming.FactorA {
			most = max(most, t.Rows)
		}
	}
	return most
}

// Lacks reports whether the adapter has nothing of a matrix, though it has one of the same
// kind in another layer: an adapter of some layers.
func (a *Adapter) Lacks(name string) bool {
	parts := naming.Parts(name)
	if parts == nil {
		parts = []string{name}
	}
	for _, part := range parts {
		if _, ok := a.Tensors[part]; ok {
			return false
		}
	}
	kind := func(name string) string {
		return strings.TrimLeft(strings.TrimPrefix(name, "model.layers."), "0123456789")
	}
	for has := range a.Tensors {
		if kind(has) == kind(parts[0]) {
			return true
		}
	}
	return false
}

// Find returns the matrix of a parameter, its scale, and the names of the tensors
// it was made from. For a linear of qkv_concat the parts are concatenated, which
// requires all of them to have the same factor A and scale, as in an adapter that
// lorac wrote.
func (a *Adapter) Find(name string) (t Tensor, scale float64, from []string, err error) {
	linear, factor, ok := naming.SplitLoRA(name, naming.SchemeMindFormers)
	if !ok {
		return Tensor{}, 0, nil, fmt.Errorf("%s is not a matrix of an adapter", name)
	}
	from = naming.Parts(name)
	if from == nil {
		from = []string{name}
	}
	t = Tensor{Name: name}
	for i, part := range from {
		x, ok := a.Tensors[part]
		if !ok {
			return Tensor{}, 0, nil, fmt.Errorf("the adapter has no %s", naming.HF(part))
		}
		partLinear, _, _ := naming.SplitLoRA(part, naming.SchemeMindFormers)
		s := a.Scale[naming.LoRAName(partLinear, naming.FactorA, naming.SchemeMindFormers)]
		switch {
		case i == 0:
			scale, t.Rows, t.Cols, t.Data = s, x.Rows, x.Cols, x.Data
		case s != scale:
			return Tensor{}, 0, nil, fmt.Errorf("the parts of %s have different scales, %g and %g", linear, scale, s)
		case factor == naming.FactorA:
			if !slices.Equal(x.Data, t.Data) {
				return Tensor{}, 0, nil, fmt.Errorf("the parts of %s have different factors A, so they cannot be concatenated; set qkv_concat: False", linear)
			}
		case x.Cols != t.Cols:
			return Tensor{}, 0, nil, fmt.Errorf("the parts of %s have ranks %d and %d", linear, t.Cols, x.Cols)
		default:
			t.Rows, t.Data = t.Rows+x.Rows, append(slices.Clip(t.Data), x.Data...)
		}
	}
	return t, scale, from, nil
}
